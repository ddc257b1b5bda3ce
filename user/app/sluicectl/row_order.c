/* SPDX-License-Identifier: Apache-2.0 */
#include "app/sluicectl/row_order.h"

/* What is added up for a key. */
static const char *const fields[CONNECTION_KEYS][2] = {
    [CONNECTION_BY_AGE] = {"age_ms"},
    [CONNECTION_BY_IDLE] = {"idle_ms"},
    [CONNECTION_BY_BYTES] = {"bytes_in", "bytes_out"},
    [CONNECTION_BY_FRAMES] = {"frames_in", "frames_out"},
    [CONNECTION_BY_RTT] = {"client_rtt_us", "endpoint_rtt_us"},
};

struct entry {
	json_int_t value; /* the larger goes first */
	const char *conn;
	json_t *row;
};

static json_int_t value_of(const struct connection_order *order, const json_t *row)
{
	json_int_t value = 0;

	for (size_t i = 0; i < 2 && fields[order->key][i]; i++)
		value += json_integer_value(json_object_get(row, fields[order->key][i]));
	return order->is_rising ? -value : value;
}

static int compare(const void *a, const void *b)
{
	const struct entry *one = a, *other = b;

	if (one->value != other->value)
		return one->value > other->value ? -1 : 1;
	return strcmp(one->conn, other->conn);
}

void row_order_apply(const struct connection_order *order, json_t **rows)
{
	size_t n = json_array_size(*rows), i;
	_cleanup_free_ struct entry *entries = calloc(n ? n : 1, sizeof(*entries));
	json_t *sorted = json_array(), *row;

	if (!entries || !sorted)
		abort(); /* out of memory */
	json_array_foreach(*rows, i, row) entries[i] =
	    (struct entry){value_of(order, row), json_string_value(json_object_get(row, "conn")),
			   row};
	qsort(entries, n, sizeof(*entries), compare);
	for (i = 0; i < n; i++)
		json_array_append(sorted, entries[i].row);
	json_decref(*rows);
	*rows = sorted;
}

void row_order_cut(json_t *rows, size_t limit)
{
	while (json_array_size(rows) > limit)
		json_array_remove(rows, json_array_size(rows) - 1);
}
