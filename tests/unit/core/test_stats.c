/* SPDX-License-Identifier: Apache-2.0 */
#include "core/stats.h"

#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static uint64_t bound_ns(size_t i)
{
	return stats_handshake_bounds_us[i] * NS_PER_US;
}

static void handshake__bounds_rise(void **state)
{
	for (size_t i = 1; i < STATS_HANDSHAKE_BOUNDS; i++)
		assert_true(bound_ns(i) > bound_ns(i - 1));
}

/* "le": a duration that equals a bound belongs to its bucket. */
static void handshake__counts_in_the_bucket_of_its_bound(void **state)
{
	for (size_t i = 0; i < STATS_HANDSHAKE_BOUNDS; i++) {
		struct stats s = {0};

		stats_add_handshake(&s, bound_ns(i));
		stats_add_handshake(&s, bound_ns(i) + 1);
		for (size_t j = 0; j <= STATS_HANDSHAKE_BOUNDS; j++)
			assert_int_equal(stat_get(&s.handshakes[j]), j == i || j == i + 1);
		assert_int_equal(stat_get(&s.handshakes_sum_ns), 2 * bound_ns(i) + 1);
	}
}

static void handshake__merges(void **state)
{
	struct stats one = {0}, all = {0};

	stats_add_handshake(&one, 0);
	stats_add_handshake(&one, 100 * NS_PER_S);
	stats_merge(&all, &one);
	stats_merge(&all, &one);
	assert_int_equal(stat_get(&all.handshakes[0]), 2);
	assert_int_equal(stat_get(&all.handshakes[STATS_HANDSHAKE_BOUNDS]), 2);
	assert_int_equal(stat_get(&all.handshakes_sum_ns), 200 * NS_PER_S);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
	    cmocka_unit_test(handshake__bounds_rise),
	    cmocka_unit_test(handshake__counts_in_the_bucket_of_its_bound),
	    cmocka_unit_test(handshake__merges),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
