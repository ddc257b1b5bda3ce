/* SPDX-License-Identifier: Apache-2.0 */
#include "core/config_syntax.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void assert_all(bool (*fn)(const char *), bool expected, const char *const *texts)
{
	for (size_t i = 0; texts[i]; i++) {
		if (fn(texts[i]) != expected)
			fail_msg("\"%s\" is %s", texts[i], expected ? "refused" : "taken");
	}
}

#define ACCEPTS(fn, ...) assert_all(fn, true, (const char *const[]){__VA_ARGS__, NULL})
#define REFUSES(fn, ...) assert_all(fn, false, (const char *const[]){__VA_ARGS__, NULL})

static void path__is_absolute(void **state)
{
	ACCEPTS(config_is_path, "/", "/a/b");
	REFUSES(config_is_path, "", "a", "./a", "~/a", "@a");
}

static void log_target__is_a_path_or_a_dash(void **state)
{
	ACCEPTS(config_is_log_target, "-", "/var/log/a");
	REFUSES(config_is_log_target, "", "--", "-a", "log");
}

static void host__is_a_name_or_address_without_port(void **state)
{
	ACCEPTS(config_is_host, "a", "A.b-c_d", "127.0.0.1", "a.", "[::1]", "[::ffff:1.2.3.4]");
	REFUSES(config_is_host, "", "a:80", "a b", "*.a", "a/b", "a@b", "\xc3\xa9.example");
	REFUSES(config_is_host, "::1", "[::1]:80", "[::1", "[fe80::1%lo]", "[1.2.3.4]", "[]", "[");
	REFUSES(config_is_host,
		"[0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0001]");
}

static void match_path__is_a_path_or_its_beginning(void **state)
{
	ACCEPTS(config_is_match_path, "~^/a$", "~a", "/", "/live", "/a/", "/a//b", "/%C3%A9", "/*",
		"/a/b*", "/a*");
	REFUSES(config_is_match_path, "", "~", "live", "*", "/a*b", "/a/**", "/a?b", "/a#b", "/a b",
		"/\xc3\xa9", "/a\n", "http://a/");
}

/* Routing refuses requests with such segments, so a route for one would never match. */
static void match_path__has_no_dot_segments(void **state)
{
	ACCEPTS(config_is_match_path, "/..a", "/a/.b/c", "/a./b", "/...", "/.*", "/..*", "/a/.*");
	REFUSES(config_is_match_path, "/.", "/..", "/a/../b", "/a/..", "/a/./", "/./*", "/../*");
}

static void media_type__fits_a_header_field(void **state)
{
	ACCEPTS(config_is_media_type, "text/plain", "text/plain; charset=utf-8",
		"application/vnd.a+json", "a/b");
	REFUSES(config_is_media_type, "", "text", "text/", "/plain", "te xt/plain", "text/plain ",
		"text/plain\n", "text/plain\r\nX: y", "text/\xc3\xa9", "text/plain\x7f");
}

static void name__needs_no_quotes_anywhere(void **state)
{
	ACCEPTS(config_is_name, "a", "A-b_c.9", "-", ".");
	REFUSES(config_is_name, "", "a b", "a/b", "a:b", "\xc3\xa9", "a\n");
}

static void connectable__has_a_port(void **state)
{
	ACCEPTS(config_is_connectable, "1.2.3.4:1", "[::1]:65535", "unix:/a", "unix:@a");
	REFUSES(config_is_connectable, "", "1.2.3.4", "1.2.3.4:0", "[::1]:0", "1.2.3.4:65536",
		"localhost:80", ":80", "unix:");
}

static void target__may_be_a_name(void **state)
{
	ACCEPTS(config_is_target, "1.2.3.4:1", "unix:/a", "localhost:80", "a_b-c.example.:65535",
		"1.2.3.a4:1");
	REFUSES(config_is_target, "", "localhost", "localhost:", "localhost:0", "localhost:65536",
		"1.2.3:80", "1.2.3.4.5:80", "a..b:80", ".:80", ".a:80", "a b:80", "a/b:80",
		"\xc3\xa9:80", "a:80:80", ":80");
}

static void name_server__has_an_address(void **state)
{
	ACCEPTS(config_is_name_server, "127.0.0.1:53", "[::1]:53");
	REFUSES(config_is_name_server, "", "127.0.0.1", "127.0.0.1:0", "unix:/a", "localhost:53",
		"[fe80::1%lo]:53");
}

static void request_path__has_a_query_but_no_fragment(void **state)
{
	ACCEPTS(config_is_request_path, "/", "/healthz?full=1", "/a*b");
	REFUSES(config_is_request_path, "", "health", "/a b", "/a#b", "/\xc3\xa9", "/a\r\n");
}

static void health_host__may_be_nothing(void **state)
{
	ACCEPTS(config_is_health_host, "", "a.example", "a.example:80", "[::1]", "[::1]:80",
		"127.0.0.1:0");
	REFUSES(config_is_health_host, ":80", "a:", "a:b", "a:65536", "a b", "a\r\nX: y", "::1");
}

static void hash_key__names_a_part_of_the_request(void **state)
{
	ACCEPTS(config_is_hash_key, "source", "host", "path", "header:X-User", "query:user",
		"query:a b", "cookie:sid");
	REFUSES(config_is_hash_key, "", "Source", "source:x", "header", "header:", "header:a b",
		"header:a:b", "query:", "query:a=b", "query:a&b", "cookie:", "cookie:a;b",
		"body:x");
}

static void source_ports__are_a_range_without_privileges(void **state)
{
	ACCEPTS(config_is_source_ports, "1024-65535", "16384-32767", "2000-2000");
	REFUSES(config_is_source_ports, "", "16384", "16384-", "1023-2000", "3000-2000",
		"2000-65536", "2000 - 3000", "2000-3000-4000", "2000-3000, 4000-5000");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(path__is_absolute),
	    cmocka_unit_test(log_target__is_a_path_or_a_dash),
	    cmocka_unit_test(host__is_a_name_or_address_without_port),
	    cmocka_unit_test(match_path__is_a_path_or_its_beginning),
	    cmocka_unit_test(match_path__has_no_dot_segments),
	    cmocka_unit_test(media_type__fits_a_header_field),
	    cmocka_unit_test(name__needs_no_quotes_anywhere),
	    cmocka_unit_test(connectable__has_a_port),
	    cmocka_unit_test(target__may_be_a_name),
	    cmocka_unit_test(name_server__has_an_address),
	    cmocka_unit_test(request_path__has_a_query_but_no_fragment),
	    cmocka_unit_test(health_host__may_be_nothing),
	    cmocka_unit_test(hash_key__names_a_part_of_the_request),
	    cmocka_unit_test(source_ports__are_a_range_without_privileges),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
