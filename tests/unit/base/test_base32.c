/* SPDX-License-Identifier: Apache-2.0 */
#include "base/base32.h"

#include "base/random.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

/* The third to fifth have every digit of the alphabet among them. */
static const struct {
	uint64_t value;
	const char *text;
} known[] = {
    {0, "0000000000000"},
    {UINT64_MAX, "FZZZZZZZZZZZZ"},
    {0x008864298e84a96c, "0123456789ABC"},
    {0xd73e1194e95b5f19, "DEFGHJKMNPQRS"},
    {0x0d6f9df7c0000000, "0TVWXYZ000000"},
    {0x0123456789abcdef, "028T5CY4TQKFF"},
    {UINT64_C(1) << 63, "8000000000000"},
    {1, "0000000000001"},
};

static void encode__gives_known_texts(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
		char text[BASE32_U64_LEN + 1];

		base32_u64_encode(known[i].value, text);
		assert_string_equal(text, known[i].text);
	}
}

static void decode__reads_known_texts_in_either_case(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
		char lower[BASE32_U64_LEN + 1] = {0};
		uint64_t value = 1234;

		assert_int_equal(base32_u64_decode(known[i].text, &value), 0);
		assert_true(value == known[i].value);
		for (size_t at = 0; at < BASE32_U64_LEN; at++)
			lower[at] = ascii_lower(known[i].text[at]);
		value = 1234;
		assert_int_equal(base32_u64_decode(lower, &value), 0);
		assert_true(value == known[i].value);
	}
}

static void decode__takes_letters_that_look_like_digits(void **state)
{
	uint64_t value;

	assert_int_equal(base32_u64_decode("oO0000000iIlL", &value), 0);
	assert_true(value == ((1u << 15) | (1u << 10) | (1u << 5) | 1u));
}

static void decode__refuses_other_lengths_and_characters(void **state)
{
	static const char *const bad[] = {
	    "",
	    "0",
	    "000000000000",
	    "00000000000000",
	    "000000000000U",
	    "000000000000u",
	    "000000000000-",
	    "000000000000 ",
	    " 00000000000Z",
	    "00000000-0000",
	    "000000000000\xc3\xa9",
	    "000000000000\x80",
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		uint64_t value = 1234;

		assert_int_equal(base32_u64_decode(bad[i], &value), -EINVAL);
		assert_true(value == 1234);
	}
}

static void decode__refuses_2_to_the_64_and_more(void **state)
{
	uint64_t value = 1234;

	assert_int_equal(base32_u64_decode("G000000000000", &value), -EINVAL);
	assert_int_equal(base32_u64_decode("ZZZZZZZZZZZZZ", &value), -EINVAL);
	assert_true(value == 1234);
}

static void decode__undoes_encode(void **state)
{
	struct random_fast random;

	random_fast_seed(&random, 1);
	for (int i = 0; i < 100000; i++) {
		uint64_t value = random_fast_next(&random) >> i % 64, decoded;
		char text[BASE32_U64_LEN + 1];

		base32_u64_encode(value, text);
		assert_int_equal(strlen(text), BASE32_U64_LEN);
		assert_int_equal(base32_u64_decode(text, &decoded), 0);
		assert_true(decoded == value);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(encode__gives_known_texts),
	    cmocka_unit_test(decode__reads_known_texts_in_either_case),
	    cmocka_unit_test(decode__takes_letters_that_look_like_digits),
	    cmocka_unit_test(decode__refuses_other_lengths_and_characters),
	    cmocka_unit_test(decode__refuses_2_to_the_64_and_more),
	    cmocka_unit_test(decode__undoes_encode),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
