/* SPDX-License-Identifier: Apache-2.0 */
/* Over maps in the kernel, but none that a program uses. */
#include "kern/flow_table.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "lib/bpf_maps.h"

static struct flow_table table;

static int set_up(void **state)
{
	table.fd4 = table.fd6 = -1;
	return 0;
}

static void open_table(uint32_t n_entries)
{
	table.fd4 = map_create(SL_MAP_FLOWS4, n_entries);
	table.fd6 = map_create(SL_MAP_FLOWS6, n_entries);
}

static int tear_down(void **state)
{
	if (table.fd4 >= 0)
		close(table.fd4);
	if (table.fd6 >= 0)
		close(table.fd6);
	return 0;
}

static struct flow_key key_of(const char *from, const char *to)
{
	struct address a, b;
	struct flow_key key;

	assert_int_equal(address_parse(from, &a), 0);
	assert_int_equal(address_parse(to, &b), 0);
	assert_int_equal(flow_key_init(&a, &b, &key), 0);
	return key;
}

/* As the hook finds them in a packet. */
static void key__is_in_the_order_of_the_wire(void **state)
{
	static const uint8_t v4[] = {192, 0, 2, 1, 0,   0,  0,   0, 0,    0,    0,    0,
				     0,   0, 0, 0, 198, 51, 100, 2, 0,    0,    0,    0,
				     0,   0, 0, 0, 0,   0,  0,   0, 0x12, 0x34, 0x00, 0x50};
	static const uint8_t v6[] = {0x20, 0x01, 0x0d, 0xb8, 0,    0,   0, 0, 0, 0, 0, 0, 0, 0, 0,
				     1,    0x20, 0x01, 0x0d, 0xb8, 0,   0, 0, 0, 0, 0, 0, 0, 0, 0,
				     0,    2,    0x00, 0x50, 0x12, 0x34};
	struct flow_key key = key_of("192.0.2.1:4660", "198.51.100.2:80");

	assert_false(key.is_ipv6);
	assert_memory_equal(&key.key, v4, sizeof(v4));
	key = key_of("[2001:db8::1]:80", "[2001:db8::2]:4660");
	assert_true(key.is_ipv6);
	assert_memory_equal(&key.key, v6, sizeof(v6));
}

/* RFC 4291 s2.5.5.2: what a socket calls ::ffff:192.0.2.1 sends IPv4 packets. */
static void key__of_mapped_addresses_is_ipv4(void **state)
{
	struct flow_key mapped = key_of("[::ffff:192.0.2.1]:1", "[::ffff:192.0.2.2]:2");
	struct flow_key plain = key_of("192.0.2.1:1", "192.0.2.2:2");

	assert_false(mapped.is_ipv6);
	assert_memory_equal(&mapped.key, &plain.key, sizeof(plain.key));
}

static void key__refuses_other_families(void **state)
{
	struct address v4, v6, local;
	struct flow_key key;

	assert_int_equal(address_parse("192.0.2.1:1", &v4), 0);
	assert_int_equal(address_parse("[2001:db8::1]:1", &v6), 0);
	assert_int_equal(address_parse("unix:/x", &local), 0);
	assert_int_equal(flow_key_init(&v4, &v6, &key), -EAFNOSUPPORT);
	assert_int_equal(flow_key_init(&v6, &v4, &key), -EAFNOSUPPORT);
	assert_int_equal(flow_key_init(&local, &v4, &key), -EAFNOSUPPORT);
	assert_int_equal(flow_key_init(&v4, &local, &key), -EAFNOSUPPORT);
}

static void key__gives_its_addresses_back(void **state)
{
	static const char *const texts[][2] = {{"192.0.2.1:1", "198.51.100.2:65535"},
					       {"[2001:db8::1]:1", "[2001:db8::2]:65535"}};

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		struct flow_key key = key_of(texts[i][0], texts[i][1]);
		struct address ends[2];
		char text[ADDRESS_TEXT_MAX + 1];

		flow_key_addresses(&key, &ends[0], &ends[1]);
		for (size_t j = 0; j < 2; j++) {
			address_format(&ends[j], text);
			assert_string_equal(text, texts[i][j]);
		}
	}
}

static void table__keeps_what_was_put_in(void **state)
{
	static const char *const texts[][2] = {{"192.0.2.1:1", "198.51.100.2:80"},
					       {"[2001:db8::1]:1", "[2001:db8::2]:80"}};
	struct sl_flow flow, found;

	open_table(4);
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		struct flow_key key = key_of(texts[i][0], texts[i][1]);
		struct flow_key back = key_of(texts[i][1], texts[i][0]);

		flow = (struct sl_flow){.conn_id = 7 + i, .direction = SL_TO_CLIENT};
		memset(&found, 0xee, sizeof(found));
		assert_int_equal(flow_table_read(&table, &key, &found), -ENOENT);
		assert_int_equal(found.conn_id, UINT64_C(0xeeeeeeeeeeeeeeee));
		assert_int_equal(flow_table_delete(&table, &key), -ENOENT);
		assert_int_equal(flow_table_insert(&table, &key, &flow), 0);
		assert_int_equal(flow_table_read(&table, &key, &found), 0);
		assert_memory_equal(&found, &flow, sizeof(flow));
		/* The other direction is another flow. */
		assert_int_equal(flow_table_read(&table, &back, &found), -ENOENT);
		flow.conn_id = 99;
		assert_int_equal(flow_table_insert(&table, &key, &flow), -EEXIST);
		assert_int_equal(flow_table_read(&table, &key, &found), 0);
		assert_int_equal(found.conn_id, 7 + i);
		assert_int_equal(flow_table_delete(&table, &key), 0);
		assert_int_equal(flow_table_read(&table, &key, &found), -ENOENT);
	}
}

static void take__reads_and_deletes(void **state)
{
	static const char *const texts[][2] = {{"192.0.2.1:1", "198.51.100.2:80"},
					       {"[2001:db8::1]:1", "[2001:db8::2]:80"}};

	open_table(4);
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		struct flow_key key = key_of(texts[i][0], texts[i][1]);
		const struct sl_flow flow = {.conn_id = 7 + i, .payload_bytes = 12345};
		struct sl_flow found;

		memset(&found, 0xee, sizeof(found));
		assert_int_equal(flow_table_take(&table, &key, &found), -ENOENT);
		assert_int_equal(found.conn_id, UINT64_C(0xeeeeeeeeeeeeeeee));
		assert_int_equal(flow_table_insert(&table, &key, &flow), 0);
		assert_int_equal(flow_table_take(&table, &key, &found), 0);
		assert_memory_equal(&found, &flow, sizeof(flow));
		assert_int_equal(flow_table_read(&table, &key, &found), -ENOENT);
	}
}

static void counts__follow_what_is_done(void **state)
{
	const struct flow_key four = key_of("192.0.2.1:1", "198.51.100.2:80");
	const struct flow_key six[2] = {key_of("[2001:db8::1]:1", "[2001:db8::2]:80"),
					key_of("[2001:db8::1]:2", "[2001:db8::2]:80")};
	const struct sl_flow flow = {.conn_id = 1};
	struct flow_counts counts = {0};
	struct sl_flow found;

	open_table(4);
	assert_int_equal(flow_table_insert(&table, &four, &flow), 0);
	assert_int_equal(flow_table_insert(&table, &six[0], &flow), 0);
	table.counts = &counts;
	assert_int_equal(flow_table_count(&table), 0);
	assert_true(counts.n4 == 1 && counts.n6 == 1);
	assert_int_equal(flow_table_insert(&table, &six[1], &flow), 0);
	assert_int_equal(flow_table_insert(&table, &six[1], &flow), -EEXIST);
	assert_true(counts.n4 == 1 && counts.n6 == 2);
	assert_int_equal(flow_table_take(&table, &six[0], &found), 0);
	assert_int_equal(flow_table_take(&table, &six[0], &found), -ENOENT);
	assert_int_equal(flow_table_delete(&table, &four), 0);
	assert_int_equal(flow_table_delete(&table, &four), -ENOENT);
	assert_true(counts.n4 == 0 && counts.n6 == 1);
	table.counts = NULL;
}

static void insert__says_when_the_map_is_full(void **state)
{
	const struct sl_flow flow = {0};
	struct flow_key key = key_of("192.0.2.1:1", "198.51.100.2:80");

	open_table(2);
	for (uint16_t i = 0; i < 2; i++) {
		key.key.sport = i;
		assert_int_equal(flow_table_insert(&table, &key, &flow), 0);
	}
	key.key.sport = 2;
	assert_int_equal(flow_table_insert(&table, &key, &flow), -ENOSPC);
	key.key.sport = 1;
	assert_int_equal(flow_table_insert(&table, &key, &flow), -EEXIST);
	assert_int_equal(flow_table_delete(&table, &key), 0);
	key.key.sport = 2;
	assert_int_equal(flow_table_insert(&table, &key, &flow), 0);
}

static int count_one(const struct flow_key *key, const struct sl_flow *flow, void *arg)
{
	size_t *counts = arg;

	assert_int_equal(flow->conn_id, key->key.sport); /* its own, and no other's */
	counts[key->is_ipv6]++;
	return 0;
}

static size_t count(size_t *ret_n_ipv6)
{
	size_t counts[2] = {0};

	assert_int_equal(flow_table_walk(&table, count_one, counts), 0);
	*ret_n_ipv6 = counts[true];
	return counts[false] + counts[true];
}

static void walk__visits_every_flow_of_both_maps(void **state)
{
	struct flow_key v4 = key_of("192.0.2.1:1", "198.51.100.2:80");
	struct flow_key v6 = key_of("[2001:db8::1]:1", "[2001:db8::2]:80");
	struct sl_flow flow = {.conn_id = v6.key.sport};
	size_t n_ipv6;

	open_table(64);
	assert_int_equal(count(&n_ipv6), 0);
	assert_int_equal(flow_table_insert(&table, &v6, &flow), 0);
	assert_int_equal(count(&n_ipv6), 1);
	assert_int_equal(n_ipv6, 1);
	for (uint16_t i = 0; i < 20; i++) {
		v4.key.sport = v6.key.sport = (uint16_t)(i + 1000);
		flow.conn_id = v4.key.sport;
		assert_int_equal(flow_table_insert(&table, &v4, &flow), 0);
		assert_int_equal(flow_table_insert(&table, &v6, &flow), 0);
	}
	assert_int_equal(count(&n_ipv6), 41);
	assert_int_equal(n_ipv6, 21);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(key__is_in_the_order_of_the_wire),
	    cmocka_unit_test(key__of_mapped_addresses_is_ipv4),
	    cmocka_unit_test(key__refuses_other_families),
	    cmocka_unit_test(key__gives_its_addresses_back),
	    TEST(table__keeps_what_was_put_in),
	    TEST(take__reads_and_deletes),
	    TEST(counts__follow_what_is_done),
	    TEST(insert__says_when_the_map_is_full),
	    TEST(walk__visits_every_flow_of_both_maps),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
