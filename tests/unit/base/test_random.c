/* SPDX-License-Identifier: Apache-2.0 */
#include "base/random.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/wait.h>

#include <cmocka.h>

/* ---- for secrets ------------------------------------------------------------------------------
 */

static int compare_u64(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

/* By chance two of 2^14 values of 64 bits are equal once in 2^37 runs. */
static void assert_all_differ(uint64_t *values, size_t n)
{
	qsort(values, n, sizeof(*values), compare_u64);
	assert_true(values[0] != 0);
	for (size_t i = 1; i < n; i++)
		assert_true(values[i - 1] != values[i]);
}

static void secure__never_repeats(void **state)
{
	static uint64_t values[4096];

	for (size_t i = 0; i < ARRAY_SIZE(values); i++)
		random_secure(&values[i], sizeof(values[i]));
	assert_all_differ(values, ARRAY_SIZE(values));
}

static void secure__fills_exactly_what_was_asked_for(void **state)
{
	static const size_t lens[] = {0, 1, 2, 3, 7, 8, 16, 255, 256, 257, 1000, 5000};
	uint8_t seen[5000 + 2];

	for (size_t i = 0; i < ARRAY_SIZE(lens); i++) {
		uint8_t ever_set[5000] = {0};

		/* A byte that is not written stays 0 in 64 fills; by chance once in 2^512. */
		for (int fill = 0; fill < 64; fill++) {
			memset(seen, 0, sizeof(seen));
			random_secure(seen + 1, lens[i]);
			assert_int_equal(seen[0], 0);
			assert_int_equal(seen[lens[i] + 1], 0);
			for (size_t at = 0; at < lens[i]; at++)
				ever_set[at] |= seen[at + 1];
		}
		for (size_t at = 0; at < lens[i]; at++)
			assert_int_not_equal(ever_set[at], 0);
	}
}

/* Of 2^20 bits 2^19 are set; the limit is eleven standard deviations (512) away. */
static void secure__has_as_many_ones_as_zeros(void **state)
{
	static uint8_t bytes[1 << 17];
	int n_ones = 0;

	for (size_t i = 0; i < sizeof(bytes); i += 32)
		random_secure(bytes + i, 32);
	for (size_t i = 0; i < sizeof(bytes); i++)
		n_ones += __builtin_popcount(bytes[i]);
	assert_in_range(n_ones, (1 << 19) - 5632, (1 << 19) + 5632);
}

enum {
	THREADS = 4,
	PER_THREAD = 4096
};
static uint64_t thread_values[THREADS][PER_THREAD];

static void *take_values(void *arg)
{
	uint64_t *values = arg;

	for (size_t i = 0; i < PER_THREAD; i++)
		random_secure(&values[i], sizeof(values[i]));
	return NULL;
}

static void secure__threads_get_different_bytes(void **state)
{
	pthread_t threads[THREADS];

	for (size_t i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, take_values, thread_values[i]),
				 0);
	for (size_t i = 0; i < THREADS; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	assert_all_differ(&thread_values[0][0], (size_t)THREADS * PER_THREAD);
}

static void secure__a_forked_child_gets_different_bytes(void **state)
{
	uint64_t first, own[8], childs[8];
	int status, fds[2];
	pid_t pid;

	assert_int_equal(pipe(fds), 0);
	/* So that bytes are left over, which both would hand out. */
	random_secure(&first, sizeof(first));
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		random_secure(childs, sizeof(childs));
		_exit(write(fds[1], childs, sizeof(childs)) == sizeof(childs) ? 0 : 1);
	}
	random_secure(own, sizeof(own));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	assert_int_equal(read(fds[0], childs, sizeof(childs)), sizeof(childs));
	for (size_t i = 0; i < ARRAY_SIZE(own); i++) {
		for (size_t j = 0; j < ARRAY_SIZE(childs); j++)
			assert_true(own[i] != childs[j]);
	}
	close(fds[0]);
	close(fds[1]);
}

/* ---- for everything else ----------------------------------------------------------------------
 */

/* From the state 1, 2, 3, 4, as other implementations of xoshiro256** test themselves. */
static void fast__gives_the_known_sequence(void **state)
{
	static const uint64_t known[] = {
	    11520,
	    0,
	    1509978240,
	    1215971899390074240,
	    1216172134540287360,
	    607988272756665600,
	    16172922978634559625u,
	    8476171486693032832,
	    10595114339597558777u,
	    2904607092377533576,
	};
	struct random_fast r = {{1, 2, 3, 4}};

	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		assert_true(random_fast_next(&r) == known[i]);
}

/* The first outputs of SplitMix64 from the seed 1234567. */
static void fast_seed__is_splitmix64(void **state)
{
	static const uint64_t known[] = {6457827717110365317, 3203168211198807973,
					 9817491932198370423u, 4593380528125082431};
	struct random_fast r;

	random_fast_seed(&r, 1234567);
	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		assert_true(r.s[i] == known[i]);
	random_fast_seed(&r, 0);
	assert_true(r.s[0] && r.s[1] && r.s[2] && r.s[3]);
}

static void fast_below__is_below_and_reaches_every_value(void **state)
{
	static const uint64_t bounds[] = {1, 2, 3, 5, 7, 10, 64, 100};
	struct random_fast r;

	random_fast_seed(&r, 1);
	for (size_t b = 0; b < ARRAY_SIZE(bounds); b++) {
		unsigned int counts[100] = {0};

		for (unsigned int i = 0; i < 1000 * bounds[b]; i++) {
			uint64_t value = random_fast_below(&r, bounds[b]);

			assert_true(value < bounds[b]);
			counts[value]++;
		}
		/* A thousand each, give or take five standard deviations. The seed is fixed. */
		for (uint64_t value = 0; value < bounds[b]; value++)
			assert_in_range(counts[value], 840, 1160);
	}
}

/*
 * With 3 * 2^62 the values of a plain multiplication would be uneven: those that are 0 modulo 3
 * would come twice as often as the others.
 */
static void fast_below__is_even_for_large_bounds(void **state)
{
	const uint64_t bound = UINT64_C(3) << 62;
	unsigned int counts[3] = {0};
	struct random_fast r;

	random_fast_seed(&r, 1);
	for (int i = 0; i < 30000; i++) {
		uint64_t value = random_fast_below(&r, bound);

		assert_true(value < bound);
		counts[value % 3]++;
	}
	for (size_t i = 0; i < 3; i++)
		assert_in_range(counts[i], 9500, 10500);
	for (int i = 0; i < 1000; i++)
		assert_true(random_fast_below(&r, UINT64_MAX) < UINT64_MAX);
}

static void fast_fill__is_the_words_in_little_endian_order(void **state)
{
	for (size_t len = 0; len <= 40; len++) {
		struct random_fast r, words;
		_cleanup_free_ uint8_t *bytes = malloc(len + (len == 0));
		uint64_t word = 0;

		assert_non_null(bytes);
		random_fast_seed(&r, len);
		random_fast_seed(&words, len);
		random_fast_fill(&r, bytes, len);
		for (size_t i = 0; i < len; i++) {
			if (i % 8 == 0)
				word = random_fast_next(&words);
			assert_int_equal(bytes[i], (uint8_t)(word >> 8 * (i % 8)));
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(secure__never_repeats),
	    cmocka_unit_test(secure__fills_exactly_what_was_asked_for),
	    cmocka_unit_test(secure__has_as_many_ones_as_zeros),
	    cmocka_unit_test(secure__threads_get_different_bytes),
	    cmocka_unit_test(secure__a_forked_child_gets_different_bytes),
	    cmocka_unit_test(fast__gives_the_known_sequence),
	    cmocka_unit_test(fast_seed__is_splitmix64),
	    cmocka_unit_test(fast_below__is_below_and_reaches_every_value),
	    cmocka_unit_test(fast_below__is_even_for_large_bounds),
	    cmocka_unit_test(fast_fill__is_the_words_in_little_endian_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
