/* SPDX-License-Identifier: Apache-2.0 */
/* Network namespaces and the interfaces in them. */
#pragma once
#include "base/std.h"

#include <net/if.h>

struct interface {
	char name[IF_NAMESIZE];
	uint32_t index;
	bool is_up;
	bool is_l2; /* frames begin with an Ethernet header; the loopback's has zeros in it */
	bool is_l3; /* they begin with the IP header, as of tunnels */
};

/**
 * netns_enter() - of this thread
 * @where: a path if it has a slash, else a name as `ip netns` knows it
 *
 * Mounts stay as they are, so bpffs is the same. Return: 0, -ENOENT, -EINVAL (not a network
 * namespace), -EPERM, or -ENAMETOOLONG
 */
int netns_enter(const char *where);
/** netns_inode() - which one we are in, as `readlink /proc/self/ns/net` shows it; 0 if unknown */
uint64_t netns_inode(void);
/** interface_find() - Return: 0, or -ENODEV */
int interface_find(const char *name, struct interface *ret);
/** interface_by_index() - Return: 0, or -ENODEV */
int interface_by_index(uint32_t index, struct interface *ret);
/** interface_list() - all of this namespace, by index; free(*ret) */
int interface_list(struct interface **ret, size_t *ret_n);
