/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How long a worker's loop is busy between two waits, which is what an event may have had to wait
 * for it: a histogram in powers of two, written by the worker, read by any thread.
 *
 * One turn costs one reading of the clock, at its end. The start is the instant that libev noted
 * when its wait ended.
 */
#pragma once
#include "base/std.h"

#include <ev.h>
#include <stdatomic.h>

#define LOOP_LAG_FIRST_NS 16384ull /* upper bound of the first bucket: 16 us */
#define LOOP_LAG_BOUNDS   17       /* the last is 2^30 ns, about a second */

/* Bucket i counts turns of at most LOOP_LAG_FIRST_NS << i; the one behind the bounds the longer
 * ones. */
struct loop_lag {
	_Atomic uint64_t counts[LOOP_LAG_BOUNDS + 1];
	_Atomic uint64_t sum_ns;
	_Atomic uint64_t max_ns; /* since loop_lag_take_max() */
};

/** loop_lag_bound_ns() - the upper bound of bucket @i, below LOOP_LAG_BOUNDS */
static inline uint64_t loop_lag_bound_ns(unsigned int i)
{
	return LOOP_LAG_FIRST_NS << i;
}

/** loop_lag_add() - a turn took @busy_ns; the worker's thread only */
void loop_lag_add(struct loop_lag *lag, uint64_t busy_ns);
/** loop_lag_merge() - add the histogram @from to @into, which nobody else uses; max_ns is the
 * larger */
void loop_lag_merge(struct loop_lag *into, const struct loop_lag *from);
/** loop_lag_count() - turns in all buckets */
uint64_t loop_lag_count(const struct loop_lag *lag);
/**
 * loop_lag_quantile_ns() - the bound of the bucket in which a share of @num/@den of the turns ends
 *
 * Return: ns; 0 without any turn, UINT64_MAX if it lies behind the last bound.
 */
uint64_t loop_lag_quantile_ns(const struct loop_lag *lag, uint64_t num, uint64_t den);
/** loop_lag_take_max() - the longest turn since this was last asked, in ns; any thread */
uint64_t loop_lag_take_max(struct loop_lag *lag);

/* What the loop's own clock said when its wait ended. */
struct loop_clock {
	struct ev_loop *loop; /* borrowed */
	ev_timer anchor;      /* far away; how far tells libev's own monotonic clock */
	ev_tstamp remaining;  /* of it, at begun_ns */
	uint64_t begun_ns;
	uint64_t error_ns; /* what it tells may be so much too early, and never too late */
};

/** loop_clock_init() - on the loop's thread, before it runs; its first turn begins now */
void loop_clock_init(struct loop_clock *clock, struct ev_loop *loop);
/** loop_clock_done() - before the loop is destroyed; harmless on zeroes */
void loop_clock_done(struct loop_clock *clock);
/** loop_clock_woken_ns() - CLOCK_MONOTONIC at the end of the last wait, within error_ns */
uint64_t loop_clock_woken_ns(const struct loop_clock *clock);
