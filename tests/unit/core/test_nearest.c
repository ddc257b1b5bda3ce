/* SPDX-License-Identifier: Apache-2.0 */
#include "core/nearest.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const char *find(const char *wanted, const char *a, const char *b)
{
	struct nearest n;

	nearest_init(&n, slice_from_str(wanted));
	nearest_offer(&n, a);
	nearest_offer(&n, b);
	return n.best;
}

static void offer__keeps_the_closest(void **state)
{
	assert_string_equal(find("tunel_timeout", "handshake", "tunnel_timeout"), "tunnel_timeout");
	assert_string_equal(find("levle", "level", "lever"), "level"); /* two exchanged: 1 */
	assert_string_equal(find("max_fram", "max_frames", "max_frame"), "max_frame");
	assert_string_equal(find("hosts", "host", "hostess"), "host");
	assert_string_equal(find("rout", "routes", "route"), "route");
}

static void offer__keeps_the_first_of_equals(void **state)
{
	assert_string_equal(find("rat", "rate", "rats"), "rate");
}

static void offer__finds_nothing_that_is_far(void **state)
{
	assert_null(find("level", "format", "rate"));
	assert_null(find("abcdef", "abcxyz", "xbcdyz")); /* three slips */
	assert_null(find("a", "b", "c"));                /* all of it is another */
	assert_null(find("ab", "cd", "xy"));
	assert_null(find("", "a", "ab"));
	assert_null(find("x", "", ""));
}

static void offer__ignores_long_names(void **state)
{
	char longest[NEAREST_NAME_MAX + 1], longer[NEAREST_NAME_MAX + 2];

	memset(longest, 'a', sizeof(longest));
	memset(longer, 'a', sizeof(longer));
	longest[sizeof(longest) - 1] = longer[sizeof(longer) - 1] = '\0';
	assert_ptr_equal(find(longest, longer, longest), longest);
	assert_null(find(longer, longer, longest));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(offer__keeps_the_closest),
	    cmocka_unit_test(offer__keeps_the_first_of_equals),
	    cmocka_unit_test(offer__finds_nothing_that_is_far),
	    cmocka_unit_test(offer__ignores_long_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
