/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connection ids: unique over all workers and all restarts, never reused. The counter starts at
 * the wall clock in microseconds, so a daemon that hands out fewer than a million ids a second on
 * average can never have reached its successor's first id; workers take blocks, so the shared
 * counter is touched once in CONN_ID_BLOCK connections.
 */
#pragma once
#include "base/std.h"

#include <stdatomic.h>

#define CONN_ID_BLOCK 256

struct conn_id_source {
	_Atomic uint64_t next;
};

struct conn_id_block {
	uint64_t next, end; /* zeroed = empty */
};

void conn_id_source_init(struct conn_id_source *source, uint64_t realtime_ns);
/** conn_id_source_pass() - any thread: blocks that are taken from now on have higher ones than @id
 *  only. Were the clock set back, those that live on from before would be met otherwise */
void conn_id_source_pass(struct conn_id_source *source, uint64_t id);
/** conn_id_take() - a new id, never 0; @block belongs to the calling thread */
uint64_t conn_id_take(struct conn_id_source *source, struct conn_id_block *block);
