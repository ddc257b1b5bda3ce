/* SPDX-License-Identifier: Apache-2.0 */
#include "app/sluicectl/verbs.h"

#include "app/sluicectl/print_connections.h"
#include "app/sluicectl/print_offload.h"
#include "app/table.h"

#include <stdio.h>

/* ---- status -------------------------------------------------------------------------------- */

static void print_value(const char *label, const json_t *value, enum column_format format)
{
	char text[128];

	table_format(value, format, text, sizeof(text));
	printf("%-16s %s\n", label, text);
}

/* {"a": 1, "b": 2} as "a 1, b 2" */
static void print_counts(const char *label, const json_t *object)
{
	const char *separator = "", *key;
	json_t *value;

	if (json_object_size(object) == 0)
		return;
	printf("%-16s ", label);
	json_object_foreach((json_t *)object, key, value)
	{
		printf("%s%s %lld", separator, key, (long long)json_integer_value(value));
		separator = ", ";
	}
	putchar('\n');
}

static uint64_t sum(const json_t *object)
{
	const char *key;
	uint64_t total = 0;
	json_t *value;

	json_object_foreach((json_t *)object, key, value) total +=
	    (uint64_t)json_integer_value(value);
	return total;
}

static void print_traffic(const json_t *traffic)
{
	static const struct column columns[] = {
	    {"path", "PATH", COLUMN_TEXT, 0},
	    {"bytes_in", "BYTES IN", COLUMN_BYTES, 0},
	    {"bytes_out", "BYTES OUT", COLUMN_BYTES, 0},
	    {"frames_in", "FRAMES IN", COLUMN_NUMBER, 0},
	    {"frames_out", "FRAMES OUT", COLUMN_NUMBER, 0},
	};
	json_t *rows = json_array(), *value;
	const char *path;

	json_object_foreach((json_t *)traffic, path, value)
	{
		json_array_append_new(rows,
				      json_pack("{s:s, s:O, s:O, s:I, s:I}", "path", path,
						"bytes_in", json_object_get(value, "bytes_in"),
						"bytes_out", json_object_get(value, "bytes_out"),
						"frames_in",
						(json_int_t)sum(
						    json_object_get(value, "frames_in")),
						"frames_out",
						(json_int_t)sum(
						    json_object_get(value, "frames_out"))));
	}
	if (json_array_size(rows)) {
		putchar('\n');
		table_print(rows, columns, ARRAY_SIZE(columns), 0);
	}
	json_decref(rows);
}

static void print_listeners(const json_t *listeners)
{
	const json_t *listener, *address;
	size_t i, a;

	json_array_foreach(listeners, i, listener)
	{
		printf("%-16s %s:", i == 0 ? "listeners" : "",
		       json_string_value(json_object_get(listener, "name")));
		json_array_foreach(json_object_get(listener, "addresses"), a, address)
		    printf(" %s", json_string_value(address));
		putchar('\n');
	}
}

static void print_offload(const json_t *offload)
{
	const char *separator = "", *path;
	json_t *value;

	printf("%-16s ", "paths");
	json_object_foreach((json_t *)offload, path, value)
	{
		if (json_is_true(json_object_get(value, "available")))
			printf("%s%s", separator, path);
		else
			printf("%s%s (no: %s)", separator, path,
			       json_string_value(json_object_get(value, "reason")));
		separator = ", ";
	}
	putchar('\n');
}

/* The queues in one number: which one it is, the JSON says. */
static void print_loops(const json_t *loops)
{
	static const struct column columns[] = {
	    {"worker", "WORKER", COLUMN_NUMBER, 0},
	    {"turns", "TURNS", COLUMN_NUMBER, 0},
	    {"lag_p50_us", "LAG P50 US", COLUMN_NUMBER, 0},
	    {"lag_p99_us", "P99 US", COLUMN_NUMBER, 0},
	    {"lag_max_us", "MAX US", COLUMN_NUMBER, 0},
	    {"queued", "QUEUED", COLUMN_NUMBER, 0},
	};
	json_t *rows = json_array();
	const json_t *loop;
	size_t i;

	json_array_foreach(loops, i, loop)
	{
		json_t *row = json_copy((json_t *)loop);

		json_object_set_new(row, "queued",
				    json_integer((json_int_t)sum(json_object_get(loop, "queues"))));
		json_array_append_new(rows, row);
	}
	putchar('\n');
	table_print(rows, columns, ARRAY_SIZE(columns), 0);
	json_decref(rows);
}

static void print_configuration(const json_t *data)
{
	const char *file = json_string_value(json_object_get(data, "config"));
	const char *refused = json_string_value(json_object_get(data, "reload_refused"));
	long long n_alive = json_integer_value(json_object_get(data, "generations_alive"));

	printf("%-16s %s, generation %lld", "configuration", file ? file : "embedded",
	       (long long)json_integer_value(json_object_get(data, "generation")));
	if (n_alive > 1)
		printf(" (%lld earlier still in use)", n_alive - 1);
	putchar('\n');
	if (refused)
		printf("%-16s refused: %s\n", "last reload", refused);
}

static void print_status(const json_t *data)
{
	json_t *uptime_ms =
	    json_integer(1000 * json_integer_value(json_object_get(data, "uptime_s")));

	printf("%-16s %s (%s), pid %lld, %s\n", "sluiced",
	       json_string_value(json_object_get(data, "version")),
	       json_string_value(json_object_get(data, "commit")),
	       (long long)json_integer_value(json_object_get(data, "pid")),
	       json_string_value(json_object_get(data, "state")));
	print_value("uptime", uptime_ms, COLUMN_DURATION);
	print_configuration(data);
	print_value("workers", json_object_get(data, "workers"), COLUMN_NUMBER);
	print_listeners(json_object_get(data, "listeners"));
	print_offload(json_object_get(data, "offload"));
	print_counts("connections", json_object_get(data, "connections"));
	print_value("accepted", json_object_get(data, "accepted"), COLUMN_NUMBER);
	print_counts("refused", json_object_get(data, "refused"));
	print_counts("closed", json_object_get(data, "closed"));
	print_traffic(json_object_get(data, "traffic"));
	print_loops(json_object_get(data, "loops"));
	json_decref(uptime_ms);
}

/* ---- lists --------------------------------------------------------------------------------- */

static void print_routes(const json_t *rows)
{
	static const struct column columns[] = {
	    {"name", "ROUTE", COLUMN_TEXT, 0},
	    {"host", "HOST", COLUMN_TEXT, 2},
	    {"path", "PATH", COLUMN_TEXT, 1},
	    {"match", "MATCH", COLUMN_TEXT, 3},
	    {"headers", "HEADERS", COLUMN_TEXT, 6},
	    {"subprotocol", "SUBPROTOCOL", COLUMN_TEXT, 7},
	    {"sources", "SOURCES", COLUMN_TEXT, 7},
	    {"origins", "ORIGINS", COLUMN_TEXT, 8},
	    {"action", "ACTION", COLUMN_TEXT, 0},
	    {"cluster", "CLUSTER", COLUMN_TEXT, 1},
	    {"split", "SPLIT", COLUMN_TEXT, 2},
	    {"class", "CLASS", COLUMN_TEXT, 3},
	    {"connections", "CONNECTIONS", COLUMN_NUMBER, 0},
	    {"accepted", "ACCEPTED", COLUMN_NUMBER, 2},
	    {"tunnel_timeout_ms", "TIMEOUT", COLUMN_DURATION, 4},
	    {"max_frame", "MAX FRAME", COLUMN_BYTES, 5},
	    {"max_message", "MAX MESSAGE", COLUMN_BYTES, 5},
	};

	table_print(rows, columns, ARRAY_SIZE(columns), table_terminal_width());
}

static void print_classes(const json_t *rows)
{
	static const struct column columns[] = {
	    {"class", "CLASS", COLUMN_TEXT, 0},
	    {"connections", "CONNECTIONS", COLUMN_NUMBER, 0},
	    {"relay", "RELAY", COLUMN_NUMBER, 3},
	    {"splice", "SPLICE", COLUMN_NUMBER, 3},
	    {"accepted", "ACCEPTED", COLUMN_NUMBER, 2},
	    {"pauses", "PAUSES", COLUMN_NUMBER, 2},
	    {"rate_bytes", "BYTES/S", COLUMN_BYTES, 1},
	    {"burst_bytes", "BURST", COLUMN_BYTES, 5},
	    {"rate_frames", "FRAMES/S", COLUMN_NUMBER, 1},
	    {"burst_frames", "BURST", COLUMN_NUMBER, 5},
	    {"over_rate", "OVER", COLUMN_TEXT, 6},
	    {"pacing", "PACING/S", COLUMN_BYTES, 4},
	    {"dscp", "DSCP", COLUMN_TEXT, 2},
	    {"priority", "PRIORITY", COLUMN_NUMBER, 4},
	    {"routes", "ROUTES", COLUMN_NUMBER, 4},
	};

	table_print(rows, columns, ARRAY_SIZE(columns), table_terminal_width());
}

static void print_clusters(const json_t *rows)
{
	static const struct column columns[] = {
	    {"cluster", "CLUSTER", COLUMN_TEXT, 0},
	    {"balance", "BALANCE", COLUMN_TEXT, 5},
	    {"endpoint", "ENDPOINT", COLUMN_TEXT, 0},
	    {"address", "ADDRESS", COLUMN_TEXT, 2},
	    {"state", "STATE", COLUMN_TEXT, 0},
	    {"health", "HEALTH", COLUMN_TEXT, 0},
	    {"weight", "WEIGHT", COLUMN_NUMBER, 4},
	    {"connections", "CONNECTIONS", COLUMN_NUMBER, 1},
	    {"chosen", "CHOSEN", COLUMN_NUMBER, 3},
	    {"failed", "FAILED", COLUMN_NUMBER, 2},
	    {"check", "LAST CHECK", COLUMN_TEXT, 2},
	    {"check_age_ms", "AGO", COLUMN_DURATION, 4},
	    {"breaker", "BREAKER", COLUMN_TEXT, 4},
	    {"ejected_ms", "EJECTED FOR", COLUMN_DURATION, 3},
	    {"resolved", "RESOLVED", COLUMN_TEXT, 3},
	};

	table_print(rows, columns, ARRAY_SIZE(columns), table_terminal_width());
}

static void print_listener_rows(const json_t *rows)
{
	static const struct column columns[] = {
	    {"listener", "LISTENER", COLUMN_TEXT, 0},
	    {"address", "ADDRESS", COLUMN_TEXT, 0},
	    {"backlog", "BACKLOG", COLUMN_NUMBER, 2},
	    {"accepted", "ACCEPTED", COLUMN_NUMBER, 1},
	};

	table_print(rows, columns, ARRAY_SIZE(columns), table_terminal_width());
}

/* 2026-11-21T07:59:30.518497Z warning endpoint_down cluster=chat endpoint=a */
static void print_event(const json_t *event)
{
	const char *key;
	json_t *value;

	printf("%s %-7s %s", json_string_value(json_object_get(event, "time")),
	       json_string_value(json_object_get(event, "severity")),
	       json_string_value(json_object_get(event, "type")));
	json_object_foreach(json_object_get(event, "fields"), key, value)
	{
		char *text = json_is_string(value) ? NULL : json_dumps(value, JSON_ENCODE_ANY);

		printf(" %s=%s", key, text ? text : json_string_value(value));
		free(text);
	}
	putchar('\n');
}

static void print_events(const json_t *rows)
{
	const json_t *row;
	size_t i;

	json_array_foreach(rows, i, row) print_event(row);
}

/* As a number, or as the text that it is, for the daemon to refuse. */
static json_t *number_of(const char *text)
{
	char *end;
	long long number = strtoll(text, &end, 10);

	return *end || end == text ? json_string(text) : json_integer(number);
}

/* CLUSTER/NAME state STATE, or weight NUMBER. A cluster's name has no slash. */
static bool take_endpoint_words(int argc, char **argv, json_t *args)
{
	const char *slash = argc == 3 ? strchr(argv[0], '/') : NULL;
	json_t *value;
	int failed;

	if (!slash)
		return false;
	if (strcmp(argv[1], "state") == 0)
		value = json_string(argv[2]);
	else if (strcmp(argv[1], "weight") == 0)
		value = number_of(argv[2]);
	else
		return false;
	failed =
	    json_object_set_new(args, "cluster", json_stringn(argv[0], (size_t)(slash - argv[0])));
	failed |= json_object_set_new(args, "endpoint", json_string(slash + 1));
	failed |= json_object_set_new(args, argv[1], value);
	return failed == 0;
}

static void print_endpoint(const json_t *row)
{
	printf("%s/%s: %s, %s, weight %lld, %lld connections\n",
	       json_string_value(json_object_get(row, "cluster")),
	       json_string_value(json_object_get(row, "endpoint")),
	       json_string_value(json_object_get(row, "state")),
	       json_string_value(json_object_get(row, "health")),
	       (long long)json_integer_value(json_object_get(row, "weight")),
	       (long long)json_integer_value(json_object_get(row, "connections")));
}

static void print_count(const json_t *data, const char *key, const char *what)
{
	long long n = json_integer_value(json_object_get(data, key));

	printf("%lld connection%s %s\n", n, n == 1 ? "" : "s", what);
}

static void print_closed(const json_t *data)
{
	print_count(data, "closed", "closing");
}

static void print_demoted(const json_t *data)
{
	print_count(data, "demoted", "leaving the kernel");
}

static void print_resumed(const json_t *data)
{
	print_count(data, "resumed", "may leave the relay again");
}

static void print_target(const json_t *data)
{
	const char *name = json_string_value(json_object_get(data, "name"));

	printf("%s%s%s: ", json_string_value(json_object_get(data, "scope")), *name ? " " : "",
	       name);
}

static void print_drain(const json_t *rows)
{
	const json_t *row;
	size_t i;

	json_array_foreach(rows, i, row)
	{
		print_target(row);
		printf("%lld of %lld connections left\n",
		       (long long)json_integer_value(json_object_get(row, "left")),
		       (long long)json_integer_value(json_object_get(row, "total")));
	}
}

static void print_undrain(const json_t *data)
{
	print_target(data);
	puts(json_is_true(json_object_get(data, "was_draining")) ? "takes connections again"
								 : "was not drained");
}

static void print_reloaded(const json_t *data)
{
	const char *needs_restart = json_string_value(json_object_get(data, "needs_restart"));

	printf("reloaded %s: generation %lld, %.1f ms\n",
	       json_string_value(json_object_get(data, "file")),
	       (long long)json_integer_value(json_object_get(data, "generation")),
	       (double)json_integer_value(json_object_get(data, "duration_us")) / 1000);
	if (needs_restart && needs_restart[0])
		printf("only a restart changes %s\n", needs_restart);
}

const struct verb verbs[] = {
    {"status", "status", "the daemon, its listeners, paths and totals", .print = print_status},
    {"show connections", "show.connections", "connections, one a line", .takes_filter = true,
     .takes_order = true, .is_offline = true, .print = print_connections,
     .print_long = print_connections_long},
    {"show routes", "show.routes", "routes in the order in which they are tried",
     .print = print_routes},
    {"show clusters", "show.clusters", "endpoints of all clusters and how they do",
     .print = print_clusters},
    {"show classes", "show.classes", "classes, and the connections that they have",
     .print = print_classes},
    {"show listeners", "show.listeners", "addresses that clients connect to",
     .print = print_listener_rows},
    {"show offload", "show.offload", "paths of bytes, cheapest last, and why one is not there",
     .is_offline = true, .print = print_offload_rows},
    {"top", "top", "what goes on right now, again and again", .takes_filter = true,
     .takes_order = true, .is_top = true},
    {"show events", "show.events", "the latest events", .takes_last = true, .print = print_events},
    {"events", "events", "events as they happen, until interrupted", .is_live = true,
     .is_endless = true, .takes_last = true, .print = print_events},
    {"set endpoint", "set.endpoint", "let an endpoint have new connections, or none",
     .take_words = take_endpoint_words,
     .expected = "CLUSTER/NAME state ready|drain|maint, or weight NUMBER", .print = print_endpoint},
    {"drain", "drain", "close connections at a pace, and take no new ones", .takes_target = true,
     .takes_drain = true, .is_live = true, .print = print_drain},
    {"undrain", "undrain", "take new connections again", .takes_target = true,
     .print = print_undrain},
    {"reload", "reload", "read the configuration file again; live connections go on",
     .print = print_reloaded},
    {"close", "close", "close connections politely (Close frame at a frame boundary)",
     .takes_conn = true, .takes_filter = true, .takes_close = true, .takes_all = true,
     .print = print_closed},
    {"demote", "splice.demote", "have spliced connections back on the relay, and keep them there",
     .takes_conn = true, .takes_filter = true, .takes_all = true, .print = print_demoted},
    {"promote", "splice.resume", "let connections leave the relay again, all that were demoted",
     .print = print_resumed},
};

const size_t n_verbs = ARRAY_SIZE(verbs);
