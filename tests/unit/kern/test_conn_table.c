/* SPDX-License-Identifier: Apache-2.0 */
#include "kern/conn_table.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "lib/bpf_maps.h"

static void table__keeps_what_was_put_in(void **state)
{
	_cleanup_close_ int fd = map_create(SL_MAP_CONNS, 4);
	struct sl_conn conn = {.conn_id = 42, .route = 1}, found = {.conn_id = 1};

	assert_int_equal(conn_table_read(fd, 42, &found), -ENOENT);
	assert_int_equal(found.conn_id, 1);
	assert_int_equal(conn_table_delete(fd, 42), -ENOENT);
	assert_int_equal(conn_table_put(fd, &conn), 0);
	conn.route = 2;
	assert_int_equal(conn_table_put(fd, &conn), 0);
	assert_int_equal(conn_table_read(fd, 42, &found), 0);
	assert_memory_equal(&found, &conn, sizeof(conn));
	assert_int_equal(conn_table_delete(fd, 42), 0);
	assert_int_equal(conn_table_read(fd, 42, &found), -ENOENT);
}

static void put__says_when_the_map_is_full(void **state)
{
	_cleanup_close_ int fd = map_create(SL_MAP_CONNS, 1);
	struct sl_conn conn = {.conn_id = 1};

	assert_int_equal(conn_table_put(fd, &conn), 0);
	assert_int_equal(conn_table_put(fd, &conn), 0);
	conn.conn_id = 2;
	assert_int_equal(conn_table_put(fd, &conn), -ENOSPC);
}

/* More than the list has room for at first. */
static void list__has_every_id_once(void **state)
{
	enum {
		N = 1500
	};
	_cleanup_close_ int fd = map_create(SL_MAP_CONNS, N);
	_cleanup_free_ uint64_t *ids = NULL, *none = NULL;
	bool seen[N + 1] = {false};
	size_t n = 1;

	assert_int_equal(conn_table_list(fd, &none, &n), 0);
	assert_int_equal(n, 0);
	for (uint64_t id = 1; id <= N; id++) {
		const struct sl_conn conn = {.conn_id = id};

		assert_int_equal(conn_table_put(fd, &conn), 0);
	}
	assert_int_equal(conn_table_list(fd, &ids, &n), 0);
	assert_int_equal(n, N);
	for (size_t i = 0; i < n; i++) {
		assert_in_range(ids[i], 1, N);
		assert_false(seen[ids[i]]);
		seen[ids[i]] = true;
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(table__keeps_what_was_put_in),
	    cmocka_unit_test(put__says_when_the_map_is_full),
	    cmocka_unit_test(list__has_every_id_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
