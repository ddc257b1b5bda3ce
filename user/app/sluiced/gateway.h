/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The running daemon: configuration, listening sockets, workers, and the main thread's loop with
 * its signals and control socket.
 */
#pragma once
#include "app/sluiced/drains.h"
#include "app/sluiced/hook_watch.h"
#include "app/sluiced/takeover.h"
#include "base/mailbox.h"
#include "base/std.h"
#include "core/config.h"
#include "core/drain.h"
#include "core/listener.h"
#include "core/splice.h"
#include "core/worker.h"
#include "route/routing.h"

#include <ev.h>

struct admin_http;
struct adoption;
struct control_server;
struct health_checker;
struct resolver;
struct splice_events;

/*
 * Routes, clusters and endpoints of configurations that are no longer in force, but kept by
 * connections whose route or endpoint the newer ones have not. At this many a reload is refused, so
 * that a storm of them cannot fill the memory.
 */
#define RETIRED_OBJECTS_MAX 200000

struct gateway {
	struct config *config;       /* in force */
	struct config *started_with; /* what a reload cannot change is as it says */
	const char *config_path;     /* absolute; NULL = embedded */
	struct routing *routing;
	struct list retired;         /* routing.retired: before it, while connections use them */
	size_t n_retired_objects;    /* in them */
	uint64_t generation;         /* number of the one in force: 1, 2, ... */
	uint64_t n_refused;          /* reloads */
	struct config_error refusal; /* why the last one was refused; "" = it was not */
	struct listener_set *listeners;
	struct worker_shared shared;
	struct worker **workers; /* shared.n_workers of them */
	unsigned int n_workers;  /* wanted */
	unsigned int n_started, n_stopped;
	struct ev_loop *loop;    /* the main thread's */
	struct mailbox *mailbox; /* from the workers to the main thread */
	struct control_server *control;
	struct health_checker *health;
	struct resolver *resolver;
	struct splice splice;
	struct splice_events *splice_events; /* NULL unless it is open */
	struct adoption *adoption;           /* likewise */
	struct hook_watch hook_watch;
	struct takeover takeover;     /* of the pins, from another daemon */
	struct drains drains;         /* by the operator */
	struct drain_plan stop_plan;  /* by SIGTERM */
	struct admin_http *http;      /* NULL = off */
	uint64_t started_ns;          /* CLOCK_MONOTONIC */
	unsigned int n_splice_pauses; /* splice.pause that are open */
	bool is_stopping;
	ev_io on_mail;
	ev_signal on_sigterm, on_sigint, on_sighup;
	ev_timer stop_deadline, drop_retired;
};

/**
 * gateway_run() - serve @config until SIGTERM or SIGINT
 * @path: the file that it came from, for a reload; NULL = none
 *
 * Return: 0 after an orderly stop; -errno if the start failed (logged).
 */
int gateway_run(struct config *config, const char *path);

/** gateway_apply_limits() - what limits of @config count for the whole process */
void gateway_apply_limits(struct gateway *g, const struct config *config);

/** gateway_follow_endpoints() - check and resolve the endpoints of g->routing, once it is another
 */
void gateway_follow_endpoints(struct gateway *g);

/** gateway_stats() - the workers' counters, added up */
void gateway_stats(const struct gateway *g, struct stats *ret_stats);
/** gateway_post() - any thread: let the main thread run @mail. Waits while its box is full, so it
 * is for what is bounded far below that, such as answers to the calls in flight */
void gateway_post(struct gateway *g, const struct mail *mail);
/** gateway_not_ready() - why no new clients should be sent here, as one word, or NULL */
const char *gateway_not_ready(const struct gateway *g);
