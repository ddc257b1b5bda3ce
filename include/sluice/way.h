/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The map `ways`: what the lookup in the routes has found for a flow, so that not every packet asks
 * again; it costs a third of all that is done for a packet. It holds for as long as `age` says, and
 * then routes, rules, neighbours and MTUs are asked again. Per CPU, at the place that the number of
 * the connection says (sl_way_place()); who has the place loses it to whoever comes. The programs
 * alone write it.
 */
#pragma once
#include "sluice/abi.h"

#define SL_WAYS          4096 /* a power of two */
#define SL_WAY_AGE_SHIFT 27   /* of ns of CLOCK_MONOTONIC: 134 ms */

struct sl_way {
	__u64 conn_id; /* whose; the direction is in the place */
	__u32 age;     /* of the lookup, as sl_way_age() */
	__u32 oif;     /* interface index */
	__u16 mtu;     /* bytes of the network layer */
	__u8 dmac[6], smac[6];
	__u8 first_refused, last_refused; /* of packets that were too large: bpf/splice_way.h */
};

_Static_assert(sizeof(struct sl_way) == 32, "two in a cache line");

static inline __u32 sl_way_place(__u64 conn_id, __u8 direction)
{
	return (__u32)(conn_id << 1 | (direction & 1)) & (SL_WAYS - 1);
}

static inline __u32 sl_way_age(__u64 now_ns)
{
	return (__u32)(now_ns >> SL_WAY_AGE_SHIFT);
}
