/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Coarse deadlines for many connections: a timer wheel with ticks of 4.2 ms and a reach of 8.6 s.
 * Timeouts are renewed far more often than they fire, so moving one later costs nothing: it pops
 * at its old time, and its owner, who knows what is due, looks at the clock and arms it again. The
 * same goes for what lies beyond the reach. Pure: the clock is an argument.
 */
#pragma once
#include "base/list.h"

#define DEADLINE_TICK_SHIFT 22 /* 2^22 ns */
#define DEADLINE_SLOTS      2048

struct deadline {
	struct list node;
	uint64_t tick; /* slot that it is in; valid if armed */
	bool is_armed;
};

struct deadline_wheel {
	uint64_t tick; /* the first that is not worked off */
	size_t n_armed;
	struct list slots[DEADLINE_SLOTS];
};

void deadline_wheel_init(struct deadline_wheel *wheel, uint64_t now_ns);
/** deadline_arm() - pop within a tick after @at_ns, or earlier; zeroed memory is a disarmed one */
void deadline_arm(struct deadline_wheel *wheel, struct deadline *d, uint64_t at_ns);
/** deadline_disarm() - will not pop; harmless if not armed */
void deadline_disarm(struct deadline_wheel *wheel, struct deadline *d);
/** deadline_pop() - the next that is due, now disarmed, or NULL; call until NULL */
struct deadline *deadline_pop(struct deadline_wheel *wheel, uint64_t now_ns);
/** deadline_wheel_next_ns() - when to call deadline_pop() again; UINT64_MAX if none is armed */
uint64_t deadline_wheel_next_ns(const struct deadline_wheel *wheel);
