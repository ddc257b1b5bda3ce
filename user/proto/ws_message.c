/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/ws_message.h"

#include "proto/ws_header_check.h"
#include "proto/ws_mask.h"

void ws_receiver_init(struct ws_receiver *r, enum ws_role role,
		      const struct ws_message_limits *limits)
{
	*r = (struct ws_receiver){
	    .limits = *limits,
	    .is_masked_expected = role == WS_ROLE_SERVER,
	};
}

/* ---- headers ------------------------------------------------------------------------------- */

static void begin_message(struct ws_receiver *r, const struct ws_frame_header *h)
{
	r->message_opcode = h->opcode;
	r->message_rsv = h->rsv;
	r->is_message_begun = false;
	utf8_init(&r->utf8);
}

static void end_message(struct ws_receiver *r)
{
	r->message_opcode = 0;
	r->message_bytes = 0;
}

/* Return: bytes of the header, 0 if it is incomplete, or -errno; @len >= 1 */
static ssize_t begin_frame(struct ws_receiver *r, const uint8_t *buf, size_t len)
{
	struct ws_frame_header h;
	ssize_t n;
	int error;

	/* RFC 6455 s5.5.1: after a Close frame the peer MUST NOT send any more (data) frames. */
	if (r->is_closed)
		return -EWS_AFTER_CLOSE;
	n = ws_frame_header_decode(buf, len, r->allowed_rsv, &h);
	if (n <= 0)
		return n;
	error = ws_header_check(&h, r->is_masked_expected, r->message_opcode != 0, r->message_bytes,
				&r->limits);
	if (error < 0)
		return error;

	r->frames[ws_frame_kind(h.opcode)]++;
	if (!ws_opcode_is_control(h.opcode)) {
		if (h.opcode != WS_OP_CONTINUATION)
			begin_message(r, &h);
		r->message_bytes += h.payload_len;
	}
	r->frame_left = h.payload_len;
	r->frame_done = 0;
	r->frame_opcode = h.opcode;
	r->frame_fin = h.fin;
	r->in_frame = true;
	if (h.masked)
		memcpy(r->mask, h.mask, sizeof(r->mask));
	return n;
}

/* ---- payload ------------------------------------------------------------------------------- */

/* Return: how many of the @len bytes at @buf belong to the frame; they are unmasked. */
static size_t take_payload(struct ws_receiver *r, uint8_t *buf, size_t len)
{
	size_t n = MIN(len, r->frame_left);

	if (r->is_masked_expected)
		ws_mask_apply(buf, n, r->mask, r->frame_done);
	r->frame_left -= n;
	r->frame_done += n;
	r->in_frame = r->frame_left > 0;
	return n;
}

/* RFC 6455 s8.1: text that is not UTF-8 MUST fail the connection. */
static int check_text(struct ws_receiver *r, const uint8_t *data, size_t len, bool is_last)
{
	if (r->message_opcode != WS_OP_TEXT || r->message_rsv)
		return 0;
	if (utf8_feed(&r->utf8, data, len, NULL) < 0)
		return -EWS_UTF8;
	return is_last && !utf8_is_complete(&r->utf8) ? -EWS_UTF8 : 0;
}

static ssize_t take_data(struct ws_receiver *r, uint8_t *buf, size_t len,
			 struct ws_event *ret_event)
{
	size_t n = take_payload(r, buf, len);
	bool is_last = r->frame_fin && !r->in_frame;
	int error = check_text(r, buf, n, is_last);

	if (error < 0)
		return error;
	if (n == 0 && !is_last)
		return 0;
	*ret_event = (struct ws_event){
	    .kind = WS_EVENT_DATA,
	    .opcode = r->message_opcode,
	    .rsv = r->message_rsv,
	    .is_first = !r->is_message_begun,
	    .is_last = is_last,
	    .data = buf,
	    .len = n,
	};
	r->is_message_begun = true;
	if (is_last)
		end_message(r);
	return (ssize_t)n;
}

static int read_close(struct ws_event *event, const uint8_t *payload, size_t len)
{
	struct utf8_state utf8;

	event->kind = WS_EVENT_CLOSE;
	if (len == 0)
		return 0;
	/* RFC 6455 s5.5.1: if there is a body, its first two bytes MUST be a code. */
	if (len < 2)
		return -EWS_CLOSE_CODE;
	event->close_code = (uint16_t)(payload[0] << 8 | payload[1]);
	if (!ws_close_code_is_valid(event->close_code))
		return -EWS_CLOSE_CODE;
	event->data = payload + 2;
	event->len = len - 2;
	/* RFC 6455 s5.5.1: what follows the code is UTF-8, hence s8.1. */
	utf8_init(&utf8);
	if (utf8_feed(&utf8, event->data, event->len, NULL) < 0 || !utf8_is_complete(&utf8))
		return -EWS_UTF8;
	return 0;
}

static ssize_t take_control(struct ws_receiver *r, uint8_t *buf, size_t len,
			    struct ws_event *ret_event)
{
	size_t at = (size_t)r->frame_done;
	size_t n = take_payload(r, buf, len);
	struct ws_event event = {.data = r->control, .len = (size_t)r->frame_done};
	int error = 0;

	memcpy(r->control + at, buf, n);
	if (r->in_frame)
		return (ssize_t)n;
	if (r->frame_opcode == WS_OP_CLOSE) {
		error = read_close(&event, r->control, event.len);
		r->is_closed = true;
	} else {
		event.kind = r->frame_opcode == WS_OP_PING ? WS_EVENT_PING : WS_EVENT_PONG;
	}
	if (error < 0)
		return error;
	*ret_event = event;
	return (ssize_t)n;
}

/* ---- both ---------------------------------------------------------------------------------- */

static ssize_t next_event(struct ws_receiver *r, uint8_t *buf, size_t len,
			  struct ws_event *ret_event)
{
	size_t used = 0;
	ssize_t n;

	*ret_event = (struct ws_event){.kind = WS_EVENT_NONE};
	while (used < len && ret_event->kind == WS_EVENT_NONE) {
		if (!r->in_frame) {
			n = begin_frame(r, buf + used, len - used);
			if (n < 0)
				return n;
			if (n == 0)
				break;
			used += (size_t)n;
		}
		n = ws_opcode_is_control(r->frame_opcode)
			? take_control(r, buf + used, len - used, ret_event)
			: take_data(r, buf + used, len - used, ret_event);
		if (n < 0)
			return n;
		used += (size_t)n;
	}
	return (ssize_t)used;
}

ssize_t ws_receiver_next(struct ws_receiver *r, uint8_t *buf, size_t len,
			 struct ws_event *ret_event)
{
	ssize_t n = r->error;

	if (n == 0)
		n = next_event(r, buf, len, ret_event);
	if (n < 0)
		r->error = (int)n;
	return n;
}
