/* SPDX-License-Identifier: Apache-2.0 */
#include "core/config_error.h"

#include "lib/config_loading.h"

#include <stdio.h>

static void error__shortens_what_it_shows(void **state)
{
	char file[600], expected[600];
	struct config *config = NULL;
	struct config_error error;

	memset(file, 'd', sizeof(file));
	memcpy(file + sizeof(file) - 8, "/e.conf", 8);
	snprintf(
	    expected, sizeof(expected),
	    "…%s:1: log: level = \"a\\n\\t\\\\\\\"%.55s…\": expected error, warning, notice, info "
	    "or debug",
	    file + sizeof(file) - 1 - 200, file);
	assert_int_equal(
	    config_load_text(file,
			     "log { level = \"a\\n\\t\\\\\\\"ddddddddddddddddddddddddddddd"
			     "ddddddddddddddddddddddddddddddddddddddddddddd\" }",
			     &config, &error),
	    -EINVAL);
	assert_string_equal(error.text, expected);
	/* Never through the middle of a character: 1 + 19 * 3 bytes. */
	assert_config_fails(
	    "log { level = \"x€€€€€€€€€€€€€€€€€€€€€€€€€€\" }",
	    "f:1: log: level = \"x€€€€€€€€€€€€€€€€€€€…\": expected error, warning, notice, "
	    "info or debug");
}

static void show__escapes_and_fits(void **state)
{
	struct config_shown shown;
	char quotes[61], escaped[121] = "", expected[160];

	assert_string_equal(config_show_str("", &shown), "\"\"");
	assert_string_equal(config_show_str("a\tb", &shown), "\"a\\tb\"");
	assert_string_equal(config_show((struct slice){"abc", 2}, &shown), "\"ab\"");
	memset(quotes, '"', sizeof(quotes));
	for (size_t i = 0; i < 60; i++)
		memcpy(&escaped[2 * i], "\\\"", 3);
	snprintf(expected, sizeof(expected), "\"%s…\"", escaped);
	assert_string_equal(config_show((struct slice){quotes, sizeof(quotes)}, &shown), expected);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(error__shortens_what_it_shows),
	    cmocka_unit_test(show__escapes_and_fits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
