/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Counters of one worker: written by its thread alone, read by any, so an addition is a plain
 * load and store, without a locked instruction. Readers add the workers up.
 */
#pragma once
#include "base/std.h"
#include "core/demotion.h"
#include "core/loop_lag.h"
#include "proto/errors.h"
#include "proto/ws_frame.h"
#include "sluice/path.h"

#include <stdatomic.h>

typedef _Atomic uint64_t stat_t;

enum stats_direction {
	STATS_IN,  /* from clients */
	STATS_OUT, /* to clients */
	STATS_DIRECTIONS,
};

#define STATS_HANDSHAKE_BOUNDS 14
#define STATS_PROMOTION_BOUNDS 13

struct stats {
	_Alignas(CACHE_LINE) stat_t accepted;
	stat_t connections[SLUICE_PATH_COUNT]; /* open now, by path; upgraded ones only */
	stat_t handshaking;                    /* live ones that were never open */
	stat_t refused[PROTO_ERROR_COUNT];     /* before the upgrade, by proto_error_index() */
	stat_t closed[PROTO_ERROR_COUNT];      /* after it */
	stat_t bytes[SLUICE_PATH_COUNT][STATS_DIRECTIONS]; /* of the WebSocket stream */
	stat_t frames[SLUICE_PATH_COUNT][STATS_DIRECTIONS][WS_KIND_COUNT];
	/* From accept to open: bucket i counts those of at most stats_handshake_bounds_us[i], the
	 * one behind the bounds the longer ones. */
	stat_t handshakes[STATS_HANDSHAKE_BOUNDS + 1];
	stat_t handshakes_sum_ns;
	/* Tries to leave the relay: done and refused for good, by reason (NONE = done); those to be
	 * repeated. */
	stat_t promotions[SLUICE_REASON_COUNT];
	stat_t promotion_retries[SLUICE_REASON_COUNT];
	/* What a connection that was spliced has cost until its sockets were gone; buckets as
	 * above. */
	stat_t promotion_times[STATS_PROMOTION_BOUNDS + 1];
	stat_t promotion_times_sum_ns;
	stat_t promotion_switch_ns; /* of those, the tries that succeeded */
	/* Ways back to the relay, by enum demotion_reason and enum demotion_result; and what one of
	 * those that were done has cost, in buckets as promotion_times. */
	stat_t demotions[DEMOTION_REASON_COUNT][DEMOTION_RESULT_COUNT];
	stat_t demotion_times[STATS_PROMOTION_BOUNDS + 1];
	stat_t demotion_times_sum_ns;
	stat_t access_log_dropped; /* lines that the log's reader did not take in time */
	struct loop_lag lag;       /* of the loop's turns */
};

static inline void stat_add(stat_t *stat, uint64_t n)
{
	uint64_t now = atomic_load_explicit(stat, memory_order_relaxed);

	atomic_store_explicit(stat, now + n, memory_order_relaxed);
}

static inline void stat_sub(stat_t *stat, uint64_t n)
{
	stat_add(stat, -n);
}

static inline uint64_t stat_get(const stat_t *stat)
{
	return atomic_load_explicit(stat, memory_order_relaxed);
}

/** stats_add_frames() - count what lies between two readings of a connection's frame counters */
void stats_add_frames(struct stats *s, enum sluice_path path, enum stats_direction direction,
		      const uint64_t before[WS_KIND_COUNT], const uint64_t after[WS_KIND_COUNT]);
extern const uint32_t stats_handshake_bounds_us[STATS_HANDSHAKE_BOUNDS];
/** stats_add_handshake() - a connection has opened @duration_ns after accept */
void stats_add_handshake(struct stats *s, uint64_t duration_ns);
extern const uint32_t stats_promotion_bounds_us[STATS_PROMOTION_BOUNDS];
/** stats_add_try() - one to splice a connection is over */
void stats_add_try(struct stats *s, enum sluice_reason reason, bool is_final);
/** stats_add_promotion() - a connection is spliced, and has cost @ns */
void stats_add_promotion(struct stats *s, uint64_t ns);
/** stats_add_switch() - the try by which one was spliced has taken @ns */
void stats_add_switch(struct stats *s, uint64_t ns);
/** stats_add_demotion() - a connection is on the relay again, and that has cost @ns */
void stats_add_demotion(struct stats *s, uint64_t ns);
/** stats_merge() - add all of @from (of a running worker) to @into (nobody else's) */
void stats_merge(struct stats *into, const struct stats *from);

const char *sluice_path_name(enum sluice_path path);
const char *sluice_reason_name(enum sluice_reason reason);
