/* SPDX-License-Identifier: Apache-2.0 */
#include "base/token_bucket.h"

#include "base/random.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static unsigned int take_all(struct token_bucket *b, uint64_t now_ns)
{
	unsigned int n = 0;

	while (token_bucket_take(b, now_ns))
		n++;
	return n;
}

static void take__gives_a_second_s_worth_at_once(void **state)
{
	static const uint32_t rates[] = {1, 2, 3, 7, 10, 1000, 999999};

	for (size_t i = 0; i < ARRAY_SIZE(rates); i++) {
		struct token_bucket b;

		token_bucket_init(&b, rates[i], rates[i]);
		assert_int_equal(take_all(&b, 12345), rates[i]);
		/* And again after any quiet time, however long: it does not hold more. */
		assert_int_equal(take_all(&b, 12345 + NS_PER_S), rates[i]);
		assert_int_equal(take_all(&b, 12345 + 1000 * NS_PER_S), rates[i]);
	}
}

static void take__gives_the_next_token_after_an_interval(void **state)
{
	struct token_bucket b;

	token_bucket_init(&b, 10, 10);
	assert_int_equal(take_all(&b, 0), 10);
	assert_false(token_bucket_take(&b, 100 * NS_PER_MS - 1));
	assert_true(token_bucket_take(&b, 100 * NS_PER_MS));
	assert_false(token_bucket_take(&b, 100 * NS_PER_MS));
	assert_int_equal(take_all(&b, 450 * NS_PER_MS), 3);
	/* The half interval is not lost. */
	assert_true(token_bucket_take(&b, 500 * NS_PER_MS));
	assert_false(token_bucket_take(&b, 500 * NS_PER_MS));
}

static void take__zero_is_no_limit(void **state)
{
	struct token_bucket b;

	token_bucket_init(&b, 0, 0);
	for (int i = 0; i < 100000; i++)
		assert_true(token_bucket_take(&b, 5));
}

/* Over any time, never more than the rate and one bucket; and all of it if somebody waits. */
static void take__keeps_to_the_rate(void **state)
{
	struct random_fast random;
	struct token_bucket b;
	uint64_t now_ns = 1, taken = 0;

	random_fast_seed(&random, 1);
	token_bucket_init(&b, 8, 8);
	for (int i = 0; i < 100000; i++) {
		now_ns += random_fast_below(&random, NS_PER_S / 16);
		taken += token_bucket_take(&b, now_ns);
		assert_true(taken <= now_ns * 8 / NS_PER_S + 8);
		assert_true(taken >= now_ns * 8 / NS_PER_S);
	}
}

/* Threads may read the clock in one order and take in another. */
static void take__survives_a_time_before_the_last(void **state)
{
	struct token_bucket b;

	token_bucket_init(&b, 2, 2);
	assert_true(token_bucket_take(&b, 10 * NS_PER_S));
	assert_false(token_bucket_take(&b, 9 * NS_PER_S));
	assert_true(token_bucket_take(&b, 10 * NS_PER_S));
	assert_false(token_bucket_take(&b, 10 * NS_PER_S));
}

static void take__gives_a_burst_of_its_own(void **state)
{
	struct token_bucket b;

	token_bucket_init(&b, 10, 3);
	assert_int_equal(take_all(&b, NS_PER_S), 3);
	assert_int_equal(take_all(&b, NS_PER_S + 200 * NS_PER_MS), 2);
	assert_int_equal(take_all(&b, 100 * NS_PER_S), 3);
}

static void charge__tells_when_the_debt_is_paid(void **state)
{
	struct token_bucket b;

	token_bucket_init(&b, 1000, 500);
	assert_int_equal(token_bucket_level(&b, NS_PER_S), 500);
	assert_int_equal(token_bucket_charge(&b, 500, NS_PER_S), 0);
	assert_int_equal(token_bucket_level(&b, NS_PER_S), 0);
	/* 250 tokens too many are 250 ms. */
	assert_int_equal(token_bucket_charge(&b, 250, NS_PER_S), 250 * NS_PER_MS);
	assert_int_equal(token_bucket_level(&b, NS_PER_S + 249 * NS_PER_MS), 0);
	assert_int_equal(token_bucket_level(&b, NS_PER_S + 260 * NS_PER_MS), 10);
	assert_int_equal(token_bucket_level(&b, 10 * NS_PER_S), 500);
}

static void charge__zero_is_no_limit(void **state)
{
	struct token_bucket b;

	token_bucket_init(&b, 0, 0);
	assert_int_equal(token_bucket_charge(&b, TOKEN_BUCKET_BURST_MAX, 5), 0);
	assert_true(token_bucket_level(&b, 5) == UINT64_MAX);
}

/* However large the numbers: what is charged and waited for is the rate. */
static void charge__keeps_to_the_rate(void **state)
{
	static const uint64_t rates[] = {1, 1000, UINT64_C(10) << 20, UINT64_C(1) << 40};

	for (size_t i = 0; i < ARRAY_SIZE(rates); i++) {
		uint64_t now_ns = NS_PER_S, charged = 0, begin_ns;
		struct random_fast random;
		struct token_bucket b;

		random_fast_seed(&random, i);
		token_bucket_init(&b, rates[i], MIN(rates[i], TOKEN_BUCKET_BURST_MAX));
		(void)token_bucket_charge(&b, MIN(rates[i], TOKEN_BUCKET_BURST_MAX), now_ns);
		begin_ns = now_ns;
		for (int j = 0; j < 10000; j++) {
			uint64_t n = 1 + random_fast_below(&random, 65536);

			charged += n;
			now_ns += token_bucket_charge(&b, n, now_ns);
		}
		/* A charge is rounded down to whole ns. */
		assert_true(now_ns - begin_ns <= (uint64_t)((double)charged / (double)rates[i] *
							    (double)NS_PER_S * 1.000001));
		assert_true(
		    now_ns - begin_ns + 10000 >=
		    (uint64_t)((double)charged / (double)rates[i] * (double)NS_PER_S * 0.999999));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(take__gives_a_second_s_worth_at_once),
	    cmocka_unit_test(take__gives_the_next_token_after_an_interval),
	    cmocka_unit_test(take__zero_is_no_limit),
	    cmocka_unit_test(take__keeps_to_the_rate),
	    cmocka_unit_test(take__survives_a_time_before_the_last),
	    cmocka_unit_test(take__gives_a_burst_of_its_own),
	    cmocka_unit_test(charge__tells_when_the_debt_is_paid),
	    cmocka_unit_test(charge__zero_is_no_limit),
	    cmocka_unit_test(charge__keeps_to_the_rate),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
