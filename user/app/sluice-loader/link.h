/* SPDX-License-Identifier: Apache-2.0 */
/* What kind of device an interface is, as `ip -d link` shows it. */
#pragma once
#include "base/std.h"

struct link {
	uint8_t mac[6];      /* zeros: it has none */
	char kind[16];       /* "veth", "vlan", ...; "" = hardware, or the kernel does not tell */
	uint32_t lower;      /* a VLAN's: index of the interface that it is over */
	uint16_t vlan_id;    /* likewise; host order */
	uint16_t vlan_proto; /* likewise: 0x8100, 0x88a8 */
};

/** link_read() - of this network namespace. Return: 0, -ENODEV, or -errno */
int link_read(uint32_t ifindex, struct link *ret);
