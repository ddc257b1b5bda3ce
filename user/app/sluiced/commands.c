/* SPDX-License-Identifier: Apache-2.0 */
#include "app/sluiced/commands.h"

#include "app/sluiced/control_server.h"
#include "app/sluiced/gateway.h"
#include "base/address.h"
#include "base/base32.h"
#include "base/clock.h"
#include "base/parse.h"
#include "base/version.h"
#include "core/connection.h"
#include "core/connection_filter.h"

#include <stdio.h>

/* ---- arguments ----------------------------------------------------------------------------- */

enum {
	ARG_FILTER = 1 << 0, /* the keys of parse_filter() */
	ARG_CLOSE = 1 << 1,  /* code, reason, all */
};

struct arguments {
	struct connection_filter filter;
	bool has_filter, is_all;
	uint16_t code;
	char reason[WS_CONTROL_MAX - 1];
};

typedef int argument_fn(const json_t *value, struct arguments *ret);

static int copy_name(const json_t *value, char ret_name[CONFIG_NAME_MAX + 1])
{
	const char *text = json_string_value(value);

	if (!text || !*text || strlen(text) > CONFIG_NAME_MAX)
		return -EINVAL;
	memcpy(ret_name, text, strlen(text) + 1);
	return 0;
}

static int parse_conn(const json_t *value, struct arguments *ret)
{
	const char *text = json_string_value(value);

	return text ? base32_u64_decode(text, &ret->filter.id) : -EINVAL;
}

static int parse_route(const json_t *value, struct arguments *ret)
{
	return copy_name(value, ret->filter.route);
}

static int parse_cluster(const json_t *value, struct arguments *ret)
{
	return copy_name(value, ret->filter.cluster);
}

static int parse_endpoint(const json_t *value, struct arguments *ret)
{
	return copy_name(value, ret->filter.endpoint);
}

static int parse_listener(const json_t *value, struct arguments *ret)
{
	return copy_name(value, ret->filter.listener);
}

static int parse_path(const json_t *value, struct arguments *ret)
{
	const char *text = json_string_value(value);

	for (int path = 0; text && path < SLUICE_PATH_COUNT; path++) {
		if (strcmp(text, sluice_path_name(path)) == 0) {
			ret->filter.path = path;
			return 0;
		}
	}
	return -EINVAL;
}

static int parse_source(const json_t *value, struct arguments *ret)
{
	const char *text = json_string_value(value);

	return text ? ip_prefix_parse(text, &ret->filter.source) : -EINVAL;
}

static int parse_duration(const json_t *value, uint64_t *ret_ms)
{
	const char *text = json_string_value(value);

	return text ? parse_duration_ms(text, ret_ms) : -EINVAL;
}

static int parse_older(const json_t *value, struct arguments *ret)
{
	return parse_duration(value, &ret->filter.older_ms);
}

static int parse_idle(const json_t *value, struct arguments *ret)
{
	return parse_duration(value, &ret->filter.idle_ms);
}

static int parse_code(const json_t *value, struct arguments *ret)
{
	json_int_t code = json_integer_value(value);

	if (code < 1000 || code > 4999 || !ws_close_code_is_valid((uint16_t)code))
		return -EINVAL;
	ret->code = (uint16_t)code;
	return 0;
}

static int parse_reason(const json_t *value, struct arguments *ret)
{
	const char *text = json_string_value(value);

	if (!text || strlen(text) >= sizeof(ret->reason))
		return -EINVAL;
	memcpy(ret->reason, text, strlen(text) + 1);
	return 0;
}

static int parse_all(const json_t *value, struct arguments *ret)
{
	ret->is_all = json_is_true(value);
	return json_is_boolean(value) ? 0 : -EINVAL;
}

static const struct argument {
	const char *name;
	int group;
	argument_fn *parse;
	const char *expected;
} argument_table[] = {
    {"conn", ARG_FILTER, parse_conn, "a connection id of 13 characters"},
    {"route", ARG_FILTER, parse_route, "the name of a route"},
    {"cluster", ARG_FILTER, parse_cluster, "the name of a cluster"},
    {"endpoint", ARG_FILTER, parse_endpoint, "the name of an endpoint"},
    {"listener", ARG_FILTER, parse_listener, "the name of a listener"},
    {"path", ARG_FILTER, parse_path, "relay, splice, sockmap, hub or local"},
    {"source", ARG_FILTER, parse_source, "an address or a network such as 10.0.0.0/8"},
    {"older", ARG_FILTER, parse_older, "a duration such as 30s"},
    {"idle", ARG_FILTER, parse_idle, "a duration such as 30s"},
    {"code", ARG_CLOSE, parse_code, "a close code that RFC 6455 allows, such as 1001"},
    {"reason", ARG_CLOSE, parse_reason, "a text of at most 123 bytes"},
    {"all", ARG_CLOSE, parse_all, "true or false"},
};

static const struct argument *find_argument(const char *name, int groups)
{
	for (size_t i = 0; i < ARRAY_SIZE(argument_table); i++) {
		if (strcmp(argument_table[i].name, name) == 0)
			return argument_table[i].group & groups ? &argument_table[i] : NULL;
	}
	return NULL;
}

/* Return: 0, or -EINVAL with the call failed. */
static int parse_arguments(struct control_call *call, int groups, struct arguments *ret)
{
	const char *key;
	json_t *value;

	*ret = (struct arguments){.code = 1001};
	connection_filter_init(&ret->filter);
	json_object_foreach((json_t *)control_call_args(call), key, value)
	{
		const struct argument *argument = find_argument(key, groups);

		if (!argument) {
			control_fail(call, CONTROL_ERROR_ARGUMENT, "unknown argument \"%s\"", key);
			return -EINVAL;
		}
		if (argument->parse(value, ret) < 0) {
			_cleanup_free_ char *text = json_dumps(value, JSON_ENCODE_ANY);

			control_fail(call, CONTROL_ERROR_ARGUMENT, "%s = %.200s: expected %s", key,
				     text ? text : "?", argument->expected);
			return -EINVAL;
		}
		ret->has_filter |= argument->group == ARG_FILTER;
	}
	return 0;
}

/* ---- status -------------------------------------------------------------------------------- */

static json_t *json_u64(uint64_t value)
{
	return json_integer((json_int_t)value);
}

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

/* Which paths this build and machine offer, and why not the others. */
static json_t *offload_json(void)
{
	return json_pack("{s:{s:b, s:s}, s:{s:b, s:s}, s:{s:b, s:s}}", "relay", "available", 1,
			 "reason", sluice_reason_name(SLUICE_REASON_NONE), "sockmap", "available",
			 0, "reason", sluice_reason_name(SLUICE_REASON_NOT_LOADED), "splice",
			 "available", 0, "reason", sluice_reason_name(SLUICE_REASON_NOT_LOADED));
}

static void cmd_status(struct control_call *call, const struct arguments *args)
{
	const struct gateway *g = control_call_gateway(call);
	struct stats stats;
	json_t *data;

	gateway_stats(g, &stats);
	data = json_pack("{s:s, s:s, s:i, s:o, s:i, s:s, s:o}", "version", sluice_version, "commit",
			 sluice_commit, "pid", (int)getpid(), "uptime_s",
			 json_u64((clock_monotonic_ns() - g->started_ns) / NS_PER_S), "workers",
			 (int)g->shared.n_workers, "state", g->is_stopping ? "stopping" : "running",
			 "max_connections", json_u64(g->shared.max_connections));
	json_object_set_new(data, "connections", connections_json(&stats));
	json_object_set_new(data, "accepted", json_u64(stat_get(&stats.accepted)));
	json_object_set_new(data, "refused", reasons_json(stats.refused));
	json_object_set_new(data, "closed", reasons_json(stats.closed));
	json_object_set_new(data, "traffic", traffic_json(&stats));
	json_object_set_new(data, "access_log_dropped",
			    json_u64(stat_get(&stats.access_log_dropped)));
	json_object_set_new(data, "listeners", listeners_json(g->listeners));
	json_object_set_new(data, "offload", offload_json());
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

static json_t *route_json(const struct route *route)
{
	const struct config_route *config = route->config;
	const char *match = !config->path ? "any" : config->path_is_prefix ? "prefix" : "exact";

	return json_pack("{s:s, s:s?, s:s?, s:s, s:s, s:s?, s:o, s:o, s:o, s:o, s:o}", "name",
			 config->name, "host", config->host, "path", config->path, "match", match,
			 "action", action_name(config->action), "cluster",
			 config->cluster ? config->cluster->name : NULL, "connections",
			 json_u64(atomic_load_explicit(&route->n_active, memory_order_relaxed)),
			 "accepted",
			 json_u64(atomic_load_explicit(&route->n_accepted, memory_order_relaxed)),
			 "tunnel_timeout_ms", json_u64(config->tunnel_timeout_ms), "max_frame",
			 json_u64(config->max_frame_bytes), "max_message",
			 json_u64(config->max_message_bytes));
}

static void cmd_show_routes(struct control_call *call, const struct arguments *args)
{
	const struct routing *routing = control_call_gateway(call)->routing;
	json_t *rows = json_array();

	for (size_t i = 0; i < routing->config->n_routes; i++)
		json_array_append_new(rows, route_json(&routing->routes[i]));
	control_finish(call, rows);
}

/* ---- show.connections ---------------------------------------------------------------------- */

#define PAGE_ROWS  256  /* rows that a worker copies in one go */
#define PAGE_LOOKS 4096 /* connections that it looks at for them: bounds the delay of traffic */

/* Goes from worker to worker; while on one, it belongs to that worker's thread. */
struct listing {
	struct control_call *call;
	struct gateway *gateway;
	struct connection_filter filter;
	unsigned int worker;
	struct worker_cursor *cursor;
	bool is_worker_done;
	size_t n_rows;
	struct connection_info rows[PAGE_ROWS];
};

static void listing_step(struct control_call *call, void *arg);

static json_t *connection_json(const struct connection_info *info)
{
	char id[BASE32_U64_LEN + 1];

	base32_u64_encode(info->id, id);
	return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:o, s:o, s:o, s:o, s:o, "
			 "s:o, s:i}",
			 "conn", id, "listener", info->listener, "source", info->source, "route",
			 info->route, "cluster", info->cluster, "endpoint", info->endpoint, "path",
			 sluice_path_name(info->path), "reason", sluice_reason_name(info->reason),
			 "state", connection_state_name(info->state), "age_ms",
			 json_u64(info->age_ms), "idle_ms", json_u64(info->idle_ms), "bytes_in",
			 json_u64(info->bytes_in), "bytes_out", json_u64(info->bytes_out),
			 "frames_in", json_u64(info->frames_in), "frames_out",
			 json_u64(info->frames_out), "worker", (int)info->worker);
}

static void listing_end_on_worker(struct worker *w, void *arg)
{
	struct listing *l = arg;

	worker_cursor_free(l->cursor);
	free(l);
}

/* Nobody waits any more, or it failed. The cursor is its worker's to free. */
static void listing_abandon(struct listing *l)
{
	if (l->cursor && worker_call(l->gateway->workers[l->worker], listing_end_on_worker, l) == 0)
		return;
	free(l); /* a cursor that is still there, its worker frees when it stops */
}

/* Main thread: a worker has filled the rows. */
static void listing_filled(const struct mail *mail)
{
	struct listing *l = mail->ptr;
	struct control_call *call = l->call;
	json_t *rows = json_array();

	for (size_t i = 0; i < l->n_rows; i++)
		json_array_append_new(rows, connection_json(&l->rows[i]));
	if (l->is_worker_done)
		l->worker++;
	if (l->worker == l->gateway->shared.n_workers) {
		free(l);
		control_finish(call, rows);
	} else if (json_array_size(rows) == 0) {
		json_decref(rows);
		listing_step(call, l);
	} else {
		control_page(call, rows, listing_step, l);
	}
}

static void post_to_main(struct gateway *g, mail_fn *fn, void *ptr)
{
	/* Answers are bounded by the calls that are in flight, which is less than the box holds. */
	while (mailbox_post(g->mailbox, &(struct mail){.fn = fn, .ptr = ptr}) < 0)
		sched_yield();
}

static void listing_fill(struct worker *w, void *arg)
{
	struct listing *l = arg;

	if (!l->cursor)
		l->cursor = worker_cursor_new(w);
	l->n_rows = 0;
	l->is_worker_done = l->cursor == NULL;
	for (int looks = 0; l->cursor && l->n_rows < PAGE_ROWS && looks < PAGE_LOOKS; looks++) {
		struct connection *c = worker_cursor_next(w, l->cursor);

		if (!c) {
			worker_cursor_free(TAKE_PTR(l->cursor));
			l->is_worker_done = true;
		} else if (connection_filter_matches(&l->filter, c)) {
			connection_describe(c, &l->rows[l->n_rows++]);
		}
	}
	post_to_main(l->gateway, listing_filled, l);
}

/* Main thread: on to the next page. */
static void listing_step(struct control_call *call, void *arg)
{
	struct listing *l = arg;

	if (!control_is_wanted(call) || l->gateway->is_stopping) {
		listing_abandon(l);
		control_fail(call, "stopping", "the daemon is stopping");
	} else if (worker_call(l->gateway->workers[l->worker], listing_fill, l) < 0) {
		unsigned int worker = l->worker;

		listing_abandon(l);
		control_fail(call, CONTROL_ERROR_BUSY, "worker %u is too busy", worker);
	}
}

static void cmd_show_connections(struct control_call *call, const struct arguments *args)
{
	struct listing *l = calloc(1, sizeof(*l));

	if (!l) {
		control_fail(call, CONTROL_ERROR_BUSY, "out of memory");
		return;
	}
	l->call = call;
	l->gateway = control_call_gateway(call);
	l->filter = args->filter;
	listing_step(call, l);
}

/* ---- close --------------------------------------------------------------------------------- */

struct closing {
	struct control_call *call;
	struct gateway *gateway;
	struct arguments args;
	unsigned int n_pending; /* workers that have not answered; main thread only */
	_Atomic uint64_t n_closed;
};

static void closing_answered(const struct mail *mail)
{
	struct closing *closing = mail->ptr;
	uint64_t n_closed;

	if (--closing->n_pending > 0)
		return;
	n_closed = atomic_load_explicit(&closing->n_closed, memory_order_relaxed);
	if (n_closed == 0 && closing->args.filter.id)
		control_fail(closing->call, "no_such_connection", "no connection has that id");
	else
		control_finish(closing->call, json_pack("{s:o}", "closed", json_u64(n_closed)));
	free(closing);
}

static bool close_one(const struct closing *closing, struct connection *c)
{
	if (c->state == CONNECTION_CLOSING || !connection_filter_matches(&closing->args.filter, c))
		return false;
	c->ops->close(c, EGW_ADMIN, closing->args.code, slice_from_str(closing->args.reason));
	return true;
}

static void closing_run(struct worker *w, void *arg)
{
	struct closing *closing = arg;
	uint64_t n_closed = 0;

	if (closing->args.filter.id) {
		struct connection *c = worker_find(w, closing->args.filter.id);

		n_closed = c && close_one(closing, c);
	} else {
		struct worker_cursor *cursor = worker_cursor_new(w);
		struct connection *c;

		while (cursor && (c = worker_cursor_next(w, cursor)))
			n_closed += close_one(closing, c);
		worker_cursor_free(cursor);
	}
	atomic_fetch_add_explicit(&closing->n_closed, n_closed, memory_order_relaxed);
	post_to_main(closing->gateway, closing_answered, closing);
}

static void cmd_close(struct control_call *call, const struct arguments *args)
{
	struct gateway *g = control_call_gateway(call);
	struct closing *closing;

	if (!args->has_filter && !args->is_all) {
		control_fail(call, CONTROL_ERROR_ARGUMENT,
			     "which connections? give conn, a filter, or all = true");
		return;
	}
	closing = calloc(1, sizeof(*closing));
	if (!closing) {
		control_fail(call, CONTROL_ERROR_BUSY, "out of memory");
		return;
	}
	closing->call = call;
	closing->gateway = g;
	closing->args = *args;
	/* Mail from the workers is taken by this thread, so no answer can come before the end. */
	for (unsigned int i = 0; i < g->shared.n_workers; i++)
		closing->n_pending += worker_call(g->workers[i], closing_run, closing) == 0;
	if (closing->n_pending == 0) {
		free(closing);
		control_fail(call, CONTROL_ERROR_BUSY, "the workers are too busy");
	}
}

/* ---- the table ----------------------------------------------------------------------------- */

static const struct command {
	const char *name;
	int arguments;
	void (*run)(struct control_call *call, const struct arguments *args);
} commands[] = {
    {"status", 0, cmd_status},
    {"show.connections", ARG_FILTER, cmd_show_connections},
    {"show.routes", 0, cmd_show_routes},
    {"close", ARG_FILTER | ARG_CLOSE, cmd_close},
};

void commands_run(struct control_call *call, const char *cmd)
{
	struct arguments args;

	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		if (strcmp(commands[i].name, cmd) != 0)
			continue;
		if (parse_arguments(call, commands[i].arguments, &args) == 0)
			commands[i].run(call, &args);
		return;
	}
	control_fail(call, CONTROL_ERROR_COMMAND, "\"%s\"", cmd);
}
