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
/**
 * conn_table_list() - the ids of all that are there, for a daemon that takes them over
 * @ret_ids: to be freed by the caller; NULL if there are none
 *
 * While others change the map, one that stays may be listed twice or not at all.
 * Return: 0, -ENOMEM, or -errno of bpf(2).
 */
int conn_table_list(int fd, uint64_t **ret_ids, size_t *ret_n);
