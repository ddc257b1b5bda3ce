/* SPDX-License-Identifier: Apache-2.0 */
#include "app/sluice-loader/embedded.h"
#include "sluice/abi.h"
#include "sluice/flow.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void objects__are_elf_files(void **state)
{
	assert_true(n_embedded > 0 && n_embedded <= EMBEDDED_MAX);
	for (size_t i = 0; i < n_embedded; i++) {
		size_t size = 0;
		const void *bytes = embedded[i].bytes(&size);

		assert_true(size > 64);
		assert_memory_equal(bytes, "\177ELF", 4);
	}
}

static void entries__are_what_was_chosen(void **state)
{
	static const struct map_sizes sizes = {.n_flows = 1000, .events_bytes = 8192};

	assert_int_equal(embedded_map_entries(SL_MAP_FLOWS4, &sizes), 2000);
	assert_int_equal(embedded_map_entries(SL_MAP_FLOWS6, &sizes), 2000);
	assert_int_equal(embedded_map_entries(SL_MAP_CONNS, &sizes), 1000);
	assert_int_equal(embedded_map_entries(SL_MAP_EVENTS, &sizes), 8192);
	assert_int_equal(embedded_map_entries(SL_MAP_ABI, &sizes), 0);
	assert_int_equal(embedded_map_entries("flows", &sizes), 0);
}

static void maps__that_cannot_be_had_again(void **state)
{
	static const char *const kept[] = {SL_MAP_FLOWS4, SL_MAP_FLOWS6, SL_MAP_CONNS, SL_MAP_IDS,
					   SL_MAP_NAMES};
	static const char *const others[] = {SL_MAP_ABI, SL_MAP_EVENTS, SL_MAP_STATS, SL_MAP_HOOKED,
					     ""};

	for (size_t i = 0; i < ARRAY_SIZE(kept); i++) {
		assert_true(embedded_is_state(kept[i]));
		assert_int_equal(embedded_is_flows(kept[i]), i < 2);
	}
	for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
		assert_false(embedded_is_state(others[i]));
		assert_false(embedded_is_flows(others[i]));
	}
}

/* The sockets are gone in ACTIVE, and in a HOLD that would go back there. */
static void spliced__is_what_only_the_kernel_has(void **state)
{
	struct sl_flow flow = {.state = SL_LEARN};

	assert_false(embedded_is_spliced(&flow));
	flow.state = SL_ACTIVE;
	assert_true(embedded_is_spliced(&flow));
	flow.state = SL_HOLD_WORD(SL_LEARN, 0xabcdef);
	assert_false(embedded_is_spliced(&flow));
	flow.state = SL_HOLD_WORD(SL_ACTIVE, 0xabcdef);
	assert_true(embedded_is_spliced(&flow));
	flow.state = SL_CLOSED;
	assert_false(embedded_is_spliced(&flow));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(objects__are_elf_files),
	    cmocka_unit_test(entries__are_what_was_chosen),
	    cmocka_unit_test(maps__that_cannot_be_had_again),
	    cmocka_unit_test(spliced__is_what_only_the_kernel_has),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
