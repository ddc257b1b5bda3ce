/* SPDX-License-Identifier: Apache-2.0 */
#include "route/echo.h"

#include "base/byte_queue.h"
#include "base/text_writer.h"
#include "core/connection.h"
#include "core/leg_class.h"
#include "core/worker.h"
#include "proto/ws_handshake.h"
#include "proto/ws_message.h"

/* RFC 6455 s5.2, s5.1: of a client, without payload. */
#define SHORTEST_FRAME 6u

struct echo {
	struct worker *worker; /* whose message memory is used */
	struct ws_receiver receiver;
	struct byte_queue input;   /* received and not yet consumed: a piece of a header, or what
				    * waits for the output to drain */
	struct byte_queue message; /* being assembled; from sending on, what is left to send */
	uint64_t message_memory;   /* accounted at the worker for message */
	uint64_t frames_out[WS_KIND_COUNT];
	uint16_t close_code; /* of the Close to send, when is_close_due */
	uint8_t close_text_len;
	bool is_sending;   /* message is complete and on its way out */
	bool is_close_due; /* send the Close as soon as the message has gone */
	bool is_closing;   /* our Close is sent or due: messages are no longer echoed */
	bool is_finished;  /* the closing handshake is over: linger when all has gone */
	char close_text[WS_CONTROL_MAX];
};

static void drop_message(struct echo *e)
{
	worker_give_memory(e->worker, e->message_memory);
	e->message_memory = 0;
	byte_queue_done(&e->message);
	e->is_sending = false;
}

static void echo_free(void *stage)
{
	struct echo *e = stage;

	drop_message(e);
	byte_queue_done(&e->input);
	free(e);
}

/* ---- output -------------------------------------------------------------------------------- */

/* Collects the replies to one read, so that they leave in one send. */
struct batch {
	uint8_t *buf;
	size_t len;
};

static bool is_blocked(const struct connection *c, const struct echo *e)
{
	return leg_has_output(&c->client) || e->is_sending;
}

/* Return: 0, or -errno when the client cannot be written to any more. */
static int send_bytes(struct connection *c, const void *data, size_t len)
{
	int error;

	c->client.bytes_out += len;
	stat_add(&c->worker->stats->bytes[SLUICE_PATH_LOCAL][STATS_OUT], len);
	error = leg_send(&c->client, data, len);
	if (error < 0)
		connection_set_error(c, error);
	return error;
}

static int flush_batch(struct connection *c, struct batch *batch)
{
	int error = batch->len ? send_bytes(c, batch->buf, batch->len) : 0;

	batch->len = 0;
	return error;
}

static void count_out(struct connection *c, struct echo *e, uint8_t opcode)
{
	enum ws_frame_kind kind = ws_frame_kind(opcode);

	e->frames_out[kind]++;
	c->frames_out++;
	stat_add(&c->worker->stats->frames[SLUICE_PATH_LOCAL][STATS_OUT][kind], 1);
}

static size_t put_header(struct connection *c, struct echo *e, uint8_t opcode, uint64_t len,
			 uint8_t ret_buf[WS_FRAME_HEADER_MAX])
{
	struct ws_frame_header header = {.fin = true, .opcode = opcode, .payload_len = len};

	count_out(c, e, opcode);
	return ws_frame_header_encode(&header, ret_buf);
}

/*
 * A reply's header is 4 bytes shorter than the masked one that asked for it, so the replies to one
 * read never outgrow it, and a batch needs no bounds of its own.
 */
static void batch_frame(struct connection *c, struct echo *e, struct batch *batch, uint8_t opcode,
			const void *data, size_t len)
{
	batch->len += put_header(c, e, opcode, len, batch->buf + batch->len);
	memcpy(batch->buf + batch->len, data, len);
	batch->len += len;
	assert(batch->len <= WORKER_SCRATCH_OUT);
}

static int send_close_now(struct connection *c, struct echo *e)
{
	uint8_t frame[WS_CLOSE_FRAME_MAX];
	size_t len = ws_close_encode(e->close_code,
				     (struct slice){e->close_text, e->close_text_len}, NULL, frame);

	e->is_close_due = false;
	count_out(c, e, WS_OP_CLOSE);
	return send_bytes(c, frame, len);
}

static void queue_close(struct echo *e, uint16_t code, struct slice text)
{
	e->close_code = code;
	e->close_text_len = (uint8_t)MIN(text.len, sizeof(e->close_text));
	memcpy(e->close_text, text.ptr, e->close_text_len);
	e->is_close_due = e->is_closing = true;
}

/* Sends as much of what is due as the socket takes. Return: 0 or -errno */
static int pump(struct connection *c, struct echo *e)
{
	int error = 0;

	while (error == 0 && e->is_sending && !leg_has_output(&c->client)) {
		size_t len = MIN(byte_queue_len(&e->message), LEG_READ_MAX);

		error = send_bytes(c, byte_queue_front(&e->message), len);
		byte_queue_consume(&e->message, len);
		if (byte_queue_len(&e->message) == 0)
			drop_message(e);
	}
	if (error == 0 && e->is_close_due && !is_blocked(c, e))
		error = send_close_now(c, e);
	return error;
}

/* ---- input --------------------------------------------------------------------------------- */

/* Room in front of an assembled message for the header of its echo. */
static const uint8_t header_room[WS_FRAME_HEADER_MAX];

static int assemble(struct connection *c, struct echo *e, const struct ws_event *event)
{
	size_t len = event->len + (event->is_first ? sizeof(header_room) : 0);

	if (worker_take_memory(e->worker, len) < 0)
		return -EGW_MEMORY;
	e->message_memory += len;
	if (event->is_first && byte_queue_append(&e->message, header_room, sizeof(header_room)) < 0)
		return -EGW_MEMORY;
	return byte_queue_append(&e->message, event->data, event->len) < 0 ? -EGW_MEMORY : 0;
}

static void start_sending(struct connection *c, struct echo *e, uint8_t opcode)
{
	uint64_t payload_len = byte_queue_len(&e->message) - sizeof(header_room);
	uint8_t header[WS_FRAME_HEADER_MAX];
	size_t len = put_header(c, e, opcode, payload_len, header);

	byte_queue_consume(&e->message, sizeof(header_room) - len);
	memcpy(byte_queue_front(&e->message), header, len);
	e->is_sending = true;
}

static int on_data(struct connection *c, struct echo *e, struct batch *batch,
		   const struct ws_event *event)
{
	int error;

	if (e->is_closing)
		return 0;
	if (event->is_first && event->is_last) {
		batch_frame(c, e, batch, event->opcode, event->data, event->len);
		return 0;
	}
	error = assemble(c, e, event);
	if (error < 0 || !event->is_last)
		return error;
	error = flush_batch(c, batch);
	start_sending(c, e, event->opcode);
	return error < 0 ? error : pump(c, e);
}

static void on_close_frame(struct connection *c, struct echo *e, const struct ws_event *event)
{
	if (c->close_code == 0)
		c->close_code = event->close_code;
	connection_set_error(c, EEND_CLOSE);
	/* RFC 6455 s5.5.1: answer with a Close, usually of the same code, unless ours was first. */
	if (!e->is_closing)
		queue_close(e, event->close_code, (struct slice){"", 0});
	e->is_finished = true;
}

static int on_event(struct connection *c, struct echo *e, struct batch *batch,
		    const struct ws_event *event)
{
	switch (event->kind) {
	case WS_EVENT_DATA:
		return on_data(c, e, batch, event);
	case WS_EVENT_PING:
		/* RFC 6455 s5.5.2: answer, unless a Close was received (none was) or sent. */
		if (!e->is_closing)
			batch_frame(c, e, batch, WS_OP_PONG, event->data, event->len);
		return 0;
	case WS_EVENT_CLOSE:
		on_close_frame(c, e, event);
		return 0;
	case WS_EVENT_PONG:
	case WS_EVENT_NONE:
		break;
	}
	return 0;
}

/* The peer broke the protocol or a limit: Close with the code that says so, and no more reading
 * of frames. */
static void fail(struct connection *c, struct echo *e, int error)
{
	const struct proto_error_info *info = proto_error_info(error);

	connection_set_error(c, error);
	if (!e->is_sending)
		drop_message(e);
	if (!e->is_closing) {
		queue_close(e, info->close_code ? info->close_code : 1011,
			    slice_from_str(info->name));
		c->close_code = e->close_code;
	}
	e->is_finished = true;
}

/*
 * Consumes frames until they end, the output is blocked or the connection is over.
 * Return: bytes consumed.
 */
static size_t consume(struct connection *c, struct echo *e, uint8_t *data, size_t len)
{
	struct batch batch = {.buf = worker_scratch_out(c->worker)};
	uint64_t before[WS_KIND_COUNT], n_before = c->frames_in;
	size_t done = 0;
	int error = 0;

	memcpy(before, e->receiver.frames, sizeof(before));
	while (error == 0 && !e->is_finished && !is_blocked(c, e)) {
		struct ws_event event;
		ssize_t n = ws_receiver_next(&e->receiver, data + done, len - done, &event);

		if (n == 0)
			break;
		if (n > 0)
			done += (size_t)n;
		error = n < 0 ? (int)n : on_event(c, e, &batch, &event);
	}
	if (flush_batch(c, &batch) == 0 && error < 0 && !c->client.is_write_dead)
		fail(c, e, error);
	stats_add_frames(c->worker->stats, SLUICE_PATH_LOCAL, STATS_IN, before, e->receiver.frames);
	for (size_t kind = 0; kind < WS_KIND_COUNT; kind++)
		c->frames_in += e->receiver.frames[kind] - before[kind];
	leg_class_charge(&c->client, done, c->frames_in - n_before);
	return done;
}

static void begin_closing(struct connection *c)
{
	if (c->state != CONNECTION_OPEN)
		return;
	connection_set_state(c, CONNECTION_CLOSING);
	timer_arm(&c->timer, c->config->limits.close_timeout_ms);
}

/* After input or output: what is due goes out, and reading follows the state of the output. */
static void settle(struct connection *c, struct echo *e)
{
	(void)pump(c, e);
	if (c->client.is_write_dead) {
		connection_end(c, EEND_RESET);
		return;
	}
	if (e->is_finished && !e->is_sending && !e->is_close_due) {
		connection_linger(c);
		return;
	}
	/* A client that does not take our last bytes is not waited for as one that is merely slow.
	 */
	if (e->is_finished)
		begin_closing(c);
	if (is_blocked(c, e))
		leg_stop_reading(&c->client);
	else
		leg_start_reading(&c->client);
}

/* Takes @len bytes at @data; what cannot be consumed now waits in input. */
static void take(struct connection *c, struct echo *e, uint8_t *data, size_t len)
{
	size_t done = consume(c, e, data, len);

	if (!e->is_finished && byte_queue_append(&e->input, data + done, len - done) < 0)
		fail(c, e, -EGW_MEMORY);
	settle(c, e);
}

static void resume(struct connection *c, struct echo *e)
{
	size_t done;

	while (byte_queue_len(&e->input) && !e->is_finished && !is_blocked(c, e)) {
		done = consume(c, e, byte_queue_front(&e->input), byte_queue_len(&e->input));
		byte_queue_consume(&e->input, done);
		if (done == 0)
			break; /* an incomplete header */
	}
	settle(c, e);
}

/* ---- events -------------------------------------------------------------------------------- */

static void touch(struct connection *c)
{
	c->active_at = ev_now(c->worker->loop);
	if (c->state == CONNECTION_OPEN && c->route->tunnel_timeout_ms)
		timer_arm(&c->timer, c->route->tunnel_timeout_ms);
}

static void count_in(struct connection *c, size_t n)
{
	c->client.bytes_in += n;
	stat_add(&c->worker->stats->bytes[SLUICE_PATH_LOCAL][STATS_IN], n);
}

static void on_readable(struct connection *c, struct leg *leg)
{
	struct echo *e = c->stage;
	uint8_t *data = worker_scratch(c->worker);
	size_t kept = byte_queue_len(&e->input);
	ssize_t n;

	/* While reading is on, only a piece of a header can be left over. */
	assert(kept < LEG_HEADROOM);
	n = leg_recv(leg, data + kept, leg_class_room(leg, e->receiver.frame_left, SHORTEST_FRAME));
	if (n == -EAGAIN)
		return;
	if (n <= 0) {
		connection_end(c, n == 0 ? EEND_EOF : EEND_RESET);
		return;
	}
	count_in(c, (size_t)n);
	touch(c);
	if (kept) {
		memcpy(data, byte_queue_front(&e->input), kept);
		byte_queue_consume(&e->input, kept);
	}
	take(c, e, data, kept + (size_t)n);
}

static void on_writable(struct connection *c, struct leg *leg)
{
	struct echo *e = c->stage;

	if (leg_flush(leg) < 0) {
		connection_end(c, EEND_RESET);
		return;
	}
	touch(c);
	if (leg_has_output(leg))
		return;
	(void)pump(c, e);
	resume(c, e);
}

static void on_close(struct connection *c, int error, uint16_t code, struct slice text)
{
	struct echo *e = c->stage;

	if (c->state != CONNECTION_OPEN)
		return;
	connection_set_error(c, error);
	begin_closing(c);
	if (!e->is_sending)
		drop_message(e);
	queue_close(e, code, text);
	if (c->close_code == 0)
		c->close_code = code;
	settle(c, e);
}

static void on_deadline(struct connection *c)
{
	const struct proto_error_info *info = proto_error_info(EGW_IDLE);

	if (c->state == CONNECTION_OPEN)
		on_close(c, EGW_IDLE, info->close_code, slice_from_str(info->name));
	else
		connection_end(c, EGW_CLOSE_TIMEOUT);
}

static const struct connection_ops echo_ops = {
    .on_readable = on_readable,
    .on_writable = on_writable,
    .on_deadline = on_deadline,
    .close = on_close,
};

/* ---- start --------------------------------------------------------------------------------- */

static void accept_upgrade(struct connection *c, const struct ws_upgrade *upgrade)
{
	struct slice protocol =
	    upgrade->n_protocols ? upgrade->protocols[0] : (struct slice){"", 0};
	struct text_writer w;

	text_writer_init(&w, worker_scratch_out(c->worker), WORKER_SCRATCH_OUT);
	ws_handshake_write_accept(&w, upgrade->key.ptr, protocol);
	(void)leg_send(&c->client, w.buf, w.len);
}

void echo_begin(struct connection *c, const struct handshake_request *request)
{
	struct ws_message_limits limits = {
	    .max_frame = c->route->max_frame_bytes,
	    .max_message = c->route->max_message_bytes,
	};
	struct ws_upgrade upgrade;
	struct echo *e;
	int error = ws_handshake_check_request(request->head, &upgrade);

	if (error < 0) {
		connection_refuse(c, -error);
		return;
	}
	e = calloc(1, sizeof(*e));
	if (!e) {
		connection_refuse(c, EGW_MEMORY);
		return;
	}
	e->worker = c->worker;
	ws_receiver_init(&e->receiver, WS_ROLE_SERVER, &limits);
	byte_queue_init(&e->input, LEG_READ_MAX + LEG_HEADROOM);
	byte_queue_init(&e->message,
			(uint32_t)MIN(limits.max_message + sizeof(header_room), UINT64_C(1) << 31));
	connection_set_stage(c, &echo_ops, e, echo_free);
	accept_upgrade(c, &upgrade);
	connection_open(c, SLUICE_PATH_LOCAL, SLUICE_REASON_POLICY);
	timer_disarm(&c->timer);
	touch(c);
	if (request->early.len) {
		/* The receiver unmasks in place, and the request's bytes are not ours to write. */
		uint8_t *data = worker_scratch(c->worker);

		assert(request->early.len <= LEG_READ_MAX); /* it came with the head's last read */
		memmove(data, request->early.ptr, request->early.len);
		count_in(c, request->early.len);
		take(c, e, data, request->early.len);
	}
}
