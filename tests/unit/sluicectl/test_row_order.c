/* SPDX-License-Identifier: Apache-2.0 */
#include "app/sluicectl/row_order.h"

#include "app/sluicectl/print_connections.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static json_t *some_rows(void)
{
	return json_pack("[{s:s, s:i, s:i, s:i, s:n, s:n}, {s:s, s:i, s:i, s:i, s:i, s:i}, "
			 "{s:s, s:i, s:i, s:i, s:i, s:i}]",
			 "conn", "B", "age_ms", 10, "bytes_in", 5, "bytes_out", 5, "client_rtt_us",
			 "endpoint_rtt_us", "conn", "C", "age_ms", 30, "bytes_in", 9, "bytes_out",
			 0, "client_rtt_us", 1, "endpoint_rtt_us", 9, "conn", "A", "age_ms", 20,
			 "bytes_in", 4, "bytes_out", 6, "client_rtt_us", 7, "endpoint_rtt_us", 2);
}

static void expect(const char *sort, const char *conns)
{
	struct connection_order order;
	json_t *rows = some_rows(), *row;
	char got[8] = "";
	size_t i;

	assert_int_equal(connection_order_parse(sort, &order), 0);
	row_order_apply(&order, &rows);
	json_array_foreach(rows, i, row) snprintf(got + i, sizeof(got) - i, "%s",
						  json_string_value(json_object_get(row, "conn")));
	assert_string_equal(got, conns);
	json_decref(rows);
}

static void apply__sorts_by_sums_and_then_by_id(void **state)
{
	expect("age", "CAB");
	expect("-age", "BAC");
	expect("bytes", "ABC"); /* two of 10, one of 9 */
	expect("-bytes", "CAB");
	expect("rtt", "CAB"); /* one is not known */
}

static void apply__takes_nothing(void **state)
{
	struct connection_order order = {.key = CONNECTION_BY_AGE};
	json_t *rows = json_array();

	row_order_apply(&order, &rows);
	assert_int_equal(json_array_size(rows), 0);
	json_decref(rows);
}

static void cut__leaves_the_first(void **state)
{
	json_t *rows = some_rows();

	row_order_cut(rows, 4);
	assert_int_equal(json_array_size(rows), 3);
	row_order_cut(rows, 1);
	assert_int_equal(json_array_size(rows), 1);
	assert_string_equal(json_string_value(json_object_get(json_array_get(rows, 0), "conn")),
			    "B");
	json_decref(rows);
}

static void for_people__marks_counts_that_are_not_exact(void **state)
{
	json_t *rows =
	    json_pack("[{s:i, s:i, s:b}, {s:i, s:i, s:b}]", "frames_in", 7, "frames_out", 0,
		      "frames_exact", 0, "frames_in", 7, "frames_out", 0, "frames_exact", 1);
	json_t *marked = connections_for_people(rows);
	const json_t *first = json_array_get(marked, 0), *second = json_array_get(marked, 1);

	assert_string_equal(json_string_value(json_object_get(first, "frames_in")), "7+");
	assert_string_equal(json_string_value(json_object_get(first, "frames_out")), "0+");
	assert_int_equal(json_integer_value(json_object_get(second, "frames_in")), 7);
	/* the rows themselves stay as they are */
	assert_true(json_is_integer(json_object_get(json_array_get(rows, 0), "frames_in")));
	json_decref(marked);
	json_decref(rows);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
	    cmocka_unit_test(apply__sorts_by_sums_and_then_by_id),
	    cmocka_unit_test(apply__takes_nothing),
	    cmocka_unit_test(cut__leaves_the_first),
	    cmocka_unit_test(for_people__marks_counts_that_are_not_exact),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
