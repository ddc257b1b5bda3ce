/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The message layer of an endpoint (RFC 6455 s5.4, s5.5, s7, s8.1): bytes in, events out.
 * Unmasks in place, checks fragments, interleaved control frames, UTF-8 (failing at the first bad
 * byte) and close payloads. Pure and without allocation: message payload is handed out in pieces as
 * it arrives; who wants whole messages appends the pieces.
 */
#pragma once
#include "base/std.h"
#include "proto/utf8.h"
#include "proto/ws_frame.h"

enum ws_role {
	WS_ROLE_SERVER, /* we are the server: frames that we receive must be masked */
	WS_ROLE_CLIENT, /* frames that we receive must not be masked */
};

enum ws_event_kind {
	WS_EVENT_NONE, /* bytes were consumed, nothing to report */
	WS_EVENT_DATA, /* a piece of a text or binary message */
	WS_EVENT_PING, /* complete; answer with a pong of the same payload */
	WS_EVENT_PONG,
	WS_EVENT_CLOSE, /* complete; nothing may follow */
};

struct ws_event {
	enum ws_event_kind kind;
	uint8_t opcode;      /* DATA: WS_OP_TEXT or WS_OP_BINARY of the message */
	bool is_first;       /* DATA: first piece of its message */
	bool is_last;        /* DATA: last piece of its message */
	uint8_t rsv;         /* DATA: WS_RSV_MASK bits of the message's first frame */
	uint16_t close_code; /* CLOSE: 0 if the frame had no payload (1005, s7.1.5) */
	const uint8_t *data; /* unmasked; into the caller's buffer, or into the receiver for control
			      * frames. Valid until the next call; NULL only with NONE */
	size_t len;          /* CLOSE: of the reason text */
};

struct ws_message_limits {
	uint64_t max_frame;   /* payload bytes of one frame, 0 = none */
	uint64_t max_message; /* payload bytes of one message, 0 = none */
};

struct ws_receiver {
	struct ws_message_limits limits;
	struct utf8_state utf8;
	uint64_t frame_left; /* payload bytes of the current frame still to come */
	uint64_t frame_done;
	uint64_t message_bytes;         /* announced so far by the frames of the current message */
	uint64_t frames[WS_KIND_COUNT]; /* headers accepted */
	int error;                      /* 0, or what the receiver died of */
	uint8_t mask[4];
	uint8_t message_opcode; /* 0 between messages */
	uint8_t message_rsv;
	uint8_t frame_opcode;
	uint8_t allowed_rsv; /* 0 from init on; set it before the first byte for extensions */
	bool is_masked_expected, in_frame, frame_fin, is_message_begun, is_closed;
	uint8_t control[WS_CONTROL_MAX];
};

/** ws_receiver_init() - between messages; @limits are copied */
void ws_receiver_init(struct ws_receiver *r, enum ws_role role,
		      const struct ws_message_limits *limits);

/**
 * ws_receiver_next() - consume bytes up to and including the next event
 * @buf: @len bytes not yet consumed; payload among them is unmasked in place
 * @ret_event: always written when the result is >= 0
 *
 * Call again with the rest while the result is > 0. An incomplete header at the end is not
 * consumed (0 is returned): keep it and call again with more behind it. Empty messages and empty
 * last fragments give one DATA event of 0 bytes, other empty fragments none. Payload of a message
 * with RSV bits is what an extension made of it: it is handed out without a check for UTF-8.
 *
 * Of several faults the first in this order is reported: a byte behind a Close frame; what
 * ws_frame_header_decode() finds; masking; fragmentation; max_frame; max_message; payload. Where
 * the bytes are cut makes no difference, except that with a fault of the payload the valid part
 * in front of it is handed out only if it came in an earlier call.
 *
 * Return: bytes consumed, 0 if more input is needed, or -EWS_RSV, -EWS_OPCODE, -EWS_LENGTH,
 * -EWS_MASK, -EWS_CONTROL, -EWS_FRAGMENT, -EWS_UTF8, -EWS_CLOSE_CODE, -EWS_AFTER_CLOSE,
 * -EWS_FRAME_SIZE, -EWS_MESSAGE_SIZE. After an error the receiver is dead: it repeats the error.
 */
ssize_t ws_receiver_next(struct ws_receiver *r, uint8_t *buf, size_t len,
			 struct ws_event *ret_event);
