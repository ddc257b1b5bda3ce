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
	/* payload bytes; 0 = no limit. A flow under either of them is walked in strict mode */
	__u64 max_frame, max_message;
	/* token buckets of each connection and direction; a rate of 0 = no limit */
	__u64 byte_rate;   /* TCP payload bytes a second */
	__u32 frame_rate;  /* frames a second */
	__u32 byte_burst;  /* bytes */
	__u32 frame_burst; /* frames */
	__u32 priority;    /* skb->priority; 0 = as it comes */
	__u64 pacing;      /* bytes a second and direction, by departure time; 0 = none */
	__u8 dscp;         /* 0 to 63, or SL_DSCP_KEEP */
	__u8 walk;         /* enum sl_walk_mode */
	__u8 flags;        /* SL_P_ */
	__u8 zero;
	__u32 class_id; /* of `names`; 0 = none */
};

#define SL_DSCP_KEEP 0xffu /* as the packet has it */

enum sl_walk_mode {
	SL_WALK_OBSERVE = 0, /* count; what is behind a hole is not known */
	SL_WALK_STRICT = 1,  /* let nothing pass unseen */
	SL_WALK_OFF = 2,
};

#define SL_P_MARK_ECN 0x01u /* over a rate: mark CE where the packet is ECN-capable, else drop */

_Static_assert(sizeof(struct sl_policy) == 56, "no padding");
