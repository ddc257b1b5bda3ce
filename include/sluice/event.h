/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the hook tells the daemon, through the ring buffer `events`. A record that finds no room is
 * counted (SL_STAT_EVENT_LOST); what it would have said stands in the flow's marks and state as
 * well, where a sweep finds it, but for SL_EVENT_DEAF, which is told again while that goes on.
 *
 * Three kinds ask nothing of the daemon, and are for who traces a connection: FIN, since
 * half-closed ones go on, on the relay as here; HOLD_EXPIRED, since whoever has set it is told
 * SL_CTL_LATE; and SL_WALK_EVENT_LOST, since whoever reads the counts reads SL_W_LOST beside them.
 */
#pragma once
#include "sluice/abi.h"

enum sl_event_type {
	SL_EVENT_FIN = 1,            /* the first FIN in the window, in this direction */
	SL_EVENT_CLOSED = 2,         /* both FINs are acknowledged, or a RST: the state is CLOSED */
	SL_EVENT_HOLD_EXPIRED = 3,   /* a hook has ended a HOLD */
	SL_EVENT_UNTRANSLATABLE = 4, /* the first packet of a flow that had to be dropped as such */
	SL_EVENT_WALK = 5,           /* of the frame walker: enum sl_walk_event */
	SL_EVENT_DEAF = 6,           /* goes on sending what is too large, whatever ICMP says */
};

/* sl_event.detail of SL_EVENT_CLOSED */
#define SL_CLOSED_BY_FIN 0u
#define SL_CLOSED_BY_RST 1u

/* sl_event.detail of SL_EVENT_WALK; SL_WALK_EVENT_WRONG with the fault at SL_WALK_FAULT_SHIFT */
enum sl_walk_event {
	SL_WALK_EVENT_CLOSE = 1, /* a Close frame has passed: SL_W_CLOSE */
	SL_WALK_EVENT_WRONG = 2, /* a frame is wrong: refused (SL_W_WRONG), or passed (SL_W_LOST) */
	SL_WALK_EVENT_LOST = 3,  /* SL_W_LOST */
};

#define SL_WALK_FAULT_SHIFT 8

/* What was wrong with a frame, as proto/errors.h has it for the relay (RFC 6455 s5) */
enum sl_walk_fault {
	SL_FAULT_OPCODE = 1,
	SL_FAULT_LENGTH = 2, /* not minimal, or its highest bit is set */
	SL_FAULT_MASK = 3,
	SL_FAULT_CONTROL = 4,
	SL_FAULT_FRAGMENT = 5,
	SL_FAULT_FRAME_SIZE = 6,
	SL_FAULT_MESSAGE_SIZE = 7,
	SL_FAULT_AFTER_CLOSE = 8,
	SL_FAULT_RSV = 9, /* of a control frame */
};

struct sl_event {
	__u64 conn_id;
	__u64 time_ns;
	__u32 detail;   /* by type */
	__u8 type;      /* enum sl_event_type */
	__u8 direction; /* enum sl_direction */
	__u16 zero;
};

_Static_assert(sizeof(struct sl_event) == 24, "no padding");
