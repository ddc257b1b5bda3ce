/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What a hook remembers of a flow, what it believes, and how both directions of a connection
 * change state as one: the rules of sluice/flow.h. Pure: no BPF helper, so that unit tests compile
 * the same code. Pairs of flows are called first (SL_TO_ENDPOINT) and second (SL_TO_CLIENT).
 */
#pragma once
#include "bpf/splice_inline.h"
#include "sluice/flow.h"

#ifdef __BPF__
#define SL_READ(x)     (*(volatile __typeof__(x) *)&(x))
#define SL_WRITE(x, v) (*(volatile __typeof__(x) *)&(x) = (v))
#else
#define SL_READ(x)     __atomic_load_n(&(x), __ATOMIC_ACQUIRE)
#define SL_WRITE(x, v) __atomic_store_n(&(x), (v), __ATOMIC_RELAXED)
#endif

/* One segment, in host order. */
struct sl_segment {
	__u32 seq;
	__u32 end; /* behind its last byte, SYN or FIN */
	__u32 ack;
	__u32 tsval;
	__u32 payload; /* bytes */
	__u16 window;
	__u8 flags; /* SL_S_ */
	__u8 zero;
};

/* As in the TCP header (RFC 9293 s3.1), and one that is ours. */
#define SL_S_FIN    0x01u
#define SL_S_SYN    0x02u
#define SL_S_RST    0x04u
#define SL_S_ACK    0x10u
#define SL_S_OF_TCP (SL_S_FIN | SL_S_SYN | SL_S_RST | SL_S_ACK)
#define SL_S_TSVAL  0x80u /* there are timestamps: tsval means something */

/* RFC 9293 s3.4: @a comes behind @b, modulo 2^32 */
SL_INLINE int sl_after(__u32 a, __u32 b)
{
	return (__s32)(a - b) > 0;
}

/* RFC 9293 s3.4: SYN and FIN take a number each. */
SL_INLINE __u32 sl_segment_end(__u32 seq, __u32 payload, __u8 flags)
{
	return seq + payload + (flags >> 1 & 1) + (flags & 1);
}

/* ---- the state word: rules 2 and 3 ----------------------------------------------------------- */

SL_INLINE int sl_is_hold(__u32 word)
{
	return SL_STATE(word) == SL_HOLD;
}

/* What a state was before a HOLD that may be on it. */
SL_INLINE __u32 sl_state_beneath(__u32 word)
{
	return sl_is_hold(word) ? SL_BEFORE(word) : SL_STATE(word);
}

/* The kernel alone carries the connection. */
SL_INLINE int sl_is_spliced(__u32 word)
{
	return sl_state_beneath(word) >= SL_ACTIVE;
}

/* Return: the word that was there; @to is there now if that is @from. */
SL_INLINE __u32 sl_state_exchange(struct sl_flow *flow, __u32 from, __u32 to)
{
	return __sync_val_compare_and_swap(&flow->state, from, to);
}

/*
 * The state of @flow as far as it is decided; ends a HOLD past its deadline (rule 3).
 * @ret_expired: this call has ended it
 */
SL_INLINE __u32 sl_state_settle(struct sl_flow *flow, struct sl_flow *first, __u64 now_ns,
				int *ret_expired)
{
	__u32 word = SL_READ(flow->state), leading, seen;

	*ret_expired = 0;
	if (!sl_is_hold(word))
		return word;
	leading = SL_READ(first->state);
	if (leading == word) {
		if (now_ns < SL_READ(flow->deadline_ns))
			return word;
		leading = sl_state_exchange(first, word, SL_BEFORE(word));
		if (leading == word) {
			*ret_expired = 1;
			leading = SL_BEFORE(word);
		}
	}
	if (flow == first)
		return leading;
	leading = sl_state_beneath(leading);
	seen = sl_state_exchange(flow, word, leading);
	return seen == word ? leading : seen;
}

/* From @from to the HOLD @word. Return: 1, or 0 and nothing has changed. */
SL_INLINE int sl_hold_enter(struct sl_flow *first, struct sl_flow *second, __u32 from, __u32 word)
{
	if (sl_state_exchange(first, from, word) != from)
		return 0;
	if (sl_state_exchange(second, from, word) == from)
		return 1;
	sl_state_exchange(first, word, from);
	return 0;
}

/*
 * Ends the HOLD @word with @outcome. Return: 1; or 0 if it has ended before, and then the second
 * direction has what the first one has.
 */
SL_INLINE int sl_hold_decide(struct sl_flow *first, struct sl_flow *second, __u32 word,
			     __u32 outcome)
{
	__u32 seen = sl_state_exchange(first, word, outcome);

	if (seen != word)
		outcome = sl_state_beneath(seen);
	sl_state_exchange(second, word, outcome);
	return seen == word;
}

/* ACTIVE -> CLOSED. Return: 1 if this call has done it; 0 also in a HOLD, where one asks again. */
SL_INLINE int sl_close(struct sl_flow *first, struct sl_flow *second)
{
	__u32 word;

	if (sl_state_exchange(first, SL_ACTIVE, SL_CLOSED) != SL_ACTIVE)
		return 0;
	/* Whoever is about to bring it from HOLD to ACTIVE shall fail. */
	word = SL_READ(second->state);
	if (sl_state_exchange(second, word, SL_CLOSED) != word)
		sl_state_exchange(second, SL_ACTIVE, SL_CLOSED);
	return 1;
}

/* ---- end_seq: rule 1 ------------------------------------------------------------------------- */

/* In LEARN our own socket is the receiver; no window is larger than this (RFC 7323 s2.3). */
#define SL_WINDOW_MAX (65535u << 14)

/* Attempts; each failure is another CPU's success on the same flow. */
#define SL_PUBLISH_TRIES 16

/* BPF's atomic operations order memory only if they fetch: so what this returns has to be used. */
SL_INLINE __u32 __attribute__((warn_unused_result)) sl_end_seq_barrier(struct sl_flow *flow)
{
	return __sync_fetch_and_add(&flow->end_seq, 0);
}

SL_INLINE void sl_barrier(struct sl_flow *flow)
{
	__u32 seen = sl_end_seq_barrier(flow);

	__asm__ volatile("" : : "r"(seen)); /* used */
}

/*
 * Let everyone see that what ends at @end may pass. A full barrier in every case.
 * @ret_before: end_seq as it was
 *
 * Return: 1; or 0 after too many attempts: then the packet must not pass.
 */
SL_INLINE int sl_end_seq_publish(struct sl_flow *flow, __u32 end, __u32 *ret_before)
{
	__u32 seen = SL_READ(flow->end_seq);

	for (int i = 0; i < SL_PUBLISH_TRIES; i++) {
		__u32 next = sl_after(end, seen) ? end : seen;
		__u32 was = __sync_val_compare_and_swap(&flow->end_seq, seen, next);

		if (was == seen) {
			*ret_before = was;
			return 1;
		}
		seen = was;
	}
	return 0;
}

/* There is no atomic operation on a byte: it is done on the word that it stands in. */
typedef __u32 __attribute__((may_alias)) sl_word_of_bytes;

SL_INLINE void sl_mark(struct sl_flow *flow, __u8 marks)
{
	const union {
		struct {
			__u16 window;
			__u8 marks, wscale;
		} fields;
		__u32 word;
	} change = {.fields = {.marks = marks}};

	__sync_fetch_and_or((sl_word_of_bytes *)&flow->window, change.word);
}

/* Likewise, of the flags that the hook sets. */
SL_INLINE void sl_flag(struct sl_flow *flow, __u8 flags)
{
	const union {
		struct {
			__s8 window_shift;
			__u8 flags, direction, policy;
		} fields;
		__u32 word;
	} change = {.fields = {.flags = flags}};

	__sync_fetch_and_or((sl_word_of_bytes *)&flow->window_shift, change.word);
}

/* The first packet that a hook ever sees says where the flow stands. */
SL_INLINE void sl_first_seen(struct sl_flow *flow, const struct sl_segment *segment)
{
	__sync_val_compare_and_swap(&flow->end_seq, 0, segment->end);
	SL_WRITE(flow->ack, segment->ack);
	sl_mark(flow, SL_M_SEEN);
}

/* ---- what a segment tells -------------------------------------------------------------------- */

/* Bytes of this flow that its receiver lets come, as the @other direction has told. */
SL_INLINE __u32 sl_window_end(const struct sl_flow *other)
{
	__u32 window = (__u32)SL_READ(other->window) << (other->wscale & 15);

	return SL_READ(other->ack) + other->ack_delta + window;
}

/* It continues or repeats what has passed up to @end_seq, or else it leaves a hole. */
SL_INLINE int sl_leaves_hole(const struct sl_segment *segment, __u32 end_seq)
{
	return sl_after(segment->seq, end_seq);
}

/* Its sender knows the very edge of the stream. */
SL_INLINE int sl_is_on_edge(const struct sl_segment *segment, __u32 end_seq)
{
	return !sl_leaves_hole(segment, end_seq) && !sl_after(end_seq, segment->end);
}

/*
 * RFC 5961 s5.2: who does not see the connection's packets does not know what was acknowledged
 * last, give or take the largest window that can be announced (and a FIN). Other than there it is
 * not held against what was sent: were both directions behind the truth for once (packets that
 * passed in another order), they would wait for each other for ever.
 */
SL_INLINE int sl_ack_is_possible(const struct sl_segment *segment, const struct sl_flow *flow)
{
	__u32 reach = 65536u << (flow->wscale & 15);

	return segment->ack - SL_READ(flow->ack) + reach <= 2 * reach;
}

/*
 * Whether a segment of a spliced flow is of the connection, and not of somebody who guesses: it
 * has to fit in the window, and to acknowledge something likely. Most are found to by what the
 * flow knows itself: those on the edge of the stream that end before a point that the window has
 * reached before. (A window's edge moves forward only: RFC 9293 s3.8.6.2.1.)
 */
SL_INLINE int sl_is_likely(const struct sl_segment *segment, const struct sl_flow *flow,
			   __u32 end_seq)
{
	return sl_is_on_edge(segment, end_seq) &&
	       !sl_after(segment->end, SL_READ(flow->right_edge)) &&
	       sl_ack_is_possible(segment, flow);
}

/*
 * The others are held against what the @other direction has announced (RFC 9293 s3.10.7.4). One
 * byte more is allowed, for the probe of a closed window (s3.8.6.1). What it has acknowledged is
 * of no use to it any more.
 */
SL_INLINE int sl_is_acceptable(const struct sl_segment *segment, struct sl_flow *flow,
			       const struct sl_flow *other)
{
	__u32 edge = sl_window_end(other), acked = SL_READ(other->ack) + other->ack_delta;

	if (sl_after(edge, SL_READ(flow->right_edge)))
		SL_WRITE(flow->right_edge, edge);
	return !sl_after(segment->end, SL_READ(flow->right_edge) + 1) &&
	       !sl_after(acked, segment->end) && sl_ack_is_possible(segment, flow);
}

SL_INLINE void sl_record(struct sl_flow *flow, const struct sl_segment *segment)
{
	if (segment->flags & SL_S_ACK) {
		if (sl_after(segment->ack, SL_READ(flow->ack)))
			SL_WRITE(flow->ack, segment->ack);
		if (!(segment->flags & SL_S_SYN)) /* RFC 7323 s2.2: that one is not scaled */
			SL_WRITE(flow->window, segment->window);
	}
	if (!(segment->flags & SL_S_TSVAL))
		return;
	if (!(SL_READ(flow->marks) & SL_M_TSVAL)) {
		SL_WRITE(flow->tsval, segment->tsval);
		sl_mark(flow, SL_M_TSVAL);
	} else if (sl_after(segment->tsval, SL_READ(flow->tsval))) {
		SL_WRITE(flow->tsval, segment->tsval);
	}
}

/*
 * RFC 5961 s3.2: a reset counts at exactly the number that its receiver expects. That is where the
 * flow ends or, while bytes are on their way, what the receiver has acknowledged last.
 */
SL_INLINE int sl_rst_is_exact(__u32 seq, __u32 end_seq, const struct sl_flow *other)
{
	return seq == end_seq || seq == SL_READ(other->ack) + other->ack_delta;
}

/*
 * RFC 5961 s3.2: in the window, but not there. Its receiver may expect it all the same by now: a
 * reset can overtake the last bytes of its sender, and what a receiver has acknowledged can be
 * news to the hook.
 */
SL_INLINE int sl_rst_is_near(__u32 seq, const struct sl_flow *other)
{
	__u32 acked = SL_READ(other->ack) + other->ack_delta;

	return seq - acked <= sl_window_end(other) - acked;
}

/* The end of a stream is where nothing has passed behind it. @end_seq: before this segment */
SL_INLINE int sl_fin_is_last(const struct sl_segment *segment, __u32 end_seq)
{
	return !sl_after(end_seq, segment->end);
}
