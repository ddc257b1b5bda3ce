/* SPDX-License-Identifier: Apache-2.0 */
#include "client_open.h"

#include "base/clock.h"
#include "client_frames.h"

#include <netinet/tcp.h>
#include <sys/epoll.h>

#ifndef IP_BIND_ADDRESS_NO_PORT
#define IP_BIND_ADDRESS_NO_PORT 24
#endif

#define RETRY_NS    (5 * NS_PER_MS)
#define UPGRADE_MAX (CLIENT_HEADERS_MAX + TARGET_PATH_MAX + TARGET_HOST_MAX + 4096)

static_assert(UPGRADE_MAX < CLIENT_TX_BYTES, "an upgrade request fits the scratch buffer");

static int bind_source(struct client_conn *c)
{
	const struct client_options *o = c->worker->options;
	struct address source;
	int on = 1;

	if (o->sources.total == 0)
		return 0;
	source_pool_at(&o->sources, c->worker->n_opens * o->threads + c->worker->index, &source);
	/* The port is chosen by connect(2), for the pair of addresses, so that each source has
	 * all ports for each target. */
	(void)setsockopt(c->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
	return bind(c->fd, &source.sa, source.len) < 0 ? -errno : 0;
}

static int start_connect(struct client_conn *c)
{
	const struct address *to = &c->worker->options->target.address;
	int on = 1, r;

	if (c->fd < 0) {
		c->fd = socket(to->sa.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		if (c->fd < 0)
			return -errno;
		r = bind_source(c);
		if (r < 0)
			return r;
		if (to->sa.sa_family != AF_UNIX)
			(void)setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	}
	return connect(c->fd, &to->sa, to->len) < 0 ? -errno : 0;
}

void client_open_connect(struct client_conn *c)
{
	int r = start_connect(c);

	c->state_due_ns = c->opening_ns + c->worker->options->connect_timeout_ns;
	/* A unix socket whose backlog is full says so instead of waiting for room. */
	c->is_retrying = r == -EAGAIN && c->worker->options->target.address.sa.sa_family == AF_UNIX;
	if (c->is_retrying)
		c->state_due_ns = c->worker->now_ns + RETRY_NS;
	else if (r < 0 && r != -EINPROGRESS)
		client_conn_fail(c, BENCH_ERROR_CONNECT, "%s", strerror(-r));
	else
		client_conn_want_events(c, EPOLLOUT);
}

void client_open_connected(struct client_conn *c)
{
	const struct client_options *o = c->worker->options;
	struct slice protocols = slice_from_str(o->protocols ? o->protocols : "");
	struct text_writer text;
	int error = 0;
	socklen_t len = sizeof(error);

	if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
		error = errno;
	if (error != 0) {
		client_conn_fail(c, BENCH_ERROR_CONNECT, "%s", strerror(error));
		return;
	}
	client_conn_set_state(c, CLIENT_CONN_UPGRADING);
	c->state_due_ns = c->worker->now_ns + o->connect_timeout_ns;
	ws_handshake_new_key(c->key);
	text_writer_init(&text, (char *)c->worker->tx, CLIENT_TX_BYTES);
	ws_handshake_write_request(&text, slice_from_str(o->host), slice_from_str(o->path), c->key,
				   protocols, (struct slice){o->headers, o->headers_len});
	assert(!text.is_truncated);
	error = client_conn_send(c, c->worker->tx, text.len);
	if (error < 0)
		client_conn_fail(c, BENCH_ERROR_RESET, "upgrade request: %s", strerror(-error));
	else
		client_conn_want_events(c, byte_queue_len(&c->out) ? EPOLLIN | EPOLLOUT : EPOLLIN);
}

static void count_handshake(struct client_conn *c)
{
	struct client_worker *w = c->worker;

	if (w->options->mode == CLIENT_HANDSHAKE) {
		if (!client_worker_measures(w, c->opening_ns))
			return;
		w->last_ns = w->now_ns;
	}
	w->stats.handshakes++;
	histogram_record(&w->stats.handshake, w->now_ns - c->opening_ns);
}

static void become_open(struct client_conn *c)
{
	struct client_worker *w = c->worker;

	c->state_due_ns = 0;
	counter_add(&w->stats.opened, 1);
	count_handshake(c);
	client_frames_init(c);
	if (w->options->ping_ns)
		c->ping_due_ns = w->now_ns + w->options->ping_ns;
	client_conn_set_state(c, CLIENT_CONN_OPEN);
	if (w->options->mode == CLIENT_HANDSHAKE)
		c->is_finishing = true;
	c->is_paused = w->options->mode == CLIENT_RECEIVE && w->phase < CLIENT_PHASE_LOAD;
}

/* A response that is not 101. */
static void on_refusal(struct client_conn *c, const struct http1_head *head)
{
	struct client_worker *w = c->worker;

	if (head->status != w->options->expect_status) {
		client_conn_fail(c, BENCH_ERROR_STATUS, "status %u %.*s", head->status,
				 SLICE_ARG(head->reason));
		return;
	}
	counter_add(&w->stats.refused, 1);
	count_handshake(c);
	client_conn_set_state(c, CLIENT_CONN_ENDED);
}

/* Frames that came together with the response head. */
void client_open_take_early(struct client_conn *c)
{
	size_t len = byte_queue_len(&c->head);

	if (len == 0)
		return;
	memcpy(c->worker->rx, byte_queue_front(&c->head), len);
	byte_queue_done(&c->head);
	client_frames_consume(c, c->worker->rx, len);
}

static void on_head(struct client_conn *c, size_t head_len)
{
	static const struct http1_limits limits = {CLIENT_HEAD_MAX, CLIENT_HEAD_MAX,
						   HTTP1_FIELDS_MAX};
	struct client_worker *w = c->worker;
	uint8_t *front = byte_queue_front(&c->head);
	struct ws_upgraded upgraded;
	int r;

	r = http1_response_parse((const char *)front, head_len, &limits, &w->head);
	if (r < 0) {
		client_conn_fail(c, BENCH_ERROR_HANDSHAKE, "%s", proto_error_info(r)->text);
		return;
	}
	if (w->head.status != 101) {
		on_refusal(c, &w->head);
		return;
	}
	if (w->options->expect_status) {
		client_conn_fail(c, BENCH_ERROR_STATUS, "status 101 instead of %u",
				 w->options->expect_status);
		return;
	}
	r = ws_handshake_check_response(&w->head, c->key, &w->options->offer, &upgraded);
	if (r < 0) {
		client_conn_fail(c, BENCH_ERROR_HANDSHAKE, "%s", proto_error_info(r)->text);
		return;
	}
	byte_queue_consume(&c->head, head_len);
	become_open(c);
	w->stats.stream_received += byte_queue_len(&c->head);
	if (!c->is_paused)
		client_open_take_early(c);
}

void client_open_receive(struct client_conn *c, const uint8_t *data, size_t len)
{
	static const struct http1_limits limits = {CLIENT_HEAD_MAX, CLIENT_HEAD_MAX,
						   HTTP1_FIELDS_MAX};
	ssize_t n;

	if (byte_queue_append(&c->head, data, len) < 0) {
		client_conn_fail(c, BENCH_ERROR_HANDSHAKE, "no memory for the response");
		return;
	}
	n = http1_head_scan(&c->scan, (const char *)byte_queue_front(&c->head),
			    byte_queue_len(&c->head), &limits);
	if (n < 0)
		client_conn_fail(c, BENCH_ERROR_HANDSHAKE, "%s", proto_error_info((int)n)->text);
	else if (n > 0)
		on_head(c, (size_t)n);
}
