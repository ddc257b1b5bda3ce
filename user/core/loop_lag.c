/* SPDX-License-Identifier: Apache-2.0 */
#include "core/loop_lag.h"

#include "base/clock.h"

#define CALIBRATIONS 8
#define ANCHOR_S     1e9 /* thirty years, and doubles of that size still tell 120 ns apart */

static uint64_t get(const _Atomic uint64_t *value)
{
	return atomic_load_explicit(value, memory_order_relaxed);
}

/* One writer: no locked instruction. */
static void add(_Atomic uint64_t *value, uint64_t n)
{
	atomic_store_explicit(value, get(value) + n, memory_order_relaxed);
}

static unsigned int bucket_of(uint64_t busy_ns)
{
	uint64_t units;

	if (busy_ns <= LOOP_LAG_FIRST_NS)
		return 0;
	/* From one above a bound on, up to the next bound. */
	units = (busy_ns - 1) / LOOP_LAG_FIRST_NS;
	return MIN(64u - (unsigned int)__builtin_clzll(units), LOOP_LAG_BOUNDS);
}

void loop_lag_add(struct loop_lag *lag, uint64_t busy_ns)
{
	add(&lag->counts[bucket_of(busy_ns)], 1);
	add(&lag->sum_ns, busy_ns);
	/* A reader that takes the maximum at this very moment may miss this turn in it: no matter.
	 */
	if (busy_ns > get(&lag->max_ns))
		atomic_store_explicit(&lag->max_ns, busy_ns, memory_order_relaxed);
}

void loop_lag_merge(struct loop_lag *into, const struct loop_lag *from)
{
	for (size_t i = 0; i < ARRAY_SIZE(into->counts); i++)
		add(&into->counts[i], get(&from->counts[i]));
	add(&into->sum_ns, get(&from->sum_ns));
	if (get(&from->max_ns) > get(&into->max_ns))
		atomic_store_explicit(&into->max_ns, get(&from->max_ns), memory_order_relaxed);
}

uint64_t loop_lag_count(const struct loop_lag *lag)
{
	uint64_t count = 0;

	for (size_t i = 0; i < ARRAY_SIZE(lag->counts); i++)
		count += get(&lag->counts[i]);
	return count;
}

uint64_t loop_lag_quantile_ns(const struct loop_lag *lag, uint64_t num, uint64_t den)
{
	uint64_t count = loop_lag_count(lag), wanted = (count * num + den - 1) / den, below = 0;

	if (count == 0)
		return 0;
	for (unsigned int i = 0; i < LOOP_LAG_BOUNDS; i++) {
		below += get(&lag->counts[i]);
		if (below >= wanted)
			return loop_lag_bound_ns(i);
	}
	return UINT64_MAX;
}

uint64_t loop_lag_take_max(struct loop_lag *lag)
{
	return atomic_exchange_explicit(&lag->max_ns, 0, memory_order_relaxed);
}

static void anchor_cb(struct ev_loop *loop, ev_timer *timer, int revents)
{
}

/* One instant on both clocks. The closest counts, as the thread may lose its CPU in between. */
static void calibrate(struct loop_clock *clock)
{
	uint64_t before_ns = clock_monotonic_ns(), error_ns;

	ev_now_update(clock->loop);
	error_ns = clock_monotonic_ns() - before_ns;
	if (error_ns >= clock->error_ns)
		return;
	clock->error_ns = error_ns;
	clock->begun_ns = before_ns;
	clock->remaining = ev_timer_remaining(clock->loop, &clock->anchor);
}

void loop_clock_init(struct loop_clock *clock, struct ev_loop *loop)
{
	clock->loop = loop;
	ev_timer_init(&clock->anchor, anchor_cb, ANCHOR_S, 0);
	ev_timer_start(loop, &clock->anchor);
	/* It alone keeps no loop running. */
	ev_unref(loop);
	clock->error_ns = UINT64_MAX;
	for (int i = 0; i < CALIBRATIONS; i++)
		calibrate(clock);
}

void loop_clock_done(struct loop_clock *clock)
{
	if (!clock->loop)
		return;
	ev_ref(clock->loop);
	ev_timer_stop(clock->loop, &clock->anchor);
	clock->loop = NULL;
}

/* ev_now() would not do: it follows the wall clock, which jumps and is slewed. */
uint64_t loop_clock_woken_ns(const struct loop_clock *clock)
{
	/* For reading, libev takes a pointer to what it does not change. */
	ev_tstamp remaining = ev_timer_remaining(clock->loop, (ev_timer *)&clock->anchor);

	return clock->begun_ns + (uint64_t)((clock->remaining - remaining) * (double)NS_PER_S);
}
