/* SPDX-License-Identifier: Apache-2.0 */
#include "app/sluicectl/top_view.h"

#include "app/sluicectl/print_connections.h"
#include "app/sluicectl/top_figures.h"
#include "app/table.h"
#include "core/stats.h"

#include <langinfo.h>
#include <stdarg.h>

#define LINE_BYTES   512
#define BAR_PLACES   20
#define COLUMNS_MAX  32
#define LABEL_PLACES "%-9s "

/* ---- views and orders ---------------------------------------------------------------------- */

#define BIT(key) (1u << (key))
#define FOR_ALL                                                                             \
	(BIT(CONNECTION_BY_RATE) | BIT(CONNECTION_BY_MESSAGES) | BIT(CONNECTION_BY_BYTES) | \
	 BIT(CONNECTION_BY_FRAMES))
#define FOR_ONE \
	(FOR_ALL | BIT(CONNECTION_BY_AGE) | BIT(CONNECTION_BY_IDLE) | BIT(CONNECTION_BY_RTT))
#define FOR_SEVERAL (FOR_ALL | BIT(CONNECTION_BY_CONNECTIONS))

static const struct {
	const char *title, *what;
	unsigned int orders;
} views[TOP_BY_COUNT] = {
    [TOP_CONNECTIONS] = {"CONN", "connections", FOR_ONE},
    [TOP_ROUTES] = {"ROUTE", "routes", FOR_SEVERAL},
    [TOP_CLASSES] = {"CLASS", "classes", FOR_SEVERAL},
    [TOP_ENDPOINTS] = {"ENDPOINT", "endpoints", FOR_SEVERAL},
};

bool top_view_takes(enum top_by by, enum connection_key key)
{
	return views[by].orders & BIT(key);
}

void top_view_set(struct top_view *view, enum top_by by)
{
	view->by = by;
	if (!top_view_takes(by, view->order.key))
		view->order = (struct connection_order){.key = CONNECTION_BY_RATE};
}

void top_view_step(struct top_view *view, int step)
{
	unsigned int key = view->order.key;

	do
		key = (key + CONNECTION_KEYS + (unsigned int)step) % CONNECTION_KEYS;
	while (!top_view_takes(view->by, key));
	view->order.key = key;
}

json_t *top_view_args(const struct top_view *view, const json_t *filters, size_t limit)
{
	json_t *args = json_copy((json_t *)filters);

	json_object_set_new(args, "by", json_string(top_by_name(view->by)));
	json_object_set_new(args, "sort",
			    json_sprintf("%s%s", view->order.is_rising ? "-" : "",
					 connection_key_name(view->order.key)));
	json_object_set_new(args, "limit", json_integer((json_int_t)limit));
	return args;
}

/* ---- lines --------------------------------------------------------------------------------- */

static bool is_utf8(void)
{
	return strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
}

static int width_of(const char *text)
{
	int width = 0;

	for (; *text; text++)
		width += (*text & 0xc0) != 0x80;
	return width;
}

/* As much of it as fits; a character is cut off whole. */
static void write_line(FILE *out, const char *text, int width)
{
	for (int left = width > 0 ? width : INT32_MAX; *text; text++) {
		if ((*text & 0xc0) != 0x80 && left-- == 0)
			break;
		fputc(*text, out);
	}
	fputc('\n', out);
}

struct line {
	char text[LINE_BYTES];
	size_t len;
};

static void put(struct line *line, const char *fmt, ...) PRINTF_LIKE(2, 3);

static void put(struct line *line, const char *fmt, ...)
{
	size_t room = sizeof(line->text) - line->len;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(line->text + line->len, room, fmt, ap);
	va_end(ap);
	if (n > 0)
		line->len += MIN((size_t)n, room - 1);
}

static void put_value(struct line *line, const json_t *object, const char *key,
		      enum column_format format)
{
	char text[64];

	table_format(json_object_get(object, key), format, text, sizeof(text));
	put(line, "%s", text);
}

static long long number(const json_t *object, const char *key)
{
	return (long long)json_integer_value(json_object_get(object, key));
}

/* ---- the head ------------------------------------------------------------------------------ */

static void write_daemon(FILE *out, const json_t *data, int width, const char *time)
{
	struct line line = {.len = 0};

	put(&line, "sluiced %s, %s, up ", json_string_value(json_object_get(data, "version")),
	    json_string_value(json_object_get(data, "state")));
	put_value(&line, data, "uptime_ms", COLUMN_DURATION);
	put(&line, ", %lld in handshake", number(data, "handshakes"));
	if (*time) {
		int gap = width - width_of(line.text) - width_of(time);

		put(&line, "%*s%s", MAX(gap, 2), "", time);
	}
	write_line(out, line.text, width);
}

/* How many connections the kernel serves without us. */
static void put_bar(struct line *line, double share)
{
	const char *full = is_utf8() ? "\u2588" : "#", *empty = is_utf8() ? "\u2591" : ".";
	int n = (int)(share * BAR_PLACES + 0.5);

	put(line, "   in the kernel [");
	for (int i = 0; i < BAR_PLACES; i++)
		put(line, "%s", i < n ? full : empty);
	put(line, "] %.0f%%", 100 * share);
}

static void write_paths(FILE *out, const json_t *data, int width)
{
	const json_t *paths = json_object_get(data, "paths");
	struct line line = {.len = 0};
	const char *path, *separator = "";
	double total = 0;
	json_t *n;

	json_object_foreach((json_t *)paths, path, n) total += (double)json_integer_value(n);
	put(&line, LABEL_PLACES, "paths");
	json_object_foreach((json_t *)paths, path, n)
	{
		put(&line, "%s%s %lld (%.1f%%)", separator, path, (long long)json_integer_value(n),
		    100 * (double)json_integer_value(n) / total);
		separator = ", ";
	}
	if (total > 0)
		put_bar(&line, (double)(number(paths, sluice_path_name(SLUICE_PATH_SPLICE)) +
					number(paths, sluice_path_name(SLUICE_PATH_SOCKMAP))) /
				   total);
	else
		put(&line, "no connection is open");
	write_line(out, line.text, width);
}

static void write_traffic(FILE *out, const json_t *data, int width)
{
	json_t *totals = json_pack("[O?]", json_object_get(data, "total"));
	json_t *marked = connections_for_people(totals);
	const json_t *total = json_array_get(marked, 0);
	struct line line = {.len = 0};

	put(&line, LABEL_PLACES "in ", "traffic");
	put_value(&line, total, "bytes_in_per_s", COLUMN_BYTES);
	put(&line, "/s, ");
	put_value(&line, total, "frames_in_per_s", COLUMN_NUMBER);
	put(&line, " messages/s; out ");
	put_value(&line, total, "bytes_out_per_s", COLUMN_BYTES);
	put(&line, "/s, ");
	put_value(&line, total, "frames_out_per_s", COLUMN_NUMBER);
	put(&line, " messages/s");
	write_line(out, line.text, width);
	json_decref(marked);
	json_decref(totals);
}

static void put_lag(struct line *line, uint64_t us)
{
	json_t *value = us == UINT64_MAX ? NULL : json_integer((json_int_t)us);
	char text[64];

	table_format(value, COLUMN_MICROSECONDS, text, sizeof(text));
	put(line, "%s", value ? text : "over 1s");
	json_decref(value);
}

static void write_workers(FILE *out, const json_t *before, const json_t *data, int width)
{
	struct line line = {.len = 0};
	struct top_workers workers;

	top_workers_compare(before, data, &workers);
	put(&line, LABEL_PLACES "%zu", "workers", workers.n);
	if (workers.is_known) {
		put(&line, ", busy %.0f%%", 100 * workers.busy);
		if (workers.n > 1)
			put(&line, " (worker %lld: %.0f%%)", workers.busiest,
			    100 * workers.busy_most);
		put(&line, ", lag p99 ");
		put_lag(&line, workers.lag_p99_us);
		if (workers.n > 1)
			put(&line, " (worker %lld)", workers.laggiest);
	}
	put(&line, ", %llu queued", (unsigned long long)workers.n_queued);
	write_line(out, line.text, width);
}

static void write_what(FILE *out, const struct top_view *view, const json_t *data, int width)
{
	size_t n_rows = json_array_size(json_object_get(data, "rows"));
	long long n = number(json_object_get(data, "total"), "connections");
	struct line line = {.len = 0};

	put(&line, "%zu %s", n_rows, views[view->by].what);
	if (view->by == TOP_CONNECTIONS)
		put(&line, " of %lld", n);
	else
		put(&line, " of %lld connections", n);
	put(&line, ", by %s%s", connection_key_name(view->order.key),
	    view->order.is_rising ? ", the smallest first" : "");
	write_line(out, line.text, width);
}

/* ---- the table ----------------------------------------------------------------------------- */

static const struct column rate_columns[] = {
    {"frames_in_per_s", "MSG IN/S", COLUMN_NUMBER, 1},
    {"frames_out_per_s", "MSG OUT/S", COLUMN_NUMBER, 1},
    {"bytes_in_per_s", "IN/S", COLUMN_BYTES, 0},
    {"bytes_out_per_s", "OUT/S", COLUMN_BYTES, 0},
    {"bytes_in", "IN", COLUMN_BYTES, 4},
    {"bytes_out", "OUT", COLUMN_BYTES, 4},
    {"frames_in", "FRAMES IN", COLUMN_NUMBER, 7},
    {"frames_out", "FRAMES OUT", COLUMN_NUMBER, 7},
};

static const struct column connection_columns[] = {
    {"conn", "CONN", COLUMN_TEXT, 0},
    {"source", "SOURCE", COLUMN_TEXT, 0},
    {"endpoint_address", "TO", COLUMN_TEXT, 8},
    {"route", "ROUTE", COLUMN_TEXT, 3},
    {"class", "CLASS", COLUMN_TEXT, 6},
    {"endpoint", "ENDPOINT", COLUMN_TEXT, 5},
    {"path", "PATH", COLUMN_TEXT, 1},
    {"reason", "REASON", COLUMN_TEXT, 9},
    {"age_ms", "AGE", COLUMN_DURATION, 5},
    {"idle_ms", "IDLE", COLUMN_DURATION, 2},
    {"client_rtt_us", "RTT", COLUMN_MICROSECONDS, 6},
    {"endpoint_rtt_us", "RTT TO", COLUMN_MICROSECONDS, 8},
};

struct columns {
	struct column list[COLUMNS_MAX];
	size_t n;
};

static void add_columns(struct columns *columns, const struct column *list, size_t n)
{
	assert(columns->n + n <= COLUMNS_MAX);
	memcpy(columns->list + columns->n, list, n * sizeof(*list));
	columns->n += n;
}

/* Those paths that any connection is on. */
static void add_path_columns(struct columns *columns, const json_t *total)
{
	const json_t *paths = json_object_get(total, "paths");

	for (int path = 0; path < SLUICE_PATH_COUNT; path++) {
		const char *name = sluice_path_name(path);

		if (number(paths, name) > 0)
			add_columns(columns, &(struct column){name, name, COLUMN_NUMBER, 2}, 1);
	}
}

/* Counts by path become the row's own. */
static json_t *flatten(json_t *rows)
{
	json_t *row;
	size_t i;

	json_array_foreach(rows, i, row) json_object_update(row, json_object_get(row, "paths"));
	return rows;
}

static void write_table(FILE *out, const struct top_view *view, const json_t *data, int width)
{
	json_t *rows = flatten(connections_for_people(json_object_get(data, "rows")));
	struct columns columns = {.n = 0};

	if (view->by == TOP_CONNECTIONS) {
		add_columns(&columns, connection_columns, ARRAY_SIZE(connection_columns));
	} else {
		add_columns(&columns,
			    &(struct column){"name", views[view->by].title, COLUMN_TEXT, 0}, 1);
		add_columns(&columns,
			    &(struct column){"connections", "CONNECTIONS", COLUMN_NUMBER, 0}, 1);
		add_path_columns(&columns, json_object_get(data, "total"));
	}
	add_columns(&columns, rate_columns, ARRAY_SIZE(rate_columns));
	table_write(out, rows, columns.list, columns.n, width);
	json_decref(rows);
}

void top_view_write(FILE *out, const struct top_view *view, const json_t *before,
		    const json_t *data, int width, const char *time)
{
	write_daemon(out, data, width, time);
	write_paths(out, data, width);
	write_traffic(out, data, width);
	write_workers(out, before, data, width);
	write_what(out, view, data, width);
	write_table(out, view, data, width);
}
