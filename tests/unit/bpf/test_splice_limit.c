/* SPDX-License-Identifier: Apache-2.0 */
/* Token buckets and marks of the kernel programs. */
#include "bpf/splice_limit.h"

#include "base/std.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define MS 1000000ull

/* Offers packets of @size every @every_ns. Return: tokens that have passed in @total_ns. */
static uint64_t offer(const struct sl_bucket *bucket, uint32_t *field, uint64_t begin_ns,
		      uint64_t every_ns, uint64_t total_ns, uint32_t size)
{
	struct sl_arrival arrival = {begin_ns, begin_ns};
	uint64_t passed = 0;

	for (; arrival.now_ns < begin_ns + total_ns; arrival.now_ns += every_ns) {
		uint32_t owed = sl_bucket_owed(field, bucket, &arrival);

		if (sl_bucket_judge(bucket, owed) == SL_LIMIT_WITHIN) {
			sl_bucket_take(field, size);
			passed += size;
		}
		/* As the coarse clock has it. */
		arrival.last_ns = arrival.now_ns - arrival.now_ns % (4 * MS);
	}
	return passed;
}

/* A burst, a packet on credit, and the rate: whatever the rate is, wherever the clock stands. */
static void rate__is_kept(void **state)
{
	static const struct {
		uint64_t rate, burst;
		uint32_t size;
		uint64_t every_ns, total_ns;
	} cases[] = {
	    {1, 1, 1, 100 * MS, 300000 * MS}, /* one frame a second */
	    {1, 60, 1, 100 * MS, 300000 * MS},
	    {3, 2, 1, 50 * MS, 100000 * MS},
	    {1000, 10, 1, MS / 3, 10000 * MS},
	    {100000, 50000, 1448, 5 * MS, 60000 * MS},
	    {10000000, 20000, 1448, MS / 10, 5000 * MS},
	    {10000000, 20000, 65160, MS, 5000 * MS}, /* GRO: larger than the burst */
	    {900000000, 1000000, 65160, MS / 20, 12000 * MS},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct sl_bucket bucket = sl_bucket_of(cases[i].rate, cases[i].burst);

		for (uint64_t begin = 1; begin < 4000; begin += 777) {
			uint64_t begin_ns = begin * 1000 * MS + begin;
			uint64_t made = cases[i].total_ns / MS * cases[i].rate / 1000;
			uint32_t field = 0;
			uint64_t passed = offer(&bucket, &field, begin_ns, cases[i].every_ns,
						cases[i].total_ns, cases[i].size);

			assert_true(passed <= made + cases[i].burst + cases[i].size + 1);
			assert_true(passed + cases[i].size >= made);
		}
	}
}

/* As good as a full bucket, and not more, also behind a turn of the clock, or several. */
static void pause__fills_the_bucket(void **state)
{
	static const uint64_t rates[] = {1, 50, 100000, 20000000, 1000000000};

	for (size_t i = 0; i < ARRAY_SIZE(rates); i++) {
		const struct sl_bucket bucket = sl_bucket_of(rates[i], 1000);

		for (uint64_t pause_s = 2000; pause_s < UINT64_C(20000000000); pause_s *= 3) {
			uint64_t begin_ns = 77 * SL_NS_PER_S;
			struct sl_arrival arrival = {begin_ns, begin_ns};
			uint32_t field = 0;

			pause_s = MIN(pause_s, UINT64_C(9000000000));
			sl_bucket_owed(&field, &bucket, &arrival);
			sl_bucket_take(&field, 1500);
			assert_int_equal(sl_bucket_owed(&field, &bucket, &arrival), 1500);
			arrival.now_ns += pause_s * SL_NS_PER_S;
			assert_int_equal(sl_bucket_owed(&field, &bucket, &arrival), 0);
			if (pause_s == UINT64_C(9000000000))
				break;
		}
	}
}

/* Only acknowledgments for hours: they bring the bucket along, however often its clock turns. */
static void acknowledgments__keep_the_bucket_current(void **state)
{
	const struct sl_bucket bucket = sl_bucket_of(10000000, 1000);
	struct sl_arrival arrival = {5 * SL_NS_PER_S, 5 * SL_NS_PER_S};
	uint32_t field = 0;

	sl_bucket_owed(&field, &bucket, &arrival);
	sl_bucket_take(&field, 900);
	for (int i = 0; i < 2000; i++) {
		arrival.last_ns = arrival.now_ns;
		arrival.now_ns += 7 * SL_NS_PER_S;
		assert_int_equal(sl_bucket_owed(&field, &bucket, &arrival), 0);
	}
}

static void over__is_marked_up_to_another_burst(void **state)
{
	const struct sl_bucket bucket = sl_bucket_of(10, 100);

	assert_int_equal(sl_bucket_judge(&bucket, 99), SL_LIMIT_WITHIN);
	assert_int_equal(sl_bucket_judge(&bucket, 100), SL_LIMIT_OVER);
	assert_int_equal(sl_bucket_judge(&bucket, 199), SL_LIMIT_OVER);
	assert_int_equal(sl_bucket_judge(&bucket, 200), SL_LIMIT_FAR_OVER);
}

static void bucket__is_that_of_the_policy(void **state)
{
	struct sl_policy policy = {0};

	assert_false(sl_is_limited(&policy));
	assert_true(sl_bucket_of_bytes(&policy).rate == 0);
	policy.byte_rate = 5000;
	policy.byte_burst = 700;
	assert_true(sl_is_limited(&policy));
	assert_true(sl_bucket_of_bytes(&policy).rate == 5000);
	assert_int_equal(sl_bucket_of_bytes(&policy).burst, 700);
	/* The lower of the two, and 200 ms of it. */
	policy.pacing = 9000;
	assert_true(sl_bucket_of_bytes(&policy).rate == 5000);
	assert_int_equal(sl_bucket_of_bytes(&policy).burst, 1000);
	policy.pacing = 4000;
	assert_true(sl_bucket_of_bytes(&policy).rate == 4000);
	assert_int_equal(sl_bucket_of_bytes(&policy).burst, 800);
	/* What the clock is not made for is no limit; no burst is one token. */
	assert_true(sl_bucket_of(SL_RATE_MAX, 0).rate == 0);
	assert_int_equal(sl_bucket_of(SL_RATE_MAX - 1, 0).burst, 1);
	assert_int_equal(sl_bucket_of(1, UINT64_C(1) << 40).burst, SL_BURST_MAX);
}

/* Packets that are paced leave one behind the other, at the rate. */
static void pacing__is_the_time_that_what_is_owed_takes(void **state)
{
	const struct sl_policy policy = {.pacing = 1000000};
	const struct sl_bucket bucket = sl_bucket_of_bytes(&policy);
	const struct sl_arrival arrival = {9 * SL_NS_PER_S, 9 * SL_NS_PER_S};
	uint32_t field = 0;

	for (uint64_t i = 0; i < 100; i++) {
		uint32_t owed = sl_bucket_owed(&field, &bucket, &arrival);

		assert_true(sl_bucket_wait_ns(&bucket, owed) == i * 1500 * 1000);
		sl_bucket_take(&field, 1500);
	}
}

static void tos__of_row_0_stays(void **state)
{
	const struct sl_policy zeros = {0}, policy = {.dscp = 46}, keep = {.dscp = SL_DSCP_KEEP};
	struct sl_flow flow = {0};

	assert_int_equal(sl_tos_of(&flow, &zeros, 0).keep, 0xff);
	assert_int_equal(sl_tos_of(&flow, &zeros, 0).set, 0);
	flow.policy = 3;
	assert_int_equal(sl_tos_of(&flow, &policy, 0).keep, 0x03);
	assert_int_equal(sl_tos_of(&flow, &policy, 0).set, 46 << 2);
	assert_int_equal(sl_tos_of(&flow, &keep, 1).keep, 0xff);
	assert_int_equal(sl_tos_of(&flow, &keep, 1).set, 3);
	flow.flags = SL_F_CLEAR_ECN;
	assert_int_equal(sl_tos_of(&flow, &policy, 0).keep, 0);
	assert_int_equal(sl_tos_of(&flow, &keep, 0).keep, 0xfc);
	assert_false(sl_may_mark_ecn(&flow, &(struct sl_policy){.flags = SL_P_MARK_ECN}, 2));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(rate__is_kept),
	    cmocka_unit_test(pause__fills_the_bucket),
	    cmocka_unit_test(acknowledgments__keep_the_bucket_current),
	    cmocka_unit_test(over__is_marked_up_to_another_burst),
	    cmocka_unit_test(bucket__is_that_of_the_policy),
	    cmocka_unit_test(pacing__is_the_time_that_what_is_owed_takes),
	    cmocka_unit_test(tos__of_row_0_stays),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
