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

enum {
	N = 1500 /* more than one call gives */
};

static int see(uint64_t conn_id, const struct sl_conn *conn, void *arg)
{
	bool *seen = arg;

	assert_in_range(conn_id, 1, N);
	assert_int_equal(conn->conn_id, conn_id);
	assert_false(seen[conn_id]);
	seen[conn_id] = true;
	return 0;
}

static int stop_at_once(uint64_t conn_id, const struct sl_conn *conn, void *arg)
{
	++*(int *)arg;
	return -ECANCELED;
}

static void walk__sees_each_once(void **state)
{
	_cleanup_close_ int fd = map_create(SL_MAP_CONNS, N);
	bool seen[N + 1] = {false};
	int n_calls = 0;

	assert_int_equal(conn_table_walk(fd, see, seen), 0);
	for (uint64_t id = 1; id <= N; id++) {
		const struct sl_conn conn = {.conn_id = id};

		assert_int_equal(conn_table_put(fd, &conn), 0);
	}
	assert_int_equal(conn_table_walk(fd, see, seen), 0);
	for (uint64_t id = 1; id <= N; id++)
		assert_true(seen[id]);
	assert_int_equal(conn_table_walk(fd, stop_at_once, &n_calls), -ECANCELED);
	assert_int_equal(n_calls, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(table__keeps_what_was_put_in),
	    cmocka_unit_test(put__says_when_the_map_is_full),
	    cmocka_unit_test(walk__sees_each_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
