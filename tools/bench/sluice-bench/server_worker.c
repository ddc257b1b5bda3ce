/* SPDX-License-Identifier: Apache-2.0 */
#include "server_worker.h"

#include "base/clock.h"
#include "server_conn.h"

#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>

#define EVENTS_MAX      256
#define BACKLOG         4096
#define ACCEPT_MAX      64 /* in one turn of the loop */
#define ACCEPT_PAUSE_NS (100 * NS_PER_MS)

int server_worker_new(const struct server_options *options, struct server_worker **ret_worker)
{
	struct server_worker *w = calloc(1, sizeof(*w));
	struct epoll_event event = {.events = EPOLLIN};
	int r;

	if (!w)
		return -ENOMEM;
	w->options = options;
	list_init(&w->conns);
	list_init(&w->ended);
	w->now_ns = clock_monotonic_ns();
	deadline_wheel_init(&w->wheel, w->now_ns);
	w->wakeup.kind = SERVER_WAKEUP;
	w->wakeup.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	w->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	w->tx = malloc(SERVER_TX_BYTES);
	w->rx = malloc(SERVER_RX_RESERVE + SERVER_HOLD_BYTES + SERVER_RX_BYTES);
	event.data.ptr = &w->wakeup;
	if (w->wakeup.fd < 0 || w->epoll_fd < 0 ||
	    epoll_ctl(w->epoll_fd, EPOLL_CTL_ADD, w->wakeup.fd, &event) < 0)
		r = -errno;
	else
		r = w->tx && w->rx ? 0 : -ENOMEM;
	if (r == 0)
		*ret_worker = w;
	else
		server_worker_free(w);
	return r;
}

static void reap(struct server_worker *w, struct list *conns)
{
	list_for_each_safe (node, conns)
		server_conn_free(list_entry(node, struct server_conn, node));
}

void server_worker_free(struct server_worker *w)
{
	if (!w)
		return;
	reap(w, &w->conns);
	reap(w, &w->ended);
	for (size_t i = 0; i < w->n_listeners; i++)
		close(w->listeners[i].source.fd);
	if (w->wakeup.fd >= 0)
		close(w->wakeup.fd);
	if (w->epoll_fd >= 0)
		close(w->epoll_fd);
	free(w->tx);
	free(w->rx);
	free(w);
}

/* ---- listening ------------------------------------------------------------------------------ */

static int make_listener(const struct address *address, int *ret_fd)
{
	_cleanup_close_ int fd = -1;
	int on = 1;

	fd = socket(address->sa.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (address->sa.sa_family != AF_UNIX &&
	    setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) < 0)
		return -errno;
	/* "[::]" next to "0.0.0.0" must not collide. */
	if (address->sa.sa_family == AF_INET6)
		(void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
	if (bind(fd, &address->sa, address->len) < 0 || listen(fd, BACKLOG) < 0)
		return -errno;
	*ret_fd = TAKE_FD(fd);
	return 0;
}

/* A unix socket is shared by the threads, and one connection need not wake all of them. */
static void watch_listener(struct server_worker *w, struct server_listener *l)
{
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = l};

	if (l->family == AF_UNIX)
		event.events |= EPOLLEXCLUSIVE;
	(void)epoll_ctl(w->epoll_fd, EPOLL_CTL_ADD, l->source.fd, &event);
}

int server_worker_listen(struct server_worker *w, const struct address *address, int shared_fd)
{
	struct server_listener *l = &w->listeners[w->n_listeners];
	int r = 0;

	if (shared_fd < 0) {
		r = make_listener(address, &l->source.fd);
	} else {
		l->source.fd = fcntl(shared_fd, F_DUPFD_CLOEXEC, 0);
		r = l->source.fd < 0 ? -errno : 0;
	}
	if (r < 0)
		return r;
	l->source.kind = SERVER_LISTENER;
	l->family = address->sa.sa_family;
	w->n_listeners++;
	watch_listener(w, l);
	return 0;
}

static void set_accepting(struct server_worker *w, bool is_accepting)
{
	w->accept_resume_ns = is_accepting ? 0 : w->now_ns + ACCEPT_PAUSE_NS;
	for (size_t i = 0; i < w->n_listeners; i++) {
		struct server_listener *l = &w->listeners[i];

		/* EPOLLEXCLUSIVE cannot be modified, so it is taken away and added again. */
		if (is_accepting)
			watch_listener(w, l);
		else
			(void)epoll_ctl(w->epoll_fd, EPOLL_CTL_DEL, l->source.fd, NULL);
	}
}

static void accept_some(struct server_worker *w, const struct server_listener *l)
{
	for (int i = 0; i < ACCEPT_MAX; i++) {
		int fd = accept4(l->source.fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC), on = 1;

		if (fd < 0) {
			/* Without descriptors the listener would stay readable and spin. */
			if (errno == EMFILE || errno == ENFILE || errno == ENOMEM)
				set_accepting(w, false);
			return;
		}
		if (l->family != AF_UNIX)
			(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
		(void)server_conn_new(w, fd);
	}
}

/* ---- the loop ------------------------------------------------------------------------------- */

void server_worker_stop(struct server_worker *w)
{
	__atomic_store_n(&w->is_stopping, true, __ATOMIC_RELAXED);
	(void)eventfd_write(w->wakeup.fd, 1);
}

static int wait_events(const struct server_worker *w, struct epoll_event *events)
{
	uint64_t next = deadline_wheel_next_ns(&w->wheel), wait_ns;
	struct timespec timeout;

	if (w->accept_resume_ns)
		next = MIN(next, w->accept_resume_ns);
	wait_ns = next > w->now_ns ? next - w->now_ns : 0;
	timeout = (struct timespec){.tv_sec = (time_t)(wait_ns / NS_PER_S),
				    .tv_nsec = (long)(wait_ns % NS_PER_S)};
	return epoll_pwait2(w->epoll_fd, events, EVENTS_MAX, next == UINT64_MAX ? NULL : &timeout,
			    NULL);
}

static void dispatch(struct server_worker *w, const struct epoll_event *event)
{
	struct server_source *source = event->data.ptr;

	switch (source->kind) {
	case SERVER_WAKEUP:
		break;
	case SERVER_LISTENER:
		accept_some(w, container_of(source, struct server_listener, source));
		break;
	case SERVER_CONN:
		server_conn_event(container_of(source, struct server_conn, source), event->events);
		break;
	}
}

void *server_worker_main(void *worker)
{
	struct server_worker *w = worker;
	struct epoll_event events[EVENTS_MAX];

	while (!__atomic_load_n(&w->is_stopping, __ATOMIC_RELAXED)) {
		int n = wait_events(w, events);
		struct deadline *d;

		w->now_ns = clock_monotonic_ns();
		for (int i = 0; i < n; i++)
			dispatch(w, &events[i]);
		while ((d = deadline_pop(&w->wheel, w->now_ns)))
			server_conn_expire(list_entry(d, struct server_conn, deadline));
		if (w->accept_resume_ns && w->now_ns >= w->accept_resume_ns)
			set_accepting(w, true);
		reap(w, &w->ended);
	}
	list_for_each (node, &w->conns)
		server_conn_say_goodbye(list_entry(node, struct server_conn, node));
	return NULL;
}
