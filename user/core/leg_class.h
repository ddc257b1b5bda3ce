/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What its class does to a leg in userspace: marks in the packets of its socket, and the rate at
 * which what arrives on it is read. Over the rate nothing is read until what was too much is paid
 * off: TCP makes the peer wait, and no byte is dropped. (The kernel's programs have no place to
 * keep what is too much: they drop it, which tells the sender the same.)
 */
#pragma once
#include "base/std.h"
#include "base/timer.h"
#include "base/token_bucket.h"
#include "core/config.h"
#include "core/leg.h"

struct class_stats;

/* Of a leg whose class has a rate. */
struct leg_limit {
	struct leg *leg;
	struct class_stats *stats; /* borrowed; NULL = nobody counts */
	struct token_bucket bytes, frames;
	struct timer timer;
};

/**
 * leg_class_apply() - hold an open leg to @class from now on
 * @before: what it was held to; NULL = nothing, its socket is new
 * @stats: of the class, good for as long as it is held to it; may be NULL
 *
 * Return: 0 or -ENOMEM: it has no limit then.
 */
int leg_class_apply(struct leg *leg, const struct config_class *before,
		    const struct config_class *class, struct class_stats *stats);
/** leg_class_lift() - no limit from now on: it is closing; marks stay. NULL limits are fine, here
 *  and below */
void leg_class_lift(struct leg *leg);

/** leg_limit_room() - see leg_class_room() */
size_t leg_limit_room(const struct leg_limit *limit, uint64_t frame_left, size_t frame_min,
		      uint64_t now_ns);
/** leg_limit_charge() - see leg_class_charge(). Return: ns until nothing is owed any more */
uint64_t leg_limit_charge(struct leg_limit *limit, uint64_t n_bytes, uint64_t n_frames,
			  uint64_t now_ns);
void leg_limit_pause(struct leg_limit *limit, uint64_t wait_ns);

/**
 * leg_class_room() - how much the next read may take, 1 to LEG_READ_MAX
 * @frame_left: of the frame that is passing
 * @frame_min: bytes of the shortest frame
 *
 * So little that a read exceeds the limits by a few frames, or one small read, at most.
 */
static inline size_t leg_class_room(const struct leg *leg, uint64_t frame_left, size_t frame_min)
{
	return likely(!leg->limit)
		   ? LEG_READ_MAX
		   : leg_limit_room(leg->limit, frame_left, frame_min, clock_monotonic_ns());
}

/** leg_class_charge() - so much has been taken: if it was too much, reading pauses */
static inline void leg_class_charge(struct leg *leg, uint64_t n_bytes, uint64_t n_frames)
{
	uint64_t wait_ns;

	if (likely(!leg->limit))
		return;
	wait_ns = leg_limit_charge(leg->limit, n_bytes, n_frames, clock_monotonic_ns());
	if (wait_ns > 0)
		leg_limit_pause(leg->limit, wait_ns);
}
