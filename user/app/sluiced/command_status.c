/* SPDX-License-Identifier: Apache-2.0 */
/* The commands that read counters and configuration: no worker is asked. */
#include "app/sluiced/commands.h"

#include "app/sluiced/admin_http.h"
#include "app/sluiced/control_call.h"
#include "app/sluiced/gateway.h"
#include "app/sluiced/json_util.h"
#include "app/sluiced/offload.h"
#include "base/address.h"
#include "base/clock.h"
#include "base/version.h"
#include "core/events.h"
#include "proto/control_message.h"

#define PAGE_ROWS 256 /* of routes */

/* ---- status -------------------------------------------------------------------------------- */

/* Only what has happened: there are dozens of reasons. */
static json_t *reasons_json(const stat_t counters[PROTO_ERROR_COUNT])
{
	json_t *object = json_object();

	for (size_t i = 0; i < PROTO_ERROR_COUNT; i++) {
		if (stat_get(&counters[i]))
			json_object_set_new(object, proto_error_at(i)->name,
					    json_u64(stat_get(&counters[i])));
	}
	return object;
}

static json_t *frames_json(const stat_t counters[WS_KIND_COUNT])
{
	json_t *object = json_object();

	for (int kind = 0; kind < WS_KIND_COUNT; kind++)
		json_object_set_new(object, ws_frame_kind_name(kind),
				    json_u64(stat_get(&counters[kind])));
	return object;
}

static json_t *traffic_json(const struct stats *stats)
{
	json_t *object = json_object();

	for (int path = 0; path < SLUICE_PATH_COUNT; path++) {
		json_t *entry;

		if (stat_get(&stats->bytes[path][STATS_IN]) == 0 &&
		    stat_get(&stats->bytes[path][STATS_OUT]) == 0)
			continue;
		entry = json_pack("{s:o, s:o, s:o, s:o}", "bytes_in",
				  json_u64(stat_get(&stats->bytes[path][STATS_IN])), "bytes_out",
				  json_u64(stat_get(&stats->bytes[path][STATS_OUT])), "frames_in",
				  frames_json(stats->frames[path][STATS_IN]), "frames_out",
				  frames_json(stats->frames[path][STATS_OUT]));
		json_object_set_new(object, sluice_path_name(path), entry);
	}
	return object;
}

static json_t *connections_json(const struct stats *stats)
{
	json_t *object = json_object();

	json_object_set_new(object, "handshake", json_u64(stat_get(&stats->handshaking)));
	for (int path = 0; path < SLUICE_PATH_COUNT; path++)
		json_object_set_new(object, sluice_path_name(path),
				    json_u64(stat_get(&stats->connections[path])));
	return object;
}

static json_t *listeners_json(const struct listener_set *set)
{
	json_t *array = json_array();
	const struct config_listener *last = NULL;
	json_t *addresses = NULL;

	for (size_t i = 0; i < set->n_sockets; i++) {
		const struct listener_socket *socket = &set->sockets[i];
		char text[ADDRESS_TEXT_MAX + 1];

		if (socket->worker != 0)
			continue; /* the same address again */
		if (socket->listener != last) {
			addresses = json_array();
			json_array_append_new(array, json_pack("{s:s, s:o}", "name",
							       socket->listener->name, "addresses",
							       addresses));
			last = socket->listener;
		}
		address_format(&socket->address, text);
		json_array_append_new(addresses, json_string(text));
	}
	return array;
}

static json_t *offload_json(const struct gateway *g)
{
	struct offload_path paths[OFFLOAD_PATHS];
	json_t *object = json_object();

	offload_list(g, paths);
	for (size_t i = 0; i < OFFLOAD_PATHS; i++) {
		const struct offload_path *o = &paths[i];

		json_object_set_new(object, sluice_path_name(o->path),
				    json_pack("{s:b, s:s}", "available",
					      (int)(o->reason == SLUICE_REASON_NONE), "reason",
					      sluice_reason_name(o->reason)));
	}
	return object;
}

/* The bound of the longest bucket is not known. */
static json_t *lag_json(uint64_t ns)
{
	return ns == UINT64_MAX ? json_null() : json_u64(ns / NS_PER_US);
}

/* How the workers' loops do: busy time of their turns, and the work that waits below the I/O. */
static json_t *loops_json(const struct gateway *g)
{
	json_t *array = json_array();

	for (unsigned int i = 0; i < g->shared.n_workers; i++) {
		struct worker *w = g->workers[i];
		struct loop_lag lag = {0};
		json_t *queues = json_object();

		loop_lag_merge(&lag, &w->stats->lag);
		for (int queue = 0; queue < WORKER_QUEUES; queue++)
			json_object_set_new(queues, worker_queue_name(queue),
					    json_u64(
						work_queue_depth(&w->work, (unsigned int)queue)));
		json_array_append_new(array,
				      json_pack("{s:i, s:o, s:o, s:o, s:o, s:o}", "worker", (int)i,
						"turns", json_u64(loop_lag_count(&lag)),
						"lag_p50_us",
						lag_json(loop_lag_quantile_ns(&lag, 50, 100)),
						"lag_p99_us",
						lag_json(loop_lag_quantile_ns(&lag, 99, 100)),
						"lag_max_us",
						lag_json(loop_lag_take_max(&w->stats->lag)),
						"queues", queues));
	}
	return array;
}

void command_status(struct control_call *call, const struct command_args *args)
{
	const struct gateway *g = control_call_gateway(call);
	const char *reason = gateway_not_ready(g);
	struct stats stats;
	json_t *data;

	gateway_stats(g, &stats);
	data = json_pack("{s:s, s:s, s:i, s:o, s:i, s:s, s:o}", "version", sluice_version, "commit",
			 sluice_commit, "pid", (int)getpid(), "uptime_s",
			 json_u64((clock_monotonic_ns() - g->started_ns) / NS_PER_S), "workers",
			 (int)g->shared.n_workers, "state", reason ? reason : "running",
			 "max_connections", json_u64(g->shared.max_connections));
	json_object_set_new(data, "config",
			    g->config_path ? json_string(g->config_path) : json_null());
	json_object_set_new(data, "generation", json_u64(g->generation));
	json_object_set_new(data, "reload_refused",
			    g->refusal.text[0] ? json_string(g->refusal.text) : json_null());
	json_object_set_new(data, "generations_alive", json_u64(generation_count()));
	json_object_set_new(data, "connections", connections_json(&stats));
	json_object_set_new(data, "accepted", json_u64(stat_get(&stats.accepted)));
	json_object_set_new(data, "refused", reasons_json(stats.refused));
	json_object_set_new(data, "closed", reasons_json(stats.closed));
	json_object_set_new(data, "traffic", traffic_json(&stats));
	json_object_set_new(data, "access_log_dropped",
			    json_u64(stat_get(&stats.access_log_dropped)));
	json_object_set_new(data, "loops", loops_json(g));
	json_object_set_new(data, "drains", drains_json(&g->drains));
	json_object_set_new(data, "listeners", listeners_json(g->listeners));
	json_object_set_new(data, "admin", admin_http_addresses(g->http));
	json_object_set_new(data, "events",
			    json_pack("{s:o, s:o}", "count", json_u64(events_next()), "lost",
				      json_u64(events_lost())));
	json_object_set_new(data, "offload", offload_json(g));
	control_finish(call, data);
}

/* ---- show.routes --------------------------------------------------------------------------- */

static const char *action_name(enum config_action action)
{
	switch (action) {
	case CONFIG_ACTION_PROXY:
		return "proxy";
	case CONFIG_ACTION_ECHO:
		return "echo";
	case CONFIG_ACTION_RESPOND:
		return "respond";
	}
	return "?";
}

static json_t *texts_json(char *const *texts, size_t n)
{
	json_t *array = json_array();

	for (size_t i = 0; i < n; i++)
		json_array_append_new(array, json_string(texts[i]));
	return array;
}

static const char *match_name(const struct config_route *config)
{
	if (!config->path)
		return "any";
	if (config->path_regex)
		return "regex";
	return config->path_is_prefix ? "prefix" : "exact";
}

/* What a route asks of requests beside host and path, and what it changes in them. */
static void add_conditions(json_t *row, const struct config_route *config)
{
	json_object_set_new(row, "headers",
			    texts_json(config->match_headers, config->n_match_headers));
	json_object_set_new(row, "subprotocol",
			    config->subprotocol ? json_string(config->subprotocol) : json_null());
	json_object_set_new(row, "sources", texts_json(config->sources, config->n_sources));
	json_object_set_new(row, "origins", texts_json(config->origins, config->n_origins));
	json_object_set_new(row, "rewrite", texts_json(config->rewrite, config->n_rewrite));
	json_object_set_new(row, "split", texts_json(config->split_texts, config->n_splits));
	json_object_set_new(row, "split_key",
			    config->n_splits
				? json_string(config->split_key_text ? config->split_key_text
								     : "random")
				: json_null());
}

static json_t *route_json(const struct route *route)
{
	const struct config_route *config = route->config;
	bool is_draining = atomic_load_explicit(&route->stats->is_draining, memory_order_relaxed);
	json_t *row;

	row =
	    json_pack("{s:s, s:s?, s:s?, s:s, s:s, s:s?, s:o, s:o, s:o, s:o, s:o}", "name",
		      config->name, "host", config->host, "path", config->path, "match",
		      match_name(config), "action", action_name(config->action), "cluster",
		      config->cluster ? config->cluster->name : NULL, "connections",
		      json_u64(atomic_load_explicit(&route->stats->n_active, memory_order_relaxed)),
		      "accepted",
		      json_u64(
			  atomic_load_explicit(&route->stats->n_accepted, memory_order_relaxed)),
		      "tunnel_timeout_ms", json_u64(config->tunnel_timeout_ms), "max_frame",
		      json_u64(config->max_frame_bytes), "max_message",
		      json_u64(config->max_message_bytes));
	json_object_set_new(row, "class", json_string(config->class->name));
	json_object_set_new(row, "state", json_string(is_draining ? "draining" : "ready"));
	add_conditions(row, config);
	return row;
}

/* Pages of routes, all of one generation. */
struct listing {
	struct generation *generation; /* one reference */
	size_t next;
};

static void listing_free(struct listing *l)
{
	generation_unref(l->generation);
	free(l);
}

static void listing_step(struct control_call *call, void *arg)
{
	struct listing *l = arg;
	const struct routing *routing = routing_of(l->generation);
	json_t *rows;

	if (!control_is_wanted(call)) {
		listing_free(l);
		control_fail(call, "gone", "nobody waits for the answer");
		return;
	}
	rows = json_array();
	while (l->next < routing->config->n_routes && json_array_size(rows) < PAGE_ROWS)
		json_array_append_new(rows, route_json(&routing->routes[l->next++]));
	if (l->next < routing->config->n_routes) {
		control_page(call, rows, listing_step, l);
		return;
	}
	listing_free(l);
	control_finish(call, rows);
}

void command_show_routes(struct control_call *call, const struct command_args *args)
{
	struct listing *l = calloc(1, sizeof(*l));

	if (!l) {
		control_fail(call, CONTROL_ERROR_BUSY, "out of memory");
		return;
	}
	l->generation = generation_ref(&control_call_gateway(call)->routing->generation);
	listing_step(call, l);
}
