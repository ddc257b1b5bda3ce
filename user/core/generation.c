/* SPDX-License-Identifier: Apache-2.0 */
#include "core/generation.h"

static atomic_uint n_alive;

void generation_init(struct generation *generation, struct config *config,
		     void (*free)(struct generation *generation))
{
	atomic_init(&generation->refs, 1);
	generation->config = config_ref(config);
	generation->free = free;
	atomic_fetch_add_explicit(&n_alive, 1, memory_order_relaxed);
}

void generation_done(struct generation *generation)
{
	config_unref(generation->config);
	atomic_fetch_sub_explicit(&n_alive, 1, memory_order_relaxed);
}

struct generation *generation_ref(struct generation *generation)
{
	atomic_fetch_add_explicit(&generation->refs, 1, memory_order_relaxed);
	return generation;
}

void generation_unref(struct generation *generation)
{
	/* Whoever frees must see what all others did with it before they let go. */
	if (!generation ||
	    atomic_fetch_sub_explicit(&generation->refs, 1, memory_order_acq_rel) != 1)
		return;
	generation->free(generation);
}

unsigned int generation_count(void)
{
	return atomic_load_explicit(&n_alive, memory_order_relaxed);
}
