/* SPDX-License-Identifier: Apache-2.0 */
#include "client_conn.h"

#include "base/clock.h"
#include "client_frames.h"
#include "client_load.h"
#include "client_open.h"

#include <inttypes.h>
#include <stdarg.h>
#include <sys/epoll.h>

#define WRITES_MAX 8 /* in one turn of the loop, so that one connection does not own it */
#define OUT_MAX    (CLIENT_TX_BYTES + 1024)

/* ---- state ---------------------------------------------------------------------------------- */

#define TO(state) (1u << CLIENT_CONN_##state)

void client_conn_set_state(struct client_conn *c, enum client_conn_state next)
{
	static const unsigned int allowed[] = {
	    [CLIENT_CONN_WAITING] = TO(CONNECTING) | TO(ENDED),
	    [CLIENT_CONN_CONNECTING] = TO(UPGRADING) | TO(ENDED),
	    [CLIENT_CONN_UPGRADING] = TO(OPEN) | TO(ENDED),
	    [CLIENT_CONN_OPEN] = TO(CLOSING) | TO(ENDED),
	    [CLIENT_CONN_CLOSING] = TO(ENDED),
	    [CLIENT_CONN_ENDED] = TO(WAITING),
	};
	bool was_opening = c->state == CLIENT_CONN_CONNECTING || c->state == CLIENT_CONN_UPGRADING;

	assert(allowed[c->state] & 1u << next);
	c->state = next;
	if (was_opening && next != CLIENT_CONN_UPGRADING)
		client_worker_opening_over(c->worker, c);
	if (next == CLIENT_CONN_ENDED) {
		deadline_disarm(&c->worker->wheel, &c->deadline);
		client_worker_ended(c->worker, c);
	}
}

void client_conn_init(struct client_conn *c, struct client_worker *w, uint32_t ordinal,
		      uint64_t *sent_ns)
{
	*c = (struct client_conn){
	    .worker = w,
	    .ordinal = ordinal,
	    .fd = -1,
	    .state = CLIENT_CONN_WAITING,
	    .sent_ns = sent_ns,
	    .is_first_life = true,
	};
	list_init(&c->node);
	byte_queue_init(&c->out, OUT_MAX);
	byte_queue_init(&c->head, CLIENT_HEAD_MAX + CLIENT_RX_BYTES);
}

void client_conn_done(struct client_conn *c)
{
	deadline_disarm(&c->worker->wheel, &c->deadline);
	if (c->fd >= 0)
		close(c->fd);
	c->fd = -1;
	byte_queue_done(&c->out);
	byte_queue_done(&c->head);
}

void client_conn_reset(struct client_conn *c)
{
	struct client_conn old = *c;

	client_conn_done(c);
	client_conn_set_state(c, CLIENT_CONN_WAITING);
	client_conn_init(c, old.worker, old.ordinal, old.sent_ns);
	/* Numbers go on; what was lost with the old life is not awaited in the new one. */
	c->started = c->answered = c->started_before = old.started;
	c->due = old.due;
	c->n_barren = old.is_failed && old.answered == old.started_before ? old.n_barren + 1 : 0;
	c->is_first_life = false;
}

void client_conn_fail(struct client_conn *c, enum bench_error error, const char *fmt, ...)
{
	va_list ap;

	c->is_failed = true;
	va_start(ap, fmt);
	client_worker_count_error(c->worker, c, error, fmt, ap);
	va_end(ap);
	client_conn_set_state(c, CLIENT_CONN_ENDED);
}

void client_conn_open(struct client_conn *c)
{
	client_conn_set_state(c, CLIENT_CONN_CONNECTING);
	c->opening_ns = c->worker->now_ns;
	client_open_connect(c);
}

void client_conn_abandon(struct client_conn *c)
{
	c->worker->stats.unchecked += client_conn_unanswered(c);
	client_conn_set_state(c, CLIENT_CONN_ENDED);
}

/* ---- readiness ------------------------------------------------------------------------------ */

void client_conn_want_events(struct client_conn *c, uint32_t interest)
{
	struct epoll_event event = {.events = interest, .data.ptr = c};

	if (interest == c->interest)
		return;
	if (epoll_ctl(c->worker->epoll_fd, c->interest ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, c->fd,
		      &event) < 0)
		client_conn_fail(c, BENCH_ERROR_CONNECT, "epoll: %s", strerror(errno));
	c->interest = interest;
}

static void update_interest(struct client_conn *c, bool is_blocked)
{
	uint32_t interest = is_blocked ? EPOLLOUT : 0;

	if (c->stall_end_ns == 0 && !c->is_paused)
		interest |= EPOLLIN;
	/* Errors are reported always, so asking for them alone asks for nothing else. */
	client_conn_want_events(c, interest ? interest : EPOLLERR);
}

/* ---- reading -------------------------------------------------------------------------------- */

static void on_read_end(struct client_conn *c, int error)
{
	/* After both Close frames, or our FIN and all answers, the peer may go as it likes. */
	bool is_complete =
	    c->close_received || (c->fin_sent && client_conn_unanswered(c) == 0 && error == 0);

	if (error == 0)
		error = c->write_error;
	if (is_complete)
		client_conn_set_state(c, CLIENT_CONN_ENDED);
	else if (error != 0)
		client_conn_fail(c, BENCH_ERROR_RESET, "%s", strerror(error));
	else if (c->state == CLIENT_CONN_UPGRADING)
		client_conn_fail(c, BENCH_ERROR_EARLY_CLOSE, "closed during the upgrade");
	else if (c->state == CLIENT_CONN_CLOSING)
		client_conn_fail(c, BENCH_ERROR_EARLY_CLOSE, "closed without a Close frame");
	else
		client_conn_fail(c, BENCH_ERROR_EARLY_CLOSE,
				 "closed without a Close frame, %" PRIu64 " messages unanswered",
				 client_conn_unanswered(c));
}

static bool has_stream(const struct client_conn *c)
{
	return c->state == CLIENT_CONN_OPEN || c->state == CLIENT_CONN_CLOSING;
}

static void read_some(struct client_conn *c)
{
	struct client_worker *w = c->worker;
	uint8_t *buf = w->rx;
	ssize_t n;

	memcpy(buf, c->carry, c->n_carry);
	n = recv(c->fd, buf + c->n_carry, CLIENT_RX_BYTES, 0);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	/* Latencies end where the answer is in our hands. */
	w->now_ns = clock_monotonic_ns();
	if (n > 0 && has_stream(c))
		w->stats.stream_received += (uint64_t)n;
	if (n <= 0)
		on_read_end(c, n < 0 ? errno : 0);
	else if (c->state == CLIENT_CONN_UPGRADING)
		client_open_receive(c, buf, (size_t)n);
	else
		client_frames_consume(c, buf, c->n_carry + (size_t)n);
}

/* ---- writing -------------------------------------------------------------------------------- */

static ssize_t send_some(struct client_conn *c, const uint8_t *data, size_t len)
{
	ssize_t n = send(c->fd, data, len, MSG_NOSIGNAL);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	if (has_stream(c))
		c->worker->stats.stream_sent += (uint64_t)n;
	return n;
}

int client_conn_send(struct client_conn *c, const uint8_t *data, size_t len)
{
	ssize_t n = send_some(c, data, len);

	if (n < 0)
		return (int)n;
	return (size_t)n < len ? byte_queue_append(&c->out, data + n, len - (size_t)n) : 0;
}

/* Where nothing is answered, the peer must at least take what is sent. */
static void note_progress(struct client_conn *c)
{
	const struct client_worker *w = c->worker;

	if (w->options->mode == CLIENT_SEND && c->state == CLIENT_CONN_OPEN)
		c->answer_due_ns = w->now_ns + w->options->timeout_ns;
}

static int flush_queue(struct client_conn *c)
{
	size_t len = byte_queue_len(&c->out);
	ssize_t n;

	if (len == 0)
		return 0;
	n = send_some(c, byte_queue_front(&c->out), len);
	if (n <= 0)
		return (int)n;
	byte_queue_consume(&c->out, (size_t)n);
	note_progress(c);
	return 0;
}

static int write_some(struct client_conn *c, bool *ret_has_more)
{
	struct client_worker *w = c->worker;
	int r = flush_queue(c);

	for (int i = 0; r == 0 && byte_queue_len(&c->out) == 0; i++) {
		size_t len;

		*ret_has_more = i == WRITES_MAX;
		if (i == WRITES_MAX)
			return 0;
		len = client_frames_fill(c, w->tx, CLIENT_TX_BYTES);
		if (len == 0)
			return 0;
		r = client_conn_send(c, w->tx, len);
		note_progress(c);
	}
	*ret_has_more = true;
	return r;
}

/* What was written may be lost; the peer's reason, if it gave one, can still be read. */
static void on_write_error(struct client_conn *c, int error)
{
	c->write_error = error;
	byte_queue_done(&c->out);
	c->stall_end_ns = 0;
	update_interest(c, false);
}

/* ---- closing -------------------------------------------------------------------------------- */

void client_conn_begin_closing(struct client_conn *c)
{
	struct client_worker *w = c->worker;

	c->answer_due_ns = 0;
	c->ping_due_ns = 0;
	c->pong_due_ns = 0;
	c->owes_ping = false;
	if (!c->close_received)
		c->state_due_ns = MAX(w->now_ns, c->stall_end_ns) + w->options->timeout_ns;
	client_conn_set_state(c, CLIENT_CONN_CLOSING);
}

static void send_reset(struct client_conn *c)
{
	const struct linger linger = {.l_onoff = 1, .l_linger = 0};

	(void)setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
	client_conn_set_state(c, CLIENT_CONN_ENDED);
}

static void send_fin(struct client_conn *c)
{
	if (!c->fin_sent)
		(void)shutdown(c->fd, SHUT_WR);
	c->fin_sent = true;
	if (client_conn_unanswered(c) == 0)
		client_conn_begin_closing(c);
}

static void close_if_finished(struct client_conn *c)
{
	const struct client_options *o = c->worker->options;
	bool is_sent = message_writer_is_complete(&c->writer) && byte_queue_len(&c->out) == 0;

	if (c->state != CLIENT_CONN_OPEN || !c->is_finishing || !is_sent || c->pong_due_ns)
		return;
	if (o->half_close) {
		send_fin(c);
	} else if (client_load_is_settled(c)) {
		if (o->reset) {
			send_reset(c);
		} else if (o->no_close) {
			client_conn_set_state(c, CLIENT_CONN_ENDED);
		} else {
			c->owes_close = true;
			client_conn_begin_closing(c);
		}
	}
}

void client_conn_finish(struct client_conn *c)
{
	if (c->state == CLIENT_CONN_ENDED)
		return;
	c->is_finishing = true;
	client_conn_resume(c);
	if (c->state == CLIENT_CONN_WAITING)
		client_conn_set_state(c, CLIENT_CONN_ENDED);
	else
		client_conn_advance(c);
}

/* ---- time ----------------------------------------------------------------------------------- */

void client_conn_resume(struct client_conn *c)
{
	if (!c->is_paused || c->state != CLIENT_CONN_OPEN)
		return;
	c->is_paused = false;
	c->answer_due_ns = MAX(c->worker->now_ns, c->stall_end_ns) + c->worker->options->timeout_ns;
	client_open_take_early(c);
}

void client_conn_stall(struct client_conn *c)
{
	if (c->state != CLIENT_CONN_OPEN)
		return;
	c->stall_end_ns = c->worker->now_ns + c->worker->options->stall_ns;
	update_interest(c, false);
}

static void end_stall(struct client_conn *c)
{
	c->stall_end_ns = 0;
	update_interest(c, byte_queue_len(&c->out) > 0);
}

static void set_deadline(struct client_conn *c)
{
	const uint64_t times[] = {c->state_due_ns, c->answer_due_ns, c->ping_due_ns, c->pong_due_ns,
				  c->stall_end_ns};
	uint64_t first = UINT64_MAX;

	for (size_t i = 0; i < ARRAY_SIZE(times); i++) {
		if (times[i])
			first = MIN(first, times[i]);
	}
	if (first != UINT64_MAX)
		deadline_arm(&c->worker->wheel, &c->deadline, first);
}

static void on_state_timeout(struct client_conn *c)
{
	const struct client_options *o = c->worker->options;

	if (c->is_retrying && c->worker->now_ns < c->opening_ns + o->connect_timeout_ns)
		client_open_connect(c);
	else if (c->state == CLIENT_CONN_CONNECTING)
		client_conn_fail(c, BENCH_ERROR_CONNECT, "no connection in time");
	else if (c->state == CLIENT_CONN_UPGRADING)
		client_conn_fail(c, BENCH_ERROR_TIMEOUT, "upgrade not answered in time");
	else if (c->close_received) /* a client need not wait for the FIN (RFC 6455 s7.1.1) */
		client_conn_set_state(c, CLIENT_CONN_ENDED);
	else
		client_conn_fail(c, BENCH_ERROR_TIMEOUT, "%s not answered in time",
				 c->fin_sent ? "FIN" : "Close");
}

void client_conn_expire(struct client_conn *c)
{
	uint64_t now = c->worker->now_ns;

	if (c->stall_end_ns && now >= c->stall_end_ns)
		end_stall(c);
	if (c->ping_due_ns && now >= c->ping_due_ns) {
		c->ping_due_ns = 0;
		c->owes_ping = true;
	}
	if (c->state_due_ns && now >= c->state_due_ns)
		on_state_timeout(c);
	else if (c->pong_due_ns && now >= c->pong_due_ns)
		client_conn_fail(c, BENCH_ERROR_TIMEOUT, "ping not answered in time");
	else if (c->answer_due_ns && now >= c->answer_due_ns)
		client_conn_fail(c, BENCH_ERROR_TIMEOUT, "message %" PRIu64 " not answered in time",
				 c->answered);
	client_conn_advance(c);
}

void client_conn_advance(struct client_conn *c)
{
	bool has_more = false;
	int r = 0;

	if (c->state == CLIENT_CONN_OPEN || c->state == CLIENT_CONN_CLOSING) {
		if (!c->write_error)
			r = write_some(c, &has_more);
		close_if_finished(c);
		if (r == 0 && c->owes_close && !has_more)
			r = write_some(c, &has_more);
		if (c->state == CLIENT_CONN_ENDED)
			return;
		if (r < 0)
			on_write_error(c, -r);
		else
			update_interest(c, has_more && !c->write_error);
	}
	if (c->state != CLIENT_CONN_ENDED && c->state != CLIENT_CONN_WAITING)
		set_deadline(c);
}

/* The rest of an upgrade request that the socket did not take at once. */
static void write_upgrade(struct client_conn *c)
{
	int r = flush_queue(c);

	if (r < 0)
		client_conn_fail(c, BENCH_ERROR_RESET, "upgrade request: %s", strerror(-r));
	else
		client_conn_want_events(c, byte_queue_len(&c->out) ? EPOLLIN | EPOLLOUT : EPOLLIN);
}

void client_conn_event(struct client_conn *c, uint32_t events)
{
	if (c->state == CLIENT_CONN_CONNECTING && !c->is_retrying)
		client_open_connected(c);
	else if (c->state == CLIENT_CONN_UPGRADING)
		write_upgrade(c);
	if (c->state == CLIENT_CONN_ENDED)
		return;
	/* A connection that broke is not left to its stall. */
	if (c->stall_end_ns && events & (EPOLLERR | EPOLLHUP))
		end_stall(c);
	if (events & (EPOLLIN | EPOLLERR | EPOLLHUP) && c->state != CLIENT_CONN_CONNECTING &&
	    c->state != CLIENT_CONN_ENDED)
		read_some(c);
	client_conn_advance(c);
}
