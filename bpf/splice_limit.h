/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The limits and marks of a policy (sluice/policy.h). Pure, as splice_core.h.
 *
 * A token bucket is one number. A rate makes tokens, one for each byte or frame that it allows; the
 * clock of a bucket is how many it has made since the machine started, modulo 2^32. The field of
 * the flow (frame_tokens, byte_tokens) is what that clock will show when all that has passed is
 * paid for: as far as it is ahead of the clock, so many tokens are owed, and a packet may pass
 * while that is less than the burst. So the longest pause is as good as a full bucket, a rate of
 * one a second needs no fractions, and a packet larger than the burst (GRO) passes once, on credit.
 * (The generic cell rate algorithm, ITU-T I.371, with time counted in cells.)
 *
 * A field that is too far ahead is from before the clock was changed, by another policy, and one
 * that is 0 from before there was a limit: the bucket is full. One that would be too far behind,
 * after a pause, is brought along by every packet, also an acknowledgment, or by last_ns.
 *
 * With pacing the clock of the bytes runs at that rate (or byte_rate, if that is lower), and what
 * is owed is how long a packet has to wait. Only fq at the egress lets it wait; elsewhere it leaves
 * at once, and what is over SL_PACING_MAX_NS of the rate is dropped.
 */
#pragma once
#include "bpf/splice_core.h"
#include "bpf/splice_rewrite.h"
#include "sluice/policy.h"

#define SL_NS_PER_S 1000000000ull

/* Tokens a second; from here on a rate is no limit: its clock would turn too fast. */
#define SL_RATE_MAX (1ull << 30)
/* Bursts are cut to this. It, what is marked over it and a packet, are less than SL_OWED_MAX. */
#define SL_BURST_MAX (1u << 29)
#define SL_OWED_MAX  (3 * SL_BURST_MAX)

/* So long a packet may have to wait, before it is dropped. */
#define SL_PACING_MAX_NS (SL_NS_PER_S / 5)

struct sl_bucket {
	__u64 rate; /* tokens a second; 0 = no limit */
	__u32 burst;
};

/* When a packet has come, by the clock that is not coarse: a burst may be short. */
struct sl_arrival {
	__u64 now_ns;
	__u64 last_ns; /* of the packet before it */
};

enum sl_limit {
	SL_LIMIT_WITHIN,
	SL_LIMIT_OVER,     /* a packet may be marked instead of dropped */
	SL_LIMIT_FAR_OVER, /* marks have not helped, for another burst */
};

SL_INLINE struct sl_bucket sl_bucket_of(__u64 rate, __u64 burst)
{
	return (struct sl_bucket){
	    .rate = rate < SL_RATE_MAX ? rate : 0,
	    .burst = burst == 0             ? 1
		     : burst < SL_BURST_MAX ? (__u32)burst
					    : SL_BURST_MAX,
	};
}

SL_INLINE struct sl_bucket sl_bucket_of_frames(const struct sl_policy *policy)
{
	return sl_bucket_of(policy->frame_rate, policy->frame_burst);
}

SL_INLINE struct sl_bucket sl_bucket_of_bytes(const struct sl_policy *policy)
{
	__u64 rate = policy->byte_rate;

	if (policy->pacing == 0)
		return sl_bucket_of(rate, policy->byte_burst);
	if (rate == 0 || policy->pacing < rate)
		rate = policy->pacing;
	return sl_bucket_of(rate, rate / (SL_NS_PER_S / SL_PACING_MAX_NS));
}

SL_INLINE int sl_is_limited(const struct sl_policy *policy)
{
	return policy->frame_rate || policy->byte_rate || policy->pacing;
}

SL_INLINE __u32 sl_bucket_clock(const struct sl_bucket *bucket, __u64 now_ns)
{
	__u64 seconds = now_ns / SL_NS_PER_S, rest = now_ns % SL_NS_PER_S;

	return (__u32)(seconds * bucket->rate + rest * bucket->rate / SL_NS_PER_S);
}

/* In such a pause the clock makes a quarter of its turn at least, and a half at most behind it. */
SL_INLINE int sl_bucket_is_old(const struct sl_bucket *bucket, const struct sl_arrival *arrival)
{
	/* last_ns may be another CPU's, and later. */
	return arrival->now_ns > arrival->last_ns &&
	       (arrival->now_ns - arrival->last_ns) / SL_NS_PER_S > SL_RATE_MAX / bucket->rate;
}

/* Brings it along. Return: tokens that are owed. */
SL_INLINE __u32 sl_bucket_owed(__u32 *field, const struct sl_bucket *bucket,
			       const struct sl_arrival *arrival)
{
	__u32 clock = sl_bucket_clock(bucket, arrival->now_ns), paid = SL_READ(*field);
	__u32 owed = paid - clock;

	if (paid != 0 && owed < SL_OWED_MAX && !sl_bucket_is_old(bucket, arrival))
		return owed;
	__sync_val_compare_and_swap(field, paid, clock);
	return 0;
}

SL_INLINE enum sl_limit sl_bucket_judge(const struct sl_bucket *bucket, __u32 owed)
{
	if (owed < bucket->burst)
		return SL_LIMIT_WITHIN;
	return owed < 2 * bucket->burst ? SL_LIMIT_OVER : SL_LIMIT_FAR_OVER;
}

/* For what passes. */
SL_INLINE void sl_bucket_take(__u32 *field, __u32 n)
{
	__sync_fetch_and_add(field, n);
}

/* How long what is owed takes: when a packet leaves that comes now. */
SL_INLINE __u64 sl_bucket_wait_ns(const struct sl_bucket *bucket, __u32 owed)
{
	return owed * SL_NS_PER_S / bucket->rate;
}

/* ---- marks ----------------------------------------------------------------------------------- */

#define SL_ECN_CE 0x3u /* RFC 3168 s5 */

/* Not ECN-capable: 0 (RFC 3168 s5). What the legs do not agree upon is cleared, and says nothing.
 */
SL_INLINE int sl_may_mark_ecn(const struct sl_flow *flow, const struct sl_policy *policy, __u8 tos)
{
	return policy->flags & SL_P_MARK_ECN && tos & SL_ECN_MASK &&
	       !(flow->flags & SL_F_CLEAR_ECN);
}

/* RFC 2474 s3: DSCP are the upper six bits. Row 0 marks nothing, and is zeros. */
SL_INLINE struct sl_tos sl_tos_of(const struct sl_flow *flow, const struct sl_policy *policy,
				  int is_ce)
{
	struct sl_tos tos = sl_tos_plain(flow);

	if (flow->policy != 0 && policy->dscp < 64) {
		tos.keep &= SL_ECN_MASK;
		tos.set = (__u8)(policy->dscp << 2);
	}
	if (is_ce)
		tos.set |= SL_ECN_CE;
	return tos;
}
