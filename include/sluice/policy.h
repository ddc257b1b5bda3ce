/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the kernel programs hold a spliced connection to, and how they mark its packets. The map
 * `policies` is an array; sl_flow.policy is the row of a flow, both directions of a connection
 * have the same. The daemon alone writes it: one row for each combination that routes and classes
 * of its configuration have, and that flows in the map still use. Row 0 limits and marks nothing.
 */
#pragma once
#include "sluice/abi.h"

#define SL_POLICIES 256

struct sl_policy {
	/* payload bytes; 0 = no limit. A flow under either of them, or under frame_rate, is walked
	 * in strict mode, whatever `walk` says; but for one that is lost (SL_W_LOST) when the row
	 * changes, whose frames are not known any more */
	__u64 max_frame;
	__u64 max_message; /* at most 2^32 - 1 */
	/* token buckets of each connection and direction; a rate of 0 = no limit */
	__u64 byte_rate;   /* TCP payload bytes a second, also of what is sent again; from 2^30 on
			      it is no limit */
	__u32 frame_rate;  /* frames a second; a packet of a flow that is lost counts as one */
	__u32 byte_burst;  /* bytes; at most 2^29 */
	__u32 frame_burst; /* frames */
	__u32 priority;    /* skb->priority; 0 = as it comes */
	/*
	 * Bytes a second and direction, by departure time; 0 = none. It takes the place of
	 * byte_rate (the lower of the two counts) and of byte_burst: what would have to wait for
	 * more than 200 ms is dropped. Only fq at the interface that it leaves by lets packets wait
	 * (also below mq); elsewhere, and to this host, they go at once, so that it is a limit with
	 * a burst of 200 ms.
	 */
	__u64 pacing;
	__u8 dscp;  /* 0 to 63, or SL_DSCP_KEEP */
	__u8 walk;  /* enum sl_walk_mode */
	__u8 flags; /* SL_P_ */
	__u8 zero;
	__u32 class_id; /* of `names`; 0 = none */
};

#define SL_DSCP_KEEP 0xffu /* as the packet has it */

enum sl_walk_mode {
	SL_WALK_OBSERVE = 0, /* count; what is behind a hole is not known */
	SL_WALK_STRICT = 1,  /* let nothing pass unseen */
	SL_WALK_OFF = 2,
};

/* Over a rate, up to another burst: mark CE where the packet is ECN-capable. Else it is dropped. */
#define SL_P_MARK_ECN 0x01u

_Static_assert(sizeof(struct sl_policy) == 56, "no padding");
