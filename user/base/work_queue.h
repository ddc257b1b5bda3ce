/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ordinary work of a libev loop, in a layer below its sockets and timers. Each turn of the loop
 * first serves the events that the wait brought, and then, just before it waits again, as much of
 * this work as a budget allows: neither can hold up the other. While work is left the loop does not
 * sleep; without any it is not woken.
 *
 * There are several queues, so that ten thousand items of one kind do not delay the first of
 * another: they take turns, an item each. An item that has more to do goes to the end of its queue.
 *
 * All functions but work_queue_depth() are for the loop's thread.
 */
#pragma once
#include "base/list.h"
#include "base/std.h"

#include <ev.h>
#include <stdatomic.h>

#define WORK_QUEUES_MAX 8

struct work_item;
/**
 * What an item does. It should take well below the budget's time, since nothing interrupts it.
 *
 * Return: whether there is more to do. If not, @item is no longer touched: it may have been freed,
 * or added again.
 */
typedef bool work_fn(struct work_item *item);

/* Owned by the caller, and kept in place while it is queued. */
struct work_item {
	struct list node;
	work_fn *fn;
	struct work_queue *queue; /* NULL = not queued */
};

struct work_queue {
	struct list items;
	_Atomic size_t depth; /* written by the loop's thread, read by any */
};

struct work_queues {
	struct ev_loop *loop; /* borrowed */
	struct work_queue queues[WORK_QUEUES_MAX];
	unsigned int n_queues, turn; /* whose turn it is */
	size_t n_items;              /* in all queues */
	struct work_item *running;   /* NULL if it was cancelled meanwhile */
	size_t budget_items;         /* for one turn of the loop; at least 1 */
	uint64_t budget_ns;          /* likewise: after it no further item is begun */
	uint64_t (*clock)(void);     /* clock_monotonic_ns(), but for tests */
	ev_idle keep_turning;        /* active while there is work */
};

/** work_queues_init() - @n_queues: 1..WORK_QUEUES_MAX */
void work_queues_init(struct work_queues *w, struct ev_loop *loop, unsigned int n_queues,
		      size_t budget_items, uint64_t budget_ns);
/** work_queues_done() - forget what is queued; before the loop is destroyed */
void work_queues_done(struct work_queues *w);
/**
 * work_queues_run() - one turn's share of work; from the loop's ev_prepare
 * @now_ns: the clock just read
 *
 * Return: the clock when it ended, read anew only if there was work.
 */
uint64_t work_queues_run(struct work_queues *w, uint64_t now_ns);

/** work_item_init() - required once before the other functions */
void work_item_init(struct work_item *item, work_fn *fn);
/** work_item_add() - queue at the end of queue @index; no effect if @item is queued */
void work_item_add(struct work_queues *w, unsigned int index, struct work_item *item);
/** work_item_cancel() - not run (again); harmless if not queued, and from within its own fn, which
 *  may then also free it and return false */
void work_item_cancel(struct work_queues *w, struct work_item *item);

static inline bool work_item_is_queued(const struct work_item *item)
{
	return item->queue != NULL;
}

/** work_queue_depth() - items that wait; any thread */
static inline size_t work_queue_depth(const struct work_queues *w, unsigned int index)
{
	return atomic_load_explicit(&w->queues[index].depth, memory_order_relaxed);
}
