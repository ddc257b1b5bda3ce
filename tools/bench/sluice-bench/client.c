/* SPDX-License-Identifier: Apache-2.0 */
/* `sluice-bench client`: sets a run up, starts its threads, watches them and reports. */
#include "base/clock.h"
#include "base/std.h"
#include "bench.h"
#include "bench_stats.h"
#include "client_options.h"
#include "client_worker.h"
#include "payload.h"
#include "process.h"
#include "report.h"

#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <sys/eventfd.h>

#define PROGRESS_MS    500
#define FDS_PER_THREAD 2  /* epoll and wakeup */
#define FDS_OTHER      16 /* standard ones, signals, what libraries hold */

static bool has_descriptors(const struct client_options *o)
{
	uint64_t need = o->connections + (uint64_t)o->threads * FDS_PER_THREAD + FDS_OTHER;
	uint64_t have = process_raise_nofile();

	if (need <= have)
		return true;
	fprintf(stderr,
		"sluice-bench client: --connections: %u need %" PRIu64
		" file descriptors; the hard limit (ulimit -Hn) is %" PRIu64
		"; run several clients or raise it\n",
		o->connections, need, have);
	return false;
}

/* Share number @index of @total, cut into @n shares that differ by one at most. */
static uint64_t share(uint64_t total, uint32_t n, uint32_t index)
{
	return total / n + (index < total % n ? 1 : 0);
}

static void free_workers(struct client_run *run)
{
	for (uint32_t i = 0; i < run->n_workers; i++)
		client_worker_free(run->workers[i]);
	free(run->workers);
	if (run->done_fd >= 0)
		close(run->done_fd);
}

static int make_workers(struct client_run *run)
{
	const struct client_options *o = run->options;
	uint32_t first = 0;

	run->done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (run->done_fd < 0)
		return -errno;
	run->workers = calloc(o->threads, sizeof(struct client_worker *));
	if (!run->workers)
		return -ENOMEM;
	for (uint32_t i = 0; i < o->threads; i++) {
		uint32_t n = (uint32_t)share(o->connections, o->threads, i);
		uint64_t quota = o->messages ? share(o->messages, o->threads, i) : UINT64_MAX;
		int r = client_worker_new(run, i, first, n, quota, &run->workers[i]);

		if (r < 0)
			return r;
		run->n_workers++;
		first += n;
	}
	return 0;
}

static void stop_all(struct client_run *run)
{
	__atomic_fetch_add(&run->n_stops, 1, __ATOMIC_RELAXED);
	for (uint32_t i = 0; i < run->n_workers; i++)
		client_worker_wake(run->workers[i]);
}

static void print_progress(const struct client_run *run)
{
	uint64_t opened = 0, messages = 0, errors = 0;

	for (uint32_t i = 0; i < run->n_workers; i++) {
		const struct bench_stats *s = &run->workers[i]->stats;

		opened += counter_read(&s->opened);
		messages += counter_read(&s->messages);
		errors += bench_stats_errors(s);
	}
	fprintf(stderr, "\r%" PRIu64 " opened, %" PRIu64 " messages, %" PRIu64 " errors\033[K",
		opened, messages, errors);
}

/* Until every thread has ended. Return: whether a signal came. */
static bool watch(struct client_run *run, uint32_t n_threads, int stop_fd)
{
	bool has_progress = !run->options->no_progress && isatty(STDERR_FILENO);
	struct pollfd fds[] = {{.fd = run->done_fd, .events = POLLIN},
			       {.fd = stop_fd, .events = POLLIN}};
	uint32_t n_signals = 0;
	eventfd_t ended = 0;

	while (ended < n_threads) {
		eventfd_t n;

		(void)poll(fds, ARRAY_SIZE(fds), has_progress ? PROGRESS_MS : -1);
		if (fds[1].revents && process_take_signal(stop_fd)) {
			stop_all(run);
			n_signals++;
		}
		if (n_signals == 2 && fds[1].fd >= 0) {
			fds[1].fd = -1;
			process_restore_signals(stop_fd); /* a third one kills */
		}
		if (eventfd_read(run->done_fd, &n) == 0)
			ended += n;
		if (has_progress)
			print_progress(run);
	}
	if (has_progress)
		fputs("\r\033[K", stderr);
	return n_signals > 0;
}

static int run_threads(struct client_run *run, int stop_fd, bool *ret_interrupted)
{
	uint32_t n_threads = 0;
	int r = 0;

	while (r == 0 && n_threads < run->n_workers) {
		struct client_worker *w = run->workers[n_threads];

		r = pthread_create(&w->thread, NULL, client_worker_main, w);
		n_threads += r == 0;
	}
	if (r != 0)
		stop_all(run);
	*ret_interrupted = watch(run, n_threads, stop_fd);
	for (uint32_t i = 0; i < n_threads; i++)
		pthread_join(run->workers[i]->thread, NULL);
	return -r;
}

static int report_run(const struct client_run *run, bool is_interrupted)
{
	_cleanup_free_ struct bench_stats *stats = malloc(sizeof(*stats));
	struct report report = {.options = run->options,
				.stats = stats,
				.is_interrupted = is_interrupted};

	if (!stats)
		return -ENOMEM;
	bench_stats_init(stats);
	for (uint32_t i = 0; i < run->n_workers; i++) {
		const struct client_worker *w = run->workers[i];

		bench_stats_merge(stats, &w->stats);
		if (w->is_measuring)
			report.duration_ns =
			    MAX(report.duration_ns, MAX(w->finish_ns, w->last_ns) - w->measure_ns);
	}
	if (!run->options->json)
		report_print_table(&report);
	else if (report_print_json(&report) < 0)
		return -ENOMEM;
	return bench_stats_errors(stats) > 0 ? BENCH_EXIT_ERRORS : 0;
}

static int run_client(const struct client_options *o)
{
	_cleanup_(free_workers) struct client_run run = {.options = o, .done_fd = -1};
	_cleanup_free_ uint8_t *pool = NULL;
	_cleanup_close_ int stop_fd = -1;
	bool is_interrupted = false;
	int r;

	if (!o->verify) {
		pool = payload_pool_new(o->seed, o->is_text);
		if (!pool)
			return -ENOMEM;
		run.pool = pool;
	}
	stop_fd = process_stop_fd();
	if (stop_fd < 0)
		return stop_fd;
	r = make_workers(&run);
	if (r == 0)
		r = run_threads(&run, stop_fd, &is_interrupted);
	return r < 0 ? r : report_run(&run, is_interrupted);
}

int client_main(int argc, char **argv)
{
	_cleanup_free_ struct client_options *options = malloc(sizeof(*options));
	int r;

	if (!options)
		return BENCH_EXIT_ERRORS;
	r = client_options_parse(argc, argv, options);
	if (r != 0)
		return r < 0 ? BENCH_EXIT_USAGE : 0;
	if (!has_descriptors(options))
		return BENCH_EXIT_ERRORS;
	r = run_client(options);
	if (r < 0) {
		fprintf(stderr, "sluice-bench client: %s\n", strerror(-r));
		return BENCH_EXIT_ERRORS;
	}
	return r;
}
