/* SPDX-License-Identifier: Apache-2.0 */
#include "app/sluice-loader/link.h"
#include "app/sluice-loader/say.h"
#include "app/sluice-loader/xdp_hooks.h"

#include <bpf/bpf.h>

static void warn(const struct interface *interface, const struct link *link, bool is_generic)
{
	if (is_generic)
		say("%s: generic XDP is for tests: it copies packets and leaves merged ones to "
		    "tc; its speed was not measured",
		    interface->name);
	else if (strcmp(link->kind, "veth") == 0)
		say("%s: XDP on veth is for tests: it takes packets of a peer with `tx off`, sends "
		    "to one that has XDP or `gro on` (before Linux 6.3 others lose them), and had "
		    "0.82 of the messages of tc alone at 64 bytes, 0.25 at 16 KiB",
		    interface->name);
	if (!is_generic && !xdp_can_send(interface->index))
		say("%s: the driver does not send for XDP now: tc does; attach again once that has "
		    "changed",
		    interface->name);
}

static void failed(const struct interface *interface, bool is_generic, int r)
{
	if (r == -EBUSY)
		say("%s: has an XDP program that is not ours, and XDP takes one; detach it, or use "
		    "--hook auto",
		    interface->name);
	else if (r == -EOPNOTSUPP && !is_generic)
		say("%s: its driver has no native XDP (of a VLAN, bridge or bond: attach it to the "
		    "card below, and --hook auto to this)",
		    interface->name);
	else
		say("%s: the driver refuses XDP: %s (a packet must fit into a page: a large MTU?)",
		    interface->name, strerror(-r));
	say_kept_messages();
}

/* Its program is that of the pins, unless a replacement was interrupted. */
static int refresh(const char *dir, const struct xdp_hook *hook, int program_fd)
{
	struct bpf_prog_info info = {0};
	uint32_t size = sizeof(info);

	if (bpf_prog_get_info_by_fd(program_fd, &info, &size) < 0)
		return -errno;
	return info.id == hook->program_id ? 0 : xdp_hook_update(dir, hook, program_fd);
}

static int attach(const char *dir, int program_fd, const struct interface *interface,
		  bool is_generic, const char **ret_result)
{
	_cleanup_free_ struct xdp_hook *hooks = NULL;
	const struct xdp_hook *found;
	struct xdp_hook hook;
	size_t n = 0;
	int r = xdp_hooks_read(dir, &hooks, &n);

	if (r < 0)
		return r;
	found = xdp_hooks_find(hooks, n, interface->index);
	*ret_result = "already attached";
	if (found && found->is_generic == is_generic)
		return refresh(dir, found, program_fd);
	/* The other mode; what comes meanwhile is tc's. */
	if (found && ((r = xdp_ports_remove(dir, interface->index)) < 0 ||
		      (r = xdp_hook_detach(dir, found)) < 0))
		return r;
	*ret_result = "attached";
	return xdp_hook_attach(dir, program_fd, interface->index, is_generic, &hook);
}

const char *xdp_attach(const char *dir, int program_fd, const struct interface *interface,
		       bool is_generic)
{
	const char *result = NULL;
	struct link link;
	int r = link_read(interface->index, &link);

	if (r == 0 && !interface->is_l2)
		r = -EOPNOTSUPP;
	if (r == 0)
		r = attach(dir, program_fd, interface, is_generic, &result);
	if (r < 0) {
		failed(interface, is_generic, r);
		return NULL;
	}
	warn(interface, &link, is_generic);
	return result;
}

int xdp_detach(const char *dir, uint32_t ifindex)
{
	_cleanup_free_ struct xdp_hook *hooks = NULL;
	const struct xdp_hook *hook;
	size_t n = 0;
	int r = xdp_hooks_read(dir, &hooks, &n);

	if (r < 0)
		return r;
	hook = xdp_hooks_find(hooks, n, ifindex);
	if (!hook)
		return 0;
	if ((r = xdp_ports_remove(dir, ifindex)) < 0 || (r = xdp_hook_detach(dir, hook)) < 0)
		return r;
	return 1;
}
