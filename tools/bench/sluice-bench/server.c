/* SPDX-License-Identifier: Apache-2.0 */
/* `sluice-bench server`: listens, says so, and serves until a signal comes. */
#include "base/std.h"
#include "bench.h"
#include "process.h"
#include "server_options.h"
#include "server_worker.h"

#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <sys/stat.h>

struct server {
	const struct server_options *options;
	struct server_worker *workers[SERVER_WORKERS_MAX]; /* owned */
	uint32_t n_workers, n_threads;
	size_t n_listening; /* of options->listen: ours to clean up */
};

/* A socket that nobody listens on any more, left by a process that was killed. */
static void remove_stale_socket(const struct address *address)
{
	_cleanup_close_ int fd = -1;
	struct stat status;

	if (address->sa.sa_family != AF_UNIX || address->un.sun_path[0] == '\0' ||
	    lstat(address->un.sun_path, &status) < 0 || !S_ISSOCK(status.st_mode))
		return;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd >= 0 && connect(fd, &address->sa, address->len) < 0 && errno == ECONNREFUSED)
		(void)unlink(address->un.sun_path);
}

/* Every worker listens on every address; the first one settles the port. */
static int listen_on(struct server *s, const struct address *wanted, struct address *ret_actual)
{
	struct address actual = *wanted;
	int shared_fd = -1;

	remove_stale_socket(wanted);
	for (uint32_t i = 0; i < s->n_workers; i++) {
		struct server_worker *w = s->workers[i];
		int r = server_worker_listen(w, &actual, shared_fd), fd;

		if (r < 0)
			return r;
		fd = w->listeners[w->n_listeners - 1].source.fd;
		if (wanted->sa.sa_family == AF_UNIX)
			shared_fd = fd;
		else if (getsockname(fd, &actual.sa, &actual.len) < 0)
			return -errno;
	}
	*ret_actual = actual;
	return 0;
}

static int listen_all(struct server *s)
{
	const struct server_options *o = s->options;
	struct address actual[SERVER_LISTEN_MAX];
	char text[ADDRESS_TEXT_MAX + 1];

	for (size_t i = 0; i < o->n_listen; i++) {
		int r = listen_on(s, &o->listen[i], &actual[i]);

		if (r < 0) {
			address_format(&o->listen[i], text);
			fprintf(stderr, "sluice-bench server: --listen: '%s': %s\n", text,
				strerror(-r));
			return r;
		}
		s->n_listening++;
	}
	printf("ready");
	for (size_t i = 0; i < o->n_listen; i++) {
		address_format(&actual[i], text);
		printf(" %s", text);
	}
	putchar('\n');
	fflush(stdout);
	return 0;
}

static void stop_threads(struct server *s)
{
	for (uint32_t i = 0; i < s->n_threads; i++)
		server_worker_stop(s->workers[i]);
	for (uint32_t i = 0; i < s->n_threads; i++)
		pthread_join(s->workers[i]->thread, NULL);
	s->n_threads = 0;
}

static void server_done(struct server *s)
{
	const struct server_options *o = s->options;

	stop_threads(s);
	for (uint32_t i = 0; i < s->n_workers; i++)
		server_worker_free(s->workers[i]);
	for (size_t i = 0; i < s->n_listening; i++) {
		if (o->listen[i].sa.sa_family == AF_UNIX && o->listen[i].un.sun_path[0] != '\0')
			(void)unlink(o->listen[i].un.sun_path);
	}
}

static void print_counters(const struct server *s)
{
	struct server_counters sum = {0};

	for (uint32_t i = 0; i < s->n_workers; i++) {
		const struct server_counters *c = &s->workers[i]->counters;

		sum.connections += c->connections;
		sum.refused += c->refused;
		sum.messages += c->messages;
		sum.bytes += c->bytes;
		sum.sent += c->sent;
		sum.aborted += c->aborted;
		sum.stream_sent += c->stream_sent;
		sum.stream_received += c->stream_received;
	}
	printf("{\"connections\":%" PRIu64 ",\"refused\":%" PRIu64 ",\"messages\":%" PRIu64
	       ",\"bytes\":%" PRIu64 ",\"sent\":%" PRIu64 ",\"aborted\":%" PRIu64
	       ",\"stream_sent\":%" PRIu64 ",\"stream_received\":%" PRIu64 "}\n",
	       sum.connections, sum.refused, sum.messages, sum.bytes, sum.sent, sum.aborted,
	       sum.stream_sent, sum.stream_received);
}

static int run_server(const struct server_options *o)
{
	_cleanup_(server_done) struct server s = {.options = o};
	struct pollfd stop = {.events = POLLIN};
	_cleanup_close_ int stop_fd = process_stop_fd();
	int r = stop_fd < 0 ? stop_fd : 0;

	while (r == 0 && s.n_workers < o->workers) {
		r = server_worker_new(o, &s.workers[s.n_workers]);
		s.n_workers += r == 0;
	}
	if (r == 0 && listen_all(&s) < 0)
		return BENCH_EXIT_ERRORS;
	while (r == 0 && s.n_threads < s.n_workers) {
		struct server_worker *w = s.workers[s.n_threads];

		r = -pthread_create(&w->thread, NULL, server_worker_main, w);
		s.n_threads += r == 0;
	}
	if (r < 0) {
		fprintf(stderr, "sluice-bench server: %s\n", strerror(-r));
		return BENCH_EXIT_ERRORS;
	}
	stop.fd = stop_fd;
	while (poll(&stop, 1, -1) < 1)
		;
	stop_threads(&s);
	if (o->json)
		print_counters(&s);
	return 0;
}

int server_main(int argc, char **argv)
{
	struct server_options options;
	int r = server_options_parse(argc, argv, &options);

	if (r != 0)
		return r < 0 ? BENCH_EXIT_USAGE : 0;
	(void)process_raise_nofile();
	return run_server(&options);
}
