/* SPDX-License-Identifier: Apache-2.0 */
#include "server_conn.h"

#include "base/clock.h"
#include "base/text_writer.h"
#include "proto/errors.h"
#include "proto/ws_handshake.h"
#include "server_frames.h"

#include <sys/epoll.h>

#define HEAD_MAX       16384u
#define UPGRADE_NS     (10 * NS_PER_S)
#define FLUSH_NS       (10 * NS_PER_S)
#define LINGER_NS      (2 * NS_PER_S)
#define OUT_LOW        (128u << 10) /* more than this waiting: nothing is read */
#define OUT_MAX        (OUT_LOW + SERVER_HOLD_BYTES + SERVER_RX_BYTES + 1024)
#define GENERATE_TURNS 4 /* of a source in one turn of the loop */

static const struct http1_limits head_limits = {HEAD_MAX, HEAD_MAX, HTTP1_FIELDS_MAX};

/* ---- state ---------------------------------------------------------------------------------- */

#define TO(state) (1u << SERVER_CONN_##state)

static void set_state(struct server_conn *c, enum server_conn_state next, uint64_t within_ns)
{
	static const unsigned int allowed[] = {
	    [SERVER_CONN_UPGRADING] = TO(OPEN) | TO(FLUSHING) | TO(ENDED),
	    [SERVER_CONN_OPEN] = TO(FLUSHING) | TO(ENDED),
	    [SERVER_CONN_FLUSHING] = TO(LINGERING) | TO(ENDED),
	    [SERVER_CONN_LINGERING] = TO(ENDED),
	    [SERVER_CONN_ENDED] = 0,
	};

	assert(allowed[c->state] & 1u << next);
	c->state = next;
	c->due_ns = within_ns ? c->worker->now_ns + within_ns : 0;
	if (c->due_ns)
		deadline_arm(&c->worker->wheel, &c->deadline, c->due_ns);
	if (next != SERVER_CONN_ENDED)
		return;
	deadline_disarm(&c->worker->wheel, &c->deadline);
	list_remove(&c->node);
	list_append(&c->worker->ended, &c->node);
}

static void end_aborted(struct server_conn *c)
{
	c->worker->counters.aborted++;
	set_state(c, SERVER_CONN_ENDED, 0);
}

static void update_interest(struct server_conn *c)
{
	struct epoll_event event = {.data.ptr = c};
	size_t waiting = byte_queue_len(&c->out);

	if (c->state != SERVER_CONN_FLUSHING && waiting <= OUT_LOW)
		event.events |= EPOLLIN;
	if (waiting > 0 || c->has_more)
		event.events |= EPOLLOUT;
	if (event.events == c->interest || c->state == SERVER_CONN_ENDED)
		return;
	c->interest = event.events;
	if (epoll_ctl(c->worker->epoll_fd, EPOLL_CTL_MOD, c->source.fd, &event) < 0)
		end_aborted(c);
}

int server_conn_new(struct server_worker *w, int fd)
{
	struct server_conn *c = calloc(1, sizeof(*c));
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};

	if (!c) {
		close(fd);
		return -ENOMEM;
	}
	c->source.kind = SERVER_CONN;
	c->source.fd = fd;
	c->worker = w;
	c->state = SERVER_CONN_UPGRADING;
	c->interest = EPOLLIN;
	byte_queue_init(&c->in, MAX(SERVER_HOLD_BYTES, HEAD_MAX));
	byte_queue_init(&c->out, OUT_MAX);
	list_init(&c->node);
	if (epoll_ctl(w->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0) {
		int r = -errno;

		server_conn_free(c);
		return r;
	}
	list_append(&w->conns, &c->node);
	c->due_ns = w->now_ns + UPGRADE_NS;
	deadline_arm(&w->wheel, &c->deadline, c->due_ns);
	return 0;
}

void server_conn_free(struct server_conn *c)
{
	if (!c)
		return;
	deadline_disarm(&c->worker->wheel, &c->deadline);
	list_remove(&c->node);
	byte_queue_done(&c->in);
	byte_queue_done(&c->out);
	close(c->source.fd);
	free(c);
}

/* ---- writing -------------------------------------------------------------------------------- */

static void flush(struct server_conn *c)
{
	size_t len = byte_queue_len(&c->out);
	ssize_t n;

	if (len == 0 || c->is_blocked)
		return;
	n = send(c->source.fd, byte_queue_front(&c->out), len, MSG_NOSIGNAL);
	c->is_blocked = n < (ssize_t)len;
	if (n > 0) {
		byte_queue_consume(&c->out, (size_t)n);
		if (c->state == SERVER_CONN_FLUSHING)
			c->due_ns = c->worker->now_ns + FLUSH_NS; /* slow, but not stuck */
	} else if (errno != EAGAIN && errno != EINTR) {
		end_aborted(c);
	}
}

/* Queues all of the runs but their first @skip bytes. */
static void queue_runs(struct server_conn *c, size_t skip)
{
	const struct server_worker *w = c->worker;

	for (size_t i = 0; i < w->n_runs; i++) {
		const uint8_t *base = w->runs[i].iov_base;
		size_t len = w->runs[i].iov_len, gone = MIN(skip, len);

		skip -= gone;
		if (len == gone)
			continue;
		if (byte_queue_append(&c->out, base + gone, len - gone) < 0) {
			end_aborted(c);
			return;
		}
		c->is_blocked = true;
	}
}

void server_conn_write_runs(struct server_conn *c)
{
	struct server_worker *w = c->worker;
	const struct msghdr message = {.msg_iov = w->runs, .msg_iovlen = w->n_runs};
	ssize_t n = 0;

	if (w->n_runs > 0 && c->state != SERVER_CONN_ENDED) {
		if (byte_queue_len(&c->out) == 0)
			n = sendmsg(c->source.fd, &message, MSG_NOSIGNAL);
		if (n < 0 && errno != EAGAIN && errno != EINTR)
			end_aborted(c);
		else
			queue_runs(c, (size_t)MAX(n, 0));
	}
	w->n_runs = 0;
}

static void generate(struct server_conn *c)
{
	struct server_worker *w = c->worker;

	c->has_more = false;
	for (int i = 0; c->state == SERVER_CONN_OPEN && byte_queue_len(&c->out) == 0; i++) {
		size_t len;

		c->has_more = i == GENERATE_TURNS;
		if (c->has_more)
			return;
		len = server_frames_generate(c, w->tx, SERVER_TX_BYTES);
		if (byte_queue_append(&c->out, w->tx, len) < 0)
			end_aborted(c);
		else
			flush(c);
	}
}

void server_conn_begin_flush(struct server_conn *c)
{
	if (c->state == SERVER_CONN_OPEN || c->state == SERVER_CONN_UPGRADING)
		set_state(c, SERVER_CONN_FLUSHING, FLUSH_NS);
}

/* ---- upgrade -------------------------------------------------------------------------------- */

static void refuse(struct server_conn *c, int error)
{
	struct server_worker *w = c->worker;
	struct text_writer text;

	w->counters.refused++;
	text_writer_init(&text, (char *)w->tx, SERVER_TX_BYTES);
	ws_handshake_write_error(&text, error);
	if (byte_queue_append(&c->out, w->tx, text.len) < 0)
		end_aborted(c);
	else
		server_conn_begin_flush(c);
}

static struct slice choose_protocol(const struct server_options *o, const struct ws_upgrade *u)
{
	for (uint8_t i = 0; i < u->n_protocols; i++) {
		if (!o->protocol || slice_equal(u->protocols[i], slice_from_str(o->protocol)))
			return u->protocols[i];
	}
	return SLICE_LITERAL("");
}

static void on_head(struct server_conn *c, const char *buf, size_t len)
{
	struct server_worker *w = c->worker;
	const struct server_options *o = w->options;
	struct ws_upgrade upgrade = {0};
	struct text_writer text;
	int r = http1_request_parse(buf, len, &head_limits, &w->head);

	if (r == 0 && o->path && !slice_equal(w->head.path, slice_from_str(o->path)))
		r = -EGW_NO_ROUTE;
	if (r == 0)
		r = ws_handshake_check_request(&w->head, &upgrade);
	if (r < 0) {
		refuse(c, r);
		return;
	}
	text_writer_init(&text, (char *)w->tx, SERVER_TX_BYTES);
	ws_handshake_write_accept(&text, upgrade.key.ptr, choose_protocol(o, &upgrade));
	if (byte_queue_append(&c->out, w->tx, text.len) < 0) {
		end_aborted(c);
		return;
	}
	w->counters.connections++;
	set_state(c, SERVER_CONN_OPEN, 0);
	server_frames_init(c);
}

/* @buf: all that was received so far. */
static void on_head_bytes(struct server_conn *c, uint8_t *buf, size_t len)
{
	ssize_t n = http1_head_scan(&c->scan, (const char *)buf, len, &head_limits);

	if (n < 0) {
		refuse(c, (int)n);
	} else if (n == 0) {
		if (byte_queue_append(&c->in, buf, len) < 0)
			refuse(c, -EHTTP_HEAD_LARGE);
	} else {
		on_head(c, (const char *)buf, (size_t)n);
		if (c->state != SERVER_CONN_OPEN)
			return;
		c->worker->counters.stream_received += len - (size_t)n;
		server_frames_consume(c, buf + n, len - (size_t)n);
	}
}

/* ---- reading -------------------------------------------------------------------------------- */

static void on_eof(struct server_conn *c)
{
	c->has_eof = true;
	if (c->state == SERVER_CONN_OPEN)
		server_conn_begin_flush(c); /* what was echoed before goes out, then FIN */
	else
		set_state(c, SERVER_CONN_ENDED, 0);
}

static void on_read_error(struct server_conn *c)
{
	if (c->state == SERVER_CONN_LINGERING)
		set_state(c, SERVER_CONN_ENDED,
			  0); /* all was said, and how the client went is its own */
	else
		end_aborted(c);
}

static void read_some(struct server_conn *c)
{
	struct server_worker *w = c->worker;
	uint8_t *buf = w->rx + SERVER_RX_RESERVE;
	size_t kept = byte_queue_len(&c->in);
	ssize_t n = recv(c->source.fd, buf + kept, SERVER_RX_BYTES, 0);

	if (n < 0 && errno != EAGAIN && errno != EINTR)
		on_read_error(c);
	else if (n == 0)
		on_eof(c);
	if (n > 0 && c->state != SERVER_CONN_UPGRADING)
		w->counters.stream_received += (uint64_t)n;
	if (n <= 0 || c->state == SERVER_CONN_LINGERING)
		return;
	if (kept > 0) {
		memcpy(buf, byte_queue_front(&c->in), kept);
		byte_queue_consume(&c->in, kept);
	}
	if (c->state == SERVER_CONN_UPGRADING)
		on_head_bytes(c, buf, kept + (size_t)n);
	else
		server_frames_consume(c, buf, kept + (size_t)n);
}

/* ---- events --------------------------------------------------------------------------------- */

static void advance(struct server_conn *c)
{
	if (c->state == SERVER_CONN_OPEN && c->worker->options->mode == SERVER_SOURCE)
		generate(c);
	if (c->state == SERVER_CONN_FLUSHING && byte_queue_len(&c->out) == 0) {
		if (c->has_eof) {
			set_state(c, SERVER_CONN_ENDED, 0);
		} else {
			/* RFC 6455 s7.1.1: the server closes first. Closing at once would answer
			 * what the client still sends by RST, which may overtake the Close. */
			(void)shutdown(c->source.fd, SHUT_WR);
			set_state(c, SERVER_CONN_LINGERING, LINGER_NS);
		}
	}
	update_interest(c);
}

void server_conn_event(struct server_conn *c, uint32_t events)
{
	if (events & EPOLLOUT) {
		c->is_blocked = false;
		flush(c);
	}
	if (c->state != SERVER_CONN_ENDED && events & (EPOLLIN | EPOLLERR | EPOLLHUP)) {
		if (c->state == SERVER_CONN_FLUSHING)
			end_aborted(c); /* not asked for input, so the connection broke */
		else
			read_some(c);
	}
	if (c->state != SERVER_CONN_ENDED)
		flush(c);
	advance(c);
}

void server_conn_expire(struct server_conn *c)
{
	if (c->due_ns == 0)
		return;
	if (c->worker->now_ns < c->due_ns) {
		deadline_arm(&c->worker->wheel, &c->deadline, c->due_ns);
	} else if (c->state == SERVER_CONN_UPGRADING) {
		refuse(c, -EGW_HANDSHAKE_TIMEOUT);
		flush(c);
		advance(c);
	} else if (c->state == SERVER_CONN_LINGERING) {
		set_state(c, SERVER_CONN_ENDED, 0);
	} else {
		end_aborted(c);
	}
}

void server_conn_say_goodbye(struct server_conn *c)
{
	uint8_t frame[WS_CLOSE_FRAME_MAX];
	size_t n = ws_close_encode(1001, SLICE_LITERAL(""), NULL, frame);

	if (c->state == SERVER_CONN_OPEN && byte_queue_len(&c->out) == 0 &&
	    message_writer_at_boundary(&c->writer))
		(void)send(c->source.fd, frame, n, MSG_NOSIGNAL | MSG_DONTWAIT);
}
