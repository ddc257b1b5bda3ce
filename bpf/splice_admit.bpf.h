/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What a segment of a spliced flow has to pass before it is sent on: STOP, the rates of its policy
 * and the frame walker. The position moves here (rules 5 and 6 of sluice/flow.h).
 */
#pragma once
#include "bpf/splice_limit.h"
#include "bpf/splice_walk.bpf.h"

struct admission {
	__u64 last_ns; /* in: when the packet before this one came */
	__u64 departure_ns;
	__u32 n_frames;   /* headers that end in it; 1 if they are not known any more */
	__u8 is_believed; /* in */
	__u8 is_ce;       /* to be marked so */
	__u8 zero[2];
};

static __always_inline const struct sl_policy *sl_policy_of(const struct sl_flow *flow)
{
	__u32 row = flow->policy;

	return bpf_map_lookup_elem(&policies, &row);
}

/* Acknowledgments are not held up; under a rate they bring its buckets along. */
static __always_inline int is_to_be_admitted(const struct sl_packet *p,
					     const struct sl_policy *policy)
{
	return p->segment.payload || p->segment.flags & SL_S_FIN || sl_is_limited(policy);
}

/* ---- rates ----------------------------------------------------------------------------------- */

static __always_inline __u8 load_tos(sl_ctx *ctx, const struct sl_packet *p)
{
	__u8 bytes[2] = {0};

	if (sl_load(ctx, sl_l3(p), bytes, sizeof(bytes)))
		return 0;
	return p->is_ipv6 ? (__u8)(bytes[0] << 4 | bytes[1] >> 4) : bytes[1];
}

/* Return: 0, or the stat of the drop. */
static __always_inline int apply(sl_ctx *ctx, const struct sl_packet *p, const struct sl_flow *flow,
				 const struct sl_policy *policy, enum sl_limit limit,
				 struct admission *a)
{
	if (limit == SL_LIMIT_WITHIN)
		return 0;
	if (limit == SL_LIMIT_FAR_OVER || !sl_may_mark_ecn(flow, policy, load_tos(ctx, p)))
		return SL_STAT_DROP_LIMIT;
	a->is_ce = 1;
	return 0;
}

/*
 * Likewise. Of bytes also what is sent again is counted: it is as much to carry.
 * Global: the stack has no room for all of this at once.
 */
__noinline int sl_limit_bytes(sl_ctx *ctx, const struct sl_packet *p, struct sl_flow *flow,
			      const struct sl_policy *policy, struct admission *a)
{
	struct sl_bucket bucket;
	struct sl_arrival arrival;
	__u32 owed;

	if (!p || !flow || !policy || !a)
		return SL_STAT_DROP_LIMIT;
	bucket = sl_bucket_of_bytes(policy);
	if (bucket.rate == 0)
		return 0;
	arrival = (struct sl_arrival){bpf_ktime_get_ns(), a->last_ns};
	owed = sl_bucket_owed(&flow->byte_tokens, &bucket, &arrival);
	if (p->segment.payload == 0)
		return 0;
	if (policy->pacing && owed)
		a->departure_ns = arrival.now_ns + sl_bucket_wait_ns(&bucket, owed);
	return apply(ctx, p, flow, policy, sl_bucket_judge(&bucket, owed), a);
}

/* Likewise, of a->n_frames. */
__noinline int sl_limit_frames(sl_ctx *ctx, const struct sl_packet *p, struct sl_flow *flow,
			       const struct sl_policy *policy, struct admission *a)
{
	struct sl_bucket bucket;
	struct sl_arrival arrival;
	__u32 owed;

	if (!p || !flow || !policy || !a)
		return SL_STAT_DROP_LIMIT;
	bucket = sl_bucket_of_frames(policy);
	if (bucket.rate == 0)
		return 0;
	arrival = (struct sl_arrival){bpf_ktime_get_ns(), a->last_ns};
	owed = sl_bucket_owed(&flow->frame_tokens, &bucket, &arrival);
	if (a->n_frames == 0)
		return 0;
	return apply(ctx, p, flow, policy, sl_bucket_judge(&bucket, owed), a);
}

/* ---- the walk -------------------------------------------------------------------------------- */

/* The segment has payload beyond the position. Return: 0, or the stat of the drop. */
static __always_inline int walk(sl_ctx *ctx, const struct sl_packet *p, struct sl_flow *flow,
				const struct sl_policy *policy, struct admission *a)
{
	struct walk_loop loop = {
	    .ctx = ctx,
	    .payload_at = p->l4 + p->length - p->segment.payload,
	};
	int why = sl_walk_begin(flow, policy, &p->segment, &loop.w);

	if (why != 0)
		return why;
	a->n_frames = 1; /* of what is not known: so much is bound to be in it, on the whole */
	if (loop.w.is_locked) {
		if (walk_all(&loop))
			why = SL_STAT_DROP_MEMORY;
		a->n_frames = sl_walk_n_frames(&loop.w);
	}
	if (why == 0 && policy->frame_rate)
		why = sl_limit_frames(ctx, p, flow, policy, a);
	if (why == 0)
		why = sl_walk_end(flow, &p->segment, &loop.w);
	else
		sl_walk_cancel(flow, &loop.w);
	walk_tell(flow, &loop.w);
	if (why == 0 && policy->frame_rate)
		sl_bucket_take(&flow->frame_tokens, a->n_frames);
	return why;
}

/* What is beyond the position has to be more than within the rates. Likewise. */
static __always_inline int refuse_new(const struct sl_packet *p, struct sl_flow *flow,
				      const struct sl_policy *policy, int is_believed)
{
	__u8 flags = SL_READ(flow->walk.flags);

	if (flags & SL_W_STOP && sl_is_stopped(flow, bpf_ktime_get_ns()))
		return SL_STAT_DROP_STOP;
	return sl_walk_refuse(flow, &p->segment, sl_walk_is_strict(policy, flags), is_believed);
}

/* Global: verified once. Return: 0, or the enum sl_stat that it has to be dropped for. */
__noinline int sl_admit(sl_ctx *ctx, const struct sl_packet *p, struct sl_flow *flow,
			const struct sl_policy *policy, struct admission *a)
{
	int why = 0, is_new;

	if (!p || !flow || !policy || !a)
		return SL_STAT_DROP_LIMIT;
	is_new = sl_is_new(flow, &p->segment);
	if (is_new)
		why = refuse_new(p, flow, policy, a->is_believed);
	if (why == 0 && sl_is_limited(policy))
		why = sl_limit_bytes(ctx, p, flow, policy, a);
	/* What is not believed moves nothing. */
	if (why == 0 && is_new && a->is_believed && sl_is_beyond(flow, &p->segment))
		why = walk(ctx, p, flow, policy, a);
	else if (why == 0 && p->segment.payload && !sl_may_pass_unmoved(flow))
		why = SL_STAT_DROP_HOLD;
	else if (why == 0 && policy->frame_rate)
		why = sl_limit_frames(ctx, p, flow, policy, a);
	if (why == 0 && sl_is_limited(policy) && p->segment.payload)
		sl_bucket_take(&flow->byte_tokens, p->segment.payload);
	if (why == 0 && a->is_ce)
		sl_count(SL_STAT_MARKED_LIMIT);
	return why;
}
