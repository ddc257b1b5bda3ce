/* SPDX-License-Identifier: Apache-2.0 */
#include "base/largest.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void add__keeps_the_largest(void **state)
{
	static const uint64_t values[] = {5, 1, 9, 7, 3, 9, 0, UINT64_MAX};
	struct largest l;

	assert_int_equal(largest_init(&l, 3), 0);
	for (uint64_t i = 0; i < ARRAY_SIZE(values); i++)
		largest_add(&l, (struct largest_item){values[i], i, (uint32_t)i});
	largest_sort(&l);
	assert_int_equal(l.n_items, 3);
	assert_int_equal(l.items[0].id, 7);
	assert_int_equal(l.items[1].id, 2);
	assert_int_equal(l.items[2].id, 5);
	assert_int_equal(l.items[2].tag, 5);
	largest_done(&l);
}

static void add__takes_fewer_than_it_could(void **state)
{
	struct largest l;

	assert_int_equal(largest_init(&l, 10), 0);
	largest_sort(&l);
	assert_int_equal(l.n_items, 0);
	largest_add(&l, (struct largest_item){.value = 1, .id = 8});
	largest_add(&l, (struct largest_item){.value = 2, .id = 9});
	largest_sort(&l);
	assert_int_equal(l.n_items, 2);
	assert_int_equal(l.items[0].id, 9);
	largest_done(&l);
}

static void add__of_equal_values_keeps_the_smallest_ids(void **state)
{
	struct largest l;

	assert_int_equal(largest_init(&l, 4), 0);
	for (uint64_t i = 0; i < 100; i++)
		largest_add(&l, (struct largest_item){.value = 1, .id = 37 * i % 100});
	largest_sort(&l);
	for (uint64_t i = 0; i < 4; i++)
		assert_int_equal(l.items[i].id, i);
	largest_done(&l);
}

static int compare(const void *a, const void *b)
{
	const uint64_t *one = a, *other = b;

	return *one > *other ? -1 : *one < *other;
}

/* Whatever the order and the number: the same as sorting all of them. */
static void add__agrees_with_sorting(void **state)
{
	uint64_t values[200] = {0}, seed = 1;
	struct largest l;

	for (size_t n = 1; n < ARRAY_SIZE(values); n += 7) {
		for (size_t max = 1; max < 40; max += 3) {
			assert_int_equal(largest_init(&l, max), 0);
			for (size_t i = 0; i < n; i++) {
				seed = seed * 6364136223846793005u + 1442695040888963407u;
				values[i] = seed >> 58; /* many are equal */
				largest_add(&l, (struct largest_item){values[i], i, 0});
			}
			largest_sort(&l);
			qsort(values, n, sizeof(*values), compare);
			assert_int_equal(l.n_items, MIN(n, max));
			for (size_t i = 0; i < l.n_items; i++)
				assert_int_equal(l.items[i].value, values[i]);
			largest_done(&l);
		}
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
	    cmocka_unit_test(add__keeps_the_largest),
	    cmocka_unit_test(add__takes_fewer_than_it_could),
	    cmocka_unit_test(add__of_equal_values_keeps_the_smallest_ids),
	    cmocka_unit_test(add__agrees_with_sorting),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
