/* SPDX-License-Identifier: Apache-2.0 */
#include "base/histogram.h"

#include "base/random.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

/* Static: 30 KiB each. */
static struct histogram h, other;

static const double quantiles[] = {1e-9, 0.01, 0.07, 0.1, 0.5, 0.9, 0.99, 0.999, 0.9999, 1};

static int set_up(void **state)
{
	histogram_init(&h);
	histogram_init(&other);
	return 0;
}

static void init__is_empty(void **state)
{
	assert_true(h.count == 0 && h.sum == 0 && h.max == 0 && h.min == UINT64_MAX);
	for (size_t i = 0; i < ARRAY_SIZE(quantiles); i++)
		assert_int_equal(histogram_quantile(&h, quantiles[i]), 0);
}

static void record__counts(void **state)
{
	histogram_record(&h, 300);
	histogram_record(&h, 5);
	histogram_record(&h, 70000);
	assert_int_equal(h.count, 3);
	assert_int_equal(h.sum, 70305);
	assert_int_equal(h.min, 5);
	assert_int_equal(h.max, 70000);
}

/* A value alone has a bucket whose upper bound is at most 1/64 above it: quantile() tells. */
static void check_error_of(uint64_t value)
{
	uint64_t bound;

	histogram_init(&h);
	histogram_record(&h, value);
	histogram_record(&h, UINT64_MAX); /* or else the bound would be cut to max */
	bound = histogram_quantile(&h, 0.5);
	assert_true(bound >= value);
	assert_true(bound - value <= value / 64);
	if (value < 128)
		assert_int_equal(bound, value);
}

static void record__errs_by_a_64th_at_most(void **state)
{
	struct random_fast random;

	for (uint64_t value = 0; value < 1000; value++)
		check_error_of(value);
	for (unsigned int bit = 6; bit < 64; bit++) {
		for (uint64_t around = 0; around < 5; around++)
			check_error_of((UINT64_C(1) << bit) - 2 + around);
	}
	check_error_of(UINT64_MAX);
	check_error_of(UINT64_MAX - 1);
	random_fast_seed(&random, 1);
	for (int i = 0; i < 3000; i++)
		check_error_of(random_fast_next(&random) >> i % 64);
}

static void record__uses_every_bucket_and_no_other(void **state)
{
	size_t used = 0;

	/* 64 values for each power of two, in their order, are the buckets in their order. */
	for (uint64_t value = 0; value < 64; value++)
		histogram_record(&h, value);
	for (unsigned int shift = 0; shift < 58; shift++) {
		for (uint64_t sub = 64; sub < 128; sub++)
			histogram_record(&h, sub << shift);
	}
	for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++)
		used += h.buckets[i] == 1;
	assert_int_equal(used, HISTOGRAM_BUCKETS);
	assert_int_equal(h.count, HISTOGRAM_BUCKETS);
}

static void quantile__is_exact_for_small_values(void **state)
{
	/* 1..100, not in order: the value of rank n is n. */
	for (uint64_t i = 0; i < 100; i++)
		histogram_record(&h, i * 37 % 100 + 1);
	for (unsigned int percent = 1; percent <= 100; percent++)
		assert_int_equal(histogram_quantile(&h, percent / 100.0), percent);
	assert_int_equal(histogram_quantile(&h, 0.001), 1);
	assert_int_equal(histogram_quantile(&h, 0.011), 2);
	assert_int_equal(histogram_quantile(&h, 0.991), 100);
}

/* q * count must not be rounded up to the next rank, nor down to the last. */
static void quantile__finds_the_rank_for_every_count(void **state)
{
	for (uint64_t count = 1; count <= 127; count++) {
		histogram_record(&h, count);
		for (uint64_t rank = 1; rank <= count; rank++)
			assert_int_equal(histogram_quantile(&h, (double)rank / (double)count),
					 rank);
	}
}

static int compare_u64(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static void quantile__is_near_the_sorted_values(void **state)
{
	static uint64_t values[10007];
	const size_t n = ARRAY_SIZE(values);
	struct random_fast random;

	random_fast_seed(&random, 1);
	for (size_t i = 0; i < n; i++) {
		values[i] = random_fast_next(&random) >> random_fast_below(&random, 64);
		histogram_record(&h, values[i]);
	}
	qsort(values, n, sizeof(values[0]), compare_u64);
	for (size_t i = 0; i < ARRAY_SIZE(quantiles); i++) {
		double exact_rank = quantiles[i] * (double)n;
		size_t rank = (size_t)exact_rank;
		uint64_t wanted, got = histogram_quantile(&h, quantiles[i]);

		rank += (double)rank < exact_rank;
		wanted = values[rank - 1];
		assert_true(got >= wanted && got - wanted <= wanted / 64);
	}
	assert_true(histogram_quantile(&h, 1) == values[n - 1]);
}

static void quantile__is_at_most_max(void **state)
{
	histogram_record(&h, 1000001);
	for (size_t i = 0; i < ARRAY_SIZE(quantiles); i++)
		assert_int_equal(histogram_quantile(&h, quantiles[i]), 1000001);
}

static void merge__is_as_if_all_had_been_recorded_in_one(void **state)
{
	static struct histogram all;
	struct random_fast random;

	histogram_init(&all);
	random_fast_seed(&random, 1);
	for (int i = 0; i < 10000; i++) {
		uint64_t value = random_fast_next(&random) >> 20 >> random_fast_below(&random, 44);

		histogram_record(i % 3 ? &h : &other, value);
		histogram_record(&all, value);
	}
	histogram_merge(&h, &other);
	assert_memory_equal(&h, &all, sizeof(h));
	/* An empty one changes nothing, on either side. */
	histogram_init(&other);
	histogram_merge(&h, &other);
	assert_memory_equal(&h, &all, sizeof(h));
	histogram_merge(&other, &h);
	assert_memory_equal(&other, &all, sizeof(h));
}

#define TEST(name) cmocka_unit_test_setup(name, set_up)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(init__is_empty),
	    TEST(record__counts),
	    TEST(record__errs_by_a_64th_at_most),
	    TEST(record__uses_every_bucket_and_no_other),
	    TEST(quantile__is_exact_for_small_values),
	    TEST(quantile__finds_the_rank_for_every_count),
	    TEST(quantile__is_near_the_sorted_values),
	    TEST(quantile__is_at_most_max),
	    TEST(merge__is_as_if_all_had_been_recorded_in_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
