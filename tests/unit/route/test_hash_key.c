/* SPDX-License-Identifier: Apache-2.0 */
#include "route/hash_key.h"

#include "base/address.h"
#include "route/ring.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static struct address parsed(const char *text)
{
	struct address address;

	assert_int_equal(address_parse(text, &address), 0);
	return address;
}

static uint64_t key_of(const char *key, const char *fields, const char *target, const char *source)
{
	static const struct http1_limits limits = {65536, 65536, HTTP1_FIELDS_MAX};
	static struct http1_head head;
	struct address address = parsed(source);
	char text[2048];
	int len = snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\n%s\r\n", target, fields);

	assert_int_equal(http1_request_parse(text, (size_t)len, &limits, &head), 0);
	return hash_key_of(key, &head, &address.sa);
}

static void assert_key(const char *key, const char *fields, const char *target,
		       const char *expected)
{
	assert_true(key_of(key, fields, target, "192.0.2.1:5") ==
		    ring_hash(expected, strlen(expected)));
}

static void assert_source(const char *key, const char *fields, const char *target)
{
	assert_true(key_of(key, fields, target, "192.0.2.1:5") == ring_hash("\xc0\x00\x02\x01", 4));
}

#define HOST "Host: play.example\r\n"

static void source__is_without_port(void **state)
{
	uint64_t one = key_of("source", HOST, "/", "192.0.2.1:5");

	assert_source("source", HOST, "/");
	assert_true(key_of("source", HOST, "/", "192.0.2.1:6") == one);
	assert_true(key_of("source", HOST, "/", "192.0.2.2:5") != one);
	assert_true(key_of("source", HOST, "/", "[2001:db8::1]:5") ==
		    key_of("source", HOST, "/", "[2001:db8::1]:6"));
	assert_true(key_of("source", HOST, "/", "[2001:db8::1]:5") !=
		    key_of("source", HOST, "/", "[2001:db8::2]:5"));
	assert_true(key_of("source", HOST, "/", "unix:/a") ==
		    key_of("source", HOST, "/", "unix:/b"));
}

static void host__is_without_port_and_case(void **state)
{
	assert_key("host", "Host: Play.EXAMPLE:8080\r\n", "/", "play.example");
	assert_key("host", "Host: [::F]:80\r\n", "/", "[::f]");
	assert_key("host", HOST, "/", "play.example");
}

static void path__is_without_query(void **state)
{
	assert_key("path", HOST, "/a/B?c=d", "/a/B");
}

static void header__is_the_first_one(void **state)
{
	assert_key("header:X-User", HOST "x-user: ann\r\nX-User: bob\r\n", "/", "ann");
	assert_source("header:X-User", HOST "X-User:\r\n", "/");
	assert_source("header:X-User", HOST "X-Users: ann\r\n", "/");
}

static void query__is_the_first_one(void **state)
{
	assert_key("query:u", HOST, "/?u=ann", "ann");
	assert_key("query:u", HOST, "/?au=x&u=ann&u=bob", "ann");
	assert_key("query:u", HOST, "/?u&&u=a=b&", "a=b");
	assert_source("query:u", HOST, "/u=ann");
	assert_source("query:u", HOST, "/?u=&x=y");
	assert_source("query:u", HOST, "/?U=ann");
	assert_source("query:u", HOST, "/");
}

static void cookie__may_stand_in_any_field(void **state)
{
	assert_key("cookie:sid", HOST "Cookie: sid=7\r\n", "/", "7");
	assert_key("cookie:sid", HOST "Cookie: a=b; xsid=1; sid=7; c=d\r\n", "/", "7");
	assert_key("cookie:sid", HOST "Cookie: a=b\r\nX: y\r\nCookie: sid=7\r\n", "/", "7");
	assert_source("cookie:sid", HOST "Cookie: SID=7; sid\r\n", "/");
	assert_source("cookie:sid", HOST, "/");
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
	    cmocka_unit_test(source__is_without_port),
	    cmocka_unit_test(host__is_without_port_and_case),
	    cmocka_unit_test(path__is_without_query),
	    cmocka_unit_test(header__is_the_first_one),
	    cmocka_unit_test(query__is_the_first_one),
	    cmocka_unit_test(cookie__may_stand_in_any_field),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
