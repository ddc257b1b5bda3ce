/* SPDX-License-Identifier: Apache-2.0 */
#include "base/text_writer.h"

#include <inttypes.h>
#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static void assert_text(const struct text_writer *w, const char *expected)
{
	assert_int_equal(w->len, strlen(expected));
	assert_memory_equal(w->buf, expected, w->len);
}

static void put__concatenates(void **state)
{
	struct text_writer w;
	char buf[64];

	text_writer_init(&w, buf, sizeof(buf));
	assert_text(&w, "");
	text_put(&w, "ab", 2);
	text_put(&w, NULL, 0);
	text_put_str(&w, "cd");
	text_put_slice(&w, (struct slice){"efgh", 2});
	text_put_slice(&w, (struct slice){NULL, 0});
	text_put_u64(&w, 7);
	text_printf(&w, "%s=%d", "x", -1);
	assert_text(&w, "abcdef7x=-1");
	assert_false(w.is_truncated);
}

static void put_number__writes_the_extremes(void **state)
{
	struct text_writer w;
	char buf[256];

	text_writer_init(&w, buf, sizeof(buf));
	text_put_u64(&w, 0);
	text_put_str(&w, " ");
	text_put_u64(&w, UINT64_MAX);
	text_put_str(&w, " ");
	text_put_i64(&w, INT64_MAX);
	text_put_str(&w, " ");
	text_put_i64(&w, INT64_MIN);
	text_put_str(&w, " ");
	text_put_i64(&w, -1);
	text_put_str(&w, " ");
	text_put_i64(&w, 0);
	assert_text(&w, "0 18446744073709551615 9223372036854775807 -9223372036854775808 -1 0");
}

static void put_everything(struct text_writer *w)
{
	text_put_str(w, "ab");
	text_put_u64(w, 1234);
	text_put_json_string(w, SLICE_LITERAL("\xff\"\x01z"));
	text_put_escaped(w, SLICE_LITERAL("\x1bq"));
	text_put_i64(w, -5);
	text_put(w, "end", 3);
}

static void put__never_passes_the_end_and_keeps_a_prefix(void **state)
{
	static const char whole[] = "ab1234\"\xef\xbf\xbd\\\"\\u0001z\"\\x1bq-5end";
	struct text_writer w;

	for (size_t cap = 0; cap < sizeof(whole) + 4; cap++) {
		/* On the heap without a byte to spare, for AddressSanitizer. */
		_cleanup_free_ char *buf = malloc(cap ? cap : 1);

		assert_non_null(buf);
		text_writer_init(&w, buf, cap);
		put_everything(&w);
		assert_int_equal(w.is_truncated, cap < strlen(whole));
		assert_true(w.len <= cap);
		assert_memory_equal(w.buf, whole, w.len);
		/* What printf(3) writes needs a byte for its NUL; nothing else loses one. */
		assert_true(w.len == strlen(whole) || w.len + 1 >= cap);
	}
}

static void put__after_a_piece_that_did_not_fit_writes_nothing(void **state)
{
	struct text_writer w;
	char buf[8];

	text_writer_init(&w, buf, sizeof(buf));
	text_printf(&w, "%s", "12345678");
	assert_true(w.is_truncated);
	assert_text(&w, "1234567");
	text_put(&w, "9", 1);
	text_printf(&w, "9");
	assert_text(&w, "1234567");
	assert_true(w.is_truncated);
}

static void put__fills_the_buffer_to_the_last_byte(void **state)
{
	struct text_writer w;
	char buf[4];

	text_writer_init(&w, buf, sizeof(buf));
	text_put_str(&w, "abcd");
	assert_false(w.is_truncated);
	assert_text(&w, "abcd");
	text_put(&w, NULL, 0);
	text_printf(&w, "%s", "");
	assert_false(w.is_truncated);
	text_put(&w, "e", 1);
	assert_true(w.is_truncated);
}

static void json_string__escapes_as_rfc_8259_s7_demands(void **state)
{
	static const struct {
		struct slice in;
		const char *out;
	} cases[] = {
	    {SLICE_LITERAL(""), "\"\""},
	    {SLICE_LITERAL("a/b'<>&"), "\"a/b'<>&\""},
	    {SLICE_LITERAL("\"\\"), "\"\\\"\\\\\""},
	    {SLICE_LITERAL("\b\f\n\r\t"), "\"\\b\\f\\n\\r\\t\""},
	    {SLICE_LITERAL("\0\x01\x1f"), "\"\\u0000\\u0001\\u001f\""},
	    {SLICE_LITERAL("\x7f\xc2\x80\xc2\x9b\xc2\x9f"), "\"\\u007f\\u0080\\u009b\\u009f\""},
	    {SLICE_LITERAL("\xc2\xa0\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"),
	     "\"\xc2\xa0\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\""},
	    /* The examples of Unicode's tables 3-8 to 3-11, in this order. */
	    {SLICE_LITERAL("\xc0\xaf\xe0\x80\xbf\xf0\x81\x82\x41"),
	     "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"
	     "\xef\xbf\xbd\x41\""},
	    {SLICE_LITERAL("\xed\xa0\x80\xed\xbf\xbf\xed\xaf\x41"),
	     "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"
	     "\xef\xbf\xbd\x41\""},
	    {SLICE_LITERAL("\xf4\x91\x92\x93\xff\x41\x80\xbf\x42"),
	     "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\x41\xef\xbf\xbd"
	     "\xef\xbf\xbd\x42\""},
	    {SLICE_LITERAL("\xe1\x80\xe2\xf0\x91\x92\xf1\xbf\x41"),
	     "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\x41\""},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct text_writer w;
		char buf[128];

		text_writer_init(&w, buf, sizeof(buf));
		text_put_json_string(&w, cases[i].in);
		assert_text(&w, cases[i].out);
	}
}

/* ---- an oracle: which byte strings begin a character, from enumerating all characters ---------
 */

#define SET_BYTES (1 << 21) /* a bit for each key_of() */

/* The first index is a length in bytes, 1 to 4. */
static struct {
	uint8_t is_char[5][SET_BYTES];
	uint8_t is_prefix[5][SET_BYTES]; /* of a longer character */
} oracle;

static void add(uint8_t *set, uint32_t key)
{
	set[key / 8] |= (uint8_t)(1 << key % 8);
}

static size_t encode(uint32_t code_point, uint8_t *ret_bytes)
{
	if (code_point < 0x80) {
		ret_bytes[0] = (uint8_t)code_point;
		return 1;
	}
	if (code_point < 0x800) {
		ret_bytes[0] = (uint8_t)(0xc0 | code_point >> 6);
		ret_bytes[1] = (uint8_t)(0x80 | (code_point & 0x3f));
		return 2;
	}
	if (code_point < 0x10000) {
		ret_bytes[0] = (uint8_t)(0xe0 | code_point >> 12);
		ret_bytes[1] = (uint8_t)(0x80 | (code_point >> 6 & 0x3f));
		ret_bytes[2] = (uint8_t)(0x80 | (code_point & 0x3f));
		return 3;
	}
	ret_bytes[0] = (uint8_t)(0xf0 | code_point >> 18);
	ret_bytes[1] = (uint8_t)(0x80 | (code_point >> 12 & 0x3f));
	ret_bytes[2] = (uint8_t)(0x80 | (code_point >> 6 & 0x3f));
	ret_bytes[3] = (uint8_t)(0x80 | (code_point & 0x3f));
	return 4;
}

/* Of four bytes the first is f0 to f4: 3 bits of it and the other three are unique. */
static uint32_t key_of(const uint8_t *bytes, size_t len)
{
	uint32_t key = 0;

	for (size_t i = 0; i < len; i++)
		key = key << (len == 4 ? 6 : 8) | (len == 4 ? bytes[i] & 0x3f : bytes[i]);
	return key & 0xffffff;
}

static int set_up_oracle(void **state)
{
	for (uint32_t code_point = 0; code_point <= 0x10ffff; code_point++) {
		uint8_t bytes[4];
		size_t len;

		if (code_point >= 0xd800 && code_point <= 0xdfff)
			continue;
		len = encode(code_point, bytes);
		add(oracle.is_char[len], key_of(bytes, len));
		for (size_t n = 1; n < len; n++)
			add(oracle.is_prefix[n], key_of(bytes, n));
	}
	return 0;
}

static bool is_in(uint8_t (*sets)[SET_BYTES], const uint8_t *bytes, size_t len)
{
	uint32_t key;

	/* key_of() looks at six bits of each of four bytes: the rest must be as in a character. */
	if (len == 4 && (bytes[0] < 0xf0 || (bytes[1] & 0xc0) != 0x80 ||
			 (bytes[2] & 0xc0) != 0x80 || (bytes[3] & 0xc0) != 0x80))
		return false;
	key = key_of(bytes, len);
	return sets[len][key / 8] >> key % 8 & 1;
}

/* Length of the first character, or of the longest prefix of any, and at least 1. */
static size_t oracle_unit(const uint8_t *bytes, size_t len, bool *ret_valid)
{
	size_t n = 1;

	for (size_t chars = 1; chars <= MIN(len, 4); chars++) {
		if (is_in(oracle.is_char, bytes, chars)) {
			*ret_valid = true;
			return chars;
		}
	}
	*ret_valid = false;
	for (size_t prefix = 1; prefix <= MIN(len, 3); prefix++) {
		if (is_in(oracle.is_prefix, bytes, prefix))
			n = prefix;
	}
	return n;
}

/* What a reader of the JSON must get: the input with U+FFFD for what is not UTF-8. */
static size_t oracle_repaired(const uint8_t *bytes, size_t len, char *ret_text)
{
	size_t out = 0, unit;
	bool is_valid;

	for (size_t i = 0; i < len; i += unit) {
		unit = oracle_unit(bytes + i, len - i, &is_valid);
		memcpy(ret_text + out, is_valid ? (const char *)bytes + i : "\xef\xbf\xbd",
		       is_valid ? unit : 3);
		out += is_valid ? unit : 3;
	}
	return out;
}

/* Undoes the escapes, which jansson is asked about in a test of its own: it would take minutes. */
static size_t unescape(const char *json, size_t len, char *ret_text)
{
	static const char letters[] = "\"\\bfnrt", meanings[] = "\"\\\b\f\n\r\t";
	size_t out = 0;

	assert_true(len >= 2 && json[0] == '"' && json[len - 1] == '"');
	for (size_t i = 1; i < len - 1; i++) {
		char hex[5] = {0};
		uint32_t code_point;
		char *end;

		/* RFC 8259 s7: these must not stand as they are. */
		assert_true((uint8_t)json[i] >= 0x20 && json[i] != '"' && json[i] != 0x7f);
		if (json[i] != '\\') {
			ret_text[out++] = json[i];
			continue;
		}
		i++;
		if (json[i] == 'u') {
			assert_true(i + 4 < len);
			memcpy(hex, json + i + 1, 4);
			code_point = (uint32_t)strtoul(hex, &end, 16);
			assert_true(end == hex + 4 && code_point < 0xa0);
			out += encode(code_point, (uint8_t *)ret_text + out);
			i += 4;
		} else {
			const char *letter = strchr(letters, json[i]);

			assert_non_null(letter);
			ret_text[out++] = meanings[letter - letters];
		}
	}
	return out;
}

static void check_json(const uint8_t *bytes, size_t len)
{
	char json[64], got[64], expected[64];
	size_t got_len, expected_len;
	struct text_writer w;

	text_writer_init(&w, json, sizeof(json));
	text_put_json_string(&w, (struct slice){(const char *)bytes, len});
	assert_false(w.is_truncated);
	expected_len = oracle_repaired(bytes, len, expected);
	got_len = unescape(w.buf, w.len, got);
	if (got_len != expected_len || memcmp(got, expected, got_len) != 0) {
		for (size_t i = 0; i < len; i++)
			print_error("%02x ", bytes[i]);
		fail_msg("wrongly written: %.*s", (int)w.len, w.buf);
	}
}

static void json_string__repairs_every_text_of_up_to_two_bytes(void **state)
{
	uint8_t bytes[2];

	check_json(NULL, 0);
	for (unsigned int a = 0; a < 256; a++) {
		bytes[0] = (uint8_t)a;
		check_json(bytes, 1);
		for (unsigned int b = 0; b < 256; b++) {
			bytes[1] = (uint8_t)b;
			check_json(bytes, 2);
		}
	}
}

/* Both ends of every range of bytes that table 3-7 tells apart. */
static const uint8_t edges[] = {
    0x00, 0x1f, '"',  'a',  0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xc1, 0xc2,
    0xdf, 0xe0, 0xe1, 0xec, 0xed, 0xee, 0xef, 0xf0, 0xf1, 0xf3, 0xf4, 0xf5, 0xff,
};

static void json_string__repairs_texts_of_five_bytes_at_the_edges(void **state)
{
	enum {
		N = ARRAY_SIZE(edges)
	};
	uint8_t bytes[5];

	/* The fifth byte only shows that reading goes on rightly: two of them are enough. */
	for (size_t i = 0; i < (size_t)N * N * N * N; i++) {
		bytes[0] = edges[i % N];
		bytes[1] = edges[i / N % N];
		bytes[2] = edges[i / N / N % N];
		bytes[3] = edges[i / N / N / N];
		bytes[4] = i % 2 ? 'z' : 0x80;
		check_json(bytes, 3);
		check_json(bytes, 4);
		check_json(bytes, 5);
	}
}

static void json_string__keeps_every_character(void **state)
{
	for (uint32_t code_point = 0; code_point <= 0x10ffff; code_point++) {
		uint8_t bytes[4];

		if (code_point < 0xd800 || code_point > 0xdfff)
			check_json(bytes, encode(code_point, bytes));
	}
}

static void json_string__is_what_jansson_reads(void **state)
{
	for (unsigned int a = 0; a < 256; a++) {
		for (unsigned int b = 0; b < 256; b++) {
			const uint8_t bytes[] = {(uint8_t)a, 'x', (uint8_t)b};
			char json[64], expected[64];
			struct text_writer w;
			size_t len = oracle_repaired(bytes, sizeof(bytes), expected);
			json_error_t error;
			json_t *string;

			text_writer_init(&w, json, sizeof(json));
			text_put_json_string(&w, (struct slice){(const char *)bytes, 3});
			string = json_loadb(w.buf, w.len, JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);
			if (!string)
				fail_msg("%02x %02x: %s", a, b, error.text);
			assert_int_equal(json_string_length(string), len);
			assert_memory_equal(json_string_value(string), expected, len);
			json_decref(string);
		}
	}
}

static void escaped__shows_nothing_that_a_terminal_obeys(void **state)
{
	static const struct {
		struct slice in;
		const char *out;
	} cases[] = {
	    {SLICE_LITERAL(""), ""},
	    {SLICE_LITERAL("plain \"text\" \\ \xc3\xa9 \xf0\x9f\x98\x80"),
	     "plain \"text\" \\ \xc3\xa9 \xf0\x9f\x98\x80"},
	    {SLICE_LITERAL("a\nb\r\tc\0d"), "a\\x0ab\\x0d\\x09c\\x00d"},
	    {SLICE_LITERAL("\x1b[2J\x7f"), "\\x1b[2J\\x7f"},
	    {SLICE_LITERAL("\x9b"
			   "31m\xc2\x9b"
			   "32m"),
	     "\\x9b31m\\xc2\\x9b32m"},
	    {SLICE_LITERAL("\xc2\xa0\xe2\x82\xff\xed\xa0\x80"),
	     "\xc2\xa0\\xe2\\x82\\xff\\xed\\xa0\\x80"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct text_writer w;
		char buf[128];

		text_writer_init(&w, buf, sizeof(buf));
		text_put_escaped(&w, cases[i].in);
		assert_text(&w, cases[i].out);
	}
}

/* Every text of two bytes: valid UTF-8 without controls stands as it is, all else is escaped. */
static void escaped__is_exact_for_every_text_of_two_bytes(void **state)
{
	for (unsigned int i = 0; i < 65536; i++) {
		const uint8_t bytes[] = {(uint8_t)(i >> 8), (uint8_t)i};
		char buf[16], expected[16];
		struct text_writer w;
		size_t out = 0, unit;
		bool is_valid;

		for (size_t at = 0; at < 2; at += unit) {
			unit = oracle_unit(bytes + at, 2 - at, &is_valid);
			if (is_valid && !(unit == 1 && (bytes[at] < 0x20 || bytes[at] == 0x7f)) &&
			    !(unit == 2 && bytes[0] == 0xc2 && bytes[1] < 0xa0)) {
				memcpy(expected + out, bytes + at, unit);
				out += unit;
				continue;
			}
			for (size_t j = 0; j < unit; j++)
				out += (size_t)sprintf(expected + out, "\\x%02x", bytes[at + j]);
		}
		text_writer_init(&w, buf, sizeof(buf));
		text_put_escaped(&w, (struct slice){(const char *)bytes, 2});
		assert_int_equal(w.len, out);
		assert_memory_equal(w.buf, expected, out);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(put__concatenates),
	    cmocka_unit_test(put_number__writes_the_extremes),
	    cmocka_unit_test(put__never_passes_the_end_and_keeps_a_prefix),
	    cmocka_unit_test(put__after_a_piece_that_did_not_fit_writes_nothing),
	    cmocka_unit_test(put__fills_the_buffer_to_the_last_byte),
	    cmocka_unit_test(json_string__escapes_as_rfc_8259_s7_demands),
	    cmocka_unit_test(json_string__repairs_every_text_of_up_to_two_bytes),
	    cmocka_unit_test(json_string__repairs_texts_of_five_bytes_at_the_edges),
	    cmocka_unit_test(json_string__keeps_every_character),
	    cmocka_unit_test(json_string__is_what_jansson_reads),
	    cmocka_unit_test(escaped__shows_nothing_that_a_terminal_obeys),
	    cmocka_unit_test(escaped__is_exact_for_every_text_of_two_bytes),
	};

	return cmocka_run_group_tests(tests, set_up_oracle, NULL);
}
