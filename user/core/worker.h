/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A worker: one thread, one libev loop, and the connections that it accepted. Everything below
 * is its thread's own unless said otherwise; other threads reach it through its mailbox.
 */
#pragma once
#include "base/hash.h"
#include "base/list.h"
#include "base/mailbox.h"
#include "base/std.h"
#include "base/work_queue.h"
#include "core/access_log.h"
#include "core/config.h"
#include "core/conn_id.h"
#include "core/generation.h"
#include "core/handshake.h"
#include "core/leg.h"
#include "core/listener.h"
#include "core/loop_lag.h"
#include "core/stats.h"

#include <ev.h>
#include <pthread.h>
#include <stdatomic.h>

struct connection;
struct drain_plan;
struct promoter;
struct splice;

/* Orders to all connections to be on the relay. None leaves it while there is one. */
enum splice_pause {
	SPLICE_PAUSE_OPERATOR = 1 << 0, /* until the operator says otherwise */
	SPLICE_PAUSE_CALLS = 1 << 1,    /* while somebody has a splice.pause open */
};

/* What all workers of a process share; set up before the first one starts. */
struct worker_shared {
	struct conn_id_source conn_ids;
	_Atomic uint64_t n_connections;   /* accepted, not yet freed, with sockets; all workers */
	_Atomic uint64_t max_connections; /* these two change by a reload */
	_Atomic uint64_t message_memory_bytes; /* a worker's share, see worker_take_memory() */
	unsigned int n_workers;
	struct splice *splice; /* NULL, as not open: nothing leaves the relay */
	handshake_handler *on_request;
	/* Brings a connection to its worker's new generation, if it can go there. */
	void (*follow)(struct connection *c);
	/* Counts an adopted one where route and endpoint of its names are, if @base has them. */
	void (*adopt)(struct connection *c, struct generation *base,
		      const struct address *endpoint);
	atomic_bool is_draining;            /* requests are refused; by any thread */
	_Atomic unsigned int splice_pauses; /* enum splice_pause bits; by any thread */
};

/* Kinds of ordinary work, in queues of their own (base/work_queue.h). */
enum worker_queue {
	WORKER_QUEUE_API, /* worker_call(): what the control socket asks */
	WORKER_QUEUE_HEALTH,
	WORKER_QUEUE_HOOK,
	WORKER_QUEUE_RELOAD, /* connections to be re-pointed to a new configuration */
	WORKER_QUEUE_DRAIN,
	WORKER_QUEUES,
};

struct worker {
	unsigned int index;
	struct worker_shared *shared;
	struct ev_loop *loop;
	struct stats *stats;     /* written here, read by any thread */
	struct mailbox *mailbox; /* posted to by any thread */
	struct work_queues work; /* by enum worker_queue */
	struct access_log *access_log;
	struct generation *generation; /* the newest; one reference */
	struct list connections;       /* connection.link, and cursors */
	struct hash_table by_id;
	struct hash_key hash_key;
	struct conn_id_source *conn_ids;
	struct conn_id_block conn_id_block;
	handshake_handler *on_request;
	struct list drains;        /* struct drain, under way */
	struct promoter *promoter; /* NULL = nothing leaves the relay */
	bool is_stopping;

	/* private to worker.c */
	pthread_t thread;
	bool is_running;
	struct list graveyard;  /* closed in this loop turn */
	uint64_t message_bytes; /* of messages being assembled */
	ev_io on_mail;
	ev_prepare before_wait;
	struct loop_clock clock;
	_Atomic int order;                            /* enum worker_order, from other threads */
	_Atomic(struct generation *) next_generation; /* likewise; one reference, or NULL */
	_Atomic(struct access_log_file *) next_access_log; /* likewise */
	struct worker_cursor *following; /* how far connections were brought to generation */
	struct work_item follow_more;
	ev_async on_order;
	ev_timer log_retry;
	struct drain_plan *stop_plan; /* borrowed; of ORDER_STOP */
	void (*on_stopped)(struct worker *w, void *arg);
	void *on_stopped_arg;
	uint8_t *scratch_in, *scratch_out;

	/* private to acceptor.c */
	struct list accepting; /* struct acceptor */
	int spare_fd;          /* given up to accept and refuse when descriptors run out */
	ev_timer accept_pause;
	uint64_t full_since_ns; /* that many connections have had sockets; 0 = not now */
};

/**
 * worker_new() - a worker that is not yet running
 * @listeners: open sockets; borrowed until the worker is freed
 *
 * Return: 0, -ENOMEM or another -errno.
 */
int worker_new(unsigned int index, struct worker_shared *shared, struct generation *generation,
	       const struct listener_set *listeners, struct worker **ret_worker);
/** worker_free() - after worker_join(), or of one that never ran. NULL is fine */
void worker_free(struct worker *w);
DEFINE_CLEANUP(struct worker, worker_free)

/** worker_start() - start the thread. Return: 0 or -errno */
int worker_start(struct worker *w);
/**
 * worker_stop() - any thread: stop accepting, close all connections as @plan says, and leave the
 * loop when the last one is gone
 * @plan: borrowed until the worker is joined
 * @on_stopped: called on the worker's thread as its last act
 */
void worker_stop(struct worker *w, struct drain_plan *plan,
		 void (*on_stopped)(struct worker *w, void *arg), void *arg);
/** worker_kill() - any thread: end all connections at once and leave the loop */
void worker_kill(struct worker *w);
void worker_join(struct worker *w);
/**
 * worker_set_generation() - any thread: requests that come from now on are served by @generation,
 * and the worker's connections follow in slices. The newest given counts.
 */
void worker_set_generation(struct worker *w, struct generation *generation);
/** worker_generation() - worker's thread: the newest; borrowed */
struct generation *worker_generation(struct worker *w);
/** worker_set_access_log() - any thread: lines go to @file from the worker's next turn on */
void worker_set_access_log(struct worker *w, struct access_log_file *file);
/** worker_run_mail() - after worker_join(): carry out what was posted too late for the thread, and
 *  the work that it left, on the caller's. Return: mails and turns of work run */
size_t worker_run_mail(struct worker *w);

/* Runs on the worker's thread. */
typedef void worker_call_fn(struct worker *w, void *arg);
/** worker_call() - any thread: run @fn there, as ordinary work. Return: 0, or -EAGAIN when the
 * mailbox is full */
int worker_call(struct worker *w, worker_call_fn *fn, void *arg);

/* ---- on the worker's thread only ---------------------------------------------------------- */

/** worker_scratch() - LEG_HEADROOM + LEG_READ_MAX bytes, good until the next event */
void *worker_scratch(struct worker *w);
/** worker_scratch_out() - WORKER_SCRATCH_OUT bytes for building output, likewise */
#define WORKER_SCRATCH_OUT (2 * 65536u)
void *worker_scratch_out(struct worker *w);

/** worker_bury() - free a closed connection at the end of the loop turn */
void worker_bury(struct worker *w, struct connection *c);
/** worker_release_sockets() - one of its connections has none any more: there is room for another
 */
void worker_release_sockets(struct worker *w);
/** worker_take_sockets() - one has some again, whether or not there is room */
void worker_take_sockets(struct worker *w);
/** worker_find() - the living connection @id, or NULL */
struct connection *worker_find(struct worker *w, uint64_t id);

/**
 * worker_take_memory() - account @bytes of a message being assembled
 *
 * Return: 0, or -EGW_MEMORY if the worker's share of limits.message_memory is used up.
 */
int worker_take_memory(struct worker *w, uint64_t bytes);
void worker_give_memory(struct worker *w, uint64_t bytes);

/* A place in the worker's list of connections that survives their coming and going. */
struct worker_cursor;
/**
 * worker_cursor_new() - ahead of the first connection. Free it on the worker's thread
 */
struct worker_cursor *worker_cursor_new(struct worker *w);
void worker_cursor_free(struct worker_cursor *cursor);
/** worker_cursor_rewind() - ahead of the first again */
void worker_cursor_rewind(struct worker *w, struct worker_cursor *cursor);
/** worker_cursor_next() - step over one connection. Return: it, or NULL at the end */
struct connection *worker_cursor_next(struct worker *w, struct worker_cursor *cursor);

const char *worker_queue_name(enum worker_queue queue);
