/* SPDX-License-Identifier: Apache-2.0 */
#include "core/loop_lag.h"

#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

/* Every bound itself belongs below it, and one more above. */
static void add__puts_each_time_into_its_bucket(void **state)
{
	for (unsigned int i = 0; i < LOOP_LAG_BOUNDS; i++) {
		struct loop_lag lag = {0};

		loop_lag_add(&lag, loop_lag_bound_ns(i));
		assert_int_equal(lag.counts[i], 1);
		loop_lag_add(&lag, loop_lag_bound_ns(i) + 1);
		assert_int_equal(lag.counts[i + 1], 1);
		assert_int_equal(loop_lag_count(&lag), 2);
		assert_int_equal(lag.sum_ns, 2 * loop_lag_bound_ns(i) + 1);
	}
}

static void add__takes_extremes(void **state)
{
	struct loop_lag lag = {0};

	loop_lag_add(&lag, 0);
	loop_lag_add(&lag, UINT64_MAX);
	assert_int_equal(lag.counts[0], 1);
	assert_int_equal(lag.counts[LOOP_LAG_BOUNDS], 1);
}

static void bounds__go_from_16_us_to_a_second(void **state)
{
	assert_int_equal(loop_lag_bound_ns(0), 16384);
	assert_int_equal(loop_lag_bound_ns(LOOP_LAG_BOUNDS - 1), 1 << 30);
}

static void take_max__starts_over(void **state)
{
	struct loop_lag lag = {0};

	loop_lag_add(&lag, 500);
	loop_lag_add(&lag, 90000);
	loop_lag_add(&lag, 70);
	assert_int_equal(loop_lag_take_max(&lag), 90000);
	assert_int_equal(loop_lag_take_max(&lag), 0);
	loop_lag_add(&lag, 70);
	assert_int_equal(loop_lag_take_max(&lag), 70);
}

static void quantile__is_the_bound_of_its_bucket(void **state)
{
	struct loop_lag lag = {0};

	assert_int_equal(loop_lag_quantile_ns(&lag, 50, 100), 0);
	for (int i = 0; i < 98; i++)
		loop_lag_add(&lag, 1000);
	loop_lag_add(&lag, 100000);
	loop_lag_add(&lag, 2ull << 30);
	assert_int_equal(loop_lag_quantile_ns(&lag, 50, 100), 16384);
	assert_int_equal(loop_lag_quantile_ns(&lag, 98, 100), 16384);
	assert_int_equal(loop_lag_quantile_ns(&lag, 99, 100), 131072);
	assert_int_equal(loop_lag_quantile_ns(&lag, 100, 100), UINT64_MAX);
}

static void merge__adds_up(void **state)
{
	struct loop_lag a = {0}, b = {0};

	loop_lag_add(&a, 1000);
	loop_lag_add(&b, 2000);
	loop_lag_add(&b, 20000);
	loop_lag_merge(&a, &b);
	assert_int_equal(a.counts[0], 2);
	assert_int_equal(a.counts[1], 1);
	assert_int_equal(a.sum_ns, 23000);
	assert_int_equal(a.max_ns, 20000);
}

/* Between two readings of the real clock, whatever they are. */
static void clock__tells_when_the_wait_ended(void **state)
{
	struct ev_loop *loop = ev_loop_new(EVFLAG_NOENV);
	struct loop_clock clock;

	assert_non_null(loop);
	loop_clock_init(&clock, loop);
	for (int i = 0; i < 100; i++) {
		uint64_t before_ns = clock_monotonic_ns(), woken_ns, after_ns;

		ev_run(loop, EVRUN_NOWAIT);
		after_ns = clock_monotonic_ns();
		woken_ns = loop_clock_woken_ns(&clock);
		/* A microsecond for the doubles that libev counts in. */
		assert_true(woken_ns + clock.error_ns + NS_PER_US >= before_ns);
		assert_true(woken_ns <= after_ns + NS_PER_US);
		assert_int_equal(loop_clock_woken_ns(&clock), woken_ns);
	}
	loop_clock_done(&clock);
	loop_clock_done(&clock);
	ev_loop_destroy(loop);
}

/* The far timer must not keep a loop alive that has nothing to do. */
static void clock__keeps_no_loop_running(void **state)
{
	struct ev_loop *loop = ev_loop_new(EVFLAG_NOENV);
	struct loop_clock clock;

	assert_non_null(loop);
	loop_clock_init(&clock, loop);
	assert_false(ev_run(loop, 0)); /* or never */
	loop_clock_done(&clock);
	ev_loop_destroy(loop);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
	    cmocka_unit_test(add__puts_each_time_into_its_bucket),
	    cmocka_unit_test(add__takes_extremes),
	    cmocka_unit_test(bounds__go_from_16_us_to_a_second),
	    cmocka_unit_test(take_max__starts_over),
	    cmocka_unit_test(quantile__is_the_bound_of_its_bucket),
	    cmocka_unit_test(merge__adds_up),
	    cmocka_unit_test(clock__tells_when_the_wait_ended),
	    cmocka_unit_test(clock__keeps_no_loop_running),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
