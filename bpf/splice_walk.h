/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The frame walker (RFC 6455 s5.2): follows frame headers through the segments of one direction, as
 * they arrive, and judges them as proto/ws_walker.h does for the relay. It holds nothing back, so
 * that a header may have passed in part when it is judged; and what it has not seen it cannot
 * judge: a hole in the sequence (see rule 5 of sluice/flow.h).
 *
 * A segment is walked in three steps: sl_walk_begin() finds what of it is new and locks the walker,
 * sl_walk_step() takes header after header, sl_walk_end() moves the flow's position, or leaves all
 * as it was. Pure, as splice_core.h.
 *
 * Where it differs from the relay's: which RSV bits the handshake allowed is not known here, so
 * that data frames may have any; a wrong MASK bit is found at once, and not behind the length, so
 * that of two faults in one header it may name the other (both mean 1002); and a message's length
 * is known up to 2^32 - 1, which is why sl_policy.max_message is not more.
 */
#pragma once
#include "bpf/splice_core.h"
#include "sluice/event.h"
#include "sluice/policy.h"
#include "sluice/splice_stats.h"

#define SL_WALK_HEADER_MAX 14 /* RFC 6455 s5.2: 2 fixed, 8 length, 4 mask */

/* Attempts to lock the walker: about as long as another CPU has it for an ordinary segment. */
#define SL_WALK_TRIES 16

/* RFC 6455 s5.2 */
#define SL_WS_FIN          0x80u
#define SL_WS_RSV          0x70u
#define SL_WS_OPCODE       0x0fu
#define SL_WS_CONTINUATION 0x0u
#define SL_WS_TEXT         0x1u
#define SL_WS_BINARY       0x2u
#define SL_WS_CONTROL      0x8u /* this bit, in control frames only */
#define SL_WS_CLOSE        0x8u
#define SL_WS_PONG         0xau
#define SL_WS_MASKED       0x80u
#define SL_WS_CONTROL_MAX  125u

/* sl_flow.frames */
enum sl_frame_kind {
	SL_FRAME_TEXT = 0,
	SL_FRAME_BINARY = 1,
	SL_FRAME_CONTINUATION = 2,
	SL_FRAME_CONTROL = 3,
};

/* A walk over one segment. */
struct sl_walking {
	struct sl_walk walk; /* as it will be; its flags too, but for those of others */
	__u64 max_frame, max_message;
	__u64 position;  /* sl_flow.payload_bytes, as it was */
	__u32 at;        /* of the payload: the next byte to be walked */
	__u32 left;      /* bytes from there on */
	__u32 frames[4]; /* passed in this segment */
	__u8 is_to_endpoint;
	__u8 is_strict;
	__u8 is_locked; /* by this CPU: walk; else nothing is to be walked */
	__u8 fault;     /* enum sl_walk_fault */
	__u8 tells;     /* SL_TELL_ */
	__u8 zero[3];
};

_Static_assert(sizeof(struct sl_walking) == 72, "no padding");

/* What the daemon shall hear */
#define SL_TELL_CLOSE 0x1u
#define SL_TELL_WRONG 0x2u
#define SL_TELL_LOST  0x4u

/* ---- headers --------------------------------------------------------------------------------- */

/* A frame header has its first byte. Return: 0, or enum sl_walk_fault */
SL_INLINE __u8 sl_walk_judge_first(__u8 byte)
{
	__u8 opcode = byte & SL_WS_OPCODE;

	if (!(opcode & SL_WS_CONTROL))
		return opcode > SL_WS_BINARY ? SL_FAULT_OPCODE : 0;
	/* RFC 6455 s5.2, and no extension defines them for control frames. */
	if (byte & SL_WS_RSV)
		return SL_FAULT_RSV;
	if (opcode > SL_WS_PONG)
		return SL_FAULT_OPCODE;
	return byte & SL_WS_FIN ? 0 : SL_FAULT_CONTROL; /* RFC 6455 s5.5 */
}

SL_INLINE __u8 sl_walk_judge_second(const struct sl_walking *w, __u8 byte)
{
	if (w->walk.opcode & SL_WS_CONTROL && (byte & ~SL_WS_MASKED) > SL_WS_CONTROL_MAX)
		return SL_FAULT_CONTROL; /* RFC 6455 s5.5 */
	/* RFC 6455 s5.1: a client MUST mask all frames, a server MUST NOT mask any. */
	return (byte & SL_WS_MASKED) != (w->is_to_endpoint ? SL_WS_MASKED : 0) ? SL_FAULT_MASK : 0;
}

/* RFC 6455 s5.4: fragments of messages MUST NOT be interleaved. */
SL_INLINE __u8 sl_walk_judge_data(const struct sl_walking *w)
{
	int is_continuation = !(w->walk.opcode & SL_WS_OPCODE);

	if (is_continuation != !!(w->walk.flags & SL_W_MESSAGE))
		return SL_FAULT_FRAGMENT;
	if (w->walk.payload_left > w->max_frame)
		return SL_FAULT_FRAME_SIZE;
	/* Both are below 2^63, and no limit is above the 2^32 - 1 that message_len sticks at. */
	if (w->walk.payload_left + w->walk.message_len > w->max_message)
		return SL_FAULT_MESSAGE_SIZE;
	return 0;
}

SL_INLINE void sl_walk_take_data(struct sl_walking *w)
{
	__u64 length = w->walk.payload_left + w->walk.message_len;
	__u8 opcode = w->walk.opcode & SL_WS_OPCODE;

	if (opcode == SL_WS_TEXT)
		w->frames[SL_FRAME_TEXT]++;
	else if (opcode == SL_WS_BINARY)
		w->frames[SL_FRAME_BINARY]++;
	else
		w->frames[SL_FRAME_CONTINUATION]++;
	if (w->walk.opcode & SL_WS_FIN) {
		w->walk.flags &= (__u8)~SL_W_MESSAGE;
		w->walk.message_len = 0;
	} else {
		w->walk.flags |= SL_W_MESSAGE;
		w->walk.message_len = length < 0xffffffffu ? (__u32)length : 0xffffffffu;
	}
}

SL_INLINE void sl_walk_end_frame(struct sl_walking *w)
{
	w->walk.stage = SL_WALK_FIRST;
	if ((w->walk.opcode & SL_WS_OPCODE) == SL_WS_CLOSE)
		w->walk.flags |= SL_W_CLOSE;
}

/* All of a header is there; its length is in payload_left. */
SL_INLINE void sl_walk_take_header(struct sl_walking *w)
{
	if (w->walk.opcode & SL_WS_CONTROL) {
		if (w->walk.payload_left > w->max_frame)
			w->fault = SL_FAULT_FRAME_SIZE;
		else
			w->frames[SL_FRAME_CONTROL]++;
	} else {
		w->fault = sl_walk_judge_data(w);
		if (!w->fault)
			sl_walk_take_data(w);
	}
	w->walk.stage = SL_WALK_PAYLOAD;
	if (w->walk.payload_left == 0)
		sl_walk_end_frame(w);
}

/* The length is there. */
SL_INLINE void sl_walk_take_length(struct sl_walking *w)
{
	if (w->is_to_endpoint) {
		w->walk.stage = SL_WALK_MASK;
		w->walk.length_left = 4;
	} else {
		sl_walk_take_header(w);
	}
}

SL_INLINE void sl_walk_take_second(struct sl_walking *w, __u8 byte)
{
	__u8 length = byte & (__u8)~SL_WS_MASKED;

	w->fault = sl_walk_judge_second(w, byte);
	w->walk.length_left = length == 127 ? 8 : length == 126 ? 2 : 0;
	w->walk.payload_left = length < 126 ? length : 0;
	w->walk.stage = SL_WALK_LENGTH;
	if (!w->fault && w->walk.length_left == 0)
		sl_walk_take_length(w);
}

/*
 * RFC 6455 s5.2: the most significant bit MUST be 0, and the minimal number of bytes MUST be used:
 * the upper six bytes of eight are not all zero, which is known before the last two are there.
 */
SL_INLINE void sl_walk_take_length_byte(struct sl_walking *w, __u8 byte)
{
	__u64 value = w->walk.payload_left << 8 | byte;
	__u8 left = w->walk.length_left - 1;

	w->walk.payload_left = value;
	w->walk.length_left = left;
	if ((left == 7 && byte & 0x80) || (left == 2 && value == 0) || (left == 0 && value < 126))
		w->fault = SL_FAULT_LENGTH;
	else if (left == 0)
		sl_walk_take_length(w);
}

SL_INLINE void sl_walk_take_byte(struct sl_walking *w, __u8 byte)
{
	switch (w->walk.stage) {
	case SL_WALK_FIRST:
		w->walk.opcode = byte;
		w->walk.stage = SL_WALK_SECOND;
		w->fault = sl_walk_judge_first(byte);
		break;
	case SL_WALK_SECOND:
		sl_walk_take_second(w, byte);
		break;
	case SL_WALK_LENGTH:
		sl_walk_take_length_byte(w, byte);
		break;
	default:
		if (--w->walk.length_left == 0)
			sl_walk_take_header(w);
	}
}

/* ---- headers that are there as a whole ------------------------------------------------------- */

/* Return: bytes of the header, its length in payload_left; or 0 with a fault. */
SL_INLINE __u32 sl_walk_read_header(struct sl_walking *w, const __u8 *b)
{
	__u8 length = b[1] & (__u8)~SL_WS_MASKED;
	__u32 size = w->is_to_endpoint ? 6 : 2;

	w->walk.opcode = b[0];
	w->fault = sl_walk_judge_first(b[0]);
	if (!w->fault)
		w->fault = sl_walk_judge_second(w, b[1]);
	w->walk.payload_left = length;
	if (length < 126)
		return size;
	if (length == 126) {
		w->walk.payload_left = (__u64)b[2] << 8 | b[3];
		if (!w->fault && w->walk.payload_left < 126)
			w->fault = SL_FAULT_LENGTH;
		return size + 2;
	}
	w->walk.payload_left = (__u64)b[2] << 56 | (__u64)b[3] << 48 | (__u64)b[4] << 40 |
			       (__u64)b[5] << 32 | (__u64)b[6] << 24 | (__u64)b[7] << 16 |
			       (__u64)b[8] << 8 | b[9];
	if (!w->fault && (b[2] & 0x80 || w->walk.payload_left < 65536))
		w->fault = SL_FAULT_LENGTH;
	return size + 8;
}

SL_INLINE __u32 sl_walk_header_size(const struct sl_walking *w, __u8 second)
{
	__u8 length = second & (__u8)~SL_WS_MASKED;
	__u32 size = w->is_to_endpoint ? 6 : 2;

	return length < 126 ? size : length == 126 ? size + 2 : size + 8;
}

SL_INLINE void sl_walk_pass(struct sl_walking *w, __u32 n)
{
	w->at += n;
	w->left -= n;
}

SL_INLINE void sl_walk_pass_payload(struct sl_walking *w)
{
	__u32 n = w->left < w->walk.payload_left ? w->left : (__u32)w->walk.payload_left;

	sl_walk_pass(w, n);
	w->walk.payload_left -= n;
	if (w->walk.payload_left == 0)
		sl_walk_end_frame(w);
}

/* Does the walk need no byte to go on? */
SL_INLINE int sl_walk_is_in_payload(const struct sl_walking *w)
{
	return w->walk.stage == SL_WALK_PAYLOAD;
}

/*
 * Takes a header and the payload behind it, as far as they are there; or one byte of a header that
 * is not there as a whole, or was not.
 * @bytes: what stands at w->at; @n of them: SL_WALK_HEADER_MAX, or w->left if that is less
 */
SL_INLINE void sl_walk_step(struct sl_walking *w, const __u8 bytes[SL_WALK_HEADER_MAX], __u32 n)
{
	/* RFC 6455 s5.5.1: nothing may come behind a Close frame. */
	if (w->walk.flags & SL_W_CLOSE) {
		w->fault = SL_FAULT_AFTER_CLOSE;
		return;
	}
	if (w->walk.stage == SL_WALK_FIRST && n >= 2 && n >= sl_walk_header_size(w, bytes[1])) {
		__u32 size = sl_walk_read_header(w, bytes);

		if (w->fault)
			return;
		sl_walk_pass(w, size);
		sl_walk_take_header(w);
	} else {
		sl_walk_take_byte(w, bytes[0]);
		sl_walk_pass(w, 1);
	}
	if (!w->fault && sl_walk_is_in_payload(w))
		sl_walk_pass_payload(w);
}

SL_INLINE int sl_walk_is_over(const struct sl_walking *w)
{
	return w->left == 0 || w->fault;
}

SL_INLINE __u32 sl_walk_n_frames(const struct sl_walking *w)
{
	return w->frames[0] + w->frames[1] + w->frames[2] + w->frames[3];
}

/* ---- the word of stage and flags ------------------------------------------------------------- */

union sl_walk_word {
	struct {
		__u8 stage, opcode, length_left, flags;
	} fields;
	__u32 word;
};

SL_INLINE sl_word_of_bytes *sl_walk_word_of(struct sl_flow *flow)
{
	return (sl_word_of_bytes *)&flow->walk.stage;
}

/* Return: SL_W_ as they were. BPF's atomic operations order memory only if it is used. */
SL_INLINE __u8 sl_walk_set(struct sl_flow *flow, __u8 flags)
{
	const union sl_walk_word change = {.fields = {.flags = flags}};
	union sl_walk_word was;

	was.word = __sync_fetch_and_or(sl_walk_word_of(flow), change.word);
	return was.fields.flags;
}

SL_INLINE void sl_walk_clear(struct sl_flow *flow, __u8 flags)
{
	const union sl_walk_word change = {.fields = {.flags = flags}};

	__sync_fetch_and_and(sl_walk_word_of(flow), ~change.word);
}

/*
 * Lets others walk. What is ours in the word nobody else changes meanwhile, so that the difference
 * is what to change. Return: SL_W_ as they were; if that is used, a full barrier.
 */
SL_INLINE __u8 __attribute__((warn_unused_result)) sl_walk_unlock(struct sl_flow *flow,
								  const struct sl_walk *walk)
{
	const union sl_walk_word new_ = {
	    .fields = {walk->stage, walk->opcode, walk->length_left, walk->flags},
	};
	const __u8 ours = SL_W_BUSY | SL_W_CLOSE | SL_W_MESSAGE;
	const union sl_walk_word mask = {.fields = {0xff, 0xff, 0xff, ours}};
	__u32 change = (SL_READ(*sl_walk_word_of(flow)) ^ new_.word) & mask.word;
	union sl_walk_word was;

	was.word = __sync_fetch_and_xor(sl_walk_word_of(flow), change);
	return was.fields.flags;
}

#ifndef __BPF__
typedef __u64 __attribute__((may_alias)) sl_walk_half;
#endif

/* Locked: flags alone change meanwhile, in the second half. */
SL_INLINE void sl_walk_read(struct sl_flow *flow, struct sl_walk *ret)
{
#ifdef __BPF__
	*ret = flow->walk; /* of anything else the stack of Linux 6.1 would have 8 bytes too few */
#else
	sl_walk_half *from = (sl_walk_half *)&flow->walk, *to = (sl_walk_half *)ret;

	to[0] = from[0];
	to[1] = SL_READ(from[1]);
#endif
}

/*
 * In HOLD, locked, before ACTIVE: the position is a frame boundary, unless @flags have no SL_W_ON.
 */
SL_INLINE void sl_walk_start(struct sl_flow *flow, __u32 flags)
{
	flags &= SL_W_ON | SL_W_STRICT | SL_W_MESSAGE;
	flow->walk = (struct sl_walk){.flags = (__u8)(flags | SL_W_BUSY)};
}

/* ---- the position ---------------------------------------------------------------------------- */

/* In the flow's numbers: behind all that was sent on. A full barrier. */
SL_INLINE __u32 sl_position_barrier(struct sl_flow *flow)
{
	return flow->base_seq + (__u32)__sync_fetch_and_add(&flow->payload_bytes, 0);
}

/*
 * Without a walker, or with one that is lost, whoever has the most moves it. A full barrier in
 * every case.
 * Return: 1; or 0 after too many attempts: then the packet must not pass.
 */
SL_INLINE int sl_position_move(struct sl_flow *flow, __u32 end_seq)
{
	__u64 seen = SL_READ(flow->payload_bytes), was;
	__u32 end = end_seq - flow->base_seq, n;

	for (int i = 0; i < SL_PUBLISH_TRIES; i++) {
		n = sl_after(end, (__u32)seen) ? end - (__u32)seen : 0;
		was = __sync_val_compare_and_swap(&flow->payload_bytes, seen, seen + n);
		if (was == seen)
			return 1;
		seen = was;
	}
	return 0;
}

/* ---- a segment ------------------------------------------------------------------------------- */

/* Its payload goes beyond the position. */
SL_INLINE int sl_is_beyond(const struct sl_flow *flow, const struct sl_segment *segment)
{
	return segment->payload && sl_after(segment->seq + segment->payload,
					    flow->base_seq + (__u32)SL_READ(flow->payload_bytes));
}

/* Likewise, or it is the first to bring the FIN. */
SL_INLINE int sl_is_new(const struct sl_flow *flow, const struct sl_segment *segment)
{
	return sl_is_beyond(flow, segment) ||
	       (segment->flags & SL_S_FIN && !(SL_READ(flow->marks) & SL_M_FIN));
}

/* Who could make a hole, and be past a limit by it, is walked strictly. */
SL_INLINE int sl_walk_is_strict(const struct sl_policy *policy, __u8 flags)
{
	return flags & SL_W_STRICT || policy->walk == SL_WALK_STRICT || policy->max_frame ||
	       policy->max_message || policy->frame_rate;
}

/* STOP, until its deadline; now_ns is asked for by nothing else. */
SL_INLINE int sl_is_stopped(struct sl_flow *flow, __u64 now_ns)
{
	if (now_ns < SL_READ(flow->deadline_ns))
		return 1;
	sl_walk_clear(flow, SL_W_STOP);
	return 0;
}

/*
 * What may not pass, for what the walker does not know of it. Not to be asked about a segment that
 * brings nothing new.
 * Return: 0, or the enum sl_stat that it has to be dropped for
 */
SL_INLINE int sl_walk_refuse(const struct sl_flow *flow, const struct sl_segment *segment,
			     int is_strict, int is_believed)
{
	__u8 flags = SL_READ(flow->walk.flags);

	if (flags & SL_W_WRONG)
		return SL_STAT_DROP_FRAME;
	if (!is_strict || (flags & (SL_W_ON | SL_W_LOST)) != SL_W_ON)
		return 0;
	/* The receiver may have more room than the hook has heard of. */
	if (!is_believed)
		return SL_STAT_DROP_HOLE;
	return sl_after(segment->seq, flow->base_seq + (__u32)SL_READ(flow->payload_bytes))
		   ? SL_STAT_DROP_HOLE
		   : 0;
}

SL_INLINE void sl_walk_lose(struct sl_flow *flow, struct sl_walking *w)
{
	if (!(sl_walk_set(flow, SL_W_LOST) & SL_W_LOST))
		w->tells |= SL_TELL_LOST;
}

/* Undoes sl_walk_begin(): the segment does not pass, or not walked. */
SL_INLINE void sl_walk_cancel(struct sl_flow *flow, struct sl_walking *w)
{
	if (w->is_locked)
		sl_walk_clear(flow, SL_W_BUSY);
	w->is_locked = 0;
}

/* Return: SL_W_ as they were, with SL_W_BUSY if another CPU has had it all the time. */
SL_INLINE __u8 sl_walk_lock(struct sl_flow *flow)
{
	__u8 was = SL_W_BUSY;

	for (int i = 0; i < SL_WALK_TRIES && was & SL_W_BUSY; i++) {
		if (!(SL_READ(flow->walk.flags) & SL_W_BUSY))
			was = sl_walk_set(flow, SL_W_BUSY);
	}
	return was;
}

/*
 * A hole inside of the payload of the current frame has hidden no header.
 * Return: 0, or 1 if it may have
 */
SL_INLINE int sl_walk_pass_hole(struct sl_walking *w, __u32 hole)
{
	if (hole == 0)
		return 0;
	if (w->walk.stage != SL_WALK_PAYLOAD || hole > w->walk.payload_left)
		return 1;
	w->walk.payload_left -= hole;
	if (w->walk.payload_left == 0)
		sl_walk_end_frame(w);
	return 0;
}

/* Locked. Return: 0, or the stat of the drop. */
SL_INLINE int sl_walk_find_new(struct sl_flow *flow, const struct sl_segment *segment,
			       struct sl_walking *w)
{
	__u32 position, hole = 0;

	sl_walk_read(flow, &w->walk);
	w->position = SL_READ(flow->payload_bytes);
	position = flow->base_seq + (__u32)w->position;
	/* Another CPU has walked it meanwhile. */
	if (!sl_after(segment->seq + segment->payload, position)) {
		sl_walk_cancel(flow, w);
		return 0;
	}
	if (sl_after(segment->seq, position))
		hole = segment->seq - position;
	else
		w->at = position - segment->seq;
	w->left = segment->payload - w->at;
	if (hole && w->is_strict) {
		sl_walk_cancel(flow, w);
		return SL_STAT_DROP_HOLE;
	}
	if (sl_walk_pass_hole(w, hole)) {
		sl_walk_lose(flow, w);
		sl_walk_cancel(flow, w);
	}
	return 0;
}

/* Rule 6: asked behind a full barrier. */
SL_INLINE int sl_may_still_pass(struct sl_flow *flow)
{
	return SL_STATE(SL_READ(flow->state)) >= SL_ACTIVE;
}

/* For what is before the position, that of the others who may have moved it; or has a FIN. */
SL_INLINE int sl_may_pass_unmoved(struct sl_flow *flow)
{
	sl_barrier(flow);
	return sl_may_still_pass(flow);
}

/*
 * Begins with a segment that has payload beyond the position. Behind that, while w->is_locked and
 * not sl_walk_is_over(), it is the caller's to call sl_walk_step(). Then sl_walk_end(), or
 * sl_walk_cancel().
 * @w: zeros
 * Return: 0, or the enum sl_stat that it has to be dropped for; then it is over
 */
SL_INLINE int sl_walk_begin(struct sl_flow *flow, const struct sl_policy *policy,
			    const struct sl_segment *segment, struct sl_walking *w)
{
	__u8 flags = SL_READ(flow->walk.flags), was;
	int why;

	if ((flags & (SL_W_ON | SL_W_LOST)) != SL_W_ON)
		return 0;
	w->is_strict = sl_walk_is_strict(policy, flags);
	w->is_to_endpoint = flow->direction == SL_TO_ENDPOINT;
	w->max_frame = policy->max_frame ? policy->max_frame : ~0ull;
	w->max_message = policy->max_message ? policy->max_message : ~0ull;
	was = policy->walk == SL_WALK_OFF && !w->is_strict ? SL_W_BUSY : sl_walk_lock(flow);
	w->is_locked = !(was & SL_W_BUSY);
	why = 0;
	if (!sl_may_still_pass(flow))
		why = SL_STAT_DROP_HOLD;
	else if (was & SL_W_WRONG) /* since the first look */
		why = SL_STAT_DROP_FRAME;
	else if (was & SL_W_BUSY && w->is_strict)
		why = SL_STAT_DROP_HOLE;
	else if (was & SL_W_BUSY)
		sl_walk_lose(flow, w);
	if (why || was & (SL_W_BUSY | SL_W_LOST)) {
		sl_walk_cancel(flow, w);
		return why;
	}
	why = sl_walk_find_new(flow, segment, w);
	if (w->is_locked && sl_walk_is_in_payload(w))
		sl_walk_pass_payload(w);
	return why;
}

SL_INLINE int sl_walk_end_unwalked(struct sl_flow *flow, const struct sl_segment *segment)
{
	int is_moved = sl_position_move(flow, segment->seq + segment->payload);

	return is_moved && sl_may_still_pass(flow) ? 0 : SL_STAT_DROP_HOLD;
}

SL_INLINE int sl_walk_end_wrong(struct sl_flow *flow, struct sl_walking *w)
{
	if (!(sl_walk_set(flow, SL_W_WRONG) & SL_W_WRONG))
		w->tells |= SL_TELL_WRONG;
	sl_walk_cancel(flow, w);
	return SL_STAT_DROP_FRAME;
}

SL_INLINE void sl_walk_commit(struct sl_flow *flow, struct sl_walking *w)
{
	__u8 was;

	for (int i = 0; i < 4; i++)
		SL_WRITE(flow->frames[i], flow->frames[i] + w->frames[i]);
	flow->walk.payload_left = w->walk.payload_left;
	flow->walk.message_len = w->walk.message_len;
	w->walk.flags &= (__u8)~SL_W_BUSY;
	was = sl_walk_unlock(flow, &w->walk);
	w->is_locked = 0;
	if (w->walk.flags & ~was & SL_W_CLOSE)
		w->tells |= SL_TELL_CLOSE;
}

/*
 * All has been walked, or as far as it is right. Moves the position, if the segment may pass.
 * Return: 0, or the enum sl_stat that it has to be dropped for; then nothing has moved
 */
SL_INLINE int sl_walk_end(struct sl_flow *flow, const struct sl_segment *segment,
			  struct sl_walking *w)
{
	__u32 end = segment->seq + segment->payload, moved;
	__u64 was;

	if (!w->is_locked)
		return sl_walk_end_unwalked(flow, segment);
	if (w->fault && w->is_strict)
		return sl_walk_end_wrong(flow, w);
	moved = end - flow->base_seq - (__u32)w->position;
	was = __sync_val_compare_and_swap(&flow->payload_bytes, w->position, w->position + moved);
	/* Or some CPU has found the walker busy, and has lost it. */
	if (was != w->position && !sl_position_move(flow, end)) {
		sl_walk_cancel(flow, w);
		return SL_STAT_DROP_HOLD;
	}
	if (w->fault) { /* it will have passed; from here on it is not known what is a header */
		w->tells |= SL_TELL_WRONG;
		sl_walk_set(flow, SL_W_LOST);
	}
	sl_walk_commit(flow, w);
	return 0;
}
