/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/origin.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void pattern__is_an_origin_with_or_without_a_star(void **state)
{
	static const char *const good[] = {
	    "https://a.example", "HTTP://A.example:8080",  "https://*.b.example", "null",
	    "https://[::1]:443", "chrome-extension://abc", "http://localhost",
	};
	static const char *const bad[] = {
	    "",
	    "*",
	    "a.example",
	    "https://",
	    "https://*",
	    "https://*.",
	    "https://a.*.example",
	    "https://*a.example",
	    "https://a.example/",
	    "https://a.example:",
	    "https://a.example:0",
	    "https://a.example:080",
	    "https://a.example:123456",
	    "https://a.example:8x",
	    "https://u@a.example",
	    "https://*.[::1]",
	    "https://[::1",
	    "https://[]",
	    "://a",
	    "https://a b",
	    "https://a.example\r\n",
	    "NULL",
	};

	for (size_t i = 0; i < ARRAY_SIZE(good); i++)
		assert_true(origin_is_pattern(slice_from_str(good[i])));
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_false(origin_is_pattern(slice_from_str(bad[i])));
}

static void matches__compares_scheme_host_and_port(void **state)
{
	static const struct {
		const char *pattern, *origin;
		bool matches;
	} cases[] = {
	    {"https://a.example", "https://a.example", true},
	    {"https://a.example", "HTTPS://A.EXAMPLE", true},
	    {"https://a.example", "http://a.example", false},
	    {"https://a.example", "https://b.example", false},
	    {"https://a.example", "https://a.example.evil", false},
	    {"https://a.example", "https://evil-a.example", false},
	    {"https://a.example", "https://x.a.example", false},
	    {"https://a.example", "https://a.example:8443", false},
	    {"https://a.example:8443", "https://a.example:8443", true},
	    {"https://a.example:8443", "https://a.example", false},
	    /* RFC 6454 s4: no port is the scheme's */
	    {"https://a.example:443", "https://a.example", true},
	    {"http://a.example", "http://a.example:80", true},
	    {"https://[::1]:1", "https://[::1]:1", true},
	    /* a star is one name or more */
	    {"https://*.b.example", "https://x.b.example", true},
	    {"https://*.b.example", "https://x.y.B.example", true},
	    {"https://*.b.example", "https://b.example", false},
	    {"https://*.b.example", "https://.b.example", false},
	    {"https://*.b.example", "https://xb.example", false},
	    {"https://*.b.example", "https://x.b.example:1", false},
	    {"https://*.b.example", "http://x.b.example", false},
	    {"https://*.b.example", "https://x.b.example.evil", false},
	    {"https://*.b.example", "https://*.b.example", false},
	    /* not an origin */
	    {"https://a.example", "", false},
	    {"https://a.example", "a.example", false},
	    {"https://a.example", "https://a.example/", false},
	    {"https://a.example", "https://a.example https://b.example", false},
	    {"https://*.b.example", "https://evil/x.b.example", false},
	    {"https://*.b.example", "https://evil?.b.example", false},
	    {"https://*.b.example", "https://u@x.b.example", false},
	    /* a page without an origin of its own */
	    {"null", "null", true},
	    {"null", "https://a.example", false},
	    {"https://a.example", "null", false},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		if (origin_matches(slice_from_str(cases[i].pattern),
				   slice_from_str(cases[i].origin)) != cases[i].matches)
			fail_msg("%s, %s", cases[i].pattern, cases[i].origin);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
	    cmocka_unit_test(pattern__is_an_origin_with_or_without_a_star),
	    cmocka_unit_test(matches__compares_scheme_host_and_port),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
