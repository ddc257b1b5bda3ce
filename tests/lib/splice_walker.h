/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel's frame walker over segments of a stream, as the hook uses it, and beside it the
 * relay's, which is written independently, over the same bytes.
 */
#pragma once
#include "base/std.h"

#include "bpf/splice_walk.h"
#include "proto/errors.h"
#include "proto/ws_walker.h"

struct splice_walker {
	struct sl_flow flow;
	struct sl_policy policy;
	uint8_t tells, fault; /* of the last segment */
	uint32_t n_steps;
};

static inline void splice_walker_init(struct splice_walker *w, bool is_from_client, bool is_strict,
				      uint32_t base_seq)
{
	*w = (struct splice_walker){
	    .flow.state = SL_ACTIVE,
	    .flow.base_seq = base_seq,
	    .flow.direction = is_from_client ? SL_TO_ENDPOINT : SL_TO_CLIENT,
	    .flow.walk.flags = SL_W_ON,
	    .policy.walk = is_strict ? SL_WALK_STRICT : SL_WALK_OBSERVE,
	};
}

static inline uint32_t splice_walker_position(const struct splice_walker *w)
{
	return w->flow.base_seq + (uint32_t)w->flow.payload_bytes;
}

/** splice_walker_steps() - over @len bytes, the payload of the segment that @w has begun with */
static inline void splice_walker_steps(struct sl_walking *w, const uint8_t *bytes, size_t len,
				       uint32_t *n_steps)
{
	while (w->is_locked && !sl_walk_is_over(w)) {
		uint8_t header[SL_WALK_HEADER_MAX];
		size_t n = MIN(w->left, sizeof(header));

		assert(w->at + w->left == len && n > 0);
		/* Where the hook would not have loaded anything, there is nothing to be read. */
		memset(header, 0xff, sizeof(header));
		memcpy(header, bytes + w->at, n);
		sl_walk_step(w, header, (__u32)n);
		(*n_steps)++;
	}
}

/** splice_walker_send() - Return: 0 if the segment passes, or the enum sl_stat that it is dropped
 *  for */
static inline int splice_walker_send(struct splice_walker *w, uint32_t seq, const uint8_t *bytes,
				     size_t len)
{
	const struct sl_segment segment = {.seq = seq, .payload = (__u32)len, .flags = SL_S_ACK};
	bool is_strict = sl_walk_is_strict(&w->policy, w->flow.walk.flags);
	struct sl_walking walking = {0};
	int why = 0;

	w->tells = w->fault = 0;
	if (!sl_is_beyond(&w->flow, &segment))
		return 0;
	why = sl_walk_refuse(&w->flow, &segment, is_strict, 1);
	if (why == 0)
		why = sl_walk_begin(&w->flow, &w->policy, &segment, &walking);
	if (why != 0)
		return why;
	splice_walker_steps(&walking, bytes, len, &w->n_steps);
	why = sl_walk_end(&w->flow, &segment, &walking);
	assert(!walking.is_locked && !(w->flow.walk.flags & SL_W_BUSY));
	w->tells = walking.tells;
	w->fault = walking.fault;
	return why;
}

/* ---- the relay's ----------------------------------------------------------------------------- */

struct relay_walker {
	struct ws_walker walker;
	uint8_t held[WS_FRAME_HEADER_MAX]; /* of a header that is not there as a whole */
	size_t held_len;
	int error;
};

/* Any RSV bits that there may be at all. */
static inline void relay_walker_init(struct relay_walker *r, bool is_from_client,
				     const struct ws_message_limits *limits)
{
	*r = (struct relay_walker){0};
	ws_walker_init(&r->walker, is_from_client, limits, WS_RSV_MASK);
}

static inline void relay_walker_send(struct relay_walker *r, const uint8_t *bytes, size_t len)
{
	size_t whole = r->held_len + len, passed;
	_cleanup_free_ uint8_t *all = malloc(whole + 1);

	assert(all && r->error == 0);
	memcpy(all, r->held, r->held_len);
	if (len)
		memcpy(all + r->held_len, bytes, len);
	passed = ws_walker_feed(&r->walker, all, whole, &r->error);
	if (r->error)
		return;
	r->held_len = whole - passed;
	assert(r->held_len < sizeof(r->held));
	memcpy(r->held, all + passed, r->held_len);
}

/* ---- side by side ---------------------------------------------------------------------------- */

static inline int relay_error_of(uint8_t fault)
{
	static const int errors[] = {
	    [SL_FAULT_OPCODE] = -EWS_OPCODE,
	    [SL_FAULT_LENGTH] = -EWS_LENGTH,
	    [SL_FAULT_MASK] = -EWS_MASK,
	    [SL_FAULT_CONTROL] = -EWS_CONTROL,
	    [SL_FAULT_FRAGMENT] = -EWS_FRAGMENT,
	    [SL_FAULT_FRAME_SIZE] = -EWS_FRAME_SIZE,
	    [SL_FAULT_MESSAGE_SIZE] = -EWS_MESSAGE_SIZE,
	    [SL_FAULT_AFTER_CLOSE] = -EWS_AFTER_CLOSE,
	    [SL_FAULT_RSV] = -EWS_RSV,
	};

	assert(fault < ARRAY_SIZE(errors));
	return errors[fault];
}

/** splice_walker_agrees() - on the fault of the last segment, or that there is none */
static inline bool splice_walker_agrees(const struct splice_walker *w,
					const struct relay_walker *relay)
{
	/* A wrong MASK bit is seen before the length, and before the header is there. */
	if (w->fault == SL_FAULT_MASK)
		return relay->error == -EWS_MASK || relay->error == -EWS_LENGTH ||
		       (relay->error == 0 && relay->held_len >= 2);
	return relay_error_of(w->fault) == relay->error;
}

static inline bool splice_walker_same_counts(const struct splice_walker *w,
					     const struct relay_walker *relay)
{
	const uint64_t *frames = relay->walker.frames;

	return w->flow.frames[SL_FRAME_TEXT] == frames[WS_KIND_TEXT] &&
	       w->flow.frames[SL_FRAME_BINARY] == frames[WS_KIND_BINARY] &&
	       w->flow.frames[SL_FRAME_CONTINUATION] == frames[WS_KIND_CONTINUATION] &&
	       w->flow.frames[SL_FRAME_CONTROL] ==
		   frames[WS_KIND_CLOSE] + frames[WS_KIND_PING] + frames[WS_KIND_PONG];
}

/** splice_walker_same_place() - after a segment that was right and has passed */
static inline bool splice_walker_same_place(const struct splice_walker *w,
					    const struct relay_walker *relay)
{
	const struct sl_walk *walk = &w->flow.walk;
	const struct ws_walker *r = &relay->walker;
	bool is_in_payload = walk->stage == SL_WALK_PAYLOAD;
	bool is_in_header = walk->stage != SL_WALK_FIRST && !is_in_payload;

	return is_in_header == (relay->held_len > 0) &&
	       (is_in_payload ? walk->payload_left : 0) == r->frame_left &&
	       !(walk->flags & SL_W_MESSAGE) == !r->in_message &&
	       walk->message_len == MIN(r->message_bytes, UINT32_MAX) &&
	       !(walk->flags & SL_W_CLOSE) == !r->is_closed &&
	       (!is_in_header || walk->opcode == relay->held[0]);
}
