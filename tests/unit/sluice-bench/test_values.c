/* SPDX-License-Identifier: Apache-2.0 */
#include "sluice-bench/values.h"

#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void assert_size(const char *text, uint64_t expected)
{
	uint64_t bytes = 0;

	assert_int_equal(value_size(text, &bytes), 0);
	assert_int_equal(bytes, expected);
}

static void size__takes_powers_of_1024(void **state)
{
	assert_size("0", 0);
	assert_size("64", 64);
	assert_size("1k", 1024);
	assert_size("16KB", 16384);
	assert_size("2m", 2 << 20);
	assert_size("1g", 1 << 30);
}

static void size__refuses_everything_else(void **state)
{
	static const char *const bad[] = {"",
					  "k",
					  "-1",
					  "+1",
					  " 1",
					  "1 ",
					  "1kk",
					  "1.5k",
					  "0x10",
					  "99999999999999999999",
					  "99999999999999999g",
					  "1111111111111111111111111111111111111111111111"};
	uint64_t bytes = 7;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_true(value_size(bad[i], &bytes) < 0);
	assert_int_equal(bytes, 7);
}

static void assert_duration(const char *text, uint64_t expected)
{
	uint64_t ns = 0;

	assert_int_equal(value_duration_ns(text, &ns), 0);
	assert_int_equal(ns, expected);
}

static void duration__takes_seconds_and_units(void **state)
{
	assert_duration("0", 0);
	assert_duration("10", 10 * NS_PER_S);
	assert_duration("0.25", NS_PER_S / 4);
	assert_duration("1.5ms", 1500 * NS_PER_US);
	assert_duration("0.000000001", 1);
	assert_duration("20us", 20 * NS_PER_US);
	assert_duration("3s", 3 * NS_PER_S);
	assert_duration("2m", 120 * NS_PER_S);
	assert_duration("0.999999999h", 3599999996400);
	assert_duration("8760h", 365ull * 24 * 3600 * NS_PER_S);
}

static void duration__refuses_everything_else(void **state)
{
	static const char *const bad[] = {"",     "s",     ".5",   "1.",    "-1",
					  "1.5.", "1 s",   "10S",  "1d",    "1.0123456789",
					  "1e3",  "8761h", "1sec", "1.5ns", "99999999999999999999"};
	uint64_t ns = 7;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_true(value_duration_ns(bad[i], &ns) < 0);
	assert_int_equal(ns, 7);
}

static void assert_rate(const char *text, uint64_t expected)
{
	uint64_t rate = 0;

	assert_int_equal(value_rate(text, &rate), 0);
	assert_int_equal(rate, expected);
}

static void rate__takes_powers_of_1000(void **state)
{
	assert_rate("1", 1);
	assert_rate("500/s", 500);
	assert_rate("10k", 10000);
	assert_rate("2m/s", 2000000);
	assert_rate("1000m", 1000000000);
}

static void rate__refuses_everything_else(void **state)
{
	static const char *const bad[] = {"", "0", "0k", "/s", "k/s", "-5", "1.5", "1001m", "5/m"};
	uint64_t rate = 7;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_true(value_rate(bad[i], &rate) < 0);
	assert_int_equal(rate, 7);
}

static void u64__keeps_to_its_range(void **state)
{
	uint64_t value = 0;

	assert_int_equal(value_u64("1", 1, 3, &value), 0);
	assert_int_equal(value_u64("3", 1, 3, &value), 0);
	assert_int_equal(value_u64("0", 1, 3, &value), -ERANGE);
	assert_int_equal(value_u64("4", 1, 3, &value), -ERANGE);
	assert_int_equal(value_u64("x", 1, 3, &value), -EINVAL);
	assert_int_equal(value, 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(size__takes_powers_of_1024),
	    cmocka_unit_test(size__refuses_everything_else),
	    cmocka_unit_test(duration__takes_seconds_and_units),
	    cmocka_unit_test(duration__refuses_everything_else),
	    cmocka_unit_test(rate__takes_powers_of_1000),
	    cmocka_unit_test(rate__refuses_everything_else),
	    cmocka_unit_test(u64__keeps_to_its_range),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
