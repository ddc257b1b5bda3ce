/* SPDX-License-Identifier: Apache-2.0 */
/* WebSocket frame headers (RFC 6455 s5.2). Pure: no I/O, allocation or logging. */
#pragma once
#include "base/std.h"
#include "proto/errors.h"

#define WS_FRAME_HEADER_MAX 14  /* bytes: 2 fixed + 8 length + 4 mask */
#define WS_CONTROL_MAX      125 /* payload bytes of a control frame (s5.5) */

#define WS_RSV1     0x40 /* first byte of a frame; permessage-deflate (RFC 7692) */
#define WS_RSV_MASK 0x70

enum ws_opcode {
	WS_OP_CONTINUATION = 0x0,
	WS_OP_TEXT = 0x1,
	WS_OP_BINARY = 0x2,
	WS_OP_CLOSE = 0x8,
	WS_OP_PING = 0x9,
	WS_OP_PONG = 0xa,
};

/* Order of frame counters everywhere: access log, metrics, kernel. */
enum ws_frame_kind {
	WS_KIND_TEXT,
	WS_KIND_BINARY,
	WS_KIND_CONTINUATION,
	WS_KIND_CLOSE,
	WS_KIND_PING,
	WS_KIND_PONG,
	WS_KIND_COUNT,
};

struct ws_frame_header {
	uint64_t payload_len; /* bytes, 0..2^63-1 */
	uint8_t mask[4];      /* wire order; valid if masked */
	uint8_t opcode;       /* enum ws_opcode */
	uint8_t rsv;          /* WS_RSV_MASK bits, as in the first byte */
	bool fin, masked;
};

/**
 * ws_frame_header_decode() - read one header from the front of a byte run
 * @buf: @len received bytes; borrowed, may stop mid-header
 * @allowed_rsv: WS_RSV_MASK bits that negotiated extensions use
 * @ret_header: written only when the result is > 0
 *
 * Errors are reported as early as the bytes show them, and in one byte in the order RSV, OPCODE,
 * CONTROL. Mask direction (s5.1) is the caller's to check.
 *
 * Return: bytes consumed (2..14), 0 if more input is needed, or -EWS_RSV (also any bit on a control
 * frame, and RSV1 on a continuation where RSV1 alone is allowed, RFC 7692 s6.1), -EWS_OPCODE,
 * -EWS_LENGTH (not minimal, or top bit set), -EWS_CONTROL (long or fragmented).
 */
ssize_t ws_frame_header_decode(const uint8_t *buf, size_t len, uint8_t allowed_rsv,
			       struct ws_frame_header *ret_header);

/** ws_frame_header_encode() - Return: bytes written (2..14); the length is always minimal */
size_t ws_frame_header_encode(const struct ws_frame_header *header,
			      uint8_t ret_buf[WS_FRAME_HEADER_MAX]);

static inline bool ws_opcode_is_control(uint8_t opcode)
{
	return opcode & 0x8;
}

enum ws_frame_kind ws_frame_kind(uint8_t opcode);
const char *ws_frame_kind_name(enum ws_frame_kind kind);

/** ws_close_code_is_valid() - may @code stand in a received Close frame? (s7.4, IANA registry:
 *  1000-1003, 1007-1014, 3000-4999) */
bool ws_close_code_is_valid(uint16_t code);

/**
 * ws_close_encode() - a whole Close frame
 * @mask: NULL for a server's frame, else the 4 bytes of a client's
 * @reason: cut at 123 bytes on a character boundary, and in front of what is not UTF-8; may be
 * empty
 *
 * Return: bytes written, at most WS_CLOSE_FRAME_MAX. Code 0 writes an empty Close.
 */
#define WS_CLOSE_FRAME_MAX (2 + 4 + WS_CONTROL_MAX)
size_t ws_close_encode(uint16_t code, struct slice reason, const uint8_t mask[4],
		       uint8_t ret_buf[WS_CLOSE_FRAME_MAX]);
