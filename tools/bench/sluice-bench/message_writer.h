/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Turns messages into frames, into whatever room there is: a message may be cut anywhere and goes
 * on with the next call, so that a large one never has to fit a buffer. Pure.
 */
#pragma once
#include "base/std.h"
#include "payload.h"
#include "proto/ws_frame.h"

/* Where mask keys come from (RFC 6455 s5.3 wants them unpredictable towards caches that an
 * attacker may steer; a load generator's payload is no attacker's, so the fast source is its
 * default). */
struct mask_source {
	struct random_fast fast;
	bool is_secure; /* from getrandom(2) instead */
};

void mask_source_next(struct mask_source *m, uint8_t ret_mask[4]);

struct message_plan {
	uint64_t identity; /* payload_identity() */
	uint64_t bytes;
	uint32_t fragments;  /* frames to send it in, >= 1 */
	const uint8_t *pool; /* borrowed; payload from here instead of from the identity */
	bool is_text;
};

struct message_writer {
	struct payload_stream stream;
	const uint8_t *pool;
	uint64_t pool_at;
	uint64_t message_left; /* payload bytes that no frame header has announced yet */
	uint64_t frame_left;   /* payload bytes of the current frame not written yet */
	uint64_t frame_done;
	uint32_t frames_left; /* frames of the message not begun yet */
	uint8_t opcode;       /* of the next frame */
	uint8_t mask[4];
	bool is_masked;
};

/** message_writer_init() - @is_masked: a client's frames */
void message_writer_init(struct message_writer *w, bool is_masked);
/** message_writer_begin() - the next message; the last one must be complete */
void message_writer_begin(struct message_writer *w, const struct message_plan *plan);
/**
 * message_writer_fill() - as much of the message as fits into @cap (>= WS_FRAME_HEADER_MAX + 1)
 *
 * Stops at the end of each frame, where control frames may be put between.
 * Return: bytes written; 0 only when the message is complete.
 */
size_t message_writer_fill(struct message_writer *w, struct mask_source *masks, uint8_t *buf,
			   size_t cap);

/* Whether a control frame may be written here (RFC 6455 s5.4). */
static inline bool message_writer_at_boundary(const struct message_writer *w)
{
	return w->frame_left == 0;
}

static inline bool message_writer_is_complete(const struct message_writer *w)
{
	return w->frame_left == 0 && w->frames_left == 0;
}
