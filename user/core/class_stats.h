/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is counted for a class: by its name, whatever becomes of the configuration, for as long as
 * a generation has it. So connections that an earlier configuration left behind still count where
 * those of the present one do. Any thread.
 */
#pragma once
#include "base/list.h"
#include "base/std.h"
#include "core/config.h"
#include "sluice/path.h"

#include <stdatomic.h>

struct class_stats {
	_Atomic uint64_t n_connections[SLUICE_PATH_COUNT]; /* open now, by path */
	_Atomic uint64_t n_accepted;                       /* that ever had it */
	_Atomic uint64_t n_pauses; /* times that a side was over a rate, in userspace */
	char name[CONFIG_NAME_MAX + 1];

	/* private */
	struct list node;
	unsigned int n_refs;
};

/** class_stats_get() - those of the class @name, with one more reference; NULL without memory */
struct class_stats *class_stats_get(const char *name);
/** class_stats_unref() - NULL is fine */
void class_stats_unref(struct class_stats *stats);

typedef void class_stats_fn(const struct class_stats *stats, void *arg);
/** class_stats_each() - call @fn, which is not to get or unref any, for all that are there */
void class_stats_each(class_stats_fn *fn, void *arg);

static inline uint64_t class_stats_read(const _Atomic uint64_t *counter)
{
	return atomic_load_explicit(counter, memory_order_relaxed);
}
