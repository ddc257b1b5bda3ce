/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/ws_frame.h"

#include "proto/utf8.h"
#include "proto/ws_mask.h"

#define FIN_BIT      0x80 /* first byte */
#define OPCODE_BITS  0x0f
#define MASKED_BIT   0x80 /* second byte */
#define LENGTH_BITS  0x7f
#define LENGTH_IS_16 126
#define LENGTH_IS_64 127

/* ---- decode -------------------------------------------------------------------------------- */

static bool opcode_is_known(uint8_t opcode)
{
	return opcode <= WS_OP_BINARY || (opcode >= WS_OP_CLOSE && opcode <= WS_OP_PONG);
}

static int check_first_byte(uint8_t byte, uint8_t allowed_rsv)
{
	uint8_t opcode = byte & OPCODE_BITS;

	/* RFC 6455 s5.2 reserves opcodes and bits; extensions here define bits of data frames,
	 * and permessage-deflate its own for first fragments only (RFC 7692 s6.1). */
	if (ws_opcode_is_control(opcode) ||
	    (opcode == WS_OP_CONTINUATION && allowed_rsv == WS_RSV1))
		allowed_rsv = 0;
	if (byte & WS_RSV_MASK & ~allowed_rsv)
		return -EWS_RSV;
	if (!opcode_is_known(opcode))
		return -EWS_OPCODE;
	if (ws_opcode_is_control(opcode) && !(byte & FIN_BIT))
		return -EWS_CONTROL; /* RFC 6455 s5.5: MUST NOT be fragmented */
	return 0;
}

static uint64_t read_be(const uint8_t *p, size_t n)
{
	uint64_t value = 0;

	for (size_t i = 0; i < n; i++)
		value = value << 8 | p[i];
	return value;
}

/*
 * @n of the @size bytes of an extended length are there. RFC 6455 s5.2: the most significant bit
 * MUST be 0, and the minimal number of bytes MUST be used.
 */
static int check_extended_length(const uint8_t *p, size_t n, size_t size)
{
	if (size == 2)
		return n == 2 && read_be(p, 2) < LENGTH_IS_16 ? -EWS_LENGTH : 0;
	if (n > 0 && p[0] & 0x80)
		return -EWS_LENGTH;
	/* Nothing above 16 bits: known before the last two bytes are there. */
	return n >= 6 && read_be(p, 6) == 0 ? -EWS_LENGTH : 0;
}

ssize_t ws_frame_header_decode(const uint8_t *buf, size_t len, uint8_t allowed_rsv,
			       struct ws_frame_header *ret_header)
{
	size_t length_size, mask_at, header_len;
	uint8_t short_length;
	int error;

	if (len < 1)
		return 0;
	error = check_first_byte(buf[0], allowed_rsv);
	if (error < 0)
		return error;
	if (len < 2)
		return 0;
	short_length = buf[1] & LENGTH_BITS;
	if (ws_opcode_is_control(buf[0]) && short_length > WS_CONTROL_MAX)
		return -EWS_CONTROL; /* RFC 6455 s5.5: MUST have 125 bytes or less */
	length_size = short_length == LENGTH_IS_16 ? 2 : short_length == LENGTH_IS_64 ? 8 : 0;
	if (length_size) {
		error = check_extended_length(buf + 2, MIN(len - 2, length_size), length_size);
		if (error < 0)
			return error;
	}
	mask_at = 2 + length_size;
	header_len = mask_at + (buf[1] & MASKED_BIT ? 4 : 0);
	if (len < header_len)
		return 0;

	*ret_header = (struct ws_frame_header){
	    .payload_len = length_size ? read_be(buf + 2, length_size) : short_length,
	    .opcode = buf[0] & OPCODE_BITS,
	    .rsv = buf[0] & WS_RSV_MASK,
	    .fin = buf[0] & FIN_BIT,
	    .masked = buf[1] & MASKED_BIT,
	};
	if (ret_header->masked)
		memcpy(ret_header->mask, buf + mask_at, 4);
	return (ssize_t)header_len;
}

/* ---- encode -------------------------------------------------------------------------------- */

static uint8_t *put_be(uint8_t *p, uint64_t value, size_t n)
{
	for (size_t i = n; i-- > 0; value >>= 8)
		p[i] = (uint8_t)value;
	return p + n;
}

size_t ws_frame_header_encode(const struct ws_frame_header *header,
			      uint8_t ret_buf[WS_FRAME_HEADER_MAX])
{
	uint8_t masked = header->masked ? MASKED_BIT : 0;
	uint8_t *p = ret_buf;

	assert(header->payload_len <= INT64_MAX);
	*p++ = (uint8_t)((header->fin ? FIN_BIT : 0) | (header->rsv & WS_RSV_MASK) |
			 (header->opcode & OPCODE_BITS));
	if (header->payload_len < LENGTH_IS_16) {
		*p++ = (uint8_t)(masked | header->payload_len);
	} else if (header->payload_len <= UINT16_MAX) {
		*p++ = masked | LENGTH_IS_16;
		p = put_be(p, header->payload_len, 2);
	} else {
		*p++ = masked | LENGTH_IS_64;
		p = put_be(p, header->payload_len, 8);
	}
	if (header->masked) {
		memcpy(p, header->mask, 4);
		p += 4;
	}
	return (size_t)(p - ret_buf);
}

/* ---- kinds --------------------------------------------------------------------------------- */

enum ws_frame_kind ws_frame_kind(uint8_t opcode)
{
	static const uint8_t kinds[] = {
	    [WS_OP_CONTINUATION] = WS_KIND_CONTINUATION,
	    [WS_OP_TEXT] = WS_KIND_TEXT,
	    [WS_OP_BINARY] = WS_KIND_BINARY,
	    [WS_OP_CLOSE] = WS_KIND_CLOSE,
	    [WS_OP_PING] = WS_KIND_PING,
	    [WS_OP_PONG] = WS_KIND_PONG,
	};

	assert(opcode_is_known(opcode));
	return kinds[opcode];
}

const char *ws_frame_kind_name(enum ws_frame_kind kind)
{
	static const char *const names[WS_KIND_COUNT] = {
	    [WS_KIND_TEXT] = "text",
	    [WS_KIND_BINARY] = "binary",
	    [WS_KIND_CONTINUATION] = "continuation",
	    [WS_KIND_CLOSE] = "close",
	    [WS_KIND_PING] = "ping",
	    [WS_KIND_PONG] = "pong",
	};

	assert(kind < WS_KIND_COUNT);
	return names[kind];
}

/* ---- close --------------------------------------------------------------------------------- */

bool ws_close_code_is_valid(uint16_t code)
{
	/*
	 * RFC 6455 s7.4.1: 1005, 1006 and 1015 MUST NOT be sent, 1004 has no meaning yet.
	 * s7.4.2: 0-999 are not used, 1016-2999 not assigned, 3000-4999 anybody's.
	 */
	return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) ||
	       (code >= 3000 && code <= 4999);
}

/* RFC 6455 s5.5.1: the reason is UTF-8, and what follows the code has 123 bytes at most. */
static size_t whole_characters(struct slice text, size_t max)
{
	struct utf8_state s;
	size_t whole = 0;

	utf8_init(&s);
	for (size_t i = 0; i < MIN(text.len, max); i++) {
		if (utf8_feed(&s, (const uint8_t *)text.ptr + i, 1, NULL) < 0)
			break;
		if (utf8_is_complete(&s))
			whole = i + 1;
	}
	return whole;
}

size_t ws_close_encode(uint16_t code, struct slice reason, const uint8_t mask[4],
		       uint8_t ret_buf[WS_CLOSE_FRAME_MAX])
{
	struct ws_frame_header header = {
	    .fin = true,
	    .opcode = WS_OP_CLOSE,
	    .masked = mask != NULL,
	};
	size_t reason_len = 0, header_len;
	uint8_t *payload;

	if (code) {
		reason_len = whole_characters(reason, WS_CONTROL_MAX - 2);
		header.payload_len = 2 + reason_len;
	}
	if (mask)
		memcpy(header.mask, mask, 4);
	header_len = ws_frame_header_encode(&header, ret_buf);
	if (code) {
		payload = put_be(ret_buf + header_len, code, 2);
		if (reason_len)
			memcpy(payload, reason.ptr, reason_len);
	}
	if (mask)
		ws_mask_apply(ret_buf + header_len, header.payload_len, mask, 0);
	return header_len + header.payload_len;
}
