/* SPDX-License-Identifier: Apache-2.0 */
/* What `sluicectl top` shows, in one answer that belongs together. */
#include "app/sluiced/commands.h"

#include "app/connection_json.h"
#include "app/sluiced/command_args.h"
#include "app/sluiced/control_call.h"
#include "app/sluiced/gateway.h"
#include "app/sluiced/json_util.h"
#include "app/sluiced/survey.h"
#include "base/clock.h"
#include "base/version.h"
#include "core/worker.h"

#define ROWS_DEFAULT 50

/* ---- rows ---------------------------------------------------------------------------------- */

static json_t *rate_json(bool is_known, double rate)
{
	return is_known ? json_u64((uint64_t)(rate + 0.5)) : json_null();
}

static void add_rates(json_t *row, const struct connection_rates *rates)
{
	json_object_set_new(row, "bytes_in_per_s", rate_json(rates->is_known, rates->bytes_in));
	json_object_set_new(row, "bytes_out_per_s", rate_json(rates->is_known, rates->bytes_out));
	json_object_set_new(row, "frames_in_per_s", rate_json(rates->has_frames, rates->frames_in));
	json_object_set_new(row, "frames_out_per_s",
			    rate_json(rates->has_frames, rates->frames_out));
}

static json_t *paths_json(const uint64_t counts[SLUICE_PATH_COUNT])
{
	json_t *object = json_object();

	for (int path = 0; path < SLUICE_PATH_COUNT; path++) {
		if (counts[path])
			json_object_set_new(object, sluice_path_name(path), json_u64(counts[path]));
	}
	return object;
}

static json_t *group_json(const struct survey_group *group)
{
	const struct connection_traffic *traffic = &group->traffic;
	json_t *row =
	    json_pack("{s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:b}", "name", group->name,
		      "connections", json_u64(group->n_connections), "paths",
		      paths_json(group->on_path), "bytes_in", json_u64(traffic->bytes_in),
		      "bytes_out", json_u64(traffic->bytes_out), "frames_in",
		      json_u64(traffic->frames_in), "frames_out", json_u64(traffic->frames_out),
		      "frames_exact", (int)traffic->frames_exact);

	add_rates(row, &group->rates);
	return row;
}

static json_t *rows_json(const struct survey_result *result)
{
	json_t *rows = json_array(), *row;

	for (size_t i = 0; i < result->n_rows; i++) {
		if (result->rows[i].info.id == 0)
			continue;
		row = connection_json(&result->rows[i].info);
		add_rates(row, &result->rows[i].rates);
		json_array_append_new(rows, row);
	}
	for (size_t i = 0; i < result->n_groups; i++)
		json_array_append_new(rows, group_json(result->groups[i]));
	return rows;
}

/* ---- the whole daemon ---------------------------------------------------------------------- */

static json_t *lag_json(const struct loop_lag *lag)
{
	json_t *counts = json_array();

	for (size_t i = 0; i < ARRAY_SIZE(lag->counts); i++)
		json_array_append_new(counts, json_u64(atomic_load_explicit(&lag->counts[i],
									    memory_order_relaxed)));
	return counts;
}

/* Counters that only grow: who asks twice knows how it is now. */
static json_t *workers_json(const struct gateway *g)
{
	json_t *array = json_array();

	for (unsigned int i = 0; i < g->shared.n_workers; i++) {
		const struct worker *w = g->workers[i];
		uint64_t busy_ns =
		    atomic_load_explicit(&w->stats->lag.sum_ns, memory_order_relaxed);
		size_t queued = 0;

		for (unsigned int queue = 0; queue < WORKER_QUEUES; queue++)
			queued += work_queue_depth(&w->work, queue);
		json_array_append_new(array, json_pack("{s:i, s:o, s:o, s:o}", "worker", (int)i,
						       "busy_us", json_u64(busy_ns / NS_PER_US),
						       "turns_by_lag", lag_json(&w->stats->lag),
						       "queued", json_u64(queued)));
	}
	return array;
}

static uint64_t count_handshakes(const struct gateway *g, uint64_t ret_paths[SLUICE_PATH_COUNT])
{
	struct stats stats;

	gateway_stats(g, &stats);
	for (int path = 0; path < SLUICE_PATH_COUNT; path++)
		ret_paths[path] = stat_get(&stats.connections[path]);
	return stat_get(&stats.handshaking);
}

static void answer(struct control_call *call, const struct survey_plan *plan,
		   const struct survey_result *result)
{
	const struct gateway *g = control_call_gateway(call);
	uint64_t paths[SLUICE_PATH_COUNT], n_handshakes = count_handshakes(g, paths);
	uint64_t now_ns = clock_monotonic_ns();
	const char *reason = gateway_not_ready(g);

	control_finish(call,
		       json_pack("{s:s, s:s, s:o, s:o, s:o, s:o, s:o, s:s, s:o, s:o}", "version",
				 sluice_version, "state", reason ? reason : "running", "uptime_ms",
				 json_u64((now_ns - g->started_ns) / NS_PER_MS), "clock_us",
				 json_u64(now_ns / NS_PER_US), "handshakes", json_u64(n_handshakes),
				 "paths", paths_json(paths), "workers", workers_json(g), "by",
				 top_by_name(plan->by), "total", group_json(&result->total), "rows",
				 rows_json(result)));
}

void command_top(struct control_call *call, const struct command_args *args)
{
	struct survey_plan plan = {
	    .filter = args->filter,
	    .order = args->has_order ? args->order
				     : (struct connection_order){.key = CONNECTION_BY_RATE},
	    .by = args->by,
	    .limit = args->limit ? args->limit : ROWS_DEFAULT,
	    .is_measured = true,
	};

	survey_start(call, &plan, answer);
}
