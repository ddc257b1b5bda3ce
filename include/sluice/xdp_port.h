/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The map `xdp_ports`: what XDP may take in and send by; written by the loader. It has
 *
 *   an interface with sl_splice_xdp      by its index and no VLAN
 *   an interface of a VLAN over such     by the index of that one, and the VLAN: for what comes in
 *   likewise                             by its own index and no VLAN: for what goes out
 *
 * What is not in it is left to sl_splice, which therefore is at each of them, too.
 */
#pragma once
#include "sluice/abi.h"

struct sl_xdp_port_key {
	__u32 ifindex;
	__be16 vlan_protocol, vlan_id; /* 0x8100 or 0x88a8, and 12 bits; 0 = no tag */
};

struct sl_xdp_port {
	__u32 ifindex;                 /* what comes in is of this interface, as routing goes */
	__u32 out;                     /* index to send by; 0 = XDP cannot */
	__be16 vlan_protocol, vlan_id; /* the tag to send with; 0 = none */
	__u8 mac[6];                   /* what comes in has to be for it */
	__u16 zero;
};

_Static_assert(sizeof(struct sl_xdp_port_key) == 8, "no padding in keys");
_Static_assert(sizeof(struct sl_xdp_port) == 20, "no padding");
