/* SPDX-License-Identifier: Apache-2.0 */
#include "base/parse.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define UNTOUCHED UINT64_C(987654321)

struct number_case {
	const char *text;
	int error;
	uint64_t value;
};

static void check(int (*parse)(const char *, uint64_t *), const struct number_case *cases, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		uint64_t value = UNTOUCHED, expected = cases[i].error ? UNTOUCHED : cases[i].value;
		int error = parse(cases[i].text, &value);

		if (error != cases[i].error || value != expected)
			fail_msg("\"%s\": %d, %llu", cases[i].text, error,
				 (unsigned long long)value);
	}
}

static void u64__takes_digits_only(void **state)
{
	static const struct number_case cases[] = {
	    {"0", 0, 0},
	    {"1", 0, 1},
	    {"007", 0, 7},
	    {"4294967296", 0, 4294967296},
	    {"18446744073709551615", 0, UINT64_MAX},
	    {"00000000000000000000000018446744073709551615", 0, UINT64_MAX},
	    {"18446744073709551616", -ERANGE, 0},
	    {"18446744073709551620", -ERANGE, 0},
	    {"184467440737095516150", -ERANGE, 0},
	    /* 2^64 + 2^63 after the multiplication has wrapped: looks small again. */
	    {"27670116110564327424", -ERANGE, 0},
	    {"99999999999999999999999999999999999999999", -ERANGE, 0},
	    {"", -EINVAL, 0},
	    {" 1", -EINVAL, 0},
	    {"1 ", -EINVAL, 0},
	    {"+1", -EINVAL, 0},
	    {"-1", -EINVAL, 0},
	    {"-0", -EINVAL, 0},
	    {"0x10", -EINVAL, 0},
	    {"1e3", -EINVAL, 0},
	    {"1.0", -EINVAL, 0},
	    {"1_000", -EINVAL, 0},
	    {"1,000", -EINVAL, 0},
	    {"\xd9\xa1", -EINVAL, 0}, /* an Arabic-Indic one */
	    {"1\n", -EINVAL, 0},
	    {"99999999999999999999999x", -EINVAL, 0},
	};

	check(parse_u64, cases, ARRAY_SIZE(cases));
}

static void bytes__takes_powers_of_1024(void **state)
{
	static const struct number_case cases[] = {
	    {"0", 0, 0},
	    {"512", 0, 512},
	    {"512b", 0, 512},
	    {"0kb", 0, 0},
	    {"64kb", 0, 65536},
	    {"64KB", 0, 65536},
	    {"64Kb", 0, 65536},
	    {"10mb", 0, 10485760},
	    {"3GB", 0, 3221225472},
	    {"17179869183gb", 0, UINT64_MAX - 1073741823},
	    {"17179869184gb", -ERANGE, 0},
	    {"18014398509481984kb", -ERANGE, 0},
	    {"18446744073709551616", -ERANGE, 0},
	    {"18446744073709551616b", -ERANGE, 0},
	    {"99999999999999999999tb", -EINVAL, 0},
	    {"", -EINVAL, 0},
	    {"kb", -EINVAL, 0},
	    {"1k", -EINVAL, 0},
	    {"1tb", -EINVAL, 0},
	    {"1kib", -EINVAL, 0},
	    {"1 kb", -EINVAL, 0},
	    {"1kb ", -EINVAL, 0},
	    {"1.5kb", -EINVAL, 0},
	    {"-1kb", -EINVAL, 0},
	};

	check(parse_bytes, cases, ARRAY_SIZE(cases));
}

static void duration_ms__demands_a_unit(void **state)
{
	static const struct number_case cases[] = {
	    {"0", 0, 0},
	    {"000", 0, 0},
	    {"0s", 0, 0},
	    {"1ms", 0, 1},
	    {"250ms", 0, 250},
	    {"30s", 0, 30000},
	    {"5m", 0, 300000},
	    {"1h", 0, 3600000},
	    {"7d", 0, 604800000},
	    {"18446744073709551615ms", 0, UINT64_MAX},
	    {"18446744073709551s", 0, UINT64_C(18446744073709551000)},
	    {"18446744073709552s", -ERANGE, 0},
	    {"213503982335d", -ERANGE, 0},
	    {"18446744073709551616ms", -ERANGE, 0},
	    {"1", -EINVAL, 0},
	    {"1000", -EINVAL, 0},
	    {"99999999999999999999", -EINVAL, 0},
	    {"", -EINVAL, 0},
	    {"s", -EINVAL, 0},
	    {"1S", -EINVAL, 0},
	    {"1Ms", -EINVAL, 0},
	    {"1us", -EINVAL, 0},
	    {"1min", -EINVAL, 0},
	    {"1h30m", -EINVAL, 0},
	    {"1 s", -EINVAL, 0},
	    {"-1s", -EINVAL, 0},
	    {"1.5s", -EINVAL, 0},
	};

	check(parse_duration_ms, cases, ARRAY_SIZE(cases));
}

static void percent__demands_its_sign(void **state)
{
	static const struct number_case cases[] = {
	    {"0%", 0, 0},
	    {"50%", 0, 50},
	    {"1000%", 0, 1000},
	    {"50", -EINVAL, 0},
	    {"%", -EINVAL, 0},
	    {"", -EINVAL, 0},
	    {"50 %", -EINVAL, 0},
	    {"-5%", -EINVAL, 0},
	    {"1.5%", -EINVAL, 0},
	    {"5%%", -EINVAL, 0},
	    {"99999999999999999999%", -ERANGE, 0},
	};

	check(parse_percent, cases, ARRAY_SIZE(cases));
}

static void port_range__is_two_ports_in_order(void **state)
{
	static const char *const bad[] = {
	    "",     "-",     "5",    "5-",   "-5",      "6-5", "0-5",   "5-65536",       "1--5",
	    "1-5-", "1 - 5", "+1-5", "1-5 ", "0x1-0x5", "a-b", "1-5-9", "99999999999-1", "1-000005",
	    "-1-5",
	};
	struct port_range range = {7, 7};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(parse_port_range(bad[i], &range), -EINVAL);
		assert_true(range.first == 7 && range.last == 7);
	}
	assert_int_equal(parse_port_range("1-65535", &range), 0);
	assert_true(range.first == 1 && range.last == 65535);
	assert_int_equal(parse_port_range("80-80", &range), 0);
	assert_true(range.first == 80 && range.last == 80);
}

static void bool__takes_six_words(void **state)
{
	static const char *const words[] = {"true", "false", "on", "off", "yes", "no"};
	static const char *const bad[] = {"",    "1",     "0",   "True", "TRUE", "ON",     "y",
					  "tru", "truee", "on ", " off", "none", "enabled"};

	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		bool value = i % 2;

		assert_int_equal(parse_bool(words[i], &value), 0);
		assert_int_equal(value, i % 2 == 0);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		bool value = i % 2;

		assert_int_equal(parse_bool(bad[i], &value), -EINVAL);
		assert_int_equal(value, i % 2);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(u64__takes_digits_only),
	    cmocka_unit_test(bytes__takes_powers_of_1024),
	    cmocka_unit_test(duration_ms__demands_a_unit),
	    cmocka_unit_test(percent__demands_its_sign),
	    cmocka_unit_test(port_range__is_two_ports_in_order),
	    cmocka_unit_test(bool__takes_six_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
