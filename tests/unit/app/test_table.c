/* SPDX-License-Identifier: Apache-2.0 */
/* Included, not linked: what is tested here is not all in the header. */
#include "app/table.c" // NOLINT(bugprone-suspicious-include)

#include <locale.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void expect_format(json_t *value, enum column_format format, const char *text)
{
	char got[64];

	table_format(value, format, got, sizeof(got));
	assert_string_equal(got, text);
	json_decref(value);
}

static void format__bytes(void **state)
{
	expect_format(json_integer(0), COLUMN_BYTES, "0");
	expect_format(json_integer(1023), COLUMN_BYTES, "1023");
	expect_format(json_integer(1024), COLUMN_BYTES, "1.0k");
	expect_format(json_integer(1536), COLUMN_BYTES, "1.5k");
	expect_format(json_integer(1048575), COLUMN_BYTES, "1.0M");
	expect_format(json_integer(16 << 20), COLUMN_BYTES, "16.0M");
	expect_format(json_integer(INT64_MAX), COLUMN_BYTES, "8.0E");
}

static void format__durations(void **state)
{
	expect_format(json_integer(0), COLUMN_DURATION, "0ms");
	expect_format(json_integer(999), COLUMN_DURATION, "999ms");
	expect_format(json_integer(1000), COLUMN_DURATION, "1s");
	expect_format(json_integer(59999), COLUMN_DURATION, "59s");
	expect_format(json_integer(60000), COLUMN_DURATION, "1m00s");
	expect_format(json_integer(3661000), COLUMN_DURATION, "1h01m");
	expect_format(json_integer(90000000), COLUMN_DURATION, "1d01h");
}

static void format__microseconds(void **state)
{
	expect_format(json_integer(0), COLUMN_MICROSECONDS, "0us");
	expect_format(json_integer(999), COLUMN_MICROSECONDS, "999us");
	expect_format(json_integer(1000), COLUMN_MICROSECONDS, "1.0ms");
	expect_format(json_integer(999949), COLUMN_MICROSECONDS, "999.9ms");
	expect_format(json_integer(999950), COLUMN_MICROSECONDS, "1.0s");
	expect_format(json_null(), COLUMN_MICROSECONDS, "-");
}

static void format__what_is_missing(void **state)
{
	expect_format(json_null(), COLUMN_TEXT, "-");
	expect_format(json_string(""), COLUMN_TEXT, "-");
	expect_format(json_true(), COLUMN_TEXT, "yes");
	expect_format(json_array(), COLUMN_TEXT, "-");
	expect_format(json_pack("[s,s]", "a: 1", "b"), COLUMN_TEXT, "a: 1, b");
	table_format(NULL, COLUMN_NUMBER, (char[8]){0}, 8);
}

static void fit__leaves_out_the_least_important(void **state)
{
	static const struct column columns[] = {
	    {"a", "A", COLUMN_TEXT, 0},
	    {"b", "B", COLUMN_TEXT, 2},
	    {"c", "C", COLUMN_TEXT, 1},
	};
	int widths[COLUMNS_MAX] = {10, 10, 10};

	assert_int_equal(fit(columns, 3, 34, widths), 0); /* 10 + 2 + 10 + 2 + 10 */
	assert_int_equal(fit(columns, 3, 33, widths), 1);
	assert_int_equal(widths[1], -1);
	assert_int_equal(widths[2], 10);
	assert_int_equal(fit(columns, 3, 9, widths), 1);
	assert_int_equal(widths[0], 9); /* never left out, but cut */
	assert_int_equal(fit(columns, 3, 5, widths), 0);
	assert_int_equal(widths[0], NARROWEST);
	assert_int_equal(fit(columns, 3, 0, widths), 0);
}

static void fit__cuts_the_widest_text_and_no_number(void **state)
{
	static const struct column columns[] = {
	    {"a", "A", COLUMN_TEXT, 0},
	    {"b", "B", COLUMN_TEXT, 0},
	    {"c", "C", COLUMN_NUMBER, 0},
	};
	int widths[COLUMNS_MAX] = {20, 12, 30};

	assert_int_equal(fit(columns, 3, 58, widths), 0); /* 20 + 2 + 12 + 2 + 30 is 66 */
	assert_int_equal(widths[0], 12);
	assert_int_equal(widths[1], 12);
	assert_int_equal(widths[2], 30);
	(void)fit(columns, 3, 10, widths);
	assert_int_equal(widths[0], NARROWEST);
	assert_int_equal(widths[1], NARROWEST);
	assert_int_equal(widths[2], 30);
}

static void expect_cut(const char *from, int width, const char *to)
{
	char text[64];

	snprintf(text, sizeof(text), "%s", from);
	cut(text, width);
	assert_string_equal(text, to);
}

static void cut__at_characters(void **state)
{
	expect_cut("abcdef", 6, "abcdef");
	expect_cut("abcdef", 5, "abcd\u2026");
	expect_cut("abcdef", 1, "\u2026");
	expect_cut("\u00e4\u00f6\u00fc", 3, "\u00e4\u00f6\u00fc");
	expect_cut("\u00e4\u00f6\u00fcx", 3, "\u00e4\u00f6\u2026");
	expect_cut("\u00e4\u00f6\u00fcx", 1, "\u2026");
}

static void cut__without_utf8_takes_ascii(void **state)
{
	assert_non_null(setlocale(LC_CTYPE, "C"));
	expect_cut("abcdef", 5, "abcd~");
	expect_cut("abcdef", 1, "~");
	assert_non_null(setlocale(LC_CTYPE, "C.UTF-8"));
}

static void write__leaves_the_note_to_others(void **state)
{
	static const struct column columns[] = {
	    {"a", "A", COLUMN_TEXT, 0},
	    {"b", "B", COLUMN_NUMBER, 1},
	};
	json_t *rows =
	    json_pack("[{s:s, s:i}, {s:s, s:i}]", "a", "x", "b", 7, "a", "long", "b", 1234);
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);

	assert_non_null(out);
	assert_int_equal(table_write(out, rows, columns, 2, 0), 0);
	assert_int_equal(table_write(out, rows, columns, 2, 9), 1);
	fclose(out);
	assert_string_equal(text, "A        B\n"
				  "x        7\n"
				  "long  1234\n"
				  "A\nx\nlong\n");
	free(text);
	json_decref(rows);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
	    cmocka_unit_test(format__bytes),
	    cmocka_unit_test(format__durations),
	    cmocka_unit_test(format__microseconds),
	    cmocka_unit_test(format__what_is_missing),
	    cmocka_unit_test(fit__leaves_out_the_least_important),
	    cmocka_unit_test(fit__cuts_the_widest_text_and_no_number),
	    cmocka_unit_test(cut__at_characters),
	    cmocka_unit_test(cut__without_utf8_takes_ascii),
	    cmocka_unit_test(write__leaves_the_note_to_others),
	};

	if (!setlocale(LC_CTYPE, "C.UTF-8"))
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
