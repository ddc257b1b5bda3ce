/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sl_splice_xdp at interfaces that have the hook of tc already, and keep it: XDP leaves to that
 * what it cannot finish. A link of its own and not libxdp's: it is replaced at one stroke, and
 * libxdp's dispatcher wants BPF trampolines, which not every kernel has. So it is alone at its
 * interface. What is attached is recorded beside the pins:
 *
 *	hooks/xdp_NETNS_IFINDEX          the pinned link
 *
 * and told to the program in the map SL_MAP_PORTS.
 */
#pragma once
#include "app/sluice-loader/hooks.h"

struct xdp_hook {
	uint64_t netns;   /* inode */
	uint32_t ifindex; /* in there */
	bool is_here;     /* that is the namespace that we are in */
	bool is_gone;     /* the interface no longer exists */
	bool is_generic;  /* behind the driver; known of those here */
	uint32_t link_id, program_id;
};

/** xdp_hooks_read() - every record, with what the kernel says about it; free(*ret) */
int xdp_hooks_read(const char *dir, struct xdp_hook **ret, size_t *ret_n);
/** xdp_hooks_find() - the one of an interface of this namespace that exists, or NULL */
const struct xdp_hook *xdp_hooks_find(const struct xdp_hook *hooks, size_t n, uint32_t ifindex);
const char *xdp_hook_kind_name(const struct xdp_hook *hook);
/**
 * xdp_can_send() - as far as the driver tells, does it send what native XDP redirects to it?
 *
 * One that does not loses it without a word. Before Linux 6.3 drivers do not tell: true; nearly all
 * that have native XDP can, once they have a program.
 */
bool xdp_can_send(uint32_t ifindex);

/**
 * xdp_hook_attach() - @program_fd to an interface of this namespace that has none
 *
 * Return: 0, -EBUSY if there is another program, -EOPNOTSUPP if the driver has no native XDP, or
 * what the driver said
 */
int xdp_hook_attach(const char *dir, int program_fd, uint32_t ifindex, bool is_generic,
		    struct xdp_hook *ret);
/** xdp_hook_update() - another program in the same place; no packet passes without one */
int xdp_hook_update(const char *dir, const struct xdp_hook *hook, int program_fd);
/** xdp_hook_detach() - take it out and remove its record; packets go on by tc */
int xdp_hook_detach(const char *dir, const struct xdp_hook *hook);

/** xdp_ports_sync() - make SL_MAP_PORTS tell what is attached, and VLANs over it */
int xdp_ports_sync(const char *dir, const struct hook *hooks, size_t n_hooks);
/** xdp_ports_remove() - before the hook is taken out: nothing is to be sent by it any more */
int xdp_ports_remove(const char *dir, uint32_t ifindex);

/**
 * xdp_attach() - what `attach --hook xdp` does at an interface that has the hook of tc
 * @program_fd: of sl_splice_xdp
 *
 * What is slow or fails is said. Return: what was done, in words; NULL if it failed
 */
const char *xdp_attach(const char *dir, int program_fd, const struct interface *interface,
		       bool is_generic);
/** xdp_detach() - that of an interface of this namespace. Return: 1, 0 if there is none, -errno */
int xdp_detach(const char *dir, uint32_t ifindex);
