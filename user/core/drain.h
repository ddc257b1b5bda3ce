/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Closing many connections of one worker at a pace that those who get them next can bear.
 *
 * Time is cut into slots, each with one connection in it, at a random instant: nothing comes in
 * step, and no stretch of time has more than its slots. The slots are so long that all workers
 * together stay within the plan's rate, and that what there is at the start fills the plan's time.
 * Each connection is told by a Close frame at its next frame boundary, and what is left at the hard
 * stop is ended. All of it is ordinary work of the loop, in slices.
 *
 *   COUNT --> EVICT --> HOLD          a hard stop leads from each of them to
 *                                     END --> DONE
 */
#pragma once
#include "base/std.h"
#include "base/work_queue.h"
#include "core/connection_filter.h"

#include <ev.h>
#include <stdatomic.h>

struct worker;
struct worker_cursor;

/* When the next one is due. Pure: time and chance are arguments. */
struct drain_pace {
	uint64_t interval_ns; /* length of a slot; 0 = everything at once */
	uint64_t slot_ns;     /* begin of the slot whose turn it is */
	uint64_t due_ns;      /* the instant in it */
};

/* After a delay, so much of it is made up for at most: a burst is what is to be avoided. */
#define DRAIN_CATCH_UP_NS 10000000ull

/**
 * drain_interval_ns() - the slots of one of @n_workers
 * @time_ms: what all of @n should take at least; 0 = no matter
 * @rate_per_s: of all workers; 0 = no limit
 */
uint64_t drain_interval_ns(uint64_t n, unsigned int n_workers, uint64_t time_ms,
			   uint64_t rate_per_s);
void drain_pace_init(struct drain_pace *pace, uint64_t interval_ns, uint64_t now_ns,
		     uint64_t random);
/** drain_pace_take() - Return: whether one is due at @now_ns, which is then taken */
bool drain_pace_take(struct drain_pace *pace, uint64_t now_ns, uint64_t random);

/* What to close, and how. One for all workers; it does not change, but may be called off. */
struct drain_plan {
	atomic_uint refs;
	atomic_bool is_cancelled; /* by any thread: nothing further is closed */
	struct connection_filter filter;
	uint64_t time_ms;      /* see drain_interval_ns() */
	uint64_t rate_per_s;   /* likewise */
	uint64_t hard_stop_ms; /* after time_ms; 0 = never */
	int error;             /* EGW_…: its close code and name go into the Close frame */
};

/** drain_plan_new() - a copy of @plan with one reference. Return: 0 or -ENOMEM */
int drain_plan_new(const struct drain_plan *plan, struct drain_plan **ret_plan);
struct drain_plan *drain_plan_ref(struct drain_plan *plan);
/** drain_plan_unref() - any thread. NULL is fine */
void drain_plan_unref(struct drain_plan *plan);

enum drain_phase {
	DRAIN_COUNT, /* how many there are */
	DRAIN_EVICT, /* each at its instant */
	DRAIN_HOLD,  /* they have been told; until the hard stop */
	DRAIN_END,   /* of what is left */
	DRAIN_DONE,
};

/* A plan at work on one worker, whose thread alone uses it. */
struct drain {
	struct list node; /* in the worker's drains */
	struct worker *worker;
	struct drain_plan *plan; /* one reference */
	struct worker_cursor *cursor;
	struct work_item work;
	ev_timer timer;
	struct drain_pace pace;
	uint64_t deadline_ns; /* of the hard stop; UINT64_MAX = never */
	uint64_t n_matching;  /* at the start */
	uint8_t phase;        /* enum drain_phase */
};

/**
 * drain_begin() - carry @plan out on @worker, which owns the drain and frees it at its end
 *
 * Return: 0 or -ENOMEM.
 */
int drain_begin(struct worker *worker, struct drain_plan *plan, uint64_t now_ns);
/** drain_free() - break it off */
void drain_free(struct drain *drain);
