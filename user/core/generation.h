/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A configuration at work, and what the route layer has built upon it. A reload makes a new
 * generation and hands it to every worker; connections follow (see worker_set_generation()), and
 * the old one goes when the last of them has let go of it.
 */
#pragma once
#include "base/std.h"
#include "core/config.h"

#include <stdatomic.h>

struct generation {
	atomic_uint refs;
	struct config *config;                       /* one reference */
	void (*free)(struct generation *generation); /* its maker's */
};

/** generation_init() - with one reference, by whoever embeds it */
void generation_init(struct generation *generation, struct config *config,
		     void (*free)(struct generation *generation));
/** generation_done() - for @free: lets go of the configuration */
void generation_done(struct generation *generation);

/** generation_ref() - any thread */
struct generation *generation_ref(struct generation *generation);
/** generation_unref() - any thread; frees with the last reference. NULL is fine */
void generation_unref(struct generation *generation);
DEFINE_CLEANUP(struct generation, generation_unref)

/** generation_count() - generations that live, all threads'; for a bound, and for tests */
unsigned int generation_count(void);
