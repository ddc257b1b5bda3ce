/* SPDX-License-Identifier: Apache-2.0 */
#include "route/health.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const struct health_rules rules = {.rise = 2, .fall = 3};

/* Feeds "+" (good) and "-" (failed) checks. Return: what it was taken for after each, "u" or "d" */
static const char *states_after(const char *checks, const struct health_rules *r)
{
	static char states[64];
	struct health health = {0};
	size_t n = 0;

	for (; checks[n]; n++) {
		bool was_known = health.is_known, was_up = health.is_up;
		bool is_change = health_take(&health, r, checks[n] == '+');

		assert_true(health.is_known);
		assert_int_equal(is_change, !was_known || was_up != health.is_up);
		states[n] = health.is_up ? 'u' : 'd';
	}
	states[n] = '\0';
	return states;
}

static void take__the_first_check_decides_alone(void **state)
{
	assert_string_equal(states_after("+", &rules), "u");
	assert_string_equal(states_after("-", &rules), "d");
}

static void take__falls_after_failures_in_a_row(void **state)
{
	assert_string_equal(states_after("+---", &rules), "uuud");
	assert_string_equal(states_after("+--+--+---", &rules), "uuuuuuuuud");
}

static void take__rises_after_good_ones_in_a_row(void **state)
{
	assert_string_equal(states_after("-++", &rules), "ddu");
	assert_string_equal(states_after("-+-+-++", &rules), "ddddddu");
}

static void take__starts_counting_anew_after_a_change(void **state)
{
	assert_string_equal(states_after("+---++---", &rules), "uuuddu"
							       "uud");
}

static void take__flapping_at_every_check_changes_nothing(void **state)
{
	assert_string_equal(states_after("+-+-+-+-+-", &rules), "uuuuuuuuuu");
	assert_string_equal(states_after("-+-+-+-+-+", &rules), "dddddddddd");
}

static void take__one_is_enough_if_the_rules_say_so(void **state)
{
	static const struct health_rules hasty = {.rise = 1, .fall = 1};

	assert_string_equal(states_after("+-+-", &hasty), "udud");
}

static void first_delay__is_spread_over_the_interval(void **state)
{
	struct random_fast random;
	unsigned int quarters[4] = {0};

	random_fast_seed(&random, 1);
	for (int i = 0; i < 10000; i++) {
		uint64_t delay_ms = health_first_delay_ms(2000, &random);

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
		uint64_t delay_ms = health_next_delay_ms(2000, 0, &random);

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
		assert_in_range(health_next_delay_ms(2000, 1500, &random), 300, 700);
		assert_int_equal(health_next_delay_ms(2000, 2200, &random), 0);
		assert_int_equal(health_next_delay_ms(2000, 100000, &random), 0);
		assert_in_range(health_next_delay_ms(1, 0, &random), 1, 1);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
	    cmocka_unit_test(take__the_first_check_decides_alone),
	    cmocka_unit_test(take__falls_after_failures_in_a_row),
	    cmocka_unit_test(take__rises_after_good_ones_in_a_row),
	    cmocka_unit_test(take__starts_counting_anew_after_a_change),
	    cmocka_unit_test(take__flapping_at_every_check_changes_nothing),
	    cmocka_unit_test(take__one_is_enough_if_the_rules_say_so),
	    cmocka_unit_test(first_delay__is_spread_over_the_interval),
	    cmocka_unit_test(next_delay__is_the_interval_give_or_take_a_tenth),
	    cmocka_unit_test(next_delay__counts_from_the_start_of_the_check),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
