/* SPDX-License-Identifier: Apache-2.0 */
/* What a frame header must satisfy at its place in a stream, beyond what it shows by itself. */
#pragma once
#include "base/std.h"
#include "proto/ws_message.h"

/**
 * ws_header_check() - may this frame come now?
 * @in_message: whether a fragmented message is open
 * @message_bytes: announced so far by the frames of that message, 0 between messages
 *
 * Return: 0, or the first that applies of -EWS_MASK, -EWS_FRAGMENT, -EWS_FRAME_SIZE and
 * -EWS_MESSAGE_SIZE (also where a message's length would leave 64 bits).
 */
static inline int ws_header_check(const struct ws_frame_header *h, bool is_masked_expected,
				  bool in_message, uint64_t message_bytes,
				  const struct ws_message_limits *limits)
{
	uint64_t max_frame = limits->max_frame ? limits->max_frame : UINT64_MAX;
	uint64_t max_message = limits->max_message ? limits->max_message : UINT64_MAX;

	/* RFC 6455 s5.1: a client MUST mask all frames, a server MUST NOT mask any. */
	if (h->masked != is_masked_expected)
		return -EWS_MASK;
	/* RFC 6455 s5.4: control frames may stand between fragments, and count in no message. */
	if (ws_opcode_is_control(h->opcode))
		return h->payload_len > max_frame ? -EWS_FRAME_SIZE : 0;
	/* RFC 6455 s5.4: fragments of messages MUST NOT be interleaved. */
	if ((h->opcode == WS_OP_CONTINUATION) != in_message)
		return -EWS_FRAGMENT;
	if (h->payload_len > max_frame)
		return -EWS_FRAME_SIZE;
	if (h->payload_len > max_message - message_bytes)
		return -EWS_MESSAGE_SIZE;
	return 0;
}
