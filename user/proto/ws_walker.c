/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/ws_walker.h"

#include "proto/ws_header_check.h"

void ws_walker_init(struct ws_walker *w, bool is_from_client,
		    const struct ws_message_limits *limits, uint8_t allowed_rsv)
{
	*w = (struct ws_walker){
	    .limits = *limits,
	    .allowed_rsv = allowed_rsv,
	    .is_masked_expected = is_from_client,
	};
}

/* ---- one frame at a time, of any kind, in any number of pieces ------------------------------ */

/* Return: bytes of the header, which has passed; 0 if it is incomplete; or -errno */
static ssize_t pass_header(struct ws_walker *w, const uint8_t *buf, size_t len)
{
	struct ws_frame_header h;
	ssize_t n;
	int error;

	/* RFC 6455 s5.5.1: after a Close frame the peer MUST NOT send any more (data) frames. */
	if (w->is_closed)
		return -EWS_AFTER_CLOSE;
	n = ws_frame_header_decode(buf, len, w->allowed_rsv, &h);
	if (n <= 0)
		return n;
	error =
	    ws_header_check(&h, w->is_masked_expected, w->in_message, w->message_bytes, &w->limits);
	if (error < 0)
		return error;

	w->frames[ws_frame_kind(h.opcode)]++;
	w->frame_left = h.payload_len;
	if (!ws_opcode_is_control(h.opcode)) {
		w->in_message = !h.fin;
		w->message_bytes = h.fin ? 0 : w->message_bytes + h.payload_len;
	} else if (h.opcode == WS_OP_CLOSE) {
		w->in_close = true;
		if (h.masked)
			memcpy(w->close_mask, h.mask, sizeof(w->close_mask));
	}
	return n;
}

static void note_close_code(struct ws_walker *w, const uint8_t *payload, size_t len)
{
	for (size_t i = 0; i < len && w->close_bytes < 2; i++) {
		uint8_t byte = payload[i] ^ w->close_mask[w->close_bytes];

		if (w->close_bytes++ == 0)
			w->close_high = byte;
		else
			w->close_code = (uint16_t)(w->close_high << 8 | byte);
	}
}

/* Return: how many of the @len bytes at @buf are payload of the current frame. */
static size_t pass_payload(struct ws_walker *w, const uint8_t *buf, size_t len)
{
	size_t n = MIN(len, w->frame_left);

	w->frame_left -= n;
	w->payload_bytes += n;
	if (unlikely(w->in_close)) {
		note_close_code(w, buf, n);
		if (w->frame_left == 0) {
			w->in_close = false;
			w->is_closed = true;
		}
	}
	return n;
}

/* ---- many frames at a time ------------------------------------------------------------------ */

/*
 * Passes data frames for as long as they are whole, allowed and at most 64 KiB long; at anything
 * else it stops in front of the frame, for pass_header() to judge. A reader that was slow for a
 * moment finds thousands of small frames in one run, hence the one decode without calls, with the
 * state in registers. It may refuse what pass_header() allows, never the reverse.
 *
 * Return: bytes passed.
 */
static size_t pass_whole_frames(struct ws_walker *w, const uint8_t *buf, size_t len)
{
	const uint64_t max_frame = w->limits.max_frame ? w->limits.max_frame : UINT64_MAX;
	const uint64_t max_message = w->limits.max_message ? w->limits.max_message : UINT64_MAX;
	const uint8_t masked_bit = w->is_masked_expected ? 0x80 : 0;
	const size_t mask_len = w->is_masked_expected ? 4 : 0;
	uint64_t frames[WS_OP_BINARY + 1] = {0}; /* by opcode */
	uint64_t message_bytes = w->message_bytes, payload_bytes = 0;
	bool in_message = w->in_message;
	const uint8_t *p = buf, *end = buf + len;

	while (end - p >= 2) {
		/* RSV1 is for first fragments only (RFC 7692 s6.1). */
		uint8_t rsv = w->allowed_rsv & (in_message ? WS_RSV_MASK & ~WS_RSV1 : WS_RSV_MASK);
		uint8_t opcode = p[0] & 0x7f & ~rsv; /* and the bits that may not be set */
		uint64_t payload_len = p[1] ^ masked_bit;
		size_t header_len = 2 + mask_len;

		if (in_message ? opcode != WS_OP_CONTINUATION
			       : opcode != WS_OP_TEXT && opcode != WS_OP_BINARY)
			break;
		if (payload_len >= 126) {
			/* 127 and a mask bit other than expected are here, too. */
			if (payload_len != 126 || end - p < 4)
				break;
			payload_len = (uint64_t)p[2] << 8 | p[3];
			header_len += 2;
			if (payload_len < 126)
				break;
		}
		if (header_len + payload_len > (size_t)(end - p))
			break;
		if (payload_len > max_frame || payload_len > max_message - message_bytes)
			break;
		frames[opcode]++;
		in_message = !(p[0] & 0x80);
		message_bytes = in_message ? message_bytes + payload_len : 0;
		payload_bytes += payload_len;
		p += header_len + payload_len;
	}
	w->frames[WS_KIND_CONTINUATION] += frames[WS_OP_CONTINUATION];
	w->frames[WS_KIND_TEXT] += frames[WS_OP_TEXT];
	w->frames[WS_KIND_BINARY] += frames[WS_OP_BINARY];
	w->message_bytes = message_bytes;
	w->payload_bytes += payload_bytes;
	w->in_message = in_message;
	return (size_t)(p - buf);
}

size_t ws_walker_feed(struct ws_walker *w, const uint8_t *buf, size_t len, int *ret_error)
{
	size_t done = 0;
	ssize_t n;

	*ret_error = 0;
	if (w->frame_left)
		done = pass_payload(w, buf, len);
	while (done < len) {
		if (likely(!w->is_closed))
			done += pass_whole_frames(w, buf + done, len - done);
		if (done == len)
			break;
		n = pass_header(w, buf + done, len - done);
		if (n <= 0) {
			*ret_error = (int)n;
			break;
		}
		done += (size_t)n;
		done += pass_payload(w, buf + done, len - done);
	}
	return done;
}

uint64_t ws_walker_frame_count(const struct ws_walker *w)
{
	uint64_t sum = 0;

	for (size_t kind = 0; kind < WS_KIND_COUNT; kind++)
		sum += w->frames[kind];
	return sum;
}
