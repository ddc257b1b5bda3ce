/* SPDX-License-Identifier: Apache-2.0 */
#include "client_frames.h"

#include "base/clock.h"
#include "client_load.h"

/* Room below which filling stops: a control frame, or a header with some payload. */
#define FILL_MIN       (WS_FRAME_HEADER_MAX + WS_CONTROL_MAX + 1)
#define PING_BYTES     8
#define CLOSE_NO_CODE  1005 /* RFC 6455 s7.1.5 */
#define CLOSE_LINGER_S 1    /* for the peer's FIN after both Close frames (s7.1.1) */

void client_frames_init(struct client_conn *c)
{
	static const struct ws_message_limits no_limits; /* lengths are compared with what is due */

	message_writer_init(&c->writer, true);
	ws_receiver_init(&c->receiver, WS_ROLE_CLIENT, &no_limits);
	c->n_carry = 0;
}

/* ---- out ------------------------------------------------------------------------------------ */

static size_t put_control(struct client_conn *c, uint8_t *buf, uint8_t opcode, const void *payload,
			  size_t len)
{
	struct ws_frame_header header = {.payload_len = len,
					 .opcode = opcode,
					 .fin = true,
					 .masked = true};
	size_t n;

	mask_source_next(&c->worker->masks, header.mask);
	n = ws_frame_header_encode(&header, buf);
	for (size_t i = 0; i < len; i++)
		buf[n + i] = ((const uint8_t *)payload)[i] ^ header.mask[i % 4];
	return n + len;
}

static void ping_payload(const struct client_conn *c, uint8_t ret_payload[PING_BYTES])
{
	uint64_t value = (uint64_t)c->ordinal << 32 | (uint32_t)c->n_pings;

	memcpy(ret_payload, &value, PING_BYTES);
}

static size_t put_ping(struct client_conn *c, uint8_t *buf)
{
	uint8_t payload[PING_BYTES];

	c->owes_ping = false;
	c->ping_due_ns = 0;
	c->pong_due_ns = MAX(c->worker->now_ns, c->stall_end_ns) + c->worker->options->timeout_ns;
	c->n_pings++;
	ping_payload(c, payload);
	return put_control(c, buf, WS_OP_PING, payload, sizeof(payload));
}

static size_t put_close(struct client_conn *c, uint8_t *buf)
{
	uint8_t mask[4];
	uint16_t code =
	    c->close_received ? c->reply_code : (uint16_t)c->worker->options->close_code;

	c->owes_close = false;
	c->close_sent = true;
	mask_source_next(&c->worker->masks, mask);
	return ws_close_encode(code, SLICE_LITERAL(""), mask, buf);
}

/* Control frames that may stand here, between two frames. */
static size_t put_controls(struct client_conn *c, uint8_t *buf)
{
	if (c->owes_pong) {
		c->owes_pong = false;
		return put_control(c, buf, WS_OP_PONG, c->pong, c->n_pong);
	}
	if (c->owes_ping)
		return put_ping(c, buf);
	/* RFC 6455 s5.5.1: nothing follows a Close, so a message is brought to its end first,
	 * unless the peer's Close says that nobody listens. */
	if (c->owes_close && (message_writer_is_complete(&c->writer) || c->close_received))
		return put_close(c, buf);
	return 0;
}

size_t client_frames_fill(struct client_conn *c, uint8_t *buf, size_t cap)
{
	size_t len = 0;

	while (cap - len >= FILL_MIN && !c->close_sent && !c->fin_sent) {
		size_t n = 0;

		if (message_writer_at_boundary(&c->writer))
			n = put_controls(c, buf + len);
		if (n > 0) {
			len += n;
			continue;
		}
		if (message_writer_is_complete(&c->writer) && !client_load_begin(c))
			break;
		len += message_writer_fill(&c->writer, &c->worker->masks, buf + len, cap - len);
		if (message_writer_is_complete(&c->writer))
			client_load_written(c);
	}
	return len;
}

/* ---- in ------------------------------------------------------------------------------------- */

static void on_ping(struct client_conn *c, const struct ws_event *event)
{
	/* RFC 6455 s5.5.3: of several pings, only the last need be answered. */
	c->n_pong = (uint8_t)event->len;
	memcpy(c->pong, event->data, event->len);
	c->owes_pong = true;
}

static void on_pong(struct client_conn *c, const struct ws_event *event)
{
	struct client_worker *w = c->worker;
	uint8_t expected[PING_BYTES];

	if (c->pong_due_ns == 0)
		return; /* unsolicited: allowed (RFC 6455 s5.5.3) */
	ping_payload(c, expected);
	if (event->len != PING_BYTES || memcmp(event->data, expected, PING_BYTES) != 0) {
		client_conn_fail(c, BENCH_ERROR_MISMATCH, "pong with another payload");
		return;
	}
	w->stats.pongs++;
	c->pong_due_ns = 0;
	c->ping_due_ns = w->now_ns + w->options->ping_ns;
}

static void on_close(struct client_conn *c, const struct ws_event *event)
{
	struct client_worker *w = c->worker;
	/* A source that has come to its end says so; so may a server that has seen our FIN. */
	bool is_expected = c->close_sent || c->state == CLIENT_CONN_CLOSING || c->fin_sent ||
			   (w->options->mode == CLIENT_RECEIVE && event->close_code == 1000);

	w->stats.close_codes[event->close_code ? event->close_code : CLOSE_NO_CODE]++;
	if (!is_expected || (c->fin_sent && client_conn_unanswered(c) > 0)) {
		client_conn_fail(c, BENCH_ERROR_EARLY_CLOSE,
				 "closed by the peer with code %u%s%.*s",
				 event->close_code ? event->close_code : CLOSE_NO_CODE,
				 event->len ? ": " : "", (int)event->len,
				 (const char *)event->data);
		return;
	}
	c->close_received = true;
	c->reply_code = event->close_code;
	c->state_due_ns = w->now_ns + CLOSE_LINGER_S * NS_PER_S;
	if (!c->close_sent && !c->fin_sent) {
		client_conn_begin_closing(c);
		c->owes_close = true;
	}
}

static void on_event(struct client_conn *c, const struct ws_event *event)
{
	switch (event->kind) {
	case WS_EVENT_NONE:
		break;
	case WS_EVENT_DATA:
		client_load_receive(c, event);
		break;
	case WS_EVENT_PING:
		on_ping(c, event);
		break;
	case WS_EVENT_PONG:
		on_pong(c, event);
		break;
	case WS_EVENT_CLOSE:
		on_close(c, event);
		break;
	}
}

void client_frames_consume(struct client_conn *c, uint8_t *buf, size_t len)
{
	while (len > 0 && c->state != CLIENT_CONN_ENDED) {
		struct ws_event event;
		ssize_t n = ws_receiver_next(&c->receiver, buf, len, &event);

		if (n < 0) {
			client_conn_fail(c, BENCH_ERROR_PROTOCOL, "%s",
					 proto_error_info((int)n)->text);
			return;
		}
		if (n == 0)
			break;
		on_event(c, &event);
		buf += n;
		len -= (size_t)n;
	}
	if (c->state == CLIENT_CONN_ENDED)
		return;
	assert(len <= sizeof(c->carry));
	memcpy(c->carry, buf, len);
	c->n_carry = (uint8_t)len;
}
