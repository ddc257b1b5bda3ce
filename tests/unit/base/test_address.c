/* SPDX-License-Identifier: Apache-2.0 */
#include "base/address.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define PATH_OFFSET offsetof(struct sockaddr_un, sun_path)
#define TEN         "/234567890"
#define PATH_107    TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN "/234567"
_Static_assert(sizeof(PATH_107) == sizeof(((struct sockaddr_un *)0)->sun_path), "with its NUL");

static struct address parsed(const char *text)
{
	struct address address;

	/* What is not part of the address must not depend on what was there before. */
	memset(&address, 0xa5, sizeof(address));
	assert_int_equal(address_parse(text, &address), 0);
	return address;
}

static void parse__v4(void **state)
{
	struct address a = parsed("192.0.2.7:8080");

	assert_int_equal(a.len, sizeof(struct sockaddr_in));
	assert_int_equal(a.sa.sa_family, AF_INET);
	assert_int_equal(a.in4.sin_port, htons(8080));
	assert_int_equal(a.in4.sin_addr.s_addr, htonl(0xc0000207));
	assert_int_equal(address_port(&a), 8080);
}

static void parse__v6(void **state)
{
	static const uint8_t bytes[16] = {0x20, 0x01, 0x0d, 0xb8, [15] = 0x7f};
	struct address a = parsed("[2001:db8::7f]:443");

	assert_int_equal(a.len, sizeof(struct sockaddr_in6));
	assert_int_equal(a.sa.sa_family, AF_INET6);
	assert_int_equal(a.in6.sin6_port, htons(443));
	assert_memory_equal(&a.in6.sin6_addr, bytes, sizeof(bytes));
	assert_int_equal(a.in6.sin6_scope_id, 0);
	assert_int_equal(a.in6.sin6_flowinfo, 0);
	assert_int_equal(address_port(&a), 443);
}

/* RFC 4007 s11.2: a scope is an interface's number or, on this system, its name. */
static void parse__v6_with_a_scope(void **state)
{
	struct address a = parsed("[fe80::1%4294967295]:80");

	assert_true(a.in6.sin6_scope_id == UINT32_MAX);
	a = parsed("[fe80::1%7]:80");
	assert_int_equal(a.in6.sin6_scope_id, 7);
	assert_int_equal(address_port(&a), 80);
	assert_true(if_nametoindex("lo") > 0);
	a = parsed("[febf::1%lo]:80");
	assert_int_equal(a.in6.sin6_scope_id, if_nametoindex("lo"));
}

static void parse__unix_path(void **state)
{
	struct address a = parsed("unix:/run/x.sock");

	assert_int_equal(a.sa.sa_family, AF_UNIX);
	assert_string_equal(a.un.sun_path, "/run/x.sock");
	assert_int_equal(a.len, PATH_OFFSET + strlen("/run/x.sock") + 1);
	assert_int_equal(address_port(&a), 0);
	a = parsed("unix:" PATH_107);
	assert_string_equal(a.un.sun_path, PATH_107);
	assert_int_equal(a.len, sizeof(struct sockaddr_un));
	a = parsed("unix:relative:80");
	assert_string_equal(a.un.sun_path, "relative:80");
}

/* unix(7): the name has no NUL at its end, and every byte of the length counts. */
static void parse__unix_abstract(void **state)
{
	struct address a = parsed("unix:@name");

	assert_int_equal(a.sa.sa_family, AF_UNIX);
	assert_int_equal(a.len, PATH_OFFSET + 5);
	assert_memory_equal(a.un.sun_path, "\0name", 5);
}

static void parse__tells_what_is_wrong(void **state)
{
	static const struct {
		const char *text;
		int error;
	} cases[] = {
	    {"", -EINVAL},
	    {":", -EINVAL},
	    {":80", -EINVAL},
	    {"80", -EINVAL},
	    {"1.2.3.4", -EINVAL},
	    {"1.2.3.4:", -EINVAL},
	    {"1.2.3.4:x", -EINVAL},
	    {"1.2.3.4:80x", -EINVAL},
	    {"1.2.3.4:+80", -EINVAL},
	    {"1.2.3.4:-1", -EINVAL},
	    {"1.2.3.4: 80", -EINVAL},
	    {"1.2.3.4:80 ", -EINVAL},
	    {" 1.2.3.4:80", -EINVAL},
	    {"1.2.3.4:80:80", -EINVAL},
	    {"1.2.3:80", -EINVAL},
	    {"1.2.3.4.5:80", -EINVAL},
	    {"1.2.3.256:80", -EINVAL},
	    {"01.2.3.4:80", -EINVAL},
	    {"0x1.2.3.4:80", -EINVAL},
	    {"16909060:80", -EINVAL},
	    {"1.2.3.4000000000000000000000000000000000:80", -EINVAL},
	    {"localhost:80", -EINVAL},
	    {"*:80", -EINVAL},
	    {"1.2.3.4:65536", -ERANGE},
	    {"1.2.3.4:99999999999999999999", -ERANGE},
	    {"::1:80", -EINVAL},
	    {"[::1]", -EINVAL},
	    {"[::1]80", -EINVAL},
	    {"[::1]:", -EINVAL},
	    {"[::1:80", -EINVAL},
	    {"[]:80", -EINVAL},
	    {"[1.2.3.4]:80", -EINVAL},
	    {"[[::1]]:80", -EINVAL},
	    {"[::1]]:80", -EINVAL},
	    {"[::1] :80", -EINVAL},
	    {"[:::1]:80", -EINVAL},
	    {"[1:2:3:4:5:6:7:8:9]:80", -EINVAL},
	    {"[12345::]:80", -EINVAL},
	    {"[::1]:65536", -ERANGE},
	    {"[1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa:bbbb:cccc:dddd:eeee]:80", -EINVAL},
	    {"[fe80::1%]:80", -EINVAL},
	    {"[fe80::1%0]:80", -EINVAL},
	    {"[fe80::1%4294967296]:80", -EINVAL},
	    {"[fe80::1%99999999999999999999]:80", -EINVAL},
	    {"[fe80::1%a-name-longer-than-15]:80", -EINVAL},
	    {"[fe80::1%no-such-if]:80", -ENODEV},
	    {"[fe80::1%-1]:80", -ENODEV},
	    {"[fe80::1%lo%lo]:80", -ENODEV},
	    {"[%lo]:80", -EINVAL},
	    {"[::1%lo]:80", -EINVAL},
	    {"[2001:db8::1%1]:80", -EINVAL},
	    {"[fec0::1%1]:80", -EINVAL},
	    {"unix:", -EINVAL},
	    {"unix:@", -EINVAL},
	    {"unix", -EINVAL},
	    {"Unix:/x", -EINVAL},
	    {"unix:" PATH_107 "x", -ENAMETOOLONG},
	    {"unix:@" PATH_107, -ENAMETOOLONG},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct address address, before;
		int error;

		memset(&address, 0xa5, sizeof(address));
		before = address;
		error = address_parse(cases[i].text, &address);
		if (error != cases[i].error)
			fail_msg("\"%s\": %d", cases[i].text, error);
		assert_memory_equal(&address, &before, sizeof(before));
	}
}

static void format__undoes_parse(void **state)
{
	static const char *const texts[] = {
	    "0.0.0.0:0",
	    "255.255.255.255:65535",
	    "192.0.2.7:8080",
	    "[::]:0",
	    "[::1]:80",
	    "[2001:db8::7f]:443",
	    "[::ffff:192.0.2.1]:1",
	    "[1111:2222:3333:4444:5555:6666:7777:8888]:65535",
	    "[fe80::1%7]:80",
	    "[fe80:2222:3333:4444:5555:6666:7777:8888%4294967295]:65535",
	    "unix:/run/x.sock",
	    "unix:relative",
	    "unix:" PATH_107,
	    "unix:@name",
	    "unix:@" TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN "/23456",
	};

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		struct address a = parsed(texts[i]);
		char text[ADDRESS_TEXT_MAX + 1];

		address_format(&a, text);
		assert_string_equal(text, texts[i]);
	}
}

static void format__writes_the_canonical_form(void **state)
{
	static const struct {
		const char *in, *out;
	} cases[] = {
	    {"1.2.3.4:0080", "1.2.3.4:80"},
	    {"[2001:DB8:0:0:0:0:0:1]:80", "[2001:db8::1]:80"},
	    {"[0:0:0:0:0:0:0:0]:80", "[::]:80"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct address a = parsed(cases[i].in);
		char text[ADDRESS_TEXT_MAX + 1];

		address_format(&a, text);
		assert_string_equal(text, cases[i].out);
	}
}

/* What accept(2) and getsockname(2) may give, beyond what can be parsed. */
static void format__survives_what_the_kernel_may_give(void **state)
{
	struct address a = {.un = {.sun_family = AF_UNIX}, .len = PATH_OFFSET};
	char text[ADDRESS_TEXT_MAX + 1], expected[ADDRESS_TEXT_MAX + 1] = "unix:";

	address_format(&a, text);
	assert_string_equal(text, "unix:");
	a.len = 0;
	address_format(&a, text);
	assert_string_equal(text, "unix:");
	memcpy(a.un.sun_path, "\0a\0b\0", 5);
	a.len = PATH_OFFSET + 5;
	address_format(&a, text);
	assert_string_equal(text, "unix:@a@b@");
	/* A path may fill sun_path without a NUL; the length then says one more (unix(7)). */
	memset(a.un.sun_path, 'p', sizeof(a.un.sun_path));
	memset(expected + 5, 'p', sizeof(a.un.sun_path));
	a.len = sizeof(a.un) + 1;
	address_format(&a, text);
	assert_string_equal(text, expected);
	/* A path ends at its NUL, whatever the length says. */
	memcpy(a.un.sun_path, "/x", 3);
	a.len = sizeof(a.un);
	address_format(&a, text);
	assert_string_equal(text, "unix:/x");
	a = (struct address){.sa.sa_family = AF_UNSPEC, .len = sizeof(a.sa)};
	address_format(&a, text);
	assert_string_equal(text, "unknown:0");
}

static void format_ip__is_the_host_alone(void **state)
{
	static const struct {
		const char *in, *out;
	} cases[] = {
	    {"192.0.2.7:8080", "192.0.2.7"}, {"[2001:db8::1]:80", "2001:db8::1"},
	    {"[fe80::1%7]:80", "fe80::1%7"}, {"unix:/run/x", "unix"},
	    {"unix:@name", "unix"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct address a = parsed(cases[i].in);
		char text[ADDRESS_TEXT_MAX + 1];

		address_format_ip(&a, text);
		assert_string_equal(text, cases[i].out);
	}
}

static void equal__compares_what_names_the_peer(void **state)
{
	static const char *const texts[] = {
	    "1.2.3.4:80",     "1.2.3.4:81", "1.2.3.5:80",   "[::1]:80",
	    "[::1]:81",       "[::2]:80",   "[fe80::1]:80", "[fe80::1%1]:80",
	    "[fe80::1%2]:80", "unix:/x",    "unix:/xy",     "unix:/y",
	    "unix:@x",        "unix:@xy",   "unix:@/x",     "[::ffff:1.2.3.4]:80",
	};

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		for (size_t j = 0; j < ARRAY_SIZE(texts); j++) {
			struct address a = parsed(texts[i]), b = parsed(texts[j]);

			/* Bytes that name nobody. */
			if (a.sa.sa_family == AF_INET)
				memset(a.in4.sin_zero, 1, sizeof(a.in4.sin_zero));
			if (a.sa.sa_family == AF_INET6)
				a.in6.sin6_flowinfo = 1;
			if (address_equal(&a, &b) != (i == j))
				fail_msg("%s and %s", texts[i], texts[j]);
		}
	}
}

/* Every text that the kernel gives for a bound socket is one that it takes. */
static void parse__gives_addresses_that_bind_takes(void **state)
{
	static const char *const texts[] = {"127.0.0.1:0", "unix:@sluice-test-address"};

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		struct address a = parsed(texts[i]), bound = {.len = sizeof(bound.un)}, again;
		char text[ADDRESS_TEXT_MAX + 1];
		_cleanup_close_ int fd = socket(a.sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

		if (fd < 0)
			abort();
		assert_int_equal(bind(fd, &a.sa, a.len), 0);
		assert_int_equal(getsockname(fd, &bound.sa, &bound.len), 0);
		address_format(&bound, text);
		again = parsed(text);
		assert_true(address_equal(&bound, &again));
		assert_int_equal(bound.len, again.len);
	}
}

static void parse_ip__takes_no_port(void **state)
{
	static const char *const bad[] = {"",     "1.2.3.4:80", "[::1]", "[::1]:0", "1.2.3",
					  "::1]", "unix:/a",    "a",     "::1%lo"};
	struct address a;

	assert_int_equal(address_parse_ip("192.0.2.7", &a), 0);
	assert_int_equal(a.in4.sin_addr.s_addr, htonl(0xc0000207));
	assert_int_equal(address_port(&a), 0);
	assert_int_equal(address_parse_ip("2001:db8::7f", &a), 0);
	assert_int_equal(a.sa.sa_family, AF_INET6);
	assert_int_equal(a.len, sizeof(struct sockaddr_in6));
	assert_int_equal(address_parse_ip("fe80::1%7", &a), 0);
	assert_int_equal(a.in6.sin6_scope_id, 7);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(address_parse_ip(bad[i], &a), -EINVAL);
}

static void split_name__parts_name_and_port(void **state)
{
	static const struct {
		const char *text, *host;
		uint16_t port;
	} cases[] = {
	    {"localhost:1", "localhost", 1},
	    {"Back-end_1.example:65535", "Back-end_1.example", 65535},
	    {"a.example.:80", "a.example.", 80},
	    {"10.0.0.example:80", "10.0.0.example", 80},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct slice host;
		uint16_t port;

		assert_int_equal(address_split_name(cases[i].text, &host, &port), 0);
		assert_true(slice_equal(host, slice_from_str(cases[i].host)));
		assert_int_equal(port, cases[i].port);
	}
}

/* RFC 1035 s2.3.4: labels of 63 octets or less, names of 255 or less on the wire. */
static void split_name__bounds_labels_and_names(void **state)
{
	char text[300], *end;
	struct slice host;
	uint16_t port;

	memset(text, 'a', sizeof(text));
	strcpy(text + 63, ":80");
	assert_int_equal(address_split_name(text, &host, &port), 0);
	text[63] = 'a';
	strcpy(text + 64, ":80");
	assert_int_equal(address_split_name(text, &host, &port), -EINVAL);
	/* 253 = 4 * (62 + 1) + 1 */
	for (end = text; end < text + 252; end += 63) {
		memset(end, 'a', 62);
		end[62] = '.';
	}
	strcpy(end, "a:80");
	assert_int_equal(address_split_name(text, &host, &port), 0);
	assert_int_equal(host.len, 253);
	strcpy(end, "aa:80");
	assert_int_equal(address_split_name(text, &host, &port), -EINVAL);
}

static void split_name__refuses_what_is_none(void **state)
{
	static const char *const forms[] = {
	    "",        "a",       ":80",        "a.:",     "a:b",    ".:80",
	    ".a:80",   "a..b:80", "1:80",       "a b:1",   "a/b:1",  "a.1:80",
	    "1.2.3:1", "a:80 ",   "1.2.3.4:80", "[::1]:1", "a:1:81", "\xc3\xa9:80",
	};
	struct slice host;
	uint16_t port;

	for (size_t i = 0; i < ARRAY_SIZE(forms); i++) {
		if (address_split_name(forms[i], &host, &port) != -EINVAL)
			fail_msg("%s", forms[i]);
	}
	assert_int_equal(address_split_name("a:0", &host, &port), -ERANGE);
	assert_int_equal(address_split_name("a:65536", &host, &port), -ERANGE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(split_name__parts_name_and_port),
	    cmocka_unit_test(split_name__bounds_labels_and_names),
	    cmocka_unit_test(split_name__refuses_what_is_none),
	    cmocka_unit_test(parse__v4),
	    cmocka_unit_test(parse__v6),
	    cmocka_unit_test(parse__v6_with_a_scope),
	    cmocka_unit_test(parse__unix_path),
	    cmocka_unit_test(parse__unix_abstract),
	    cmocka_unit_test(parse__tells_what_is_wrong),
	    cmocka_unit_test(format__undoes_parse),
	    cmocka_unit_test(format__writes_the_canonical_form),
	    cmocka_unit_test(format__survives_what_the_kernel_may_give),
	    cmocka_unit_test(format_ip__is_the_host_alone),
	    cmocka_unit_test(equal__compares_what_names_the_peer),
	    cmocka_unit_test(parse__gives_addresses_that_bind_takes),
	    cmocka_unit_test(parse_ip__takes_no_port),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
