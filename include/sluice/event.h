/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the hook tells the daemon, through the ring buffer `events`. A record that finds no room is
 * counted (SL_STAT_EVENT_LOST); everything that it would have said stands in the flow's marks and
 * state as well, where a sweep finds it.
 */
#pragma once
#include "sluice/abi.h"

enum sl_event_type {
	SL_EVENT_FIN = 1,            /* the first FIN in the window, in this direction */
	SL_EVENT_CLOSED = 2,         /* both FINs are acknowledged, or a RST: the state is CLOSED */
	SL_EVENT_HOLD_EXPIRED = 3,   /* a hook has ended a HOLD */
	SL_EVENT_UNTRANSLATABLE = 4, /* the first packet of a flow that had to be dropped as such */
	SL_EVENT_WALK = 5,           /* a Close frame, a violation, or sync was lost */
};

/* sl_event.detail of SL_EVENT_CLOSED */
#define SL_CLOSED_BY_FIN 0u
#define SL_CLOSED_BY_RST 1u

struct sl_event {
	__u64 conn_id;
	__u64 time_ns;
	__u32 detail;   /* by type */
	__u8 type;      /* enum sl_event_type */
	__u8 direction; /* enum sl_direction */
	__u16 zero;
};

_Static_assert(sizeof(struct sl_event) == 24, "no padding");
