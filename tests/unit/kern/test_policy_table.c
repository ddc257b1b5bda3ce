/* SPDX-License-Identifier: Apache-2.0 */
#include "kern/policy_table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/std.h"
#include "lib/bpf_maps.h"

static void table__keeps_what_was_written(void **state)
{
	_cleanup_close_ int fd = map_create(SL_MAP_POLICIES, SL_POLICIES);
	const struct sl_policy policy = {.max_frame = 1, .byte_rate = 2, .class_id = 3}, none = {0};
	struct sl_policy found = {.max_frame = 9};

	assert_int_equal(policy_table_read(fd, 255, &found), 0);
	assert_memory_equal(&found, &none, sizeof(none));
	assert_int_equal(policy_table_write(fd, 255, &policy), 0);
	assert_int_equal(policy_table_read(fd, 255, &found), 0);
	assert_memory_equal(&found, &policy, sizeof(policy));
}

static void table__has_no_row_behind_the_last(void **state)
{
	_cleanup_close_ int fd = map_create(SL_MAP_POLICIES, SL_POLICIES);
	struct sl_policy policy = {.max_frame = 9};

	assert_int_equal(policy_table_read(fd, SL_POLICIES, &policy), -ENOENT);
	assert_int_equal(policy.max_frame, 9);
	assert_int_equal(policy_table_write(fd, SL_POLICIES, &policy), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(table__keeps_what_was_written),
	    cmocka_unit_test(table__has_no_row_behind_the_last),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
