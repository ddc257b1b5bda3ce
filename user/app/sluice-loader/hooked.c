/* SPDX-License-Identifier: Apache-2.0 */
#include "app/sluice-loader/hooked.h"

#include "app/sluice-loader/xdp_hooks.h"

#include "sluice/abi.h"

#include <bpf/bpf.h>

static const uint16_t abi_kinds[] = {
    [HOOK_TCX] = SL_HOOK_TCX,
    [HOOK_CLSACT] = SL_HOOK_CLSACT,
};

static const struct hook *find_hook(const struct hook *hooks, size_t n, uint32_t ifindex)
{
	for (size_t i = 0; i < n; i++) {
		if (hooks[i].ifindex == ifindex && !hooks[i].is_gone)
			return &hooks[i];
	}
	return NULL;
}

static int remove_stale(int fd, const struct hook *hooks, size_t n)
{
	uint32_t key, next;
	int r = bpf_map_get_next_key(fd, NULL, &next);

	while (r == 0) {
		key = next;
		r = bpf_map_get_next_key(fd, &key, &next) < 0 ? -errno : 0;
		if (!find_hook(hooks, n, key) && bpf_map_delete_elem(fd, &key) < 0 &&
		    errno != ENOENT)
			return -errno;
	}
	return 0;
}

static int add(int fd, const struct hook *hook)
{
	struct sl_hooked value = {
	    .netns = (uint32_t)hook->netns,
	    .kind = abi_kinds[hook->kind],
	    .id = hook->kind == HOOK_TCX ? hook->link_id : hook->filter.handle,
	    .priority = hook->filter.priority,
	};
	struct interface interface;

	if (interface_by_index(hook->ifindex, &interface) < 0)
		return 0; /* just gone */
	value.is_l2 = interface.is_l2;
	return bpf_map_update_elem(fd, &hook->ifindex, &value, BPF_ANY) < 0 ? -errno : 0;
}

int hooked_sync(const char *dir)
{
	_cleanup_free_ struct hook *hooks = NULL;
	_cleanup_close_ int fd = pin_open(dir, SL_MAP_HOOKED);
	size_t n = 0;
	int r;

	if (fd < 0)
		return fd;
	r = hooks_read(dir, &hooks, &n);
	if (r == 0)
		r = remove_stale(fd, hooks, n);
	for (size_t i = 0; i < n && r == 0; i++) {
		if (hooks[i].is_here && !hooks[i].is_gone)
			r = add(fd, &hooks[i]);
	}
	return r < 0 ? r : xdp_ports_sync(dir, hooks, n);
}

int hooked_remove(const char *dir, uint32_t ifindex)
{
	_cleanup_close_ int fd = pin_open(dir, SL_MAP_HOOKED);

	if (fd < 0)
		return fd == -ENOENT ? 0 : fd;
	if (bpf_map_delete_elem(fd, &ifindex) < 0 && errno != ENOENT)
		return -errno;
	return xdp_ports_remove(dir, ifindex);
}
