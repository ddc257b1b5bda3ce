/* SPDX-License-Identifier: Apache-2.0 */
#include "kern/conn_table.h"

#include "kern/map_walk.h"

#include <bpf/bpf.h>

int conn_table_put(int fd, const struct sl_conn *conn)
{
	int error = bpf_map_update_elem(fd, &conn->conn_id, conn, BPF_ANY);

	return error == -E2BIG ? -ENOSPC : error;
}

int conn_table_read(int fd, uint64_t conn_id, struct sl_conn *ret_conn)
{
	struct sl_conn conn;
	int error = bpf_map_lookup_elem(fd, &conn_id, &conn);

	if (error == 0)
		*ret_conn = conn;
	return error;
}

int conn_table_delete(int fd, uint64_t conn_id)
{
	return bpf_map_delete_elem(fd, &conn_id);
}

struct walk {
	conn_table_fn *fn;
	void *arg;
};

static int visit(const void *key, const void *conn, void *arg)
{
	const struct walk *walk = arg;
	uint64_t conn_id;

	memcpy(&conn_id, key, sizeof(conn_id));
	return walk->fn(conn_id, conn, walk->arg);
}

int conn_table_walk(int fd, conn_table_fn *fn, void *arg)
{
	struct walk walk = {fn, arg};

	return map_walk(fd, sizeof(uint64_t), sizeof(struct sl_conn), visit, &walk);
}
