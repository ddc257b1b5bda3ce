/* SPDX-License-Identifier: Apache-2.0 */
/* The delays; what they are for, test_health_checker.c shows. */
#include "route/endpoint_jobs.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void first_delay__is_spread_over_the_interval(void **state)
{
	struct random_fast random;
	unsigned int quarters[4] = {0};

	random_fast_seed(&random, 1);
	for (int i = 0; i < 10000; i++) {
		uint64_t delay_ms = endpoint_jobs_first_delay_ms(2000, &random);

		assert_in_range(delay_ms, 0, 1999);
		quarters[delay_ms / 500]++;
	}
	for (size_t i = 0; i < ARRAY_SIZE(quarters); i++)
		assert_in_range(quarters[i], 2200, 2800);
}

static void next_delay__is_the_interval_give_or_take_a_tenth(void **state)
{
	struct random_fast random;
	uint64_t least = UINT64_MAX, most = 0;

	random_fast_seed(&random, 1);
	for (int i = 0; i < 10000; i++) {
		uint64_t delay_ms = endpoint_jobs_next_delay_ms(2000, 0, &random);

		least = MIN(least, delay_ms);
		most = MAX(most, delay_ms);
	}
	assert_in_range(least, 1800, 1810);
	assert_in_range(most, 2190, 2200);
}

static void next_delay__counts_from_the_start_of_the_check(void **state)
{
	struct random_fast random;

	random_fast_seed(&random, 1);
	for (int i = 0; i < 1000; i++) {
		assert_in_range(endpoint_jobs_next_delay_ms(2000, 1500, &random), 300, 700);
		assert_int_equal(endpoint_jobs_next_delay_ms(2000, 2200, &random), 0);
		assert_int_equal(endpoint_jobs_next_delay_ms(2000, 100000, &random), 0);
		assert_in_range(endpoint_jobs_next_delay_ms(1, 0, &random), 1, 1);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
	    cmocka_unit_test(first_delay__is_spread_over_the_interval),
	    cmocka_unit_test(next_delay__is_the_interval_give_or_take_a_tenth),
	    cmocka_unit_test(next_delay__counts_from_the_start_of_the_check),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
