/* SPDX-License-Identifier: Apache-2.0 */
#include "kern/conn_table.h"

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

int conn_table_list(int fd, uint64_t **ret_ids, size_t *ret_n)
{
	_cleanup_free_ uint64_t *ids = NULL;
	size_t n = 0, room = 0;
	uint64_t id;
	int error = bpf_map_get_next_key(fd, NULL, &id);

	for (; error == 0; error = bpf_map_get_next_key(fd, &ids[n - 1], &id)) {
		if (n == room) {
			uint64_t *more;

			room = room ? 2 * room : 1024;
			more = reallocarray(ids, room, sizeof(*ids));
			if (!more)
				return -ENOMEM;
			ids = more;
		}
		ids[n++] = id;
	}
	if (error != -ENOENT)
		return error;
	*ret_ids = TAKE_PTR(ids);
	*ret_n = n;
	return 0;
}
