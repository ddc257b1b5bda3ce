/* SPDX-License-Identifier: Apache-2.0 */
#include "base/ip_prefix.h"

#include "base/address.h"

#include <setjmp.h>
#include <stdarg.h>
#include <sys/socket.h>

#include <cmocka.h>

static void parse__accepts_addresses_and_networks(void **state)
{
	static const struct {
		const char *text;
		uint8_t family, bits, first_byte, fourth_byte;
	} cases[] = {
	    {"10.1.2.3", AF_INET, 32, 10, 3},
	    {"10.1.2.3/8", AF_INET, 8, 10, 0},
	    {"0.0.0.0/0", AF_INET, 0, 0, 0},
	    {"255.255.255.255/25", AF_INET, 25, 255, 128},
	    {"::1", AF_INET6, 128, 0, 0},
	    {"fe80::1/10", AF_INET6, 10, 0xfe, 0},
	    {"2001:db8::/32", AF_INET6, 32, 0x20, 0xb8},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct ip_prefix prefix;

		assert_int_equal(ip_prefix_parse(cases[i].text, &prefix), 0);
		assert_int_equal(prefix.family, cases[i].family);
		assert_int_equal(prefix.bits, cases[i].bits);
		assert_int_equal(prefix.bytes[0], cases[i].first_byte);
		assert_int_equal(prefix.bytes[3], cases[i].fourth_byte);
	}
}

static void parse__refuses_the_rest(void **state)
{
	static const char *const cases[] = {
	    "",
	    "10",
	    "10.0.0.0/33",
	    "10.0.0.0/",
	    "10.0.0.0/-1",
	    "10.0.0.0/ 8",
	    "::1/129",
	    "localhost",
	    "10.0.0.0/8x",
	    "/8",
	    " 10.0.0.1",
	    "1.2.3.4.5",
	    "1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa:bbbb:cccc:dddd",
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct ip_prefix prefix = {.bits = 77};

		assert_int_equal(ip_prefix_parse(cases[i], &prefix), -EINVAL);
		assert_int_equal(prefix.bits, 77); /* written only on success */
	}
}

static void has__compares_the_bits_of_the_prefix(void **state)
{
	static const struct {
		const char *prefix, *address;
		bool has;
	} cases[] = {
	    {"10.0.0.0/8", "10.255.1.2:1", true},
	    {"10.0.0.0/8", "11.0.0.0:1", false},
	    {"10.0.0.0/9", "10.128.0.0:1", false},
	    {"10.1.2.3", "10.1.2.3:9", true},
	    {"10.1.2.3", "10.1.2.2:9", false},
	    {"0.0.0.0/0", "1.2.3.4:1", true},
	    {"0.0.0.0/0", "[::1]:1", false},
	    {"::/0", "[2001:db8::1]:1", true},
	    {"::/0", "1.2.3.4:1", false},
	    {"2001:db8::/33", "[2001:db8:7fff::]:1", true},
	    {"2001:db8::/33", "[2001:db8:8000::]:1", false},
	    {"::/0", "unix:/x", false},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct ip_prefix prefix;
		struct address address;

		assert_int_equal(ip_prefix_parse(cases[i].prefix, &prefix), 0);
		assert_int_equal(address_parse(cases[i].address, &address), 0);
		assert_int_equal(ip_prefix_has(&prefix, &address.sa), cases[i].has);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
	    cmocka_unit_test(parse__accepts_addresses_and_networks),
	    cmocka_unit_test(parse__refuses_the_rest),
	    cmocka_unit_test(has__compares_the_bits_of_the_prefix),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
