/* SPDX-License-Identifier: Apache-2.0 */
#include "server_frames.h"

/* Frames up to here are moved to the end of the run before them. */
#define MOVE_MAX 2048
/* Room below which a source stops: a control frame and the beginning of another frame. */
#define GENERATE_MIN (2 * WS_FRAME_HEADER_MAX + WS_CONTROL_MAX + 1)

void server_frames_init(struct server_conn *c)
{
	const struct ws_message_limits limits = {
	    .max_frame = c->worker->options->max_message,
	    .max_message = c->worker->options->max_message,
	};

	ws_receiver_init(&c->receiver, WS_ROLE_SERVER, &limits);
	message_writer_init(&c->writer, false);
}

/* ---- output, in the read buffer ------------------------------------------------------------- */

/* Where the output so far ends; NULL if there is none. */
static uint8_t *runs_end(const struct server_worker *w)
{
	const struct iovec *last;

	if (w->n_runs == 0)
		return NULL;
	last = &w->runs[w->n_runs - 1];
	return (uint8_t *)last->iov_base + last->iov_len;
}

/* @frame lies in the read buffer, behind all runs. */
static void put_run(struct server_conn *c, uint8_t *frame, size_t len)
{
	struct server_worker *w = c->worker;
	uint8_t *end = runs_end(w);

	w->counters.stream_sent += len;
	if (end && (end == frame || len <= MOVE_MAX)) {
		memmove(end, frame, len);
		w->runs[w->n_runs - 1].iov_len += len;
		return;
	}
	if (w->n_runs == SERVER_RUNS_MAX)
		server_conn_write_runs(c);
	w->runs[w->n_runs++] = (struct iovec){.iov_base = frame, .iov_len = len};
}

static void put_echo(struct server_conn *c, const struct ws_event *event)
{
	uint8_t encoded[WS_FRAME_HEADER_MAX];
	uint8_t *payload = (uint8_t *)event->data, *end;
	struct ws_frame_header header = {
	    .payload_len = event->len,
	    .opcode = event->is_first ? event->opcode : WS_OP_CONTINUATION,
	    .fin = event->is_last,
	};
	size_t n = ws_frame_header_encode(&header, encoded);

	/* A further part of a long frame has no header of its own to overwrite. */
	end = runs_end(c->worker);
	if (end && end > payload - n)
		server_conn_write_runs(c);
	memcpy(payload - n, encoded, n);
	put_run(c, payload - n, n + event->len);
}

static size_t encode_pong(const void *payload, size_t len, uint8_t *ret_frame)
{
	const struct ws_frame_header header = {.payload_len = len,
					       .opcode = WS_OP_PONG,
					       .fin = true};
	size_t n = ws_frame_header_encode(&header, ret_frame);

	memcpy(ret_frame + n, payload, len);
	return n + len;
}

/* @frame: where the ping was, which was longer by its mask. */
static void put_pong(struct server_conn *c, const struct ws_event *event, uint8_t *frame)
{
	if (c->worker->options->mode == SERVER_SOURCE) {
		c->owes_pong = true;
		c->n_pong = (uint8_t)event->len;
		memcpy(c->pong, event->data, event->len);
		return;
	}
	put_run(c, frame, encode_pong(event->data, event->len, frame));
}

/* A Close need not fit where the offending bytes were: it goes behind everything. */
static void put_close(struct server_conn *c, uint16_t code)
{
	uint8_t frame[WS_CLOSE_FRAME_MAX];
	size_t n = ws_close_encode(code, SLICE_LITERAL(""), NULL, frame);

	if (!message_writer_at_boundary(&c->writer)) {
		c->owes_close = true;
		c->close_code = code;
		return;
	}
	server_conn_write_runs(c);
	c->worker->counters.stream_sent += n;
	/* Fails only if the connection is lost already. */
	(void)byte_queue_append(&c->out, frame, n);
	server_conn_begin_flush(c);
}

/* ---- input ---------------------------------------------------------------------------------- */

static void on_data(struct server_conn *c, const struct ws_event *event)
{
	struct server_worker *w = c->worker;

	w->counters.bytes += event->len;
	w->counters.messages += event->is_last;
	if (w->options->mode == SERVER_ECHO)
		put_echo(c, event);
}

static void on_event(struct server_conn *c, const struct ws_event *event, uint8_t *frame)
{
	switch (event->kind) {
	case WS_EVENT_NONE:
	case WS_EVENT_PONG:
		break;
	case WS_EVENT_DATA:
		on_data(c, event);
		break;
	case WS_EVENT_PING:
		put_pong(c, event, frame);
		break;
	case WS_EVENT_CLOSE:
		put_close(c, event->close_code); /* RFC 6455 s5.5.1: answered with its code */
		break;
	}
}

/*
 * Whether to wait for the rest of the frame in front: an echo keeps its frames, as long as they
 * are not longer than what a connection may hold back.
 */
static bool must_wait(struct server_conn *c, const uint8_t *buf, size_t len)
{
	struct ws_frame_header header;
	ssize_t n;

	if (c->stream_left > 0)
		return false;
	n = ws_frame_header_decode(buf, len, 0, &header);
	if (n <= 0 || (uint64_t)n + header.payload_len <= len)
		return false; /* errors are the receiver's to find */
	if ((uint64_t)n + header.payload_len <= SERVER_HOLD_BYTES)
		return true;
	c->stream_left = (uint64_t)n + header.payload_len;
	return false;
}

void server_frames_consume(struct server_conn *c, uint8_t *buf, size_t len)
{
	while (len > 0 && c->state == SERVER_CONN_OPEN && !must_wait(c, buf, len)) {
		struct ws_event event;
		ssize_t n = ws_receiver_next(&c->receiver, buf, len, &event);

		if (n < 0) {
			put_close(c, proto_error_info((int)n)->close_code);
			return;
		}
		if (n == 0)
			break;
		on_event(c, &event, buf);
		c->stream_left -= MIN(c->stream_left, (uint64_t)n);
		buf += n;
		len -= (size_t)n;
	}
	server_conn_write_runs(c);
	if (c->state == SERVER_CONN_OPEN && len > 0 && byte_queue_append(&c->in, buf, len) < 0)
		server_conn_begin_flush(c);
}

/* ---- source --------------------------------------------------------------------------------- */

static bool begin_message(struct server_conn *c)
{
	const struct server_options *o = c->worker->options;
	struct message_plan plan = {.fragments = 1, .is_text = o->is_text};

	if (o->messages && c->n_sent == o->messages) {
		c->owes_close = true;
		c->close_code = 1000;
		return false;
	}
	plan.identity = payload_identity(o->seed, 0, c->n_sent);
	plan.bytes = size_mix_pick(&o->sizes, plan.identity);
	message_writer_begin(&c->writer, &plan);
	c->n_sent++;
	c->worker->counters.sent++;
	return true;
}

size_t server_frames_generate(struct server_conn *c, uint8_t *buf, size_t cap)
{
	size_t len = 0;

	while (cap - len >= GENERATE_MIN) {
		if (message_writer_at_boundary(&c->writer) && c->owes_close) {
			len += ws_close_encode(c->close_code, SLICE_LITERAL(""), NULL, buf + len);
			server_conn_begin_flush(c);
			break;
		}
		if (message_writer_at_boundary(&c->writer) && c->owes_pong) {
			len += encode_pong(c->pong, c->n_pong, buf + len);
			c->owes_pong = false;
		}
		if (message_writer_is_complete(&c->writer) && !begin_message(c))
			continue;
		len += message_writer_fill(&c->writer, NULL, buf + len, cap - len);
	}
	c->worker->counters.stream_sent += len;
	return len;
}
