/* SPDX-License-Identifier: Apache-2.0 */
#include "app/sluiced/gateway.h"

#include "app/sluiced/admin_http.h"
#include "app/sluiced/control_server.h"
#include "app/sluiced/reload.h"
#include "app/sluiced/splice_events.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/version.h"
#include "core/access_log.h"
#include "core/adoption.h"
#include "core/events.h"
#include "route/health_checker.h"
#include "route/resolver.h"

#include <sched.h>
#include <signal.h>
#include <sys/resource.h>

#define MAILBOX_CAPACITY  1024
#define MAIL_BUDGET       64
#define FDS_FOR_OURSELVES 192 /* listeners, loops, control and HTTP clients, logs */

/* ---- stopping ------------------------------------------------------------------------------ */

static void leave_if_all_stopped(struct gateway *g)
{
	if (g->n_stopped == g->n_started)
		ev_break(g->loop, EVBREAK_ALL);
}

static void worker_stopped_mail(const struct mail *mail)
{
	struct gateway *g = mail->ptr;

	g->n_stopped++;
	leave_if_all_stopped(g);
}

void gateway_post(struct gateway *g, const struct mail *mail)
{
	while (mailbox_post(g->mailbox, mail) < 0)
		sched_yield();
}

/* On the worker's thread, as its last act. The main thread takes mail until every worker has said
 * this. */
static void on_worker_stopped(struct worker *w, void *arg)
{
	struct gateway *g = arg;

	gateway_post(g, &(struct mail){.fn = worker_stopped_mail, .ptr = g});
}

static void kill_workers(struct gateway *g)
{
	for (unsigned int i = 0; i < g->n_started; i++)
		worker_kill(g->workers[i]);
}

static void stop_deadline_cb(struct ev_loop *loop, ev_timer *timer, int revents)
{
	struct gateway *g = container_of(timer, struct gateway, stop_deadline);

	log_warning("hard_stop_after has passed: closing what is left");
	kill_workers(g);
}

/* In place: its one reference is the gateway's. */
static void plan_stop(struct gateway *g)
{
	atomic_init(&g->stop_plan.refs, 1);
	connection_filter_init(&g->stop_plan.filter);
	g->stop_plan.time_ms = g->config->drain.time_ms;
	g->stop_plan.rate_per_s = g->config->drain.rate_per_s;
	g->stop_plan.error = EGW_SHUTDOWN;
}

static void begin_stop(struct gateway *g)
{
	log_notice("stopping");
	events_emit(EVENT_STOPPING, NULL);
	events_deliver(); /* while there is somebody to read it */
	g->is_stopping = true;
	control_server_free(TAKE_PTR(g->control));
	health_checker_free(TAKE_PTR(g->health));
	resolver_free(TAKE_PTR(g->resolver));
	drains_stop(&g->drains);
	takeover_stop(&g->takeover);
	plan_stop(g);
	/* The hard stop is here, and not in the plan: it must not depend on a worker's memory. */
	ev_timer_set(&g->stop_deadline,
		     (double)(g->config->drain.time_ms + g->config->drain.hard_stop_ms) / 1000, 0);
	ev_timer_start(g->loop, &g->stop_deadline);
	for (unsigned int i = 0; i < g->n_started; i++)
		worker_stop(g->workers[i], &g->stop_plan, on_worker_stopped, g);
	leave_if_all_stopped(g);
}

static void stop_signal(struct gateway *g)
{
	if (!g->is_stopping) {
		begin_stop(g);
	} else {
		log_notice("second signal: closing what is left");
		kill_workers(g);
	}
}

static void sigterm_cb(struct ev_loop *loop, ev_signal *watcher, int revents)
{
	stop_signal(container_of(watcher, struct gateway, on_sigterm));
}

static void sigint_cb(struct ev_loop *loop, ev_signal *watcher, int revents)
{
	stop_signal(container_of(watcher, struct gateway, on_sigint));
}

static void sighup_cb(struct ev_loop *loop, ev_signal *watcher, int revents)
{
	struct reload_result result;

	(void)reload_run(container_of(watcher, struct gateway, on_sighup), &result);
}

/* ---- starting ------------------------------------------------------------------------------ */

static unsigned int count_workers(const struct config *config)
{
	cpu_set_t cpus;

	if (config->worker.count)
		return config->worker.count;
	if (sched_getaffinity(0, sizeof(cpus), &cpus) < 0)
		return 1;
	return (unsigned int)MAX(CPU_COUNT(&cpus), 1);
}

/* A proxied connection takes two descriptors. Raises the soft limit to the hard one. */
static uint64_t connection_limit(const struct config *config)
{
	uint64_t wanted = config->limits.max_connections, possible;
	struct rlimit nofile;

	if (getrlimit(RLIMIT_NOFILE, &nofile) < 0)
		nofile.rlim_cur = nofile.rlim_max = 1024;
	if (nofile.rlim_cur < nofile.rlim_max) {
		nofile.rlim_cur = nofile.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &nofile);
		(void)getrlimit(RLIMIT_NOFILE, &nofile);
	}
	possible = nofile.rlim_cur > 2 * FDS_FOR_OURSELVES
		       ? (nofile.rlim_cur - FDS_FOR_OURSELVES) / 2
		       : nofile.rlim_cur / 4;
	/* An eighth on top is accepted to be refused politely (worker.c). */
	possible -= possible / 16;
	if (wanted == 0)
		return possible;
	if (wanted > possible)
		log_warning("limits.max_connections = %llu needs more descriptors than "
			    "RLIMIT_NOFILE = %llu allows: about %llu connections can be proxied",
			    (unsigned long long)wanted, (unsigned long long)nofile.rlim_cur,
			    (unsigned long long)possible);
	return wanted;
}

void gateway_apply_limits(struct gateway *g, const struct config *config)
{
	atomic_store_explicit(&g->shared.max_connections, connection_limit(config),
			      memory_order_relaxed);
	atomic_store_explicit(&g->shared.message_memory_bytes,
			      config->limits.message_memory_bytes / g->n_workers,
			      memory_order_relaxed);
}

static void mail_cb(struct ev_loop *loop, ev_io *io, int revents)
{
	struct gateway *g = container_of(io, struct gateway, on_mail);

	(void)mailbox_run(g->mailbox, MAIL_BUDGET);
}

static void start_signal(struct gateway *g, ev_signal *watcher,
			 void (*cb)(struct ev_loop *, ev_signal *, int), int signum)
{
	ev_signal_init(watcher, cb, signum);
	ev_signal_start(g->loop, watcher);
}

static int set_up_main_loop(struct gateway *g)
{
	int error;

	/* The default loop is the one that may take signals; it has nothing else in common. */
	g->loop = ev_default_loop(EVBACKEND_EPOLL | EVFLAG_NOENV);
	if (!g->loop)
		return -ENOMEM;
	error = mailbox_new(MAILBOX_CAPACITY, &g->mailbox);
	if (error < 0)
		return error;
	error = events_init(g->loop);
	if (error < 0)
		return error;
	ev_io_init(&g->on_mail, mail_cb, mailbox_fd(g->mailbox), EV_READ);
	ev_io_start(g->loop, &g->on_mail);
	start_signal(g, &g->on_sigterm, sigterm_cb, SIGTERM);
	start_signal(g, &g->on_sigint, sigint_cb, SIGINT);
	start_signal(g, &g->on_sighup, sighup_cb, SIGHUP);
	ev_init(&g->stop_deadline, stop_deadline_cb);
	drains_init(&g->drains, g);
	ev_init(&g->drop_retired, reload_drop_retired_cb);
	signal(SIGPIPE, SIG_IGN);
	return 0;
}

static int open_access_log(struct gateway *g)
{
	_cleanup_(cleanup_access_log_file_unref) struct access_log_file *file = NULL;
	int error = access_log_file_open(g->config->log.access, &file);

	if (error < 0) {
		log_error("log.access = \"%s\": %s", g->config->log.access, strerror(-error));
		return error;
	}
	for (unsigned int i = 0; i < g->shared.n_workers; i++)
		worker_set_access_log(g->workers[i], file);
	return 0;
}

static int open_splice(struct gateway *g)
{
	splice_open(g->config, &g->splice);
	g->shared.splice = &g->splice;
	if (g->splice.why[0])
		log_info("no splice: %s", g->splice.why);
	return !g->splice.is_open ? 0 : splice_events_new(g, &g->splice_events);
}

/* What was left by the daemon before us is known before our first connection takes a port. */
static int find_leftovers(struct gateway *g)
{
	int error;

	if (!g->splice.is_open)
		return 0;
	error = adoption_new(&g->splice, &g->routing->generation, &g->adoption);
	if (error < 0)
		log_error("%s: cannot read what is there: %s", g->config->kernel.pins,
			  strerror(-error));
	else
		conn_id_source_pass(&g->shared.conn_ids, adoption_last_id(g->adoption));
	return error;
}

static int open_sockets(struct gateway *g, unsigned int n_workers)
{
	struct listener_error error_text;
	int error = listener_set_open(g->config, n_workers, &g->listeners, &error_text);

	if (error < 0)
		log_error("%s", error_text.text);
	return error;
}

static int start_workers(struct gateway *g, unsigned int n_workers)
{
	sigset_t all, old;
	int error = 0;

	g->workers = calloc(n_workers, sizeof(*g->workers));
	if (!g->workers)
		return -ENOMEM;
	for (unsigned int i = 0; i < n_workers; i++) {
		error = worker_new(i, &g->shared, &g->routing->generation, g->listeners,
				   &g->workers[i]);
		if (error < 0)
			return error;
		g->shared.n_workers = i + 1;
	}
	error = open_access_log(g);
	if (error < 0)
		return error;
	/* Signals are the main thread's. */
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &old);
	while (error == 0 && g->n_started < n_workers) {
		error = worker_start(g->workers[g->n_started]);
		if (error == 0)
			g->n_started++;
	}
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return error;
}

void gateway_follow_endpoints(struct gateway *g)
{
	resolver_follow(g->resolver, g->routing);
	health_checker_follow(g->health, g->routing);
}

static int set_up(struct gateway *g)
{
	unsigned int n_workers = count_workers(g->config);
	int error;

	g->n_workers = n_workers;
	gateway_apply_limits(g, g->config);
	conn_id_source_init(&g->shared.conn_ids, clock_realtime_ns());
	g->shared.on_request = routing_on_request;
	g->shared.follow = routing_follow;
	g->shared.adopt = routing_adopt;
	error = set_up_main_loop(g);
	if (error < 0)
		return error;
	error = routing_new(g->config, NULL, &g->routing);
	if (error < 0)
		return error;
	error = health_checker_new(g->loop, &g->health);
	if (error < 0)
		return error;
	error = resolver_new(g->loop, &g->resolver);
	if (error < 0)
		return error;
	gateway_follow_endpoints(g);
	error = open_sockets(g, n_workers);
	if (error < 0)
		return error;
	error = open_splice(g);
	if (error < 0)
		return error;
	error = control_server_new(g, &g->control);
	if (error < 0)
		return error;
	error = admin_http_new(g, &g->http);
	if (error < 0)
		return error;
	error = find_leftovers(g);
	if (error < 0)
		return error;
	error = start_workers(g, n_workers);
	if (error < 0)
		return error;
	hook_watch_begin(&g->hook_watch);
	takeover_begin(&g->takeover);
	if (!g->adoption)
		return 0;
	return adoption_begin(g->adoption, g->workers, g->n_workers);
}

/*
 * The threads have ended, but control calls may be on their way between them. Each mail either
 * ends its call or posts one that does, now that we are stopping.
 */
static void finish_calls(struct gateway *g)
{
	size_t n_run;

	do {
		n_run = g->mailbox ? mailbox_run(g->mailbox, MAIL_BUDGET) : 0;
		for (unsigned int i = 0; i < g->shared.n_workers; i++)
			n_run += worker_run_mail(g->workers[i]);
	} while (n_run > 0);
}

static void tear_down(struct gateway *g)
{
	/* After a failed start: the workers that run have no connections yet. */
	if (g->n_stopped < g->n_started)
		kill_workers(g);
	for (unsigned int i = 0; i < g->n_started; i++)
		worker_join(g->workers[i]);
	control_server_free(g->control);
	splice_events_free(g->splice_events);
	health_checker_free(g->health);
	resolver_free(g->resolver);
	admin_http_free(g->http);
	g->is_stopping = true;
	finish_calls(g);
	takeover_done(&g->takeover);
	hook_watch_done(&g->hook_watch);
	for (unsigned int i = 0; i < g->shared.n_workers; i++)
		worker_free(g->workers[i]);
	free(g->workers);
	adoption_free(g->adoption);
	splice_close(&g->splice);
	listener_set_free(g->listeners);
	if (g->routing)
		generation_unref(&g->routing->generation);
	drains_done(&g->drains);
	events_done();
	list_for_each_safe (node, &g->retired)
		generation_unref(&container_of(node, struct routing, retired)->generation);
	if (g->loop)
		ev_loop_destroy(g->loop);
	mailbox_free(g->mailbox);
	config_unref(g->started_with);
	config_unref(g->config);
}

static void log_ready(const struct gateway *g)
{
	log_notice("sluiced %s (%s): %u worker%s, at most %llu connections, %s; ready",
		   sluice_version, sluice_commit, g->shared.n_workers,
		   g->shared.n_workers == 1 ? "" : "s",
		   (unsigned long long)g->shared.max_connections,
		   splice_refuses(&g->splice) == SLUICE_REASON_NONE ? "paths relay and splice"
								    : "path relay");
	events_emit(EVENT_STARTED, "{s:s, s:s, s:i}", "version", sluice_version, "commit",
		    sluice_commit, "workers", (int)g->shared.n_workers);
}

int gateway_run(struct config *config, const char *path)
{
	struct gateway g = {
	    .config = config_ref(config),
	    .started_with = config_ref(config),
	    .config_path = path,
	    .generation = 1,
	    .started_ns = clock_monotonic_ns(),
	};
	int error;

	list_init(&g.retired);
	takeover_init(&g.takeover, &g);
	hook_watch_init(&g.hook_watch, &g);
	error = set_up(&g);
	if (error == 0) {
		log_ready(&g);
		ev_run(g.loop, 0);
		log_notice("stopped");
	} else {
		log_error("cannot start: %s", strerror(-error));
	}
	tear_down(&g);
	return error;
}

void gateway_stats(const struct gateway *g, struct stats *ret_stats)
{
	memset(ret_stats, 0, sizeof(*ret_stats));
	for (unsigned int i = 0; i < g->shared.n_workers; i++)
		stats_merge(ret_stats, g->workers[i]->stats);
}

const char *gateway_not_ready(const struct gateway *g)
{
	if (g->is_stopping)
		return "stopping";
	return atomic_load_explicit(&g->shared.is_draining, memory_order_relaxed) ? "draining"
										  : NULL;
}
