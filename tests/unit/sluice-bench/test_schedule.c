/* SPDX-License-Identifier: Apache-2.0 */
#include "sluice-bench/deadline.h"
#include "sluice-bench/schedule.h"

#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

/* ---- schedule ------------------------------------------------------------------------------- */

static void schedule__does_not_drift(void **state)
{
	/* A third of a second has no exact form in ns; a million of them must not add up. */
	assert_int_equal(schedule_time_ns(7, 0, 3), 7);
	assert_int_equal(schedule_time_ns(7, 1, 3), 7 + 333333334);
	assert_int_equal(schedule_time_ns(7, 3000000, 3), 7 + 1000000 * NS_PER_S);
}

static void schedule__saturates(void **state)
{
	assert_int_equal(schedule_time_ns(0, UINT64_MAX, 1), UINT64_MAX);
	assert_int_equal(schedule_time_ns(UINT64_MAX, 1, 1), UINT64_MAX);
}

static void schedule__due_is_the_inverse_of_time(void **state)
{
	static const uint64_t rates[] = {1, 3, 7, 1000, 999983, 1000000000};

	for (size_t r = 0; r < ARRAY_SIZE(rates); r++) {
		for (uint64_t i = 0; i < 2000; i++) {
			uint64_t at = schedule_time_ns(1000, i, rates[r]);

			assert_int_equal(schedule_due(1000, at, rates[r]), i + 1);
			assert_int_equal(schedule_due(1000, at - 1, rates[r]), i);
		}
	}
}

/* ---- deadlines ------------------------------------------------------------------------------ */

#define TICK (1ull << DEADLINE_TICK_SHIFT)

static struct deadline_wheel wheel;

static int set_up(void **state)
{
	deadline_wheel_init(&wheel, 100 * TICK);
	return 0;
}

static void deadline__pops_within_a_tick_after_its_time(void **state)
{
	struct deadline d = {0};

	deadline_arm(&wheel, &d, 110 * TICK + 5);
	for (uint64_t now = 100 * TICK; now <= 110 * TICK + 5; now += TICK / 2)
		assert_null(deadline_pop(&wheel, now));
	assert_true(deadline_wheel_next_ns(&wheel) <= 111 * TICK);
	assert_ptr_equal(deadline_pop(&wheel, 111 * TICK), &d);
	assert_null(deadline_pop(&wheel, 111 * TICK));
	assert_false(d.is_armed);
	assert_int_equal(deadline_wheel_next_ns(&wheel), UINT64_MAX);
}

static void deadline__a_past_time_pops_at_the_next_tick(void **state)
{
	struct deadline d = {0};

	deadline_arm(&wheel, &d, 3);
	assert_ptr_equal(deadline_pop(&wheel, 101 * TICK), &d);
}

static void deadline__beyond_its_reach_pops_early(void **state)
{
	struct deadline d = {0};

	deadline_arm(&wheel, &d, (100 + 5 * DEADLINE_SLOTS) * TICK);
	assert_null(deadline_pop(&wheel, (100 + DEADLINE_SLOTS / 2) * TICK));
	assert_ptr_equal(deadline_pop(&wheel, (100 + DEADLINE_SLOTS) * TICK), &d);
}

static void deadline__arming_earlier_moves_it_later_does_not(void **state)
{
	struct deadline d = {0};

	deadline_arm(&wheel, &d, 120 * TICK);
	deadline_arm(&wheel, &d, 105 * TICK);
	deadline_arm(&wheel, &d, 130 * TICK);
	assert_int_equal(wheel.n_armed, 1);
	assert_null(deadline_pop(&wheel, 104 * TICK));
	assert_ptr_equal(deadline_pop(&wheel, 106 * TICK), &d);
	assert_null(deadline_pop(&wheel, 140 * TICK));
}

static void deadline__disarmed_never_pops(void **state)
{
	struct deadline a = {0}, b = {0};

	deadline_arm(&wheel, &a, 105 * TICK);
	deadline_arm(&wheel, &b, 105 * TICK);
	deadline_disarm(&wheel, &a);
	deadline_disarm(&wheel, &a);
	assert_ptr_equal(deadline_pop(&wheel, 200 * TICK), &b);
	assert_null(deadline_pop(&wheel, 200 * TICK));
	assert_int_equal(wheel.n_armed, 0);
}

static void deadline__works_after_a_long_sleep(void **state)
{
	struct deadline a = {0}, b = {0};

	assert_null(deadline_pop(&wheel, 100 * DEADLINE_SLOTS * TICK));
	deadline_arm(&wheel, &a, (100 * DEADLINE_SLOTS + 2) * TICK);
	assert_null(deadline_pop(&wheel, (100 * DEADLINE_SLOTS + 2) * TICK));
	/* The loop was stuck for several turns of the wheel. */
	deadline_arm(&wheel, &b, (100 * DEADLINE_SLOTS + 9) * TICK);
	assert_ptr_equal(deadline_pop(&wheel, 107 * DEADLINE_SLOTS * TICK), &a);
	assert_ptr_equal(deadline_pop(&wheel, 107 * DEADLINE_SLOTS * TICK), &b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(schedule__does_not_drift),
	    cmocka_unit_test(schedule__saturates),
	    cmocka_unit_test(schedule__due_is_the_inverse_of_time),
	    cmocka_unit_test_setup(deadline__pops_within_a_tick_after_its_time, set_up),
	    cmocka_unit_test_setup(deadline__a_past_time_pops_at_the_next_tick, set_up),
	    cmocka_unit_test_setup(deadline__beyond_its_reach_pops_early, set_up),
	    cmocka_unit_test_setup(deadline__arming_earlier_moves_it_later_does_not, set_up),
	    cmocka_unit_test_setup(deadline__disarmed_never_pops, set_up),
	    cmocka_unit_test_setup(deadline__works_after_a_long_sleep, set_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
