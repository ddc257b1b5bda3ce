/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Follows the frames of a pass-through stream without assembling, unmasking or copying: counts
 * frames by kind and polices what a header can show (RFC 6455 s5.1-s5.5, max_frame, max_message).
 * What only payload can show (UTF-8, close codes) is the endpoints' to check. Pure.
 */
#pragma once
#include "base/std.h"
#include "proto/ws_frame.h"
#include "proto/ws_message.h"

struct ws_walker {
	struct ws_message_limits limits;
	uint64_t frame_left;            /* payload bytes of the current frame still to pass */
	uint64_t message_bytes;         /* announced so far by the frames of the current message */
	uint64_t frames[WS_KIND_COUNT]; /* headers seen */
	uint64_t payload_bytes;         /* payload bytes passed */
	uint16_t close_code; /* of the Close frame that passed; 0 none yet or without a code */
	uint8_t allowed_rsv;
	uint8_t close_mask[2]; /* for the close code; zeroes if the frame is not masked */
	uint8_t close_high;    /* first byte of the close code, once seen */
	uint8_t close_bytes;   /* of the close code seen, 0..2 */
	bool is_masked_expected, in_message, in_close, is_closed;
};

/** ws_walker_init() - @is_from_client: frames must be masked (s5.1), else must not be */
void ws_walker_init(struct ws_walker *w, bool is_from_client,
		    const struct ws_message_limits *limits, uint8_t allowed_rsv);

/**
 * ws_walker_feed() - walk over the next bytes of the stream
 * @buf: @len bytes; the first is the first that was not yet passed
 * @ret_error: 0, or why the walk stopped, as -EWS_…: RSV, OPCODE, LENGTH, MASK, CONTROL, FRAGMENT,
 * FRAME_SIZE, MESSAGE_SIZE, AFTER_CLOSE
 *
 * A header passes only when it is complete and allowed, so that the stream already forwarded
 * always ends inside a payload or on a frame boundary and never inside a header: a Close frame can
 * be injected at every boundary. Of several faults the first in ws_receiver_next()'s order is
 * reported. After an error the walker stands in front of the offending header (or of the byte
 * behind the Close frame), and says the same of the same bytes again.
 *
 * Return: bytes that may be forwarded. The rest, if *ret_error is 0, is an incomplete header of
 * less than WS_FRAME_HEADER_MAX bytes: hand it in again in front of what follows.
 */
size_t ws_walker_feed(struct ws_walker *w, const uint8_t *buf, size_t len, int *ret_error);

/* Whether the bytes passed so far end on a frame boundary. */
static inline bool ws_walker_at_boundary(const struct ws_walker *w)
{
	return w->frame_left == 0;
}

/** ws_walker_frame_count() - frames of all kinds */
uint64_t ws_walker_frame_count(const struct ws_walker *w);
