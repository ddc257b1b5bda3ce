/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which way the kernel would send to an address (rtnetlink, RTM_GETROUTE): the source address that
 * it would choose, before there is a socket, and the interface, which has to have the hook.
 */
#pragma once
#include "base/address.h"
#include "base/std.h"

struct route_found {
	struct address source; /* port 0; as given, or as the kernel chooses */
	uint32_t oif;          /* interface index; that of lo for an address of this host */
	uint32_t mtu;          /* of the route; 0 = it says nothing, the interface's counts */
	bool is_local;         /* the address is this host's */
};

#define ROUTE_LOOKUP_KNOWN 256
#define ROUTE_LOOKUP_MS    1000

/* An answer of the kernel's, good until then. */
struct route_known {
	uint64_t until_ns;
	struct address source, destination; /* port 0; no source: family 0 */
	struct route_found found;
};

/* One thread's at a time. */
struct route_lookup {
	int fd; /* a netlink socket */
	uint32_t sequence;
	struct route_known *known; /* ROUTE_LOOKUP_KNOWN, by a hash of the addresses */
};

/** route_lookup_open() - Return: 0, -ENOMEM or -errno of socket(2) */
int route_lookup_open(struct route_lookup *ret_lookup);
/** route_lookup_close() - of one that was opened; a second time is harmless */
void route_lookup_close(struct route_lookup *lookup);
/**
 * route_lookup_find() - the way to @destination
 * @source: from there, or NULL for any
 *
 * What the kernel has answered in the last ROUTE_LOOKUP_MS it is not asked again.
 *
 * Return: 0; -EAFNOSUPPORT for other families than IPv4 and IPv6; -ENETUNREACH, -EINVAL and others
 * as the kernel says; -EHOSTUNREACH if the route there is a refusal.
 */
int route_lookup_find(struct route_lookup *lookup, const struct address *source,
		      const struct address *destination, struct route_found *ret_found);
