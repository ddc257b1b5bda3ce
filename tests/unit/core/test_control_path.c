/* SPDX-License-Identifier: Apache-2.0 */
#include "core/control_path.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define SYSTEM_SOCKET "/run/sluice/control.sock"

static bool may_use_system(void)
{
	return geteuid() == 0 || eaccess("/run/sluice", W_OK) == 0;
}

/* Root writes everywhere: whoever runs the tests as root tests the rest as nobody. */
static int as_nobody(void **state)
{
	if (geteuid() == 0)
		assert_int_equal(seteuid(65534), 0);
	return 0;
}

static int as_before(void **state)
{
	if (getuid() == 0)
		assert_int_equal(seteuid(0), 0);
	return 0;
}

static void default_path__is_the_system_s_for_root(void **state)
{
	char buf[CONTROL_PATH_MAX + 1];

	if (!may_use_system())
		skip();
	assert_string_equal(control_default_path(buf), SYSTEM_SOCKET);
	assert_string_equal(control_find_path(buf), SYSTEM_SOCKET);
}

static void default_path__is_the_user_s_otherwise(void **state)
{
	char buf[CONTROL_PATH_MAX + 1];

	if (may_use_system())
		skip();
	setenv("XDG_RUNTIME_DIR", "/run/user/7", 1);
	assert_string_equal(control_default_path(buf), "/run/user/7/sluice/control.sock");
}

static void default_path__is_none_without_a_usable_variable(void **state)
{
	char buf[CONTROL_PATH_MAX + 1];

	if (may_use_system())
		skip();
	unsetenv("XDG_RUNTIME_DIR");
	assert_null(control_default_path(buf));
	setenv("XDG_RUNTIME_DIR", "", 1);
	assert_null(control_default_path(buf));
	setenv("XDG_RUNTIME_DIR", "run/user/7", 1);
	assert_null(control_default_path(buf));
}

static void default_path__fits_an_address(void **state)
{
	static const char tail[] = "/sluice/control.sock";
	char dir[CONTROL_PATH_MAX + 2] = "/", buf[CONTROL_PATH_MAX + 1];
	size_t longest = CONTROL_PATH_MAX - strlen(tail);

	if (may_use_system())
		skip();
	memset(dir + 1, 'd', longest - 1);
	setenv("XDG_RUNTIME_DIR", dir, 1);
	assert_ptr_equal(control_default_path(buf), buf);
	assert_int_equal(strlen(buf), CONTROL_PATH_MAX);
	dir[longest] = 'd';
	setenv("XDG_RUNTIME_DIR", dir, 1);
	assert_null(control_default_path(buf));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(default_path__is_the_system_s_for_root),
	    cmocka_unit_test_setup_teardown(default_path__is_the_user_s_otherwise, as_nobody,
					    as_before),
	    cmocka_unit_test_setup_teardown(default_path__is_none_without_a_usable_variable,
					    as_nobody, as_before),
	    cmocka_unit_test_setup_teardown(default_path__fits_an_address, as_nobody, as_before),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
