/* SPDX-License-Identifier: Apache-2.0 */
#include "core/connection_meter.h"

#include "app/sluicectl/top.h"
#include "base/clock.h"
#include "core/connection_order.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define BEGIN_NS (1000 * NS_PER_S)

static struct connection_rates read_at(struct connection_meter *meter, uint64_t ms, uint64_t n)
{
	struct connection_traffic traffic = {.bytes_in = 100 * n,
					     .bytes_out = 10 * n,
					     .frames_in = 2 * n,
					     .frames_out = n,
					     .frames_exact = true};
	struct connection_rates rates;

	connection_meter_read(meter, &traffic, BEGIN_NS + ms * NS_PER_MS, &rates);
	return rates;
}

static void expect(struct connection_rates rates, double n)
{
	assert_true(rates.is_known && rates.has_frames);
	assert_true(rates.bytes_in == 100 * n);
	assert_true(rates.bytes_out == 10 * n);
	assert_true(rates.frames_in == 2 * n);
	assert_true(rates.frames_out == n);
}

static void read__counts_from_the_beginning(void **state)
{
	struct connection_meter meter;

	connection_meter_start(&meter, BEGIN_NS);
	expect(read_at(&meter, 2000, 8), 4);
	expect(read_at(&meter, 4000, 8), 0);
	expect(read_at(&meter, 5000, 11), 3);
}

static void read__says_the_same_when_asked_too_soon(void **state)
{
	struct connection_meter meter;

	connection_meter_start(&meter, BEGIN_NS);
	assert_false(read_at(&meter, METER_SHORTEST_MS - 1, 5).is_known);
	expect(read_at(&meter, METER_SHORTEST_MS, 5), 10);
	expect(read_at(&meter, 2 * METER_SHORTEST_MS - 1, 500), 10);
	/* and nothing of what was passed over is lost */
	expect(read_at(&meter, 2 * METER_SHORTEST_MS, 500), 990);
}

static void read__begins_anew_after_a_long_time(void **state)
{
	struct connection_meter meter;

	connection_meter_start(&meter, BEGIN_NS);
	assert_false(read_at(&meter, METER_LONGEST_MS + 1, 1000).is_known);
	expect(read_at(&meter, METER_LONGEST_MS + 1001, 1001), 1);
	assert_false(read_at(&meter, 3 * METER_LONGEST_MS, 2000).is_known);
	assert_false(read_at(&meter, 3 * METER_LONGEST_MS + 1, 2000).is_known);
}

/* Asked every 10 s, it is always asked a little later. */
static void read__knows_rates_at_the_longest_delay_of_top(void **state)
{
	struct connection_meter meter;

	connection_meter_start(&meter, BEGIN_NS);
	expect(read_at(&meter, 1000, 1), 1);
	expect(read_at(&meter, 1000 + TOP_DELAY_MAX_MS, 31), 3);
	assert_true(read_at(&meter, 1001 + 2 * TOP_DELAY_MAX_MS, 61).is_known); /* 10,001 ms */
	expect(read_at(&meter, 1001 + 2 * TOP_DELAY_MAX_MS + METER_LONGEST_MS, 76), 1);
}

static void read__is_never_below_zero(void **state)
{
	struct connection_meter meter;

	connection_meter_start(&meter, BEGIN_NS);
	expect(read_at(&meter, 1000, 10), 10);
	expect(read_at(&meter, 2000, 5), 0);
	expect(read_at(&meter, 3000, 6), 1);
}

static void read__does_not_take_frames_that_nobody_sees_for_none(void **state)
{
	struct connection_traffic traffic = {.bytes_in = 500, .frames_exact = false};
	struct connection_meter meter;
	struct connection_rates rates;

	connection_meter_start(&meter, BEGIN_NS);
	connection_meter_read(&meter, &traffic, BEGIN_NS + NS_PER_S, &rates);
	assert_true(rates.is_known && rates.bytes_in == 500);
	assert_false(rates.has_frames);
}

static void order__names_read_back(void **state)
{
	struct connection_order order;

	for (enum connection_key key = 0; key < CONNECTION_KEYS; key++) {
		char reversed[32] = "-";

		assert_int_equal(connection_order_parse(connection_key_name(key), &order), 0);
		assert_int_equal(order.key, key);
		assert_false(order.is_rising);
		strcat(reversed, connection_key_name(key)); // NOLINT(bugprone-unsafe-functions)
		assert_int_equal(connection_order_parse(reversed, &order), 0);
		assert_int_equal(order.key, key);
		assert_true(order.is_rising);
	}
	assert_int_equal(connection_order_parse("", &order), -EINVAL);
	assert_int_equal(connection_order_parse("-", &order), -EINVAL);
	assert_int_equal(connection_order_parse("--age", &order), -EINVAL);
	assert_int_equal(connection_order_parse("ages", &order), -EINVAL);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
	    cmocka_unit_test(read__counts_from_the_beginning),
	    cmocka_unit_test(read__says_the_same_when_asked_too_soon),
	    cmocka_unit_test(read__begins_anew_after_a_long_time),
	    cmocka_unit_test(read__knows_rates_at_the_longest_delay_of_top),
	    cmocka_unit_test(read__is_never_below_zero),
	    cmocka_unit_test(read__does_not_take_frames_that_nobody_sees_for_none),
	    cmocka_unit_test(order__names_read_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
