/* SPDX-License-Identifier: Apache-2.0 */
#include "base/work_queue.h"

#include "base/clock.h"

/* An active idle watcher makes the loop poll instead of wait; that is all it is for. Its own
 * callback would only be run in turns without I/O, and under load there is none of these. */
static void keep_turning_cb(struct ev_loop *loop, ev_idle *idle, int revents)
{
}

void work_queues_init(struct work_queues *w, struct ev_loop *loop, unsigned int n_queues,
		      size_t budget_items, uint64_t budget_ns)
{
	assert(n_queues >= 1 && n_queues <= WORK_QUEUES_MAX && budget_items >= 1);
	*w = (struct work_queues){
	    .loop = loop,
	    .n_queues = n_queues,
	    .budget_items = budget_items,
	    .budget_ns = budget_ns,
	    .clock = clock_monotonic_ns,
	};
	for (unsigned int i = 0; i < n_queues; i++)
		list_init(&w->queues[i].items);
	ev_idle_init(&w->keep_turning, keep_turning_cb);
}

void work_queues_done(struct work_queues *w)
{
	if (w->loop)
		ev_idle_stop(w->loop, &w->keep_turning);
	w->loop = NULL;
}

static void set_depth(struct work_queue *queue, int change)
{
	size_t depth = atomic_load_explicit(&queue->depth, memory_order_relaxed);

	/* One writer: a plain load and store will do. */
	atomic_store_explicit(&queue->depth, depth + (size_t)change, memory_order_relaxed);
}

static void enqueue(struct work_queues *w, struct work_queue *queue, struct work_item *item)
{
	item->queue = queue;
	list_append(&queue->items, &item->node);
	set_depth(queue, 1);
	if (w->n_items++ == 0)
		ev_idle_start(w->loop, &w->keep_turning);
}

static void dequeue(struct work_queues *w, struct work_item *item)
{
	list_remove(&item->node);
	set_depth(item->queue, -1);
	item->queue = NULL;
	if (--w->n_items == 0)
		ev_idle_stop(w->loop, &w->keep_turning);
}

/* The queue whose turn it is, of those that have something. There is one. */
static struct work_queue *next_queue(struct work_queues *w)
{
	struct work_queue *queue;

	do {
		queue = &w->queues[w->turn];
		w->turn = (w->turn + 1) % w->n_queues;
	} while (list_is_empty(&queue->items));
	return queue;
}

static void run_one(struct work_queues *w)
{
	struct work_queue *queue = next_queue(w);
	struct work_item *item = list_entry(queue->items.next, struct work_item, node);

	dequeue(w, item);
	w->running = item;
	/* After "no more", or having been cancelled, it may be gone. */
	if (item->fn(item) && w->running == item && !work_item_is_queued(item))
		enqueue(w, queue, item);
	w->running = NULL;
}

uint64_t work_queues_run(struct work_queues *w, uint64_t now_ns)
{
	uint64_t begun_ns = now_ns;

	for (size_t n = 0; n < w->budget_items && w->n_items > 0; n++) {
		run_one(w);
		now_ns = w->clock();
		if (now_ns - begun_ns >= w->budget_ns)
			break;
	}
	return now_ns;
}

void work_item_init(struct work_item *item, work_fn *fn)
{
	*item = (struct work_item){.fn = fn};
	list_init(&item->node);
}

void work_item_add(struct work_queues *w, unsigned int index, struct work_item *item)
{
	assert(index < w->n_queues);
	if (!work_item_is_queued(item))
		enqueue(w, &w->queues[index], item);
}

void work_item_cancel(struct work_queues *w, struct work_item *item)
{
	if (w->running == item)
		w->running = NULL;
	if (work_item_is_queued(item))
		dequeue(w, item);
}
