/* SPDX-License-Identifier: Apache-2.0 */
#include "core/acceptor.h"

#include "base/clock.h"
#include "base/log.h"
#include "core/connection.h"
#include "core/handshake.h"
#include "core/splice.h"
#include "core/worker.h"

#include <fcntl.h>
#include <sys/socket.h>

#define ACCEPT_BUDGET    64  /* connections in one loop turn and socket */
#define ACCEPT_PAUSE_S   0.1 /* after running out of descriptors or memory */
#define FULL_PAUSE_S     0.005
#define FULL_PATIENCE_NS (1 * NS_PER_S) /* then who comes is refused */

struct acceptor {
	struct list node;
	struct worker *worker;
	const struct listener_socket *socket;
	ev_io io;
};

static bool is_resource_error(int error)
{
	return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM;
}

static int open_spare(void)
{
	return open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static void reset_socket(int fd)
{
	static const struct linger abort_now = {.l_onoff = 1, .l_linger = 0};

	(void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &abort_now, sizeof(abort_now));
	close(fd);
}

static void resume_accepting(struct ev_loop *loop, ev_timer *timer, int revents)
{
	struct worker *w = container_of(timer, struct worker, accept_pause);

	/* Another thread may have been quicker when it was given up. */
	if (w->spare_fd < 0)
		w->spare_fd = open_spare();
	list_for_each (node, &w->accepting)
		ev_io_start(w->loop, &list_entry(node, struct acceptor, node)->io);
}

static void pause_accepting(struct worker *w, double seconds)
{
	list_for_each (node, &w->accepting)
		ev_io_stop(w->loop, &list_entry(node, struct acceptor, node)->io);
	ev_timer_set(&w->accept_pause, seconds, 0);
	ev_timer_start(w->loop, &w->accept_pause);
}

/*
 * Without a descriptor a pending connection can be neither taken nor refused, and a level-triggered
 * loop would spin on it. So give up the spare descriptor to accept and reset one, and pause.
 */
static void out_of_resources(struct acceptor *a, int error)
{
	struct worker *w = a->worker;
	int fd;

	log_warning("worker %u: accept on listener \"%s\": %s; pausing", w->index,
		    a->socket->listener->name, strerror(error));
	if (w->spare_fd >= 0) {
		close(TAKE_FD(w->spare_fd));
		fd = accept4(a->socket->fd, NULL, NULL, SOCK_CLOEXEC);
		if (fd >= 0) {
			reset_socket(fd);
			stat_add(&w->stats->refused[proto_error_index(EGW_CONNECTIONS)], 1);
		}
		w->spare_fd = open_spare();
	}
	pause_accepting(w, ACCEPT_PAUSE_S);
}

/*
 * Where connections leave for the kernel, and their sockets with them, there will be room again in
 * some ms: who comes meanwhile waits in the backlog. Unless nothing has become free for so long
 * that it is better to say so.
 */
static bool must_wait_for_room(struct worker *w)
{
	const struct worker_shared *shared = w->shared;
	uint64_t n = atomic_load_explicit(&shared->n_connections, memory_order_relaxed);
	uint64_t now_ns;

	if (splice_refuses(shared->splice) != SLUICE_REASON_NONE ||
	    n < atomic_load_explicit(&shared->max_connections, memory_order_relaxed)) {
		w->full_since_ns = 0;
		return false;
	}
	now_ns = clock_monotonic_ns();
	if (w->full_since_ns == 0)
		w->full_since_ns = now_ns;
	return now_ns - w->full_since_ns < FULL_PATIENCE_NS;
}

/*
 * Up to max_connections are served. An eighth more is accepted only to be told 503, which needs
 * their request to be read; what comes on top is reset at once.
 */
static void admit(struct acceptor *a, int fd, const struct sockaddr *source)
{
	struct worker *w = a->worker;
	struct worker_shared *shared = w->shared;
	uint64_t n = atomic_fetch_add_explicit(&shared->n_connections, 1, memory_order_relaxed);
	uint64_t limit = atomic_load_explicit(&shared->max_connections, memory_order_relaxed);
	struct connection *c;

	if (n >= limit + limit / 8 + 1 ||
	    connection_new(w, a->socket->listener, fd, source, &c) < 0) {
		atomic_fetch_sub_explicit(&shared->n_connections, 1, memory_order_relaxed);
		stat_add(&w->stats->refused[proto_error_index(EGW_CONNECTIONS)], 1);
		reset_socket(fd);
		return;
	}
	atomic_fetch_add_explicit(&a->socket->stats->n_accepted, 1, memory_order_relaxed);
	/* Another worker may have taken the last place since this one has looked. */
	c->is_over_limit = n >= limit && !must_wait_for_room(w);
	handshake_begin(c);
}

static void accept_cb(struct ev_loop *loop, ev_io *io, int revents)
{
	struct acceptor *a = container_of(io, struct acceptor, io);

	for (int i = 0; i < ACCEPT_BUDGET; i++) {
		union {
			struct sockaddr sa;
			struct sockaddr_in6 in6;
			struct sockaddr_un un;
		} source = {0};
		socklen_t len = sizeof(source);
		int fd;

		if (must_wait_for_room(a->worker)) {
			pause_accepting(a->worker, FULL_PAUSE_S);
			return;
		}
		fd = accept4(a->socket->fd, &source.sa, &len, SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (fd >= 0) {
			admit(a, fd, &source.sa);
		} else if (is_resource_error(errno)) {
			out_of_resources(a, errno);
			return;
		} else if (errno == EAGAIN) {
			return;
		}
		/* Anything else concerns the pending connection alone (accept(2)): the next. */
	}
}

static int add_acceptor(struct worker *w, const struct listener_socket *socket)
{
	struct acceptor *a = calloc(1, sizeof(*a));

	if (!a)
		return -ENOMEM;
	a->worker = w;
	a->socket = socket;
	ev_io_init(&a->io, accept_cb, socket->fd, EV_READ);
	list_append(&w->accepting, &a->node);
	return 0;
}

void acceptors_init(struct worker *w)
{
	list_init(&w->accepting);
	ev_init(&w->accept_pause, resume_accepting);
	w->spare_fd = open_spare();
}

int acceptors_add(struct worker *w, const struct listener_set *listeners)
{
	for (size_t i = 0; i < listeners->n_sockets; i++) {
		const struct listener_socket *socket = &listeners->sockets[i];
		int error;

		if (!socket->is_shared && socket->worker != w->index)
			continue;
		error = add_acceptor(w, socket);
		if (error < 0)
			return error;
	}
	return 0;
}

void acceptors_start(struct worker *w)
{
	list_for_each (node, &w->accepting)
		ev_io_start(w->loop, &list_entry(node, struct acceptor, node)->io);
}

void acceptors_stop(struct worker *w)
{
	ev_timer_stop(w->loop, &w->accept_pause);
	list_for_each_safe (node, &w->accepting) {
		struct acceptor *a = list_entry(node, struct acceptor, node);

		ev_io_stop(w->loop, &a->io);
		/* Stops listening (the set closes it later): who comes now is refused at once
		 * instead of waiting in the backlog until we exit. */
		(void)shutdown(a->socket->fd, SHUT_RD);
		list_remove(node);
		free(a);
	}
}

void acceptors_done(struct worker *w)
{
	if (w->spare_fd >= 0)
		close(TAKE_FD(w->spare_fd));
}
