/* SPDX-License-Identifier: Apache-2.0 */
#include "base/regex.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static struct regex *compile(const char *pattern)
{
	struct regex_error error = {.text = ""};
	struct regex *regex = NULL;

	if (regex_new(pattern, &regex, &error) < 0)
		fail_msg("%s: %s at %zu", pattern, error.text, error.position);
	return regex;
}

static int match(const char *pattern, const char *text)
{
	struct slice groups[REGEX_GROUPS];
	struct regex *regex = compile(pattern);
	int r = regex_match(regex, slice_from_str(text), groups);

	regex_free(regex);
	return r;
}

static void match__finds_a_part_unless_anchored(void **state)
{
	assert_int_equal(match("b", "/abc"), 1);
	assert_int_equal(match("^b", "/abc"), 0);
	assert_int_equal(match("^/abc$", "/abc"), 1);
	assert_int_equal(match("", ""), 1);
	assert_int_equal(match("^/a$", "/a\n"), 0); /* the end, not a line's end */
}

static void match__gives_the_groups(void **state)
{
	struct slice groups[REGEX_GROUPS], text = SLICE_LITERAL("/room/17/x");
	struct regex *regex = compile("^/room/(\\d+)(z)?/(.)");

	assert_int_equal(regex_n_groups(regex), 3);
	assert_int_equal(regex_match(regex, text, groups), 1);
	assert_true(slice_equal(groups[0], text));
	assert_true(slice_equal(groups[1], SLICE_LITERAL("17")));
	assert_null(groups[2].ptr);
	assert_true(slice_equal(groups[3], SLICE_LITERAL("x")));
	assert_null(groups[4].ptr);
	regex_free(regex);
}

static void match__drops_groups_beyond_nine(void **state)
{
	struct slice groups[REGEX_GROUPS];
	struct regex *regex = compile("(a)(b)(c)(d)(e)(f)(g)(h)(i)(j)(k)");

	assert_int_equal(regex_match(regex, SLICE_LITERAL("abcdefghijk"), groups), 1);
	assert_true(slice_equal(groups[9], SLICE_LITERAL("i")));
	regex_free(regex);
}

static void match__takes_any_bytes(void **state)
{
	struct slice groups[REGEX_GROUPS], text = {"a\0\xff\xfe", 4};
	struct regex *regex = compile("\\x00(..)$");

	assert_int_equal(regex_match(regex, text, groups), 1);
	assert_int_equal(groups[1].len, 2);
	regex_free(regex);
}

static void match__survives_a_start_behind_the_end(void **state)
{
	struct slice groups[REGEX_GROUPS];
	struct regex *regex = NULL;
	struct regex_error error;

	if (regex_new("(?=ab\\K)", &regex, &error) < 0)
		return; /* newer libraries refuse it */
	if (regex_match(regex, SLICE_LITERAL("ab"), groups) == 1)
		assert_true(!groups[0].ptr || groups[0].len <= 2);
	regex_free(regex);
}

static void match__gives_up_on_bombs(void **state)
{
	static const char *const patterns[] = {"(a+)+$", "^(a|a)*b", "^(a?){60}a{60}$",
					       "(?:(?:a*)*)*b", "^((a)(?1)?)+b"};
	char text[8192];

	memset(text, 'a', sizeof(text) - 2);
	text[sizeof(text) - 2] = '!';
	text[sizeof(text) - 1] = '\0';
	for (size_t i = 0; i < ARRAY_SIZE(patterns); i++)
		assert_int_not_equal(match(patterns[i], text), 1);
	assert_int_equal(match("(a+)+$", text), -ELOOP);
	/* A pattern cannot raise the limit. */
	assert_int_equal(match("(*LIMIT_MATCH=100000000)(a+)+$", text), -ELOOP);
}

static void new__says_what_is_wrong_and_where(void **state)
{
	struct regex *regex = NULL;
	struct regex_error error;

	assert_int_equal(regex_new("^/a(b", &regex, &error), -EINVAL);
	assert_string_equal(error.text, "missing closing parenthesis");
	assert_int_equal(error.position, 5);
	assert_int_equal(regex_new("(*UTF)a", &regex, &error), -EINVAL);
	assert_int_equal(regex_new("a\\Cb", &regex, &error), -EINVAL);
	assert_int_equal(regex_new("((((a{1000}){1000}){1000}){1000})", &regex, &error), -EINVAL);
	assert_null(regex);
}

static void new__limits_the_pattern(void **state)
{
	char pattern[REGEX_PATTERN_MAX + 2];
	struct regex *regex = NULL;
	struct regex_error error;

	memset(pattern, 'a', sizeof(pattern) - 1);
	pattern[sizeof(pattern) - 1] = '\0';
	assert_int_equal(regex_new(pattern, &regex, &error), -EINVAL);
	assert_true(strlen(error.text) > 0);
	pattern[sizeof(pattern) - 2] = '\0';
	assert_int_equal(regex_new(pattern, &regex, &error), 0);
	regex_free(regex);
}

static void literal_prefix__is_what_every_match_begins_with(void **state)
{
	static const char *const cases[][2] = {
	    {"^/a/b$", "/a/b"},  {"^/a/(b)", "/a/"}, {"^/a/b+", "/a/"}, {"^/a/b?c", "/a/"},
	    {"^/a/b{0}", "/a/"}, {"^/a\\.b", "/a"},  {"^/a.b", "/a"},   {"^/a[bc]", "/a"},
	    {"^/a|b", ""},       {"^/(a|b)", ""},    {"/a", ""},        {"(?i)^/a", ""},
	    {"^", ""},           {"", ""},           {"^*", ""},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct slice prefix = regex_literal_prefix(cases[i][0]);

		assert_true(slice_equal(prefix, slice_from_str(cases[i][1])));
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
	    cmocka_unit_test(match__finds_a_part_unless_anchored),
	    cmocka_unit_test(match__gives_the_groups),
	    cmocka_unit_test(match__drops_groups_beyond_nine),
	    cmocka_unit_test(match__takes_any_bytes),
	    cmocka_unit_test(match__survives_a_start_behind_the_end),
	    cmocka_unit_test(match__gives_up_on_bombs),
	    cmocka_unit_test(new__says_what_is_wrong_and_where),
	    cmocka_unit_test(new__limits_the_pattern),
	    cmocka_unit_test(literal_prefix__is_what_every_match_begins_with),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
