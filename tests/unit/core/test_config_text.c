/* SPDX-License-Identifier: Apache-2.0 */
#include "core/config_text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static void assert_fails(const char *data, size_t len, const char *expected)
{
	struct config_error error = {""};
	struct config_text t;

	assert_int_equal(config_text_parse("f", data, len, &error, &t), -EINVAL);
	assert_string_equal(error.text, expected);
}

static void assert_text_fails(const char *text, const char *expected)
{
	assert_fails(text, strlen(text), expected);
}

static struct config_text parse(const char *text)
{
	static struct config_error error;
	struct config_text t;

	error.text[0] = '\0';
	if (config_text_parse("f", text, strlen(text), &error, &t) < 0)
		fail_msg("%s", error.text);
	return t;
}

static void assert_slice(struct slice s, const char *expected)
{
	assert_true(slice_equal(s, slice_from_str(expected)));
}

static void parse__lists_statements_in_order_with_lines_and_parents(void **state)
{
	struct config_text t =
	    parse("a {\n\n  k = v\n}\nb \"n1\" {\n  c { }\n  l = {x,\n 'y'}\n}\n");

	assert_int_equal(t.n_statements, 6);
	assert_slice(t.statements[1].name, "a");
	assert_null(t.statements[1].title.ptr);
	assert_true(t.statements[1].is_section);
	assert_int_equal(t.statements[1].line, 1);
	assert_slice(t.statements[2].name, "k");
	assert_false(t.statements[2].is_section);
	assert_false(t.statements[2].is_list);
	assert_int_equal(t.statements[2].line, 3);
	assert_int_equal(t.statements[2].parent, 1);
	assert_slice(t.statements[3].name, "b");
	assert_slice(t.statements[3].title, "n1");
	assert_int_equal(t.statements[3].line, 5);
	assert_int_equal(t.statements[3].parent, 0);
	assert_int_equal(t.statements[4].parent, 3);
	assert_slice(t.statements[5].name, "l");
	assert_int_equal(t.statements[5].parent, 3);
	assert_true(t.statements[5].is_list);
	assert_int_equal(t.statements[5].n_values, 2);
	assert_int_equal(t.value_lines[t.statements[5].first_value], 7);
	assert_int_equal(t.value_lines[t.statements[5].first_value + 1], 8);
	config_text_done(&t);
}

static void parse__takes_an_empty_text(void **state)
{
	struct config_text t = parse("");

	assert_int_equal(t.n_statements, 1);
	config_text_done(&t);
}

static void parse__blanks_comments_and_keeps_lines(void **state)
{
	static const char text[] = "# one\na /* two\nlines **/ = b // three\n"
				   "c = \"# /* not */ // a comment\" #";
	static const char expected[] = "     \na       \n          = b         \n"
				       "c = \"# /* not */ // a comment\"  ";
	struct config_text t = parse(text);

	assert_string_equal(t.text, expected);
	assert_int_equal(t.len, strlen(expected));
	assert_int_equal(t.statements[1].line, 2);
	assert_int_equal(t.statements[2].line, 4);
	config_text_done(&t);
}

static void parse__takes_dos_lines_and_a_byte_order_mark(void **state)
{
	struct config_text t = parse("\xef\xbb\xbf"
				     "a = b\r\nc = d\r\n");

	assert_string_equal(t.text, "   a = b \nc = d \n");
	assert_int_equal(t.statements[2].line, 2);
	config_text_done(&t);
}

static void parse__takes_a_comma_at_the_end_of_a_list(void **state)
{
	struct config_text t = parse("a = {b, c,}");

	assert_int_equal(t.statements[1].n_values, 2);
	config_text_done(&t);
}

static void parse__takes_utf8_in_strings_and_comments(void **state)
{
	struct config_text t = parse("a = \"\xe2\x82\xac\" # \xc3\xa9");

	assert_int_equal(t.n_statements, 2);
	config_text_done(&t);
}

static void find__looks_directly_in_a_section(void **state)
{
	struct config_text t = parse("a { k = 1 s { k = 2 x = 3 } } b n { k = 4 } k = 5");

	assert_int_equal(config_text_find(&t, 0, "a"), 1);
	assert_int_equal(config_text_find(&t, 0, "k"), 8);
	assert_int_equal(config_text_find(&t, 1, "k"), 2);
	assert_int_equal(config_text_find(&t, 1, "s"), 3);
	assert_int_equal(config_text_find(&t, 1, "x"), 0);
	assert_int_equal(config_text_find(&t, 3, "x"), 5);
	assert_int_equal(config_text_find(&t, 0, "b"), 0); /* it has a name */
	config_text_done(&t);
}

static void parse__refuses_bytes_that_are_no_text(void **state)
{
	assert_fails("a = b\0c", 7, "f:1: byte 0x00: expected text without control characters");
	assert_text_fails("\n# \x1b[31m",
			  "f:2: byte 0x1b: expected text without control characters");
	assert_text_fails("a\rb", "f:1: byte 0x0d: expected text without control characters");
	assert_text_fails("a = \"\x7f\"",
			  "f:1: byte 0x7f: expected text without control characters");
	assert_text_fails("a = \"\xff\"", "f:1: byte 0xff: expected UTF-8");
	assert_text_fails("# \xe2\x82\n", "f:1: byte 0xe2: expected UTF-8");
	assert_text_fails("# \xc0\xaf", "f:1: byte 0xc0: expected UTF-8");
	assert_text_fails("\n# \xe2\x82", "f:2: byte 0xe2: expected UTF-8");
}

static void parse__refuses_what_libconfuse_would_drop_or_replace(void **state)
{
	static const char rest[] = ": a value with other characters than letters, digits and "
				   "_.:/@%~-[] must stand in quotes";
	static const struct {
		const char *text, *character;
	} cases[] = {
	    {"a = /game/*", "\"*\""},         {"a += b", "\"+\""},
	    {"include(\"x\")", "\"(\""},      {"a = b;", "\";\""},
	    {"a = ${HOME}", "\"$\""},         {"a|b = c", "\"|\""},
	    {"a = \xc3\xa9", "\"\xc3\xa9\""}, {"a = !b", "\"!\""},
	    {"a = \\", "\"\\\\\""},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char expected[256];

		snprintf(expected, sizeof(expected), "f:1: unexpected %s%s", cases[i].character,
			 rest);
		assert_text_fails(cases[i].text, expected);
	}
	assert_text_fails("a = \"x${HOME}\"",
			  "f:1: nothing is put in place of \"${\": expected \"\\${\" if the "
			  "characters themselves are meant");
}

static void parse__refuses_strings_that_do_not_end_or_escape(void **state)
{
	static const char dq[] =
	    "f:1: unknown escape after \"\\\": expected one of \\\\ \\\" \\n \\r "
	    "\\t \\$";
	static const char sq[] = "f:1: unknown escape after \"\\\": expected one of \\\\ \\'";

	assert_text_fails("\na = \"b\n\"", "f:2: a string is not closed: expected \" on its line");
	assert_text_fails("a = 'b", "f:1: a string is not closed: expected ' on its line");
	assert_text_fails("a = \"", "f:1: a string is not closed: expected \" on its line");
	assert_text_fails("a = \"\\x00\"", dq);
	assert_text_fails("a = \"\\0\"", dq);
	assert_text_fails("a = \"\\", dq);
	assert_text_fails("a = \"\\\n\"", dq);
	assert_text_fails("a = '\\n'", sq);
	assert_text_fails("a /* b\n\n", "f:1: a comment is not closed: expected \"*/\"");
	assert_text_fails("/*/", "f:1: a comment is not closed: expected \"*/\"");
}

static void parse__refuses_what_is_no_statement(void **state)
{
	static const char no_key[] = "expected a key or a section, found";
	char expected[256];

	assert_text_fails("= b", "f:1: expected a key or a section, found \"=\"");
	assert_text_fails("\"a\" = b", "f:1: expected a key or a section, found \"a\"");
	assert_text_fails("a = b\nc { , }", "f:2: c: expected a key or a section, found \",\"");
	snprintf(expected, sizeof(expected), "f:1: %s \"{\"", no_key);
	assert_text_fails("{ }", expected);
	assert_text_fails("s \"t\" {\n x\n = = }",
			  "f:3: s \"t\": expected a value after \"=\", found \"=\"");
	assert_text_fails("a =", "f:1: expected a value after \"=\", found the end of the file");
	assert_text_fails("a = {}", "f:1: expected a value in the list, found \"}\"");
	assert_text_fails("a = {{b}}", "f:1: expected a value in the list, found \"{\"");
	assert_text_fails("a = {b c}",
			  "f:1: expected \",\" or \"}\" after a value of a list, found \"c\"");
	assert_text_fails("a = {b,,c}", "f:1: expected a value or \"}\" after \",\", found \",\"");
}

static void parse__names_the_key_whose_equal_sign_is_missing(void **state)
{
	static const char rest[] = "\"a\": expected \"= VALUE\" after a key, \"{\" or \"NAME {\" "
				   "after a section";
	char expected[256];

	snprintf(expected, sizeof(expected), "f:1: %s", rest);
	assert_text_fails("a\nb = c", expected);
	assert_text_fails("a b\nc = d", expected);
	assert_text_fails("a", expected);
	snprintf(expected, sizeof(expected), "f:2: s: %s", rest);
	assert_text_fails("s {\n a }", expected);
}

static void parse__refuses_unbalanced_braces(void **state)
{
	assert_text_fails("a { }\n}", "f:2: \"}\" closes nothing: expected a section");
	assert_text_fails("a {\n b c {\n\n",
			  "f:2: a: b \"c\": expected a \"}\" for the \"{\" of this "
			  "section before the end of the file");
}

static void parse__refuses_names_that_need_quoting_elsewhere(void **state)
{
	char text[128], expected[256];
	struct config_text t;

	assert_text_fails("a { b \"\" { } }", "f:1: a: b \"\": expected a name of 1 to 63 letters, "
					      "digits, \"_\", \".\" or \"-\"");
	assert_text_fails("b \"x y\" { }", "f:1: b \"x y\": expected a name of 1 to 63 letters, "
					   "digits, \"_\", \".\" or \"-\"");
	assert_text_fails("b x/y { }", "f:1: b \"x/y\": expected a name of 1 to 63 letters, "
				       "digits, \"_\", \".\" or \"-\"");
	snprintf(text, sizeof(text), "b %064d { }", 1);
	snprintf(expected, sizeof(expected),
		 "f:1: b \"%060d…\": expected a name of 1 to 63 letters, digits, \"_\", \".\" or "
		 "\"-\"",
		 0);
	assert_text_fails(text, expected);
	snprintf(text, sizeof(text), "b %063d { }", 1);
	t = parse(text);
	config_text_done(&t);
}

static void parse__refuses_everything_that_stands_twice(void **state)
{
	assert_text_fails("s {\n a = 1\n b = 2\n a = 3\n}",
			  "f:4: s: a is given twice: expected it once (it is on line 2 already)");
	assert_text_fails("s { }\nt x { }\ns { }",
			  "f:3: s is given twice: expected it once (it is on line 1 already)");
	assert_text_fails(
	    "s x { }\n\ns \"x\" { }",
	    "f:3: s \"x\" is given twice: expected it once (it is on line 1 already)");
	/* Of several the first in the file. */
	assert_text_fails("b = 1\nb = 2\na = 1\na = 2",
			  "f:2: b is given twice: expected it once (it is on line 1 already)");
}

static void parse__takes_equal_names_of_different_things(void **state)
{
	struct config_text t = parse("s x { a = 1 } s y { a = 1 } t x { a = 1 } s X { }");

	assert_int_equal(t.n_statements, 8);
	config_text_done(&t);
}

static void parse__limits_names(void **state)
{
	char text[128], expected[256];
	struct config_text t;

	snprintf(text, sizeof(text), "a%062d = b", 0);
	t = parse(text);
	config_text_done(&t);
	snprintf(text, sizeof(text), "a%063d = b", 0);
	snprintf(expected, sizeof(expected),
		 "f:1: \"a%059d…\": expected the name of a key or a section", 0);
	assert_text_fails(text, expected);
}

static void assert_fails_at_end(const char *file, const char *text, const char *expected_end)
{
	struct config_error error = {""};
	struct config_text t;
	size_t len;

	assert_int_equal(config_text_parse(file, text, strlen(text), &error, &t), -EINVAL);
	len = strlen(error.text);
	assert_true(len > strlen(expected_end));
	assert_string_equal(error.text + len - strlen(expected_end), expected_end);
}

/* With every part as long as it may be the end is still there. */
static void parse__errors_fit(void **state)
{
	char name[64], text[2048], file[256], *p = text;

	memset(file, 'f', sizeof(file) - 1);
	file[sizeof(file) - 1] = '\0';
	snprintf(name, sizeof(name), "n%062d", 0);
	for (unsigned int i = 0; i < CONFIG_DEPTH_MAX; i++)
		p += sprintf(p, "%s %s {", name, name);
	sprintf(p, "%s %s { } }}}}", name, name);
	assert_fails_at_end(file, text, ": expected at most 4 sections in each other");
	sprintf(p, "%s = x %s = x }}}}", name, name);
	assert_fails_at_end(file, text, " expected it once (it is on line 1 already)");
	sprintf(p, "%s = }}}}", name);
	assert_fails_at_end(file, text, ": expected a value after \"=\", found \"}\"");
	sprintf(p, "%s }}}}", name);
	assert_fails_at_end(
	    file, text, ": expected \"= VALUE\" after a key, \"{\" or \"NAME {\" after a section");
}

/* ---- limits -------------------------------------------------------------------------------- */

/* @head, then @n times @piece with its number for %u, then @tail. */
static char *repeat(const char *head, const char *piece, unsigned int n, const char *tail)
{
	size_t cap = strlen(head) + strlen(tail) + n * (strlen(piece) + 10) + 1;
	char *text = malloc(cap), *p = text;

	assert_non_null(text);
	p += sprintf(p, "%s", head);
	for (unsigned int i = 0; i < n; i++) {
		const char *mark = strchr(piece, '#');

		if (mark)
			p += sprintf(p, "%.*s%u%s", (int)(mark - piece), piece, i, mark + 1);
		else
			p += sprintf(p, "%s", piece);
	}
	sprintf(p, "%s", tail);
	return text;
}

static void assert_limit(const char *piece, unsigned int limit, const char *head, const char *tail,
			 const char *expected)
{
	char *text = repeat(head, piece, limit, tail);
	struct config_text t = parse(text);

	config_text_done(&t);
	free(text);
	text = repeat(head, piece, limit + 1, tail);
	assert_text_fails(text, expected);
	free(text);
}

static void parse__limits_sections_keys_lists_and_strings(void **state)
{
	struct config_text t;
	char *text;

	assert_limit("s a# { }", CONFIG_SECTIONS_MAX, "", "",
		     "f:1: expected at most 65536 sections");
	/* The file itself counts as one. */
	assert_limit("a# = b ", CONFIG_STATEMENTS_MAX - 1, "", "",
		     "f:1: expected at most 262144 keys and sections");
	assert_limit("v, ", CONFIG_LIST_MAX, "a = {", "}", "f:1: a: expected at most 1024 values");
	assert_limit("x", CONFIG_STRING_MAX, "a = \"", "\"",
		     "f:1: 65537 bytes: expected a value of at most 65536");
	assert_limit("x", CONFIG_STRING_MAX, "a = ", "",
		     "f:1: 65537 bytes: expected a value of at most 65536");

	text = repeat("", "s {", CONFIG_DEPTH_MAX, "}}}}");
	t = parse(text);
	config_text_done(&t);
	free(text);
	assert_text_fails("s{s{s{s{\ns{}",
			  "f:2: s: s: s: s: expected at most 4 sections in each other");
}

static void parse__limits_the_size_of_the_text(void **state)
{
	char *data = malloc(CONFIG_TEXT_MAX + 1);
	struct config_error error;
	struct config_text t;

	assert_non_null(data);
	memset(data, '\n', CONFIG_TEXT_MAX + 1);
	assert_int_equal(config_text_parse("f", data, CONFIG_TEXT_MAX, &error, &t), 0);
	config_text_done(&t);
	assert_fails(data, CONFIG_TEXT_MAX + 1, "f: expected a file of at most 16777216 bytes");
	free(data);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(parse__lists_statements_in_order_with_lines_and_parents),
	    cmocka_unit_test(parse__takes_an_empty_text),
	    cmocka_unit_test(parse__blanks_comments_and_keeps_lines),
	    cmocka_unit_test(parse__takes_dos_lines_and_a_byte_order_mark),
	    cmocka_unit_test(parse__takes_a_comma_at_the_end_of_a_list),
	    cmocka_unit_test(parse__takes_utf8_in_strings_and_comments),
	    cmocka_unit_test(find__looks_directly_in_a_section),
	    cmocka_unit_test(parse__refuses_bytes_that_are_no_text),
	    cmocka_unit_test(parse__refuses_what_libconfuse_would_drop_or_replace),
	    cmocka_unit_test(parse__refuses_strings_that_do_not_end_or_escape),
	    cmocka_unit_test(parse__refuses_what_is_no_statement),
	    cmocka_unit_test(parse__names_the_key_whose_equal_sign_is_missing),
	    cmocka_unit_test(parse__refuses_unbalanced_braces),
	    cmocka_unit_test(parse__refuses_names_that_need_quoting_elsewhere),
	    cmocka_unit_test(parse__refuses_everything_that_stands_twice),
	    cmocka_unit_test(parse__takes_equal_names_of_different_things),
	    cmocka_unit_test(parse__limits_names),
	    cmocka_unit_test(parse__errors_fit),
	    cmocka_unit_test(parse__limits_sections_keys_lists_and_strings),
	    cmocka_unit_test(parse__limits_the_size_of_the_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
