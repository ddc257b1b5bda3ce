/* SPDX-License-Identifier: Apache-2.0 */
#include "app/sluice-loader/link.h"
#include "app/sluice-loader/xdp_hooks.h"
#include "sluice/xdp_port.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>

/* Room for each interface with XDP, and two for each VLAN. */
struct ports {
	struct sl_xdp_port_key *keys;
	struct sl_xdp_port *values;
	size_t n;
};

static void cleanup_ports(struct ports *ports)
{
	free(ports->keys);
	free(ports->values);
}

static void add(struct ports *ports, struct sl_xdp_port_key key, struct sl_xdp_port value)
{
	ports->keys[ports->n] = key;
	ports->values[ports->n++] = value;
}

/*
 * A packet of generic XDP is sent as any other is, but there must be no native XDP that would send
 * by it.
 */
static bool can_send(const struct xdp_hook *hooks, size_t n, const struct xdp_hook *hook)
{
	for (size_t i = 0; hook->is_generic && i < n; i++) {
		if (hooks[i].is_here && !hooks[i].is_gone && !hooks[i].is_generic)
			return false;
	}
	return hook->is_generic || xdp_can_send(hook->ifindex);
}

static const struct hook *find_tc(const struct hook *hooks, size_t n, uint32_t ifindex)
{
	for (size_t i = 0; i < n; i++) {
		if (hooks[i].is_here && !hooks[i].is_gone && hooks[i].ifindex == ifindex)
			return &hooks[i];
	}
	return NULL;
}

static void add_vlan(struct ports *ports, const struct xdp_hook *lower, uint32_t ifindex,
		     const struct link *link, uint32_t out)
{
	const __be16 protocol = htons(link->vlan_proto), id = htons(link->vlan_id);
	const struct sl_xdp_port_key from = {.ifindex = lower->ifindex,
					     .vlan_protocol = protocol,
					     .vlan_id = id};
	const struct sl_xdp_port_key by = {.ifindex = ifindex};
	struct sl_xdp_port in = {.ifindex = ifindex};
	const struct sl_xdp_port away = {.ifindex = ifindex,
					 .out = out,
					 .vlan_protocol = protocol,
					 .vlan_id = id};

	memcpy(in.mac, link->mac, sizeof(in.mac));
	add(ports, from, in);
	add(ports, by, away);
}

/* What XDP leaves goes to the hook of tc: nothing without that, and of VLANs neither. */
static int collect(const struct hook *hooks, size_t n_hooks, const struct xdp_hook *xdp,
		   size_t n_xdp, struct ports *ret)
{
	ret->keys = calloc(2 * n_hooks + 1, sizeof(*ret->keys));
	ret->values = calloc(2 * n_hooks + 1, sizeof(*ret->values));
	if (!ret->keys || !ret->values)
		return -ENOMEM;
	for (size_t i = 0; i < n_hooks; i++) {
		const struct hook *hook = &hooks[i];
		const struct xdp_hook *at;
		struct link link;

		if (find_tc(hooks, n_hooks, hook->ifindex) != hook ||
		    link_read(hook->ifindex, &link) < 0)
			continue; /* or just gone */
		if ((at = xdp_hooks_find(xdp, n_xdp, hook->ifindex))) {
			struct sl_xdp_port port = {.ifindex = hook->ifindex};

			port.out = can_send(xdp, n_xdp, at) ? hook->ifindex : 0;
			memcpy(port.mac, link.mac, sizeof(port.mac));
			add(ret, (struct sl_xdp_port_key){.ifindex = hook->ifindex}, port);
		} else if (strcmp(link.kind, "vlan") == 0 &&
			   (at = xdp_hooks_find(xdp, n_xdp, link.lower))) {
			add_vlan(ret, at, hook->ifindex, &link,
				 can_send(xdp, n_xdp, at) ? at->ifindex : 0);
		}
	}
	return 0;
}

static bool has_key(const struct ports *ports, const struct sl_xdp_port_key *key)
{
	for (size_t i = 0; i < ports->n; i++) {
		if (memcmp(&ports->keys[i], key, sizeof(*key)) == 0)
			return true;
	}
	return false;
}

static int remove_stale(int fd, const struct ports *ports)
{
	struct sl_xdp_port_key key, next;
	int r = bpf_map_get_next_key(fd, NULL, &next);

	while (r == 0) {
		key = next;
		r = bpf_map_get_next_key(fd, &key, &next) < 0 ? -errno : 0;
		if (!has_key(ports, &key) && bpf_map_delete_elem(fd, &key) < 0 && errno != ENOENT)
			return -errno;
	}
	return 0;
}

int xdp_ports_sync(const char *dir, const struct hook *hooks, size_t n_hooks)
{
	_cleanup_free_ struct xdp_hook *xdp = NULL;
	_cleanup_(cleanup_ports) struct ports ports = {0};
	_cleanup_close_ int fd = pin_open(dir, SL_MAP_PORTS);
	size_t n_xdp = 0;
	int r;

	if (fd < 0)
		return fd == -ENOENT ? 0 : fd; /* of a set from before */
	if ((r = xdp_hooks_read(dir, &xdp, &n_xdp)) < 0 ||
	    (r = collect(hooks, n_hooks, xdp, n_xdp, &ports)) < 0 ||
	    (r = remove_stale(fd, &ports)) < 0)
		return r;
	for (size_t i = 0; i < ports.n; i++) {
		if (bpf_map_update_elem(fd, &ports.keys[i], &ports.values[i], BPF_ANY) < 0)
			return -errno;
	}
	return 0;
}

int xdp_ports_remove(const char *dir, uint32_t ifindex)
{
	_cleanup_close_ int fd = pin_open(dir, SL_MAP_PORTS);
	struct sl_xdp_port_key key, next;
	struct sl_xdp_port value;
	int r;

	if (fd < 0)
		return fd == -ENOENT ? 0 : fd;
	r = bpf_map_get_next_key(fd, NULL, &next);
	while (r == 0) {
		key = next;
		r = bpf_map_get_next_key(fd, &key, &next) < 0 ? -errno : 0;
		if (bpf_map_lookup_elem(fd, &key, &value) < 0 ||
		    (key.ifindex != ifindex && value.ifindex != ifindex && value.out != ifindex))
			continue;
		if (bpf_map_delete_elem(fd, &key) < 0 && errno != ENOENT)
			return -errno;
	}
	return 0;
}
