/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A connection as the pinned map conns has it (sluice/conn.h), so that it can be listed, accounted
 * for and closed by a daemon that has not made it. It is written before sl_activate opens the way
 * and deleted when the connection has been accounted for: whenever this process dies, an ACTIVE
 * pair of flows has one.
 */
#pragma once
#include "base/std.h"
#include "sluice/conn.h"

struct connection;
struct name_cache;

/**
 * conn_record_fill() - of a connection that is about to be handed over, with both legs captured
 * (c->promotion)
 * @epoch: of this daemon
 *
 * Return: 0; -ENOSPC if the map of names is full; another -errno of name_cache_id().
 */
int conn_record_fill(const struct connection *c, struct name_cache *names, uint32_t epoch,
		     struct sl_conn *ret_conn);

#define CONN_RECORD_WHY_MAX 96

/**
 * conn_record_check() - whether what was found under @conn_id can be one: only what can be told
 * without looking further
 * @ret_why: if not, what is wrong with it
 */
bool conn_record_check(const struct sl_conn *conn, uint64_t conn_id, uint64_t now_ns,
		       char ret_why[CONN_RECORD_WHY_MAX]);
