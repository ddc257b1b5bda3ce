/* SPDX-License-Identifier: Apache-2.0 */
/* The pinned map conns (sluice/conn.h): what outlives the daemon of a connection. By conn_id. */
#pragma once
#include "base/std.h"
#include "sluice/conn.h"

/** conn_table_put() - insert, or replace. Return: 0; -ENOSPC if the map is full; another -errno */
int conn_table_put(int fd, const struct sl_conn *conn);
/** conn_table_read() - Return: 0, -ENOENT, or another -errno */
int conn_table_read(int fd, uint64_t conn_id, struct sl_conn *ret_conn);
/** conn_table_delete() - Return: 0, -ENOENT, or another -errno */
int conn_table_delete(int fd, uint64_t conn_id);
/* Return: 0 to go on, or a negative value to stop with. */
typedef int conn_table_fn(uint64_t conn_id, const struct sl_conn *conn, void *arg);
/** conn_table_walk() - over all entries, for a daemon that takes them over. Return: as map_walk()
 */
int conn_table_walk(int fd, conn_table_fn *fn, void *arg);
