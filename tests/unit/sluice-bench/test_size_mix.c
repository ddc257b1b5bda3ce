/* SPDX-License-Identifier: Apache-2.0 */
#include "sluice-bench/size_mix.h"

#include "base/random.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void parse_size__one_size_is_always_picked(void **state)
{
	struct size_mix mix;

	assert_int_equal(size_mix_parse_size("1k", &mix), 0);
	assert_int_equal(size_mix_pick(&mix, 0), 1024);
	assert_int_equal(size_mix_pick(&mix, UINT64_MAX), 1024);
	assert_int_equal(size_mix_largest(&mix), 1024);
}

static void parse_size__a_range_has_both_ends(void **state)
{
	struct size_mix mix;

	assert_int_equal(size_mix_parse_size("64-16k", &mix), 0);
	assert_int_equal(size_mix_pick(&mix, 0), 64);
	assert_int_equal(size_mix_pick(&mix, UINT64_MAX), 16384);
	assert_int_equal(size_mix_largest(&mix), 16384);
}

static void pick__reaches_every_size_of_a_range(void **state)
{
	struct random_fast random;
	struct size_mix mix;
	bool seen[6] = {false};

	random_fast_seed(&random, 1);
	assert_int_equal(size_mix_parse_size("0-5", &mix), 0);
	for (int i = 0; i < 1000; i++) {
		uint64_t size = size_mix_pick(&mix, random_fast_next(&random));

		assert_true(size <= 5);
		seen[size] = true;
	}
	for (size_t i = 0; i < ARRAY_SIZE(seen); i++)
		assert_true(seen[i]);
}

static void pick__follows_the_weights(void **state)
{
	unsigned int small = 0, middle = 0, large = 0;
	struct random_fast random;
	struct size_mix mix;

	random_fast_seed(&random, 1);
	assert_int_equal(size_mix_parse_mix("64:70,1k-2k:20,16k:10", &mix), 0);
	assert_int_equal(size_mix_largest(&mix), 16384);
	for (int i = 0; i < 10000; i++) {
		uint64_t size = size_mix_pick(&mix, random_fast_next(&random));

		small += size == 64;
		middle += size >= 1024 && size <= 2048;
		large += size == 16384;
	}
	assert_int_equal(small + middle + large, 10000);
	assert_in_range(small, 6800, 7200);
	assert_in_range(middle, 1850, 2150);
	assert_in_range(large, 900, 1100);
}

static void pick__the_highest_random_value_is_the_last_entry(void **state)
{
	struct size_mix mix;

	assert_int_equal(size_mix_parse_mix("1:1,2:1,3:1", &mix), 0);
	assert_int_equal(size_mix_pick(&mix, 0), 1);
	assert_int_equal(size_mix_pick(&mix, UINT64_MAX), 3);
}

static void parse__refuses_everything_else(void **state)
{
	static const char *const bad_sizes[] = {"", "-", "1-", "-1", "5-4", "1-2-3", "x", "2g"};
	static const char *const bad_mixes[] = {"",       "64",    "64:",   ":1",
						"64:0",   "64:1,", "64:x",  ",64:1",
						"64:1:1", "2g:1",  "5-4:1", "64:1000001"};
	struct size_mix mix;

	for (size_t i = 0; i < ARRAY_SIZE(bad_sizes); i++)
		assert_true(size_mix_parse_size(bad_sizes[i], &mix) < 0);
	for (size_t i = 0; i < ARRAY_SIZE(bad_mixes); i++)
		assert_true(size_mix_parse_mix(bad_mixes[i], &mix) < 0);
}

static void parse_mix__has_a_limit(void **state)
{
	struct size_mix mix;

	assert_int_equal(size_mix_parse_mix("1:1,1:1,1:1,1:1,1:1,1:1,1:1,1:1,"
					    "1:1,1:1,1:1,1:1,1:1,1:1,1:1,1:1",
					    &mix),
			 0);
	assert_int_equal(size_mix_parse_mix("1:1,1:1,1:1,1:1,1:1,1:1,1:1,1:1,"
					    "1:1,1:1,1:1,1:1,1:1,1:1,1:1,1:1,1:1",
					    &mix),
			 -E2BIG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(parse_size__one_size_is_always_picked),
	    cmocka_unit_test(parse_size__a_range_has_both_ends),
	    cmocka_unit_test(pick__reaches_every_size_of_a_range),
	    cmocka_unit_test(pick__follows_the_weights),
	    cmocka_unit_test(pick__the_highest_random_value_is_the_last_entry),
	    cmocka_unit_test(parse__refuses_everything_else),
	    cmocka_unit_test(parse_mix__has_a_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
