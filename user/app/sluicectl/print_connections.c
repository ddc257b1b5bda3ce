/* SPDX-License-Identifier: Apache-2.0 */
#include "app/sluicectl/print_connections.h"

#include "app/table.h"

#include <stdio.h>

/* Both legs, as their packets travel: source -> local, from -> to. */
static const struct column columns[] = {
    {"conn", "CONN", COLUMN_TEXT, 0},
    {"state", "STATE", COLUMN_TEXT, 3},
    {"path", "PATH", COLUMN_TEXT, 1},
    {"reason", "REASON", COLUMN_TEXT, 6},
    {"source", "SOURCE", COLUMN_TEXT, 0},
    {"local", "LOCAL", COLUMN_TEXT, 8},
    {"endpoint_source", "FROM", COLUMN_TEXT, 9},
    {"endpoint_address", "TO", COLUMN_TEXT, 5},
    {"listener", "LISTENER", COLUMN_TEXT, 12},
    {"route", "ROUTE", COLUMN_TEXT, 1},
    {"class", "CLASS", COLUMN_TEXT, 7},
    {"tenant", "TENANT", COLUMN_TEXT, 13},
    {"cluster", "CLUSTER", COLUMN_TEXT, 11},
    {"endpoint", "ENDPOINT", COLUMN_TEXT, 2},
    {"age_ms", "AGE", COLUMN_DURATION, 4},
    {"idle_ms", "IDLE", COLUMN_DURATION, 2},
    {"client_rtt_us", "RTT", COLUMN_MICROSECONDS, 5},
    {"endpoint_rtt_us", "RTT TO", COLUMN_MICROSECONDS, 8},
    {"bytes_in", "IN", COLUMN_BYTES, 3},
    {"bytes_out", "OUT", COLUMN_BYTES, 3},
    {"frames_in", "FRAMES IN", COLUMN_NUMBER, 7},
    {"frames_out", "FRAMES OUT", COLUMN_NUMBER, 7},
    {"worker", "WORKER", COLUMN_NUMBER, 14},
    {"adopted", "ADOPTED", COLUMN_TEXT, 10},
};

static void mark_inexact(json_t *row, const char *key)
{
	json_int_t n = json_integer_value(json_object_get(row, key));

	json_object_set_new(row, key, json_sprintf("%lld+", (long long)n));
}

json_t *connections_for_people(const json_t *rows)
{
	json_t *result = json_array();
	const json_t *row;
	size_t i;

	json_array_foreach(rows, i, row)
	{
		json_t *copy = json_copy((json_t *)row);

		if (json_is_false(json_object_get(row, "frames_exact"))) {
			mark_inexact(copy, "frames_in");
			mark_inexact(copy, "frames_out");
		}
		json_array_append_new(result, copy);
	}
	return result;
}

static void print(const json_t *rows, int width)
{
	json_t *copy = connections_for_people(rows);

	table_print(copy, columns, ARRAY_SIZE(columns), width);
	json_decref(copy);
}

void print_connections(const json_t *rows)
{
	print(rows, table_terminal_width());
}

void print_connections_long(const json_t *rows)
{
	print(rows, 0);
}
