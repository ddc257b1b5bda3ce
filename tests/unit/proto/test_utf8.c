/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/utf8.h"

#include "base/random.h"
#include "lib/split_feeder.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

/*
 * The reference works from the other end: it encodes every code point there is, and remembers
 * which bytes begin, continue and end the results. A byte is bad if with the bytes since the last
 * character it begins none of them.
 */
#define BEGINS  1
#define IS_CHAR 2

static uint8_t of_1[1 << 8], of_2[1 << 16], of_3[1 << 24]; /* BEGINS, IS_CHAR, by first bytes */

static size_t encode(uint32_t point, uint8_t ret[4])
{
	if (point < 0x80) {
		ret[0] = (uint8_t)point;
		return 1;
	}
	if (point < 0x800) {
		ret[0] = (uint8_t)(0xc0 | point >> 6);
		ret[1] = 0x80 | (point & 0x3f);
		return 2;
	}
	if (point < 0x10000) {
		ret[0] = (uint8_t)(0xe0 | point >> 12);
		ret[1] = 0x80 | (point >> 6 & 0x3f);
		ret[2] = 0x80 | (point & 0x3f);
		return 3;
	}
	ret[0] = (uint8_t)(0xf0 | point >> 18);
	ret[1] = 0x80 | (point >> 12 & 0x3f);
	ret[2] = 0x80 | (point >> 6 & 0x3f);
	ret[3] = 0x80 | (point & 0x3f);
	return 4;
}

static bool is_scalar(uint32_t point)
{
	return point <= 0x10ffff && !(point >= 0xd800 && point <= 0xdfff);
}

static int build_reference(void **state)
{
	for (uint32_t point = 0; point <= 0x10ffff; point++) {
		uint8_t b[4] = {0};
		size_t n;

		if (!is_scalar(point))
			continue;
		n = encode(point, b);
		of_1[b[0]] |= n == 1 ? IS_CHAR : BEGINS;
		if (n >= 2)
			of_2[b[0] << 8 | b[1]] |= n == 2 ? IS_CHAR : BEGINS;
		if (n >= 3)
			of_3[b[0] << 16 | b[1] << 8 | b[2]] |= n == 3 ? IS_CHAR : BEGINS;
	}
	return 0;
}

/* What begins with @n bytes at @b: BEGINS, IS_CHAR or 0 for nothing. */
static int look_up(const uint8_t *b, size_t n)
{
	if (n == 1)
		return of_1[b[0]];
	if (n == 2)
		return of_2[b[0] << 8 | b[1]];
	if (n == 3)
		return of_3[b[0] << 16 | b[1] << 8 | b[2]];
	return b[3] >= 0x80 && b[3] <= 0xbf ? IS_CHAR : 0; /* all 64 of them follow */
}

/* Return: offset of the first bad byte, or -1; *ret_complete whether a character is not open. */
static ssize_t reference(const uint8_t *text, size_t len, bool *ret_complete)
{
	size_t start = 0;

	for (size_t i = 0; i < len; i++) {
		int found = look_up(text + start, i + 1 - start);

		if (found == 0)
			return (ssize_t)i;
		if (found == IS_CHAR)
			start = i + 1;
	}
	*ret_complete = start == len;
	return -1;
}

static void print_bytes(const uint8_t *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		print_error("%02x ", text[i]);
	print_error("\n");
}

static void check_whole(const uint8_t *text, size_t len)
{
	struct utf8_state s = {0}; /* "the same as zeroing" */
	bool is_complete = false;
	size_t bad = SIZE_MAX;
	ssize_t expected = reference(text, len, &is_complete);
	int error = utf8_feed(&s, text, len, &bad);

	if (error != (expected < 0 ? 0 : -EILSEQ) || bad != (size_t)expected ||
	    (error == 0 && utf8_is_complete(&s) != is_complete)) {
		print_bytes(text, len);
		fail_msg("%d at %zd, expected %zd", error, (ssize_t)bad, expected);
	}
}

/* In all ways of @f, which has the same text. */
static void check_ways(struct split_feeder *f, const uint8_t *text, size_t len)
{
	bool is_complete = false;
	ssize_t expected = reference(text, len, &is_complete);

	while (split_feeder_next_way(f)) {
		struct utf8_state s;
		struct slice piece;
		size_t done = 0, offset;
		ssize_t bad = -1;

		memset(&s, 0x5a, sizeof(s));
		utf8_init(&s);
		while (bad < 0 && split_feeder_next_piece(f, &piece)) {
			if (utf8_feed(&s, (const uint8_t *)piece.ptr, piece.len, &offset) < 0)
				bad = (ssize_t)(done + offset);
			done += piece.len;
		}
		if (bad != expected || (bad < 0 && utf8_is_complete(&s) != is_complete)) {
			print_bytes(text, len);
			fail_msg("way %zu: bad byte %zd, expected %zd", f->n_ways, bad, expected);
		}
	}
}

static void check_splits(const uint8_t *text, size_t len)
{
	struct split_feeder f;

	split_feeder_init(&f, text, len);
	check_ways(&f, text, len);
}

/* ---- tests --------------------------------------------------------------------------------- */

/* Unicode table 3-7 row by row, so that the reference is not the only witness. */
static void reference__is_table_3_7(void **state)
{
	static const struct {
		uint8_t first_low, first_high, second_low, second_high;
	} rows[] = {
	    {0xc2, 0xdf, 0x80, 0xbf}, {0xe0, 0xe0, 0xa0, 0xbf}, {0xe1, 0xec, 0x80, 0xbf},
	    {0xed, 0xed, 0x80, 0x9f}, {0xee, 0xef, 0x80, 0xbf}, {0xf0, 0xf0, 0x90, 0xbf},
	    {0xf1, 0xf3, 0x80, 0xbf}, {0xf4, 0xf4, 0x80, 0x8f},
	};

	for (unsigned int pair = 0; pair <= UINT16_MAX; pair++) {
		unsigned int first = pair >> 8, second = pair & 0xff;
		bool expected = false;

		for (size_t r = 0; r < ARRAY_SIZE(rows); r++)
			expected |= first >= rows[r].first_low && first <= rows[r].first_high &&
				    second >= rows[r].second_low && second <= rows[r].second_high;
		assert_int_equal(of_2[pair] != 0, expected);
	}
}

static void feed__accepts_every_code_point(void **state)
{
	for (uint32_t point = 0; point <= 0x10ffff; point++) {
		struct utf8_state s;
		uint8_t b[4];
		size_t n = encode(point, b);

		utf8_init(&s);
		if (is_scalar(point)) {
			if (utf8_feed(&s, b, n, NULL) < 0 || !utf8_is_complete(&s))
				fail_msg("U+%04X", point);
		} else if (utf8_feed(&s, b, n, NULL) == 0) {
			fail_msg("surrogate U+%04X", point);
		}
	}
}

static void feed__judges_all_strings_of_3_bytes(void **state)
{
	for (unsigned int i = 0; i < 1u << 8; i++)
		check_whole((const uint8_t[]){(uint8_t)i}, 1);
	for (unsigned int i = 0; i < 1u << 16; i++)
		check_whole((const uint8_t[]){(uint8_t)(i >> 8), (uint8_t)i}, 2);
	for (unsigned int i = 0; i < 1u << 24; i++)
		check_whole((const uint8_t[]){(uint8_t)(i >> 16), (uint8_t)(i >> 8), (uint8_t)i},
			    3);
}

/* The bytes next to every bound that the ranges have. */
static const uint8_t bounds[] = {0x00, 0x41, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0,
				 0xc1, 0xc2, 0xdf, 0xe0, 0xed, 0xef, 0xf0, 0xf4, 0xf5, 0xff};

static void feed__judges_strings_of_4_and_5_bytes(void **state)
{
	for (unsigned int i = 0xe000; i <= UINT16_MAX; i++) {
		for (size_t j = 0; j < ARRAY_SIZE(bounds) * ARRAY_SIZE(bounds); j++) {
			uint8_t third = bounds[j / ARRAY_SIZE(bounds)];
			uint8_t fourth = bounds[j % ARRAY_SIZE(bounds)];

			check_whole((const uint8_t[]){(uint8_t)(i >> 8), (uint8_t)i, third, fourth,
						      0x80},
				    5);
		}
	}
}

static void feed__is_the_same_at_every_split(void **state)
{
	static const char *const texts[] = {
	    "Hello",
	    "Hello-\xc2\xb5@\xc3\x9f\xc3\xb6\xc3\xa4\xc3\xbc\xc3\xa0\xc3\xa1-UTF-8!!",
	    "\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5",
	    "\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80 edited",     /* surrogate */
	    "\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xf4\x90\x80\x80 edited", /* U+110000 */
	    "\xf0\x9f\x98\x80\xf4\x8f\xbf\xbf\xef\xbf\xbf",
	    "\xc0\xaf",
	    "\xe0\x80\xaf",
	    "\xe0\x9f\xbf",
	    "\xf0\x80\x80\xaf",
	    "\xf0\x8f\xbf\xbf",
	    "\xf8\x88\x80\x80\x80",
	    "\xfc\x84\x80\x80\x80\x80",
	    "\xfe\xfe\xff\xff",
	    "\x80",
	    "ab\xbf",
	    "\xe2\x82",
	    "\xe2\x82 ",
	    "\xe2\x28\xa1",
	    "\xf0\x9f\x98",
	    "\xf0\x9f\x98\xc3\xa9",
	};

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		check_splits((const uint8_t *)texts[i], strlen(texts[i]));
}

/* Text that is skipped many bytes at a time, with something else at each place. */
static void feed__finds_each_place_in_long_ascii(void **state)
{
	static const char *const others[] = {
	    "\xff", "\x80", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80", "\xed\xa0\x80", "\xc3",
	};
	uint8_t text[160 + 4];

	for (size_t o = 0; o < ARRAY_SIZE(others); o++) {
		size_t n = strlen(others[o]);

		for (size_t at = 0; at + n <= sizeof(text); at++) {
			for (size_t i = 0; i < sizeof(text); i++)
				text[i] = (uint8_t)(i % 0x80);
			memcpy(text + at, others[o], n);
			check_whole(text, sizeof(text));
			check_whole(text, at + n);
			check_whole(text + at % 37 / 2, sizeof(text) - at % 37 / 2);
		}
	}
}

/* What is open at the end of a piece, or of a block within, is not forgotten over ASCII. */
static void feed__closes_characters_before_skipping(void **state)
{
	static const char *const open[] = {"\xc3", "\xe2", "\xe2\x82", "\xf0\x9f\x98"};
	uint8_t text[160];

	for (size_t o = 0; o < ARRAY_SIZE(open); o++) {
		for (size_t before = 0; before < 70; before++) {
			size_t len = 0;

			/* Not ASCII at first, so that blocks are counted from there. */
			while (len < before / 2 * 2)
				len += encode(0xe9, text + len);
			memset(text + len, 'a', sizeof(text) - len);
			len += before % 2;
			memcpy(text + len, open[o], strlen(open[o]));
			check_whole(text, sizeof(text));
			check_splits(text, len + 50);
		}
	}
}

static size_t put_character(struct random_fast *r, uint8_t *text)
{
	static const uint32_t tops[] = {0x80, 0x80, 0x800, 0x10000, 0x110000};
	uint32_t point;

	do {
		point =
		    (uint32_t)random_fast_below(r, tops[random_fast_below(r, ARRAY_SIZE(tops))]);
	} while (!is_scalar(point));
	return encode(point, text);
}

/* Runs of ASCII and other characters; one text in two then gets a few random bytes. */
static size_t put_text(struct random_fast *r, uint8_t *text, size_t max)
{
	size_t len = 0;

	while (len + 64 < max) {
		size_t ascii = random_fast_below(r, 4) ? 0 : random_fast_below(r, 60);

		for (; ascii > 0; ascii--)
			text[len++] = (uint8_t)random_fast_below(r, 0x80);
		len += put_character(r, text + len);
	}
	if (random_fast_below(r, 2)) {
		for (size_t n = 1 + random_fast_below(r, 3); n > 0; n--)
			text[random_fast_below(r, len)] = (uint8_t)random_fast_next(r);
	}
	return len;
}

static void feed__agrees_on_random_text_in_random_pieces(void **state)
{
	struct random_fast r;
	uint8_t text[600];

	random_fast_seed(&r, 3629);
	for (uint64_t round = 0; round < 3000; round++) {
		size_t len = put_text(&r, text, sizeof(text));
		struct split_feeder f;

		check_whole(text, len);
		split_feeder_init_random(&f, text, len, 2, 1 + round % 90, round);
		check_ways(&f, text, len);
	}
	for (int round = 0; round < 20; round++)
		check_splits(text, put_text(&r, text, sizeof(text)));
}

static void feed__needs_no_place_for_the_offset(void **state)
{
	struct utf8_state s;

	utf8_init(&s);
	assert_int_equal(utf8_feed(&s, (const uint8_t *)"abc\xff", 4, NULL), -EILSEQ);
	utf8_init(&s);
	assert_int_equal(utf8_feed(&s, NULL, 0, NULL), 0);
	assert_true(utf8_is_complete(&s));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(reference__is_table_3_7),
	    cmocka_unit_test(feed__accepts_every_code_point),
	    cmocka_unit_test(feed__judges_all_strings_of_3_bytes),
	    cmocka_unit_test(feed__judges_strings_of_4_and_5_bytes),
	    cmocka_unit_test(feed__is_the_same_at_every_split),
	    cmocka_unit_test(feed__finds_each_place_in_long_ascii),
	    cmocka_unit_test(feed__closes_characters_before_skipping),
	    cmocka_unit_test(feed__agrees_on_random_text_in_random_pieces),
	    cmocka_unit_test(feed__needs_no_place_for_the_offset),
	};

	return cmocka_run_group_tests(tests, build_reference, NULL);
}
