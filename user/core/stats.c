/* SPDX-License-Identifier: Apache-2.0 */
#include "core/stats.h"

#include "base/clock.h"

void stats_add_frames(struct stats *s, enum sluice_path path, enum stats_direction direction,
		      const uint64_t before[WS_KIND_COUNT], const uint64_t after[WS_KIND_COUNT])
{
	for (size_t kind = 0; kind < WS_KIND_COUNT; kind++) {
		if (after[kind] != before[kind])
			stat_add(&s->frames[path][direction][kind], after[kind] - before[kind]);
	}
}

const uint32_t stats_handshake_bounds_us[STATS_HANDSHAKE_BOUNDS] = {
    250,   500,    1000,   2500,   5000,    10000,   25000,
    50000, 100000, 250000, 500000, 1000000, 2500000, 10000000,
};

/* Adds @ns to a histogram: the first of @n buckets whose bound it does not exceed, or the last. */
static void add_to_histogram(stat_t *buckets, stat_t *sum_ns, const uint32_t *bounds_us, size_t n,
			     uint64_t ns)
{
	size_t bucket = 0;

	while (bucket < n && ns > bounds_us[bucket] * NS_PER_US)
		bucket++;
	stat_add(&buckets[bucket], 1);
	stat_add(sum_ns, ns);
}

void stats_add_handshake(struct stats *s, uint64_t duration_ns)
{
	add_to_histogram(s->handshakes, &s->handshakes_sum_ns, stats_handshake_bounds_us,
			 STATS_HANDSHAKE_BOUNDS, duration_ns);
}

const uint32_t stats_promotion_bounds_us[STATS_PROMOTION_BOUNDS] = {
    5, 10, 15, 20, 30, 50, 75, 100, 150, 250, 500, 1000, 10000,
};

static void merge(stat_t *into, const stat_t *from, size_t n)
{
	for (size_t i = 0; i < n; i++)
		stat_add(&into[i], stat_get(&from[i]));
}

void stats_add_try(struct stats *s, enum sluice_reason reason, bool is_final)
{
	stat_add(is_final ? &s->promotions[reason] : &s->promotion_retries[reason], 1);
}

void stats_add_promotion(struct stats *s, uint64_t ns)
{
	add_to_histogram(s->promotion_times, &s->promotion_times_sum_ns, stats_promotion_bounds_us,
			 STATS_PROMOTION_BOUNDS, ns);
}

void stats_add_switch(struct stats *s, uint64_t ns)
{
	stat_add(&s->promotion_switch_ns, ns);
}

void stats_add_demotion(struct stats *s, uint64_t ns)
{
	add_to_histogram(s->demotion_times, &s->demotion_times_sum_ns, stats_promotion_bounds_us,
			 STATS_PROMOTION_BOUNDS, ns);
}

void stats_merge(struct stats *into, const struct stats *from)
{
	merge(&into->accepted, &from->accepted, 1);
	merge(into->connections, from->connections, SLUICE_PATH_COUNT);
	merge(&into->handshaking, &from->handshaking, 1);
	merge(into->refused, from->refused, PROTO_ERROR_COUNT);
	merge(into->closed, from->closed, PROTO_ERROR_COUNT);
	merge(&into->bytes[0][0], &from->bytes[0][0], SLUICE_PATH_COUNT * STATS_DIRECTIONS);
	merge(&into->frames[0][0][0], &from->frames[0][0][0],
	      SLUICE_PATH_COUNT * STATS_DIRECTIONS * WS_KIND_COUNT);
	merge(into->handshakes, from->handshakes, STATS_HANDSHAKE_BOUNDS + 1);
	merge(&into->handshakes_sum_ns, &from->handshakes_sum_ns, 1);
	merge(into->promotions, from->promotions, SLUICE_REASON_COUNT);
	merge(into->promotion_retries, from->promotion_retries, SLUICE_REASON_COUNT);
	merge(into->promotion_times, from->promotion_times, STATS_PROMOTION_BOUNDS + 1);
	merge(&into->promotion_times_sum_ns, &from->promotion_times_sum_ns, 1);
	merge(&into->promotion_switch_ns, &from->promotion_switch_ns, 1);
	merge(&into->demotions[0][0], &from->demotions[0][0],
	      (size_t)DEMOTION_REASON_COUNT * DEMOTION_RESULT_COUNT);
	merge(into->demotion_times, from->demotion_times, STATS_PROMOTION_BOUNDS + 1);
	merge(&into->demotion_times_sum_ns, &from->demotion_times_sum_ns, 1);
	merge(&into->access_log_dropped, &from->access_log_dropped, 1);
	loop_lag_merge(&into->lag, &from->lag);
}

const char *sluice_path_name(enum sluice_path path)
{
	static const char *const names[SLUICE_PATH_COUNT] = {
	    [SLUICE_PATH_RELAY] = "relay",     [SLUICE_PATH_SPLICE] = "splice",
	    [SLUICE_PATH_SOCKMAP] = "sockmap", [SLUICE_PATH_HUB] = "hub",
	    [SLUICE_PATH_LOCAL] = "local",
	};

	return path < SLUICE_PATH_COUNT ? names[path] : "?";
}

const char *sluice_reason_name(enum sluice_reason reason)
{
	static const char *const names[SLUICE_REASON_COUNT] = {
	    [SLUICE_REASON_NONE] = "none",
	    [SLUICE_REASON_NEW] = "new",
	    [SLUICE_REASON_BUSY] = "busy",
	    [SLUICE_REASON_TLS] = "tls",
	    [SLUICE_REASON_POLICY] = "policy",
	    [SLUICE_REASON_LIMIT] = "limit",
	    [SLUICE_REASON_INSPECT] = "inspect",
	    [SLUICE_REASON_NO_HOOK] = "no_hook",
	    [SLUICE_REASON_ASYMMETRIC] = "asymmetric",
	    [SLUICE_REASON_NO_FORWARDING] = "no_forwarding",
	    [SLUICE_REASON_OPTIONS] = "options",
	    [SLUICE_REASON_MTU] = "mtu",
	    [SLUICE_REASON_MAP_FULL] = "map_full",
	    [SLUICE_REASON_PORTS] = "ports",
	    [SLUICE_REASON_KERNEL] = "kernel",
	    [SLUICE_REASON_NOT_LOADED] = "not_loaded",
	    [SLUICE_REASON_DEMOTED] = "demoted",
	    [SLUICE_REASON_DRAINING] = "draining",
	};

	return reason < SLUICE_REASON_COUNT ? names[reason] : "?";
}
