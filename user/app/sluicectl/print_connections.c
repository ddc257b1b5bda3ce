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

static const char *const frame_keys[] = {"frames_in", "frames_out", "frames_in_per_s",
					 "frames_out_per_s"};

static void mark_inexact(json_t *row)
{
	for (size_t i = 0; i < ARRAY_SIZE(frame_keys); i++) {
		const json_t *n = json_object_get(row, frame_keys[i]);

		if (json_is_integer(n))
			json_object_set_new(row, frame_keys[i],
					    json_sprintf("%lld+",
							 (long long)json_integer_value(n)));
	}
}

json_t *connections_for_people(const json_t *rows)
{
	json_t *result = json_array();
	const json_t *row;
	size_t i;

	json_array_foreach(rows, i, row)
	{
		json_t *copy = json_copy((json_t *)row);

		if (json_is_false(json_object_get(row, "frames_exact")))
			mark_inexact(copy);
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
