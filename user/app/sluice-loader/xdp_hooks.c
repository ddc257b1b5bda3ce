/* SPDX-License-Identifier: Apache-2.0 */
#include "app/sluice-loader/xdp_hooks.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <inttypes.h>
#include <linux/if_link.h>
#include <stdio.h>

#define RECORD_PREFIX    "xdp_"
#define XDP_ACT_NDO_XMIT 4u /* enum netdev_xdp_act, younger than Debian 12's headers */

/* ---- records ------------------------------------------------------------------------------- */

static const char *record_name(const struct xdp_hook *hook, char ret[PIN_PATH_MAX / 2])
{
	snprintf(ret, PIN_PATH_MAX / 2, RECORD_PREFIX "%" PRIu64 "_%" PRIu32, hook->netns,
		 hook->ifindex);
	return ret;
}

static const char *record_path(const char *dir, const struct xdp_hook *hook, char ret[PIN_PATH_MAX])
{
	char name[PIN_PATH_MAX / 2];

	return pin_path(dir, PIN_HOOKS_DIR, record_name(hook, name), ret);
}

static int open_link(const char *dir, const struct xdp_hook *hook)
{
	char path[PIN_PATH_MAX];
	int fd = bpf_obj_get(record_path(dir, hook, path));

	return fd < 0 ? -errno : fd;
}

static void read_hook(const char *dir, struct xdp_hook *hook)
{
	LIBBPF_OPTS(bpf_xdp_query_opts, query);
	_cleanup_close_ int fd = open_link(dir, hook);
	struct bpf_link_info info = {0};
	uint32_t size = sizeof(info);

	/* The kernel clears the interface when it disappears. */
	hook->is_gone =
	    fd < 0 || bpf_obj_get_info_by_fd(fd, &info, &size) < 0 || info.xdp.ifindex == 0;
	if (hook->is_gone)
		return;
	hook->link_id = info.id;
	hook->program_id = info.prog_id;
	if (hook->is_here && bpf_xdp_query((int)hook->ifindex, 0, &query) == 0)
		hook->is_generic = query.attach_mode == XDP_ATTACHED_SKB;
}

/* Strict by comparing, as hook_name_parse(). */
static bool parse_name(const char *name, struct xdp_hook *ret)
{
	char again[PIN_PATH_MAX / 2], *end;

	if (strncmp(name, RECORD_PREFIX, strlen(RECORD_PREFIX)) != 0)
		return false;
	ret->netns = strtoull(name + strlen(RECORD_PREFIX), &end, 10);
	ret->ifindex = *end == '_' ? (uint32_t)strtoul(end + 1, NULL, 10) : 0;
	return strcmp(record_name(ret, again), name) == 0;
}

struct reading {
	const char *dir;
	uint64_t here; /* inode of the network namespace */
	struct xdp_hook *hooks;
	size_t n;
};

static int read_record(const char *name, void *arg)
{
	struct reading *r = arg;
	struct xdp_hook hook = {0}, *more;

	if (!parse_name(name, &hook))
		return 0;
	more = reallocarray(r->hooks, r->n + 1, sizeof(*more));
	if (!more)
		return -ENOMEM;
	r->hooks = more;
	hook.is_here = hook.netns == r->here;
	read_hook(r->dir, &hook);
	r->hooks[r->n++] = hook;
	return 0;
}

int xdp_hooks_read(const char *dir, struct xdp_hook **ret, size_t *ret_n)
{
	struct reading r = {.dir = dir, .here = netns_inode()};
	int error = pin_walk(dir, PIN_HOOKS_DIR, read_record, &r);

	if (error < 0) {
		free(r.hooks);
		return error;
	}
	*ret = r.hooks;
	*ret_n = r.n;
	return 0;
}

const struct xdp_hook *xdp_hooks_find(const struct xdp_hook *hooks, size_t n, uint32_t ifindex)
{
	for (size_t i = 0; i < n; i++) {
		if (hooks[i].is_here && !hooks[i].is_gone && hooks[i].ifindex == ifindex)
			return &hooks[i];
	}
	return NULL;
}

const char *xdp_hook_kind_name(const struct xdp_hook *hook)
{
	return hook->is_generic ? "xdp-generic" : "xdp";
}

bool xdp_can_send(uint32_t ifindex)
{
	LIBBPF_OPTS(bpf_xdp_query_opts, query);

	return bpf_xdp_query((int)ifindex, 0, &query) < 0 || query.feature_flags == 0 ||
	       query.feature_flags & XDP_ACT_NDO_XMIT;
}

/* ---- attaching ----------------------------------------------------------------------------- */

int xdp_hook_attach(const char *dir, int program_fd, uint32_t ifindex, bool is_generic,
		    struct xdp_hook *ret)
{
	LIBBPF_OPTS(bpf_link_create_opts, opts,
		    .flags = is_generic ? XDP_FLAGS_SKB_MODE : XDP_FLAGS_DRV_MODE);
	struct xdp_hook hook = {.netns = netns_inode(), .ifindex = ifindex, .is_here = true};
	_cleanup_close_ int fd = -1;
	char path[PIN_PATH_MAX];

	/* That of an interface which is gone. */
	if (unlink(record_path(dir, &hook, path)) < 0 && errno != ENOENT)
		return -errno;
	fd = bpf_link_create(program_fd, (int)ifindex, BPF_XDP, &opts);
	if (fd < 0)
		return -errno;
	/* Not pinned, it is gone with our descriptor. */
	if (bpf_obj_pin(fd, path) < 0)
		return -errno;
	read_hook(dir, &hook);
	*ret = hook;
	return 0;
}

int xdp_hook_update(const char *dir, const struct xdp_hook *hook, int program_fd)
{
	_cleanup_close_ int fd = open_link(dir, hook);

	if (fd < 0)
		return fd;
	return bpf_link_update(fd, program_fd, NULL) < 0 ? -errno : 0;
}

int xdp_hook_detach(const char *dir, const struct xdp_hook *hook)
{
	char path[PIN_PATH_MAX];

	if (!hook->is_gone) {
		_cleanup_close_ int fd = open_link(dir, hook);

		/* At once, whoever else may hold the link. */
		if (fd >= 0 && bpf_link_detach(fd) < 0)
			return -errno;
	}
	return unlink(record_path(dir, hook, path)) < 0 && errno != ENOENT ? -errno : 0;
}
