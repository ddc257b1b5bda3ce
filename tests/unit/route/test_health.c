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

int main(void)
{
	static const struct CMUnitTest tests[] = {
	    cmocka_unit_test(take__the_first_check_decides_alone),
	    cmocka_unit_test(take__falls_after_failures_in_a_row),
	    cmocka_unit_test(take__rises_after_good_ones_in_a_row),
	    cmocka_unit_test(take__starts_counting_anew_after_a_change),
	    cmocka_unit_test(take__flapping_at_every_check_changes_nothing),
	    cmocka_unit_test(take__one_is_enough_if_the_rules_say_so),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
