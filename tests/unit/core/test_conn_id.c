/* SPDX-License-Identifier: Apache-2.0 */
#include "core/conn_id.h"

#include "base/clock.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void take__is_unique_and_rising_in_a_block(void **state)
{
	struct conn_id_block a = {0}, b = {0};
	struct conn_id_source source;
	uint64_t last_a = 0, last_b = 0;

	conn_id_source_init(&source, 1000 * NS_PER_US);
	for (int i = 0; i < 3 * CONN_ID_BLOCK; i++) {
		uint64_t id_a = conn_id_take(&source, &a), id_b = conn_id_take(&source, &b);

		assert_true(id_a > last_a && id_b > last_b && id_a != id_b);
		assert_true(id_a >= 1000);
		last_a = id_a;
		last_b = id_b;
	}
}

static void init__never_hands_out_zero(void **state)
{
	struct conn_id_block block = {0};
	struct conn_id_source source;

	conn_id_source_init(&source, 0);
	assert_true(conn_id_take(&source, &block) > 0);
}

static void init__a_successor_starts_above(void **state)
{
	struct conn_id_block block = {0}, next_block = {0};
	struct conn_id_source source, next;
	uint64_t last = 0;

	/* A second at the rate for which the header vouches. */
	conn_id_source_init(&source, 5 * NS_PER_S);
	for (int i = 0; i < 1000000 - CONN_ID_BLOCK; i++)
		last = conn_id_take(&source, &block);
	conn_id_source_init(&next, 6 * NS_PER_S);
	assert_true(conn_id_take(&next, &next_block) > last);
}

struct taker {
	struct conn_id_source *source;
	uint64_t ids[8 * CONN_ID_BLOCK];
};

static void *take_many(void *arg)
{
	struct taker *taker = arg;
	struct conn_id_block block = {0};

	for (size_t i = 0; i < ARRAY_SIZE(taker->ids); i++)
		taker->ids[i] = conn_id_take(taker->source, &block);
	return NULL;
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static void take__is_unique_over_threads(void **state)
{
	static struct taker takers[4];
	static uint64_t all[ARRAY_SIZE(takers) * ARRAY_SIZE(takers[0].ids)];
	struct conn_id_source source;
	pthread_t threads[ARRAY_SIZE(takers)];
	size_t n = ARRAY_SIZE(takers[0].ids);

	conn_id_source_init(&source, NS_PER_S);
	for (size_t t = 0; t < ARRAY_SIZE(takers); t++) {
		takers[t].source = &source;
		assert_int_equal(pthread_create(&threads[t], NULL, take_many, &takers[t]), 0);
	}
	for (size_t t = 0; t < ARRAY_SIZE(takers); t++) {
		pthread_join(threads[t], NULL);
		memcpy(&all[t * n], takers[t].ids, sizeof(takers[t].ids));
	}
	qsort(all, ARRAY_SIZE(all), sizeof(all[0]), compare);
	for (size_t i = 1; i < ARRAY_SIZE(all); i++)
		assert_true(all[i] != all[i - 1]);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
	    cmocka_unit_test(take__is_unique_and_rising_in_a_block),
	    cmocka_unit_test(init__never_hands_out_zero),
	    cmocka_unit_test(init__a_successor_starts_above),
	    cmocka_unit_test(take__is_unique_over_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
