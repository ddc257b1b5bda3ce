/* SPDX-License-Identifier: Apache-2.0 */
#include "sluice-bench/source_pool.h"
#include "sluice-bench/target.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

/* ---- target --------------------------------------------------------------------------------- */

static void assert_target(const char *text, const char *address, const char *host, const char *path)
{
	char formatted[ADDRESS_TEXT_MAX + 1];
	const char *error = NULL;
	struct target target;

	assert_int_equal(target_parse(text, &target, &error), 0);
	address_format(&target.address, formatted);
	assert_string_equal(formatted, address);
	assert_string_equal(target.host, host);
	assert_string_equal(target.path, path);
}

static void target__takes_websocket_urls(void **state)
{
	assert_target("ws://127.0.0.1:9000/chat?x=1", "127.0.0.1:9000", "127.0.0.1:9000",
		      "/chat?x=1");
	assert_target("ws://127.0.0.1", "127.0.0.1:80", "127.0.0.1", "/");
	assert_target("ws://127.0.0.1?q", "127.0.0.1:80", "127.0.0.1", "/?q");
	assert_target("ws://[::1]:81/", "[::1]:81", "[::1]:81", "/");
	assert_target("ws://[::1]/", "[::1]:80", "[::1]", "/");
}

static void target__takes_unix_sockets(void **state)
{
	assert_target("unix:/tmp/x.sock", "unix:/tmp/x.sock", "localhost", "/");
}

static void target__refuses_everything_else(void **state)
{
	static const char *const bad[] = {
	    "",
	    "127.0.0.1:9000",
	    "http://127.0.0.1/",
	    "wss://127.0.0.1/",
	    "ws://",
	    "ws:///x",
	    "ws://:80/",
	    "ws://127.0.0.1:/",
	    "ws://[::1/",
	    "ws://[::1]x/",
	    "ws://127.0.0.1:x/",
	    "ws://127.0.0.1/a b",
	    "ws://1.2.3.4/a#b",
	    "unix:",
	    "ws://127.0.0.1/\r\nHost: evil",
	};
	struct target target;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		const char *error = NULL;

		assert_int_equal(target_parse(bad[i], &target, &error), -EINVAL);
		assert_non_null(error);
	}
}

/* ---- sources -------------------------------------------------------------------------------- */

static void assert_source(const struct source_pool *pool, uint64_t index, const char *expected)
{
	char formatted[ADDRESS_TEXT_MAX + 1];
	struct address address;

	source_pool_at(pool, index, &address);
	address_format_ip(&address, formatted);
	assert_string_equal(formatted, expected);
	assert_int_equal(address_port(&address), 0);
}

static void sources__are_used_in_turn(void **state)
{
	struct source_pool pool = {0};

	assert_int_equal(source_pool_add(&pool, "127.0.0.9,127.1.0.0/30"), 0);
	assert_int_equal(source_pool_add(&pool, "127.2.0.0/31"), 0);
	/* Network and broadcast address of the /30 are no hosts; a /31 has none (RFC 3021). */
	assert_int_equal(pool.total, 5);
	assert_source(&pool, 0, "127.0.0.9");
	assert_source(&pool, 1, "127.1.0.1");
	assert_source(&pool, 2, "127.1.0.2");
	assert_source(&pool, 3, "127.2.0.0");
	assert_source(&pool, 4, "127.2.0.1");
	assert_source(&pool, 5, "127.0.0.9");
}

static void sources__a_network_counts_over_byte_borders(void **state)
{
	struct source_pool pool = {0};

	assert_int_equal(source_pool_add(&pool, "127.0.0.0/8"), 0);
	assert_int_equal(pool.total, (1u << 24) - 2);
	assert_source(&pool, 255, "127.0.1.0");
	assert_source(&pool, 65535, "127.1.0.0");
	assert_source(&pool, pool.total - 1, "127.255.255.254");
}

static void sources__host_bits_of_a_network_are_ignored(void **state)
{
	struct source_pool pool = {0};

	assert_int_equal(source_pool_add(&pool, "127.0.5.77/24"), 0);
	assert_source(&pool, 0, "127.0.5.1");
}

static void sources__ipv6(void **state)
{
	struct source_pool pool = {0};

	assert_int_equal(source_pool_add(&pool, "::1,fd00::fffe/111"), 0);
	assert_true(source_pool_has_family(&pool, AF_INET6));
	assert_false(source_pool_has_family(&pool, AF_INET));
	assert_source(&pool, 0, "::1");
	assert_source(&pool, 1, "fd00::");
	assert_source(&pool, 1 + 65536, "fd00::1:0");
	memset(&pool, 0, sizeof(pool));
	assert_int_equal(source_pool_add(&pool, "fd00::/64"), 0);
	assert_int_equal(pool.total, 1ull << 32);
}

static void sources__refuses_everything_else(void **state)
{
	static const char *const bad[] =
	    {"",           ",",           "127.0.0.1,", "127.0.0.1/33", "::1/129",
	     "127.0.0.1/", "127.0.0.1/x", "localhost",  "127.0.0.1:5",  "127.0.0.1 ",
	     "/8"};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct source_pool pool = {0};

		assert_int_equal(source_pool_add(&pool, bad[i]), -EINVAL);
	}
}

static void sources__have_a_limit(void **state)
{
	struct source_pool pool = {0};

	for (int i = 0; i < SOURCE_RANGES_MAX; i++)
		assert_int_equal(source_pool_add(&pool, "127.0.0.1"), 0);
	assert_int_equal(source_pool_add(&pool, "127.0.0.1"), -E2BIG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(target__takes_websocket_urls),
	    cmocka_unit_test(target__takes_unix_sockets),
	    cmocka_unit_test(target__refuses_everything_else),
	    cmocka_unit_test(sources__are_used_in_turn),
	    cmocka_unit_test(sources__a_network_counts_over_byte_borders),
	    cmocka_unit_test(sources__host_bits_of_a_network_are_ignored),
	    cmocka_unit_test(sources__ipv6),
	    cmocka_unit_test(sources__refuses_everything_else),
	    cmocka_unit_test(sources__have_a_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
