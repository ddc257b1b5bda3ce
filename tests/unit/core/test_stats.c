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

static void promotion__counts_like_a_handshake(void **state)
{
	struct stats s = {0}, all = {0};

	for (size_t i = 1; i < STATS_PROMOTION_BOUNDS; i++)
		assert_true(stats_promotion_bounds_us[i] > stats_promotion_bounds_us[i - 1]);
	stats_add_promotion(&s, 5 * NS_PER_US);
	stats_add_promotion(&s, 5 * NS_PER_US + 1);
	stats_add_promotion(&s, NS_PER_S);
	stats_merge(&all, &s);
	assert_int_equal(stat_get(&all.promotion_times[0]), 1);
	assert_int_equal(stat_get(&all.promotion_times[1]), 1);
	assert_int_equal(stat_get(&all.promotion_times[STATS_PROMOTION_BOUNDS]), 1);
	assert_int_equal(stat_get(&all.promotion_times_sum_ns), 10 * NS_PER_US + 1 + NS_PER_S);
}

static void tries__are_told_apart_by_what_follows(void **state)
{
	struct stats s = {0}, all = {0};

	stats_add_try(&s, SLUICE_REASON_NONE, true);
	stats_add_try(&s, SLUICE_REASON_BUSY, false);
	stats_add_try(&s, SLUICE_REASON_BUSY, false);
	stats_add_try(&s, SLUICE_REASON_MTU, true);
	stats_merge(&all, &s);
	assert_int_equal(stat_get(&all.promotions[SLUICE_REASON_NONE]), 1);
	assert_int_equal(stat_get(&all.promotions[SLUICE_REASON_BUSY]), 0);
	assert_int_equal(stat_get(&all.promotion_retries[SLUICE_REASON_BUSY]), 2);
	assert_int_equal(stat_get(&all.promotions[SLUICE_REASON_MTU]), 1);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
	    cmocka_unit_test(handshake__bounds_rise),
	    cmocka_unit_test(handshake__counts_in_the_bucket_of_its_bound),
	    cmocka_unit_test(handshake__merges),
	    cmocka_unit_test(promotion__counts_like_a_handshake),
	    cmocka_unit_test(tries__are_told_apart_by_what_follows),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
