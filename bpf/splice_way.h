/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the map `ways` knows of packets that were too large, and so of senders that do not hear, or
 * do not heed, what is said to them by ICMP (RFC 2923 s2.1: black holes). Pure, as splice_core.h.
 */
#pragma once
#include "bpf/splice_inline.h"
#include "sluice/way.h"

/* Ticks of 0.54 s. Who retransmits doubles the pauses, from 0.2 or 1 s on (RFC 6298 s5.5). */
#define SL_REFUSED_ROW   8 /* with no longer pause it is one row */
#define SL_REFUSED_LONG  4 /* a row of this length: nobody heeds */
#define SL_REFUSED_NEVER 128

SL_INLINE __u8 sl_way_tick(__u64 now_ns)
{
	return (__u8)(now_ns >> 29);
}

/* For another connection than that which had the place. No way is known of it yet. */
SL_INLINE void sl_way_take(struct sl_way *way, __u64 conn_id, __u64 now_ns)
{
	way->conn_id = conn_id;
	way->age = sl_way_age(now_ns) - 1;
	way->first_refused = way->last_refused = (__u8)(sl_way_tick(now_ns) - SL_REFUSED_NEVER);
}

/* A packet of this connection was too large. Return: 1 if that goes on and on, once in a while. */
SL_INLINE int sl_way_refuse(struct sl_way *way, __u64 conn_id, __u64 now_ns)
{
	__u8 tick = sl_way_tick(now_ns);

	if (way->conn_id != conn_id)
		sl_way_take(way, conn_id, now_ns);
	if ((__u8)(tick - way->last_refused) > SL_REFUSED_ROW)
		way->first_refused = tick;
	way->last_refused = tick;
	if ((__u8)(tick - way->first_refused) < SL_REFUSED_LONG)
		return 0;
	way->first_refused = tick;
	return 1;
}
