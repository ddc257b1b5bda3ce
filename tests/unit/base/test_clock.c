/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"

#include "base/random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>

#include <cmocka.h>

static void monotonic__does_not_go_back(void **state)
{
	uint64_t last_ns = clock_monotonic_ns();

	assert_true(last_ns > 0);
	for (int i = 0; i < 1000; i++) {
		uint64_t now_ns = clock_monotonic_ns();

		assert_true(now_ns >= last_ns);
		last_ns = now_ns;
	}
}

/* Both read the same clock; only a step of it between the readings could part them. */
static void realtime__is_the_time_since_1970(void **state)
{
	uint64_t now_s = clock_realtime_ns() / NS_PER_S;
	uint64_t also_s = (uint64_t)time(NULL);

	assert_true(also_s + 3600 > now_s && now_s + 3600 > also_s);
}

static void format__gives_known_texts(void **state)
{
	static const struct {
		uint64_t realtime_ns;
		const char *text;
	} known[] = {
	    {0, "1970-01-01T00:00:00.000000Z"},
	    {999, "1970-01-01T00:00:00.000000Z"},
	    {1000, "1970-01-01T00:00:00.000001Z"},
	    {951782399999999999, "2000-02-28T23:59:59.999999Z"},
	    {951782400000000000, "2000-02-29T00:00:00.000000Z"},
	    {4107542400000000000, "2100-03-01T00:00:00.000000Z"},
	    {1795226515123456789, "2026-11-21T02:01:55.123456Z"},
	    {UINT64_MAX, "2554-07-21T23:34:33.709551Z"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
		char text[CLOCK_RFC3339_LEN + 1];

		clock_format_rfc3339(known[i].realtime_ns, text);
		assert_string_equal(text, known[i].text);
		assert_int_equal(strlen(text), CLOCK_RFC3339_LEN);
	}
}

static void check_against_libc(uint64_t realtime_ns)
{
	time_t seconds = (time_t)(realtime_ns / NS_PER_S);
	char text[CLOCK_RFC3339_LEN + 1], expected[64];
	struct tm tm;

	assert_non_null(gmtime_r(&seconds, &tm));
	(void)snprintf(expected, sizeof(expected), "%04d-%02d-%02dT%02d:%02d:%02d.%06uZ",
		       tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min,
		       tm.tm_sec, (unsigned int)(realtime_ns % NS_PER_S / NS_PER_US));
	clock_format_rfc3339(realtime_ns, text);
	assert_string_equal(text, expected);
}

static void format__agrees_with_libc_on_every_day(void **state)
{
	const uint64_t ns_per_day = 86400 * NS_PER_S;

	for (uint64_t day = 0; day <= UINT64_MAX / ns_per_day; day++) {
		check_against_libc(day * ns_per_day);
		if (day > 0)
			check_against_libc(day * ns_per_day - 1);
	}
}

static void format__agrees_with_libc_at_random_times(void **state)
{
	struct random_fast random;

	random_fast_seed(&random, 1);
	for (int i = 0; i < 100000; i++)
		check_against_libc(random_fast_next(&random));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(monotonic__does_not_go_back),
	    cmocka_unit_test(realtime__is_the_time_since_1970),
	    cmocka_unit_test(format__gives_known_texts),
	    cmocka_unit_test(format__agrees_with_libc_on_every_day),
	    cmocka_unit_test(format__agrees_with_libc_at_random_times),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
