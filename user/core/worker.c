/* SPDX-License-Identifier: Apache-2.0 */
#include "core/worker.h"

#include "base/clock.h"
#include "base/log.h"
#include "core/acceptor.h"
#include "core/connection.h"
#include "core/drain.h"
#include "core/promoter.h"
#include "core/spliced.h"

#include <stdio.h>

#define MAILBOX_CAPACITY 4096
#define MAIL_BUDGET      64  /* mails in one loop turn */
#define FOLLOW_SLICE     128 /* connections that follow a reload in one item of work */
#define LOG_RETRY_S      0.5 /* after the access log was full */
#define WORK_BUDGET      64  /* items of ordinary work in one loop turn */
#define WORK_BUDGET_NS   (200 * NS_PER_US)

struct worker_cursor {
	struct connection_link link;
};

enum worker_order {
	ORDER_NONE,
	ORDER_STOP,
	ORDER_KILL,
};

static void order_cb(struct ev_loop *loop, ev_async *async, int revents);
static bool follow_slice(struct work_item *item);

/* ---- the loop ------------------------------------------------------------------------------ */

static void mail_cb(struct ev_loop *loop, ev_io *io, int revents)
{
	struct worker *w = container_of(io, struct worker, on_mail);

	(void)mailbox_run(w->mailbox, MAIL_BUDGET);
}

void worker_release_sockets(struct worker *w)
{
	atomic_fetch_sub_explicit(&w->shared->n_connections, 1, memory_order_relaxed);
}

void worker_take_sockets(struct worker *w)
{
	atomic_fetch_add_explicit(&w->shared->n_connections, 1, memory_order_relaxed);
}

static void empty_graveyard(struct worker *w)
{
	list_for_each_safe (node, &w->graveyard) {
		struct connection *c = container_of(node, struct connection, link.node);

		list_remove(node);
		if (!c->is_socketless)
			worker_release_sockets(w);
		connection_free(c);
	}
}

static void leave_if_stopped(struct worker *w)
{
	if (w->is_stopping && w->by_id.n_nodes == 0)
		ev_break(w->loop, EVBREAK_ALL);
}

/* The end of a turn: its events have been served. */
static void before_wait_cb(struct ev_loop *loop, ev_prepare *prepare, int revents)
{
	struct worker *w = container_of(prepare, struct worker, before_wait);
	uint64_t woken_ns = loop_clock_woken_ns(&w->clock);
	uint64_t now_ns = work_queues_run(&w->work, clock_monotonic_ns());

	loop_lag_add(&w->stats->lag, now_ns > woken_ns ? now_ns - woken_ns : 0);
	if (!list_is_empty(&w->graveyard))
		empty_graveyard(w);
	/* What a full pipe did not take must not wait for the next connection. */
	if (!access_log_flush(w->access_log) && !ev_is_active(&w->log_retry)) {
		ev_timer_set(&w->log_retry, LOG_RETRY_S, 0);
		ev_timer_start(w->loop, &w->log_retry);
	}
	if (w->promoter)
		promoter_settle(w->promoter);
	leave_if_stopped(w);
}

static void log_retry_cb(struct ev_loop *loop, ev_timer *timer, int revents)
{
	/* before_wait_cb() follows. */
}

static void *thread_main(void *arg)
{
	struct worker *w = arg;
	char name[16];

	snprintf(name, sizeof(name), "sluice-w%u", w->index);
	(void)pthread_setname_np(pthread_self(), name);
	/* The first turn begins here, not when the loop was made. */
	loop_clock_done(&w->clock);
	loop_clock_init(&w->clock, w->loop);
	acceptors_start(w);
	ev_run(w->loop, 0);
	empty_graveyard(w);
	(void)access_log_flush(w->access_log);
	if (w->on_stopped)
		w->on_stopped(w, w->on_stopped_arg);
	return NULL;
}

/* ---- life ---------------------------------------------------------------------------------- */

static int set_up(struct worker *w, const struct listener_set *listeners)
{
	int error;

	w->loop = ev_loop_new(EVBACKEND_EPOLL | EVFLAG_NOENV);
	w->stats = aligned_alloc(CACHE_LINE, sizeof(*w->stats));
	w->scratch_in = malloc(LEG_HEADROOM + LEG_READ_MAX);
	w->scratch_out = malloc(WORKER_SCRATCH_OUT);
	if (!w->loop || !w->stats || !w->scratch_in || !w->scratch_out)
		return -ENOMEM;
	memset(w->stats, 0, sizeof(*w->stats));
	error = mailbox_new(MAILBOX_CAPACITY, &w->mailbox);
	if (error < 0)
		return error;
	error = access_log_new(&w->stats->access_log_dropped, &w->access_log);
	if (error < 0)
		return error;
	error = acceptors_add(w, listeners);
	if (error < 0)
		return error;
	work_queues_init(&w->work, w->loop, WORKER_QUEUES, WORK_BUDGET, WORK_BUDGET_NS);
	loop_clock_init(&w->clock, w->loop);
	ev_io_init(&w->on_mail, mail_cb, mailbox_fd(w->mailbox), EV_READ);
	ev_io_start(w->loop, &w->on_mail);
	ev_async_init(&w->on_order, order_cb);
	ev_async_start(w->loop, &w->on_order);
	ev_prepare_init(&w->before_wait, before_wait_cb);
	ev_prepare_start(w->loop, &w->before_wait);
	work_item_init(&w->follow_more, follow_slice);
	ev_init(&w->log_retry, log_retry_cb);
	if (w->shared->splice && w->shared->splice->is_open)
		return promoter_new(w, w->shared->splice, &w->promoter);
	return 0;
}

int worker_new(unsigned int index, struct worker_shared *shared, struct generation *generation,
	       const struct listener_set *listeners, struct worker **ret_worker)
{
	_cleanup_(cleanup_worker_free) struct worker *w = calloc(1, sizeof(*w));
	int error;

	if (!w)
		return -ENOMEM;
	w->index = index;
	w->shared = shared;
	w->generation = generation_ref(generation);
	w->conn_ids = &shared->conn_ids;
	w->on_request = shared->on_request;
	list_init(&w->connections);
	list_init(&w->graveyard);
	acceptors_init(w);
	list_init(&w->drains);
	hash_table_init(&w->by_id);
	hash_key_random(&w->hash_key);
	error = set_up(w, listeners);
	if (error < 0)
		return error;
	*ret_worker = TAKE_PTR(w);
	return 0;
}

void worker_free(struct worker *w)
{
	if (!w)
		return;
	assert(!w->is_running);
	if (w->loop) {
		acceptors_stop(w);
		list_for_each_safe (node, &w->drains)
			drain_free(container_of(node, struct drain, node));
		promoter_free(w->promoter);
		work_queues_done(&w->work);
		loop_clock_done(&w->clock);
		ev_loop_destroy(w->loop);
	}
	/* A listing that was given up when the daemon stopped may have left its cursor. */
	list_for_each_safe (node, &w->connections)
		worker_cursor_free(container_of(node, struct worker_cursor, link.node));
	mailbox_free(w->mailbox);
	access_log_free(w->access_log);
	hash_table_done(&w->by_id);
	acceptors_done(w);
	generation_unref(atomic_load_explicit(&w->next_generation, memory_order_acquire));
	access_log_file_unref(atomic_load_explicit(&w->next_access_log, memory_order_acquire));
	generation_unref(w->generation);
	free(w->stats);
	free(w->scratch_in);
	free(w->scratch_out);
	free(w);
}

int worker_start(struct worker *w)
{
	int error = pthread_create(&w->thread, NULL, thread_main, w);

	w->is_running = error == 0;
	return -error;
}

void worker_join(struct worker *w)
{
	if (w->is_running)
		(void)pthread_join(w->thread, NULL);
	w->is_running = false;
}

size_t worker_run_mail(struct worker *w)
{
	size_t n_run = mailbox_run(w->mailbox, MAIL_BUDGET);

	assert(!w->is_running);
	for (; w->work.n_items > 0; n_run++)
		(void)work_queues_run(&w->work, clock_monotonic_ns());
	return n_run;
}

/* ---- calls from other threads -------------------------------------------------------------- */

struct call {
	struct work_item item;
	struct worker *worker;
	worker_call_fn *fn;
	void *arg;
};

static bool run_call(struct work_item *item)
{
	_cleanup_free_ struct call *call = container_of(item, struct call, item);

	call->fn(call->worker, call->arg);
	return false;
}

static void take_call(const struct mail *mail)
{
	struct call *call = mail->ptr;

	work_item_add(&call->worker->work, WORKER_QUEUE_API, &call->item);
}

int worker_call(struct worker *w, worker_call_fn *fn, void *arg)
{
	_cleanup_free_ struct call *call = malloc(sizeof(*call));
	int error;

	if (!call)
		return -EAGAIN;
	*call = (struct call){.worker = w, .fn = fn, .arg = arg};
	work_item_init(&call->item, run_call);
	error = mailbox_post(w->mailbox, &(struct mail){.fn = take_call, .ptr = call});
	if (error == 0)
		call = NULL; /* run_call() frees it */
	return error;
}

/* Return: NULL if it is a cursor. */
static struct connection *connection_at(struct list *node)
{
	struct connection_link *link = container_of(node, struct connection_link, node);

	return link->is_cursor ? NULL : container_of(link, struct connection, link);
}

/* For want of memory to do it at a pace. */
static void close_all(struct worker *w, int error)
{
	const struct proto_error_info *info = proto_error_info(error);

	/* One connection's end never ends another, so the next stays valid. */
	list_for_each_safe (node, &w->connections) {
		struct connection *c = connection_at(node);

		if (c)
			c->ops->close(c, error, info->close_code, slice_from_str(info->name));
	}
}

/* They have no need of a process. */
static void leave_spliced(struct worker *w)
{
	unsigned int n = 0;

	list_for_each_safe (node, &w->connections) {
		struct connection *c = connection_at(node);

		if (!c || !spliced_is(c))
			continue;
		c->ops->close(c, EGW_SHUTDOWN, 0, (struct slice){0});
		n++;
	}
	if (n)
		log_notice("worker %u leaves %u spliced connections to the kernel", w->index, n);
}

static void stop_here(struct worker *w)
{
	w->is_stopping = true;
	acceptors_stop(w);
	leave_spliced(w);
	if (drain_begin(w, w->stop_plan, clock_monotonic_ns()) < 0)
		close_all(w, w->stop_plan->error);
}

static void kill_here(struct worker *w)
{
	w->is_stopping = true;
	acceptors_stop(w);
	list_for_each_safe (node, &w->connections) {
		struct connection *c = connection_at(node);

		if (c && spliced_is(c))
			connection_leave(c);
		else if (c)
			connection_end(c, EGW_SHUTDOWN);
	}
}

/* ---- reload -------------------------------------------------------------------------------- */

/* Brings the next slice of connections to the worker's generation. */
static bool follow_slice(struct work_item *item)
{
	struct worker *w = container_of(item, struct worker, follow_more);

	for (int i = 0; i < FOLLOW_SLICE && w->following; i++) {
		struct connection *c = worker_cursor_next(w, w->following);

		if (c)
			w->shared->follow(c);
		else
			worker_cursor_free(TAKE_PTR(w->following));
	}
	return w->following != NULL;
}

static void take_generation(struct worker *w)
{
	struct generation *next =
	    atomic_exchange_explicit(&w->next_generation, NULL, memory_order_acq_rel);

	if (!next)
		return;
	generation_unref(w->generation);
	w->generation = next;
	/* From the start again. Without memory for a cursor they stay where they are. */
	worker_cursor_free(w->following);
	w->following = worker_cursor_new(w);
	work_item_add(&w->work, WORKER_QUEUE_RELOAD, &w->follow_more);
}

static void take_access_log(struct worker *w)
{
	struct access_log_file *next =
	    atomic_exchange_explicit(&w->next_access_log, NULL, memory_order_acq_rel);

	if (next)
		access_log_set_file(w->access_log, next);
}

struct generation *worker_generation(struct worker *w)
{
	/* This turn may have begun before it was set, and the request have come behind that. */
	if (atomic_load_explicit(&w->next_generation, memory_order_relaxed))
		take_generation(w);
	return w->generation;
}

void worker_set_access_log(struct worker *w, struct access_log_file *file)
{
	access_log_file_unref(atomic_exchange_explicit(&w->next_access_log,
						       access_log_file_ref(file),
						       memory_order_acq_rel));
	ev_async_send(w->loop, &w->on_order);
}

void worker_set_generation(struct worker *w, struct generation *generation)
{
	/* Release: who takes it sees what it holds. */
	generation_unref(atomic_exchange_explicit(&w->next_generation, generation_ref(generation),
						  memory_order_acq_rel));
	ev_async_send(w->loop, &w->on_order);
}

/* ---- orders -------------------------------------------------------------------------------- */

static void order_cb(struct ev_loop *loop, ev_async *async, int revents)
{
	struct worker *w = container_of(async, struct worker, on_order);
	int order = atomic_load_explicit(&w->order, memory_order_acquire);

	take_access_log(w);
	take_generation(w);
	if (order == ORDER_KILL)
		kill_here(w);
	else if (order == ORDER_STOP && !w->is_stopping)
		stop_here(w);
}

/* Not by mail: it has to arrive also when the box is full or memory is short. */
static void give_order(struct worker *w, enum worker_order order)
{
	/* Release: who takes the order sees on_stopped. */
	atomic_store_explicit(&w->order, order, memory_order_release);
	ev_async_send(w->loop, &w->on_order);
}

void worker_stop(struct worker *w, struct drain_plan *plan,
		 void (*on_stopped)(struct worker *w, void *arg), void *arg)
{
	w->stop_plan = plan;
	w->on_stopped = on_stopped;
	w->on_stopped_arg = arg;
	give_order(w, ORDER_STOP);
}

void worker_kill(struct worker *w)
{
	give_order(w, ORDER_KILL);
}

/* ---- services for connections -------------------------------------------------------------- */

void *worker_scratch(struct worker *w)
{
	return w->scratch_in;
}

void *worker_scratch_out(struct worker *w)
{
	return w->scratch_out;
}

void worker_bury(struct worker *w, struct connection *c)
{
	list_append(&w->graveyard, &c->link.node);
}

struct connection *worker_find(struct worker *w, uint64_t id)
{
	uint64_t hash = hash_u64(&w->hash_key, id);

	for (struct hash_node *node = hash_table_first(&w->by_id, hash); node;
	     node = hash_table_next(node)) {
		struct connection *c = container_of(node, struct connection, by_id);

		if (c->id == id)
			return c;
	}
	return NULL;
}

int worker_take_memory(struct worker *w, uint64_t bytes)
{
	uint64_t share =
	    atomic_load_explicit(&w->shared->message_memory_bytes, memory_order_relaxed);

	/* A reload may have made it less than what is in use. */
	if (w->message_bytes > share || bytes > share - w->message_bytes)
		return -EGW_MEMORY;
	w->message_bytes += bytes;
	return 0;
}

void worker_give_memory(struct worker *w, uint64_t bytes)
{
	assert(bytes <= w->message_bytes);
	w->message_bytes -= bytes;
}

struct worker_cursor *worker_cursor_new(struct worker *w)
{
	struct worker_cursor *cursor = calloc(1, sizeof(*cursor));

	if (!cursor)
		return NULL;
	cursor->link.is_cursor = true;
	list_prepend(&w->connections, &cursor->link.node);
	return cursor;
}

void worker_cursor_free(struct worker_cursor *cursor)
{
	if (!cursor)
		return;
	list_remove(&cursor->link.node);
	free(cursor);
}

void worker_cursor_rewind(struct worker *w, struct worker_cursor *cursor)
{
	list_remove(&cursor->link.node);
	list_prepend(&w->connections, &cursor->link.node);
}

struct connection *worker_cursor_next(struct worker *w, struct worker_cursor *cursor)
{
	struct list *node = cursor->link.node.next;

	while (node != &w->connections &&
	       container_of(node, struct connection_link, node)->is_cursor)
		node = node->next;
	if (node == &w->connections)
		return NULL;
	list_remove(&cursor->link.node);
	list_insert_before(node->next, &cursor->link.node);
	return container_of(node, struct connection, link.node);
}

const char *worker_queue_name(enum worker_queue queue)
{
	static const char *const names[WORKER_QUEUES] = {
	    [WORKER_QUEUE_API] = "api",     [WORKER_QUEUE_HEALTH] = "health",
	    [WORKER_QUEUE_HOOK] = "hook",   [WORKER_QUEUE_RELOAD] = "reload",
	    [WORKER_QUEUE_DRAIN] = "drain",
	};

	return queue < WORKER_QUEUES ? names[queue] : "?";
}
