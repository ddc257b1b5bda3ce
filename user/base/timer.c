/* SPDX-License-Identifier: Apache-2.0 */
#include "base/timer.h"

#define S_PER_MS 0.001

static void start(struct timer *t, ev_tstamp delay_s)
{
	/* Also of a stopped watcher: libev may have queued its callback for this very turn. */
	ev_timer_stop(t->loop, &t->watcher);
	ev_timer_set(&t->watcher, delay_s, 0);
	ev_timer_start(t->loop, &t->watcher);
	t->extra_s = 0;
}

static void watcher_cb(struct ev_loop *loop, ev_timer *watcher, int revents)
{
	struct timer *t = container_of(watcher, struct timer, watcher);

	if (t->extra_s > 0) {
		start(t, t->extra_s);
		return;
	}
	t->is_armed = false;
	t->fn(t);
}

void timer_init(struct timer *t, struct ev_loop *loop, timer_fn *fn)
{
	*t = (struct timer){.loop = loop, .fn = fn};
	ev_init(&t->watcher, watcher_cb);
}

void timer_arm(struct timer *t, uint64_t delay_ms)
{
	ev_tstamp delay_s = (ev_tstamp)delay_ms * S_PER_MS;
	ev_tstamp remaining_s;

	t->is_armed = true;
	if (ev_is_active(&t->watcher)) {
		remaining_s = ev_timer_remaining(t->loop, &t->watcher);
		if (delay_s >= remaining_s) {
			t->extra_s = delay_s - remaining_s;
			return;
		}
	}
	start(t, delay_s);
}

void timer_disarm(struct timer *t)
{
	ev_timer_stop(t->loop, &t->watcher);
	t->is_armed = false;
}
