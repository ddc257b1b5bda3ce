/* SPDX-License-Identifier: Apache-2.0 */
#include "core/conn_id.h"

#include "base/clock.h"

void conn_id_source_init(struct conn_id_source *source, uint64_t realtime_ns)
{
	atomic_init(&source->next, MAX(realtime_ns / NS_PER_US, 1));
}

void conn_id_source_pass(struct conn_id_source *source, uint64_t id)
{
	uint64_t next = atomic_load_explicit(&source->next, memory_order_relaxed);

	while (next <= id &&
	       !atomic_compare_exchange_weak_explicit(&source->next, &next, id + 1,
						      memory_order_relaxed, memory_order_relaxed))
		;
}

uint64_t conn_id_take(struct conn_id_source *source, struct conn_id_block *block)
{
	if (block->next == block->end) {
		/* Relaxed: only the uniqueness of the number matters, it publishes nothing. */
		block->next =
		    atomic_fetch_add_explicit(&source->next, CONN_ID_BLOCK, memory_order_relaxed);
		block->end = block->next + CONN_ID_BLOCK;
	}
	return block->next++;
}
