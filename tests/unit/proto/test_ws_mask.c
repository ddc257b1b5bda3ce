/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/ws_mask.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define GUARD 64 /* bytes on both sides that must stay as they are */
#define LEN   300
#define ALIGN 64

static uint8_t pattern(size_t i)
{
	return (uint8_t)(i * 151 + (i >> 8) * 7 + 3);
}

/* RFC 6455 s5.3: transformed-octet-i = original-octet-i XOR masking-key-octet-(i MOD 4) */
static void check(const struct ws_mask_variant *v, size_t align, size_t len, uint64_t offset)
{
	static const uint8_t mask[4] = {0x37, 0xfa, 0x21, 0x3d};
	static _Alignas(ALIGN) uint8_t buf[GUARD + ALIGN + LEN + GUARD];
	uint8_t *data = buf + GUARD + align;

	for (size_t i = 0; i < sizeof(buf); i++)
		buf[i] = pattern(i);
	v->apply(data, len, mask, offset);
	for (size_t i = 0; i < sizeof(buf); i++) {
		bool is_payload = i >= GUARD + align && i < GUARD + align + len;
		uint64_t octet = (i - GUARD - align) + offset;
		uint8_t expected = pattern(i) ^ (is_payload ? mask[octet % 4] : 0);

		if (buf[i] != expected)
			fail_msg("%s: align %zu, length %zu, offset %llu: byte %zd", v->name, align,
				 len, (unsigned long long)offset, (ssize_t)(i - GUARD - align));
	}
}

static void apply__is_right_at_every_length_and_offset(void **state)
{
	const struct ws_mask_variant *v;

	for (size_t i = 0; (v = ws_mask_variant_at(i)); i++) {
		for (size_t len = 0; len <= LEN; len++) {
			for (uint64_t offset = 0; offset < 4; offset++)
				check(v, 5, len, offset);
		}
	}
}

static void apply__is_right_at_every_alignment(void **state)
{
	static const size_t lens[] = {1, 3, 4, 7, 15, 16, 31, 33, 63, 127, 128, 191, 255, 300};
	const struct ws_mask_variant *v;

	for (size_t i = 0; (v = ws_mask_variant_at(i)); i++) {
		for (size_t align = 0; align < ALIGN; align++) {
			for (size_t l = 0; l < ARRAY_SIZE(lens); l++)
				check(v, align, lens[l], align);
		}
	}
}

/* Frames may be 2^63-1 bytes long: only the low bits of the offset count. */
static void apply__takes_any_offset(void **state)
{
	static const uint64_t offsets[] = {INT64_MAX - 1, INT64_MAX, UINT64_C(1) << 63,
					   UINT64_C(0x100000001)};
	const struct ws_mask_variant *v;

	for (size_t i = 0; (v = ws_mask_variant_at(i)); i++) {
		for (size_t o = 0; o < ARRAY_SIZE(offsets); o++)
			check(v, 0, 77, offsets[o]);
	}
}

static void apply__picks_one_of_the_variants(void **state)
{
	const struct ws_mask_variant chosen = {"chosen", ws_mask_apply};

	for (size_t len = 0; len <= LEN; len++)
		check(&chosen, 1, len, len);
	assert_non_null(ws_mask_variant_at(0));
	assert_ptr_equal(ws_mask_variant_at(0)->apply, ws_mask_apply_scalar);
	assert_non_null(ws_mask_variant_at(1));
}

/* RFC 6455 s5.3: the same algorithm masks and unmasks, in whatever pieces */
static void apply__pieces_equal_the_whole(void **state)
{
	static const uint8_t mask[4] = {0x01, 0x80, 0xff, 0x00};
	uint8_t whole[LEN], pieces[LEN];

	for (size_t i = 0; i < LEN; i++)
		whole[i] = pattern(i);
	ws_mask_apply(whole, LEN, mask, 0);
	for (size_t cut = 0; cut <= LEN; cut++) {
		for (size_t i = 0; i < LEN; i++)
			pieces[i] = pattern(i);
		ws_mask_apply(pieces, cut, mask, 0);
		ws_mask_apply(pieces + cut, LEN - cut, mask, cut);
		assert_memory_equal(pieces, whole, LEN);
		ws_mask_apply(pieces, LEN, mask, 0);
		for (size_t i = 0; i < LEN; i++)
			assert_int_equal(pieces[i], pattern(i));
	}
}

/* RFC 6455 s5.7: a masked "Hello" */
static void apply__unmasks_the_vector_of_the_rfc(void **state)
{
	static const uint8_t mask[4] = {0x37, 0xfa, 0x21, 0x3d};
	const struct ws_mask_variant *v;

	for (size_t i = 0; (v = ws_mask_variant_at(i)); i++) {
		uint8_t data[] = {0x7f, 0x9f, 0x4d, 0x51, 0x58};

		v->apply(data, sizeof(data), mask, 0);
		assert_memory_equal(data, "Hello", 5);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(apply__is_right_at_every_length_and_offset),
	    cmocka_unit_test(apply__is_right_at_every_alignment),
	    cmocka_unit_test(apply__takes_any_offset),
	    cmocka_unit_test(apply__picks_one_of_the_variants),
	    cmocka_unit_test(apply__pieces_equal_the_whole),
	    cmocka_unit_test(apply__unmasks_the_vector_of_the_rfc),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
