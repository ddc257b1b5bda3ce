/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses and networks, IPv4 and IPv6. */
#pragma once
#include "base/std.h"

struct sockaddr;

/* An address or a network. */
struct ip_prefix {
	uint8_t bytes[16]; /* network order; IPv4 in the first 4; bits behind the prefix are zero */
	uint8_t family;    /* AF_INET, AF_INET6, or 0 = not set */
	uint8_t bits;      /* 0..32 or 0..128 */
};

/** ip_prefix_parse() - "10.0.0.0/8", "::1", "10.1.2.3". Return: 0 or -EINVAL */
int ip_prefix_parse(const char *text, struct ip_prefix *ret_prefix);
/** ip_prefix_has() - whether @address lies in it; one of another family, or a unix socket, does not
 */
bool ip_prefix_has(const struct ip_prefix *prefix, const struct sockaddr *address);
