/* SPDX-License-Identifier: Apache-2.0 */
#include "core/relay.h"

#include "base/random.h"
#include "core/connection.h"
#include "core/keepalive.h"
#include "core/leg_class.h"
#include "core/promotion.h"
#include "core/worker.h"
#include "proto/ws_frame.h"

static void begin_close(struct connection *c, int error, uint16_t code, struct slice text);

/* ---- accounting -------------------------------------------------------------------------- */

static bool is_client(const struct leg *leg)
{
	return leg == &leg->connection->client;
}

static enum stats_direction direction_of(const struct leg *source)
{
	return is_client(source) ? STATS_IN : STATS_OUT;
}

static void count_frames(struct connection *c, struct leg *source,
			 const uint64_t before[WS_KIND_COUNT])
{
	uint64_t n = 0;

	stats_add_frames(c->worker->stats, c->path, direction_of(source), before,
			 source->walker.frames);
	for (size_t kind = 0; kind < WS_KIND_COUNT; kind++)
		n += source->walker.frames[kind] - before[kind];
	if (is_client(source))
		c->frames_in += n;
	else
		c->frames_out += n;
	if (c->close_code == 0)
		c->close_code = source->walker.close_code;
}

static void count_bytes(struct connection *c, struct leg *source, size_t n)
{
	source->bytes_in += n;
	connection_other_leg(c, source)->bytes_out += n;
	stat_add(&c->worker->stats->bytes[c->path][direction_of(source)], n);
}

/* ---- ends -------------------------------------------------------------------------------- */

static int natural_end(const struct connection *c)
{
	return c->client.walker.is_closed && c->endpoint_leg.walker.is_closed ? EEND_CLOSE
									      : EEND_EOF;
}

static bool is_done(const struct leg *leg)
{
	return leg->saw_eof && (leg->is_fin_sent || leg->is_write_dead);
}

/* Ends the connection once both peers have said everything and got everything. */
static void end_if_done(struct connection *c)
{
	if (is_done(&c->client) && is_done(&c->endpoint_leg))
		connection_end(c, natural_end(c));
}

/* @broken was reset: the other side gets what was received from it, then a reset, too. */
static void propagate_reset(struct connection *c, struct leg *broken)
{
	struct leg *other = connection_other_leg(c, broken);

	connection_set_error(c, EEND_RESET);
	if (other->is_write_dead || !leg_has_output(other)) {
		leg_reset(other);
		connection_end(c, EEND_RESET);
		return;
	}
	/* on_writable() comes back here when the queue is empty. */
	if (c->state == CONNECTION_OPEN)
		connection_set_state(c, CONNECTION_CLOSING);
	leg_stop_reading(other);
	leg_close(broken);
	timer_arm(&c->timer, c->config->limits.close_timeout_ms);
}

/* Sending to @leg failed. What it had sent before may still be in its receive queue: read on, and
 * let its end (EOF or error) tell. */
static void on_send_error(struct connection *c, struct leg *leg, int error)
{
	if (error == -ENOMEM || error == -ENOBUFS) {
		connection_end(c, EGW_MEMORY);
		return;
	}
	if (leg->saw_eof) {
		propagate_reset(c, leg);
		return;
	}
	leg_start_reading(leg);
	leg_start_reading(connection_other_leg(c, leg));
}

/* ---- moving bytes ------------------------------------------------------------------------ */

static void touch(struct connection *c)
{
	c->active_at = ev_now(c->worker->loop);
	if (c->state == CONNECTION_OPEN && c->route->tunnel_timeout_ms)
		timer_arm(&c->timer, c->route->tunnel_timeout_ms);
}

static void limit_closing(struct connection *c)
{
	if (c->state == CONNECTION_OPEN && c->client.walker.is_closed &&
	    c->endpoint_leg.walker.is_closed)
		connection_limit_closing(c);
}

static void forward(struct connection *c, struct leg *from, const void *data, size_t len)
{
	struct leg *to = connection_other_leg(c, from);
	int error;

	if (len == 0)
		return;
	count_bytes(c, from, len);
	error = leg_send(to, data, len);
	if (unlikely(error < 0))
		on_send_error(c, to, error);
	else if (leg_has_output(to))
		leg_stop_reading(from);
}

/* An incomplete header, until the rest of it comes. */
static void hold(struct leg *from, const uint8_t *header, size_t len)
{
	assert(len < sizeof(from->held));
	from->held_len = (uint8_t)len;
	memcpy(from->held, header, len);
}

static void discard(struct leg *from)
{
	from->is_discarding = true;
	from->held_len = 0;
}

/* The walker has let @pass bytes pass, of which the kernel may have sent the first ones on. If any
 * does, the whole header does that they are the beginning of. */
static void forward_passed(struct connection *c, struct leg *from, const uint8_t *data, size_t pass)
{
	size_t skip = from->held_passed;

	if (pass == 0)
		return;
	from->held_passed = 0;
	forward(c, from, data + skip, pass - skip);
}

/*
 * Passes on as much of @data as its frame headers allow; a trailing incomplete header is held back
 * until the rest of it comes. @data starts with what was held.
 */
static void walk_and_forward(struct connection *c, struct leg *from, const uint8_t *data,
			     size_t len)
{
	const uint64_t *n_frames = is_client(from) ? &c->frames_in : &c->frames_out;
	uint64_t before[WS_KIND_COUNT], n_before = *n_frames;
	size_t pass;
	int error;

	if (unlikely(from->is_unwalked)) {
		forward(c, from, data, len);
		/* As the hook does for each packet of such a stream. */
		leg_class_charge(from, len, 1);
		return;
	}
	memcpy(before, from->walker.frames, sizeof(before));
	pass = ws_walker_feed(&from->walker, data, len, &error);
	count_frames(c, from, before);
	if (likely(error == 0))
		hold(from, data + pass, len - pass);
	else
		discard(from);
	forward_passed(c, from, data, pass);
	if (connection_is_closed(c))
		return;
	leg_class_charge(from, pass, *n_frames - n_before);
	if (unlikely(from->walker.is_closed))
		limit_closing(c);
	/* RFC 6455 s5.5.1: nothing counts behind a Close; the peers are parting anyway. */
	if (error < 0 && error != -EWS_AFTER_CLOSE)
		begin_close(c, -error, proto_error_info(error)->close_code,
			    slice_from_str(proto_error_info(error)->name));
}

/* The frame that @data is in, as far as it is there. */
static size_t frame_of(const struct leg *from, const uint8_t *data, size_t len)
{
	struct ws_frame_header header;
	ssize_t n;

	if (from->walker.frame_left)
		return MIN(len, from->walker.frame_left);
	n = ws_frame_header_decode(data, len, from->walker.allowed_rsv, &header);
	return n > 0 ? MIN(len, (size_t)n + header.payload_len) : len;
}

/* As walk_and_forward(), frame by frame: one of them may be the Pong that answers our Ping. */
static void look_for_pong(struct connection *c, struct leg *from, const uint8_t *data, size_t len)
{
	const struct connection_ops *ops = c->ops;

	from->held_len = 0;
	while (len > 0 && c->ops == ops && !connection_is_closed(c) && !from->is_discarding) {
		bool may_be = from->is_pong_due && leg_at_boundary(from);
		ssize_t n = may_be ? keepalive_take_pong(from, data, len) : 0;

		if (n < 0) {
			hold(from, data, len);
			return;
		}
		if (n == 0) {
			n = (ssize_t)(from->is_pong_due ? frame_of(from, data, len) : len);
			walk_and_forward(c, from, data, (size_t)n);
		}
		data += n;
		len -= (size_t)n;
	}
}

static void on_eof(struct connection *c, struct leg *from)
{
	struct leg *to = connection_other_leg(c, from);

	/* A send error has already taken the reset off the socket: this is how reading tells it. */
	if (from->is_write_dead) {
		propagate_reset(c, from);
		return;
	}
	/* Byte-exact also for a header that its sender left incomplete. */
	if (from->held_len && !from->is_discarding) {
		size_t held_len = from->held_len;

		from->held_len = 0;
		forward_passed(c, from, from->held, held_len);
		if (connection_is_closed(c))
			return;
	}
	leg_finish(to);
	end_if_done(c);
}

/* RFC 6455 s5.2, s5.1: the shortest frame has two bytes, and what a client masks with. */
static size_t room_for(const struct leg *from)
{
	return leg_class_room(from, from->is_unwalked ? LEG_READ_MAX : from->walker.frame_left,
			      is_client(from) ? 6 : 2);
}

static ssize_t receive(struct connection *c, struct leg *leg, uint8_t **ret_data, size_t *ret_len)
{
	/* The held header and the bytes behind it become one run. */
	uint8_t *data = (uint8_t *)worker_scratch(c->worker);
	ssize_t n = leg_recv(leg, data + leg->held_len, room_for(leg));

	if (n > 0) {
		memcpy(data, leg->held, leg->held_len);
		*ret_data = data;
		*ret_len = (size_t)n + leg->held_len;
	}
	return n;
}

static void relay_on_readable(struct connection *c, struct leg *from)
{
	uint8_t *data;
	size_t len;
	ssize_t n = receive(c, from, &data, &len);

	if (likely(n > 0)) {
		touch(c);
		if (unlikely(from->is_pong_due && !from->is_unwalked))
			look_for_pong(c, from, data, len);
		else if (likely(!from->is_discarding))
			walk_and_forward(c, from, data, len);
		promotion_on_relayed(c, connection_other_leg(c, from));
	} else if (n == 0) {
		on_eof(c, from);
	} else if (n != -EAGAIN) {
		propagate_reset(c, from);
	}
}

static void relay_on_writable(struct connection *c, struct leg *leg)
{
	struct leg *other = connection_other_leg(c, leg);
	int error = leg_flush(leg);

	if (error < 0) {
		on_send_error(c, leg, error);
		return;
	}
	if (leg_has_output(leg))
		return;
	if (!leg_is_open(other)) {
		propagate_reset(c, other);
		return;
	}
	leg_start_reading(other);
	end_if_done(c);
}

static void relay_on_deadline(struct connection *c)
{
	if (c->state == CONNECTION_OPEN)
		begin_close(c, EGW_IDLE, proto_error_info(EGW_IDLE)->close_code,
			    slice_from_str(proto_error_info(EGW_IDLE)->name));
	else
		connection_end(c, EGW_CLOSE_TIMEOUT);
}

/* ---- closing by the gateway's decision ----------------------------------------------------- */

struct closing {
	uint16_t code;
	uint8_t text_len;
	char text[WS_CONTROL_MAX];
};

/*
 * RFC 6455 s7.1.1: once Close frames went both ways on a leg, the server closes first. So the
 * client gets our FIN, while an endpoint is given the time to send its own. From a client whose
 * frames are no longer looked at no answer is awaited (s7.1.7).
 */
static void finish_if_answered(struct leg *leg)
{
	bool is_answered = leg->walker.is_closed || leg->is_discarding;

	if (leg->is_close_sent && (leg->saw_eof || (is_answered && is_client(leg))))
		leg_finish(leg);
}

/* Puts the Close frame into the stream towards @to, if that stands on a frame boundary. */
static void send_close(struct connection *c, struct leg *to)
{
	const struct closing *closing = c->stage;
	const struct leg *from = connection_other_leg(c, to);
	uint8_t frame[WS_CLOSE_FRAME_MAX], mask[4];
	size_t len;

	if (to->is_close_sent)
		return;
	/* Behind the end of the other side's stream there is nothing to say, and no way to. */
	if (to->is_fin_due) {
		to->is_close_sent = true;
		return;
	}
	if (!leg_at_boundary(from)) {
		if (from->saw_eof || from->is_discarding) { /* it never will */
			to->is_close_sent = true;
			leg_finish(to);
		}
		return;
	}
	to->is_close_sent = true;
	if (!from->walker.is_closed) { /* else the peer's own Close has gone through */
		if (!is_client(to))
			random_secure(mask, sizeof(mask));
		len =
		    ws_close_encode(closing->code, (struct slice){closing->text, closing->text_len},
				    is_client(to) ? NULL : mask, frame);
		to->bytes_out += len;
		(void)leg_send(to, frame, len);
	}
	finish_if_answered(to);
}

static void end_closing_if_done(struct connection *c)
{
	bool is_client_done = c->client.saw_eof || c->client.is_write_dead;
	bool is_endpoint_done = c->endpoint_leg.saw_eof || c->endpoint_leg.is_write_dead;

	if (is_client_done && is_endpoint_done && !leg_has_output(&c->client) &&
	    !leg_has_output(&c->endpoint_leg))
		connection_end(c, c->error);
}

/* In closing, @data only matters for two things: the rest of the frame that the other side is in
 * the middle of, and the Close that answers ours. */
static void walk_closing(struct connection *c, struct leg *from, const uint8_t *data, size_t len)
{
	struct leg *to = connection_other_leg(c, from);
	uint64_t before[WS_KIND_COUNT];
	size_t pass;
	int error;

	memcpy(before, from->walker.frames, sizeof(before));
	if (!to->is_close_sent) {
		size_t rest = leg_at_boundary(from) ? 0 : frame_of(from, data, len);

		pass = ws_walker_feed(&from->walker, data, rest, &error);
		forward_passed(c, from, data, pass);
		if (connection_is_closed(c))
			return;
		send_close(c, to);
		data += pass;
		len -= pass;
	}
	pass = ws_walker_feed(&from->walker, data, len, &error);
	count_frames(c, from, before);
	if (error < 0)
		discard(from);
	else
		hold(from, data + pass, len - pass);
	/* A header that has passed in part, and is wrong, has no end. */
	send_close(c, to);
	finish_if_answered(from);
}

static void closing_on_readable(struct connection *c, struct leg *from)
{
	struct leg *to = connection_other_leg(c, from);
	uint8_t *data;
	size_t len;
	ssize_t n = receive(c, from, &data, &len);

	if (n == -EAGAIN)
		return;
	if (n > 0) {
		if (!from->is_discarding)
			walk_closing(c, from, data, len);
		return;
	}
	send_close(c, to);
	finish_if_answered(from);
	end_closing_if_done(c);
}

static void closing_on_writable(struct connection *c, struct leg *leg)
{
	/* A failure shows in reading, or at the deadline. */
	(void)leg_flush(leg);
	if (!leg_has_output(leg))
		leg_start_reading(connection_other_leg(c, leg));
	end_closing_if_done(c);
}

static void closing_on_deadline(struct connection *c)
{
	connection_end(c, EGW_CLOSE_TIMEOUT);
}

static void closing_close(struct connection *c, int error, uint16_t code, struct slice text)
{
	/* It is closing already, within close_timeout. */
}

static const struct connection_ops closing_ops = {
    .on_readable = closing_on_readable,
    .on_writable = closing_on_writable,
    .on_deadline = closing_on_deadline,
    .close = closing_close,
};

static void begin_close(struct connection *c, int error, uint16_t code, struct slice text)
{
	struct closing *closing;

	if (c->state != CONNECTION_OPEN)
		return;
	connection_set_error(c, error);
	closing = calloc(1, sizeof(*closing));
	if (!closing) {
		connection_end(c, EGW_MEMORY);
		return;
	}
	closing->code = code;
	closing->text_len = (uint8_t)MIN(text.len, sizeof(closing->text));
	memcpy(closing->text, text.ptr, closing->text_len);
	connection_set_state(c, CONNECTION_CLOSING);
	connection_set_stage(c, &closing_ops, closing, free);
	if (c->close_code == 0)
		c->close_code = code;
	timer_arm(&c->timer, c->config->limits.close_timeout_ms);
	/* Where frames cannot be told apart, so cannot the answer to ours. */
	c->client.is_discarding |= c->client.is_unwalked;
	c->endpoint_leg.is_discarding |= c->endpoint_leg.is_unwalked;
	send_close(c, &c->client);
	send_close(c, &c->endpoint_leg);
	/* One that had already ended, and was kept for the other, is over now. */
	end_closing_if_done(c);
}

static const struct connection_ops relay_ops = {
    .on_readable = relay_on_readable,
    .on_writable = relay_on_writable,
    .on_deadline = relay_on_deadline,
    .close = begin_close,
};

/* ---- back from the kernel -------------------------------------------------------------------- */

void relay_resume(struct connection *c, uint64_t idle_ms)
{
	uint64_t limit_ms = c->route->tunnel_timeout_ms;

	connection_set_stage(c, &relay_ops, NULL, NULL);
	c->active_at = ev_now(c->worker->loop) - (ev_tstamp)idle_ms / 1000;
	connection_mark(c);
	/* Of one that is closing, close_timeout goes on. */
	if (c->state == CONNECTION_OPEN)
		timer_disarm(&c->timer);
	if (c->state == CONNECTION_OPEN && limit_ms)
		timer_arm(&c->timer, limit_ms > idle_ms ? limit_ms - idle_ms : 1);
	leg_start_reading(&c->client);
	leg_start_reading(&c->endpoint_leg);
}

/* ---- start --------------------------------------------------------------------------------- */

void relay_prepare(struct connection *c, uint8_t allowed_rsv)
{
	struct ws_message_limits limits = {
	    .max_frame = c->route->max_frame_bytes,
	    .max_message = c->route->max_message_bytes,
	};

	ws_walker_init(&c->client.walker, true, &limits, allowed_rsv);
	ws_walker_init(&c->endpoint_leg.walker, false, &limits, allowed_rsv);
}

void relay_begin(struct connection *c, uint8_t allowed_rsv, struct slice from_client,
		 struct slice from_endpoint)
{
	relay_prepare(c, allowed_rsv);
	connection_set_stage(c, &relay_ops, NULL, NULL);
	connection_open(c, SLUICE_PATH_RELAY, promotion_relayed(c));
	timer_disarm(&c->timer);
	touch(c);
	leg_start_reading(&c->client);
	leg_start_reading(&c->endpoint_leg);
	if (from_endpoint.len)
		walk_and_forward(c, &c->endpoint_leg, (const uint8_t *)from_endpoint.ptr,
				 from_endpoint.len);
	if (from_client.len == 0 || connection_is_closed(c))
		return;
	/* The endpoint may have broken the rules already; the client's walker goes on from here. */
	if (c->ops == &closing_ops)
		walk_closing(c, &c->client, (const uint8_t *)from_client.ptr, from_client.len);
	else
		walk_and_forward(c, &c->client, (const uint8_t *)from_client.ptr, from_client.len);
}
