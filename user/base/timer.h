/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One-shot deadlines over libev, made for timeouts that are renewed far more often than they
 * fire: moving a deadline later only stores a number; the libev heap is touched when the
 * earlier expiry comes round and finds that there is time left.
 */
#pragma once
#include "base/std.h"

#include <ev.h>

struct timer;
/* Runs on the loop's thread. The timer is disarmed before; it may be re-armed or its owner freed.
 */
typedef void timer_fn(struct timer *timer);

struct timer {
	ev_timer watcher;
	struct ev_loop *loop; /* borrowed */
	timer_fn *fn;
	ev_tstamp extra_s; /* from the watcher's expiry to the deadline; >= 0 */
	bool is_armed;
};

void timer_init(struct timer *t, struct ev_loop *loop, timer_fn *fn);
/** timer_arm() - fire once, @delay_ms after ev_now() of the loop; moves an armed timer */
void timer_arm(struct timer *t, uint64_t delay_ms);
/** timer_disarm() - never fires after this; harmless if not armed */
void timer_disarm(struct timer *t);

static inline bool timer_is_armed(const struct timer *t)
{
	return t->is_armed;
}
