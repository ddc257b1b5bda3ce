/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What becomes of a packet of a flow, and of the flow by it. In LEARN it is recorded and goes to
 * the stack; in ACTIVE it becomes one of the other leg and leaves by the interface of that.
 */
#pragma once
#include "bpf/splice_admit.bpf.h"
#include "bpf/splice_packet.bpf.h"
#include "bpf/splice_way.bpf.h"

/* What the hook has found out about a packet before it knows the state. */
struct sight {
	__u32 end_seq;   /* as it was before */
	__u8 refusal;    /* enum sl_stat: why it cannot be translated in ACTIVE; 0 = it can */
	__u8 is_right;   /* header and checksum */
	__u8 is_counted; /* it is believed; end_seq is not before its end now */
	__u8 is_judged_spliced; /* by the rules of ACTIVE, and not of LEARN */
	__u8 is_too_late;       /* it could not be published: other CPUs were always faster */
};

static __always_inline int drop(enum sl_stat why)
{
	sl_count(why);
	return DROP;
}

/*
 * In ACTIVE or CLOSED. Of the first packet that is nothing for a splice, and is believed, the
 * daemon hears: the connection is better off without it.
 */
static __always_inline int drop_of_flow(struct sl_flow *flow, enum sl_stat why, int is_believed)
{
	if (is_believed && !(flow->marks & SL_M_DROPPED) &&
	    (why == SL_STAT_DROP_FRAGMENT || why == SL_STAT_DROP_IP_OPTIONS ||
	     why == SL_STAT_DROP_OPTIONS)) {
		sl_mark(flow, SL_M_DROPPED);
		sl_tell(flow, SL_EVENT_UNTRANSLATABLE, why, bpf_ktime_get_ns());
	}
	return drop(why);
}

/* ---- translation ----------------------------------------------------------------------------- */

struct change {
	__u64 tcp, pseudo, first; /* sums for sl_update_checksum() */
	struct sl_tos tos;
};

/* No options, or the usual ones: they can be translated, and in their place. */
static __always_inline int has_usual_options(const struct sl_packet *p, const struct sl_flow *flow)
{
	return p->options_size == 0 || (p->is_plain && flow->flags & SL_F_TIMESTAMPS);
}

/* Return: 1 if that is done, or there is nothing to do; 0 if they are out of reach. */
static __always_inline int change_plain_options(void *options, const void *end,
						const struct sl_packet *p,
						const struct sl_flow *flow, struct change *change)
{
	if (p->options_size == 0 || !has_usual_options(p, flow))
		return 1;
	if (options + SL_PLAIN_OPTIONS_SIZE > end)
		return 0;
	change->tcp += sl_rewrite_plain_options(options, flow, !!(p->segment.flags & SL_S_ACK));
	return 1;
}

static __always_inline int change_options(sl_ctx *ctx, const struct sl_packet *p,
					  struct sl_flow *flow, struct change *change)
{
	__u32 size_and_ack = p->options_size << 1 | !!(p->segment.flags & SL_S_ACK);

	sl_count(SL_STAT_OPTIONS_WALKED);
	return sl_walk_options(ctx, flow, p->l4 + sizeof(struct tcphdr), size_and_ack,
			       &change->tcp);
}

static __always_inline int change_ipv4(sl_ctx *ctx, const struct sl_packet *p,
				       const struct sl_flow *flow, const struct way *way,
				       struct change *change, int *ret_options_left)
{
	struct tcphdr *tcp;
	void *data = sl_linear(ctx, sl_l3(p) + sizeof(struct iphdr) + sizeof(*tcp));
	struct iphdr *ip = data + sl_l3(p);

	if (!data)
		return SL_STAT_DROP_MEMORY;
	tcp = (void *)(ip + 1);
	write_link_header(data, way);
	change->pseudo = sl_rewrite_ipv4(ip, flow, change->tos);
	change->tcp = sl_rewrite_tcp(tcp, flow);
	*ret_options_left =
	    !change_plain_options(tcp + 1, (void *)(long)ctx->data_end, p, flow, change);
	return 0;
}

static __always_inline int change_ipv6(sl_ctx *ctx, const struct sl_packet *p,
				       const struct sl_flow *flow, const struct way *way,
				       struct change *change, int *ret_options_left)
{
	struct tcphdr *tcp;
	void *data = sl_linear(ctx, sl_l3(p) + sizeof(struct ipv6hdr) + sizeof(*tcp));
	struct ipv6hdr *ip = data + sl_l3(p);

	if (!data)
		return SL_STAT_DROP_MEMORY;
	tcp = (void *)(ip + 1);
	write_link_header(data, way);
	change->pseudo = sl_rewrite_ipv6(ip, flow, change->tos, &change->first);
	change->tcp = sl_rewrite_tcp(tcp, flow);
	*ret_options_left =
	    !change_plain_options(tcp + 1, (void *)(long)ctx->data_end, p, flow, change);
	return 0;
}

/* All but unusual options. Return: 0, or the enum sl_stat that the packet has to be dropped for. */
static __always_inline int change_packet(sl_ctx *ctx, const struct sl_packet *p,
					 struct sl_flow *flow, const struct way *way,
					 struct change *change)
{
	__u64 options_sum = change->tcp;
	int why, options_left = 0;

	if (p->is_ipv6)
		why = change_ipv6(ctx, p, flow, way, change, &options_left);
	else
		why = change_ipv4(ctx, p, flow, way, change, &options_left);
	change->tcp += options_sum;
	if (why == 0 && options_left)
		why = change_options(ctx, p, flow, change);
	if (why == 0)
		sl_update_checksum(ctx, p, change->tcp, change->pseudo, change->first);
	return why;
}

/* ---- ACTIVE and CLOSED ----------------------------------------------------------------------- */

static __always_inline void close_pair(struct sl_flow *flow, struct sl_flow *other, __u32 how,
				       __u64 now_ns)
{
	struct sl_flow *first = sl_flow_first(flow, other);
	struct sl_flow *second = first == flow ? other : flow;

	if (sl_close(first, second))
		sl_tell(flow, SL_EVENT_CLOSED, how, now_ns);
}

static __always_inline void see_rst(struct sl_flow *flow, struct sl_flow *other,
				    const struct sl_segment *segment, __u32 end_seq, __u64 now_ns)
{
	if (!sl_rst_is_exact(segment->seq, end_seq, other)) {
		if (sl_rst_is_near(segment->seq, other))
			sl_flag(flow, SL_F_RST_NEAR);
		sl_count(SL_STAT_RST_IGNORED);
		return;
	}
	sl_mark(flow, SL_M_RST);
	close_pair(flow, other, SL_CLOSED_BY_RST, now_ns);
}

static __always_inline void see_fin(struct sl_flow *flow, struct sl_flow *other,
				    const struct sl_segment *segment, const struct sight *sight,
				    __u64 now_ns)
{
	if (SL_READ(flow->marks) & SL_M_FIN)
		return;
	if (!sight->is_counted || !sl_fin_is_last(segment, sight->end_seq)) {
		sl_count(SL_STAT_FIN_IGNORED);
		return;
	}
	if (!(flow->marks & SL_M_PEER_FIN))
		sl_flag(flow, SL_F_FIN_FIRST);
	sl_mark(flow, SL_M_FIN);
	other->peer_fin_end = segment->end + flow->seq_delta;
	sl_mark(other, SL_M_PEER_FIN);
	sl_tell(flow, SL_EVENT_FIN, 0, now_ns);
}

/* RFC 9293 s3.6: over, for the network, when both FINs are acknowledged. */
static __always_inline void see_fin_ack(struct sl_flow *flow, struct sl_flow *other, __u64 now_ns)
{
	if (sl_after(flow->peer_fin_end, flow->ack))
		return;
	sl_mark(other, SL_M_FIN_ACKED);
	if (flow->marks & SL_M_FIN_ACKED)
		close_pair(flow, other, SL_CLOSED_BY_FIN, now_ns);
}

/* Global: verified once. Return: 0 */
__noinline int sl_see_end(const struct sl_packet *p, struct sl_flow *flow,
			  const struct sight *sight, __u64 now_ns)
{
	const struct sl_segment *segment;
	struct sl_flow *other;

	if (!p || !flow || !sight)
		return 0;
	segment = &p->segment;
	other = sl_flow_other(flow, p->is_ipv6);
	if (!other)
		return 0;
	if (segment->flags & SL_S_RST)
		see_rst(flow, other, segment, sight->end_seq, now_ns);
	else if (flow->marks & SL_M_RST) /* it met a HOLD, which has gone back to ACTIVE */
		close_pair(flow, other, SL_CLOSED_BY_RST, now_ns);
	else if (segment->flags & SL_S_FIN)
		see_fin(flow, other, segment, sight, now_ns);
	if (flow->marks & SL_M_PEER_FIN)
		see_fin_ack(flow, other, now_ns);
	return 0;
}

/* Ends are rare enough to look up the other direction for. */
static __always_inline int is_about_end(const struct sl_packet *p, const struct sl_flow *flow)
{
	return p->segment.flags & (SL_S_FIN | SL_S_RST) || flow->marks & (SL_M_PEER_FIN | SL_M_RST);
}

static __always_inline void account(struct sl_flow *flow, const sl_ctx *ctx,
				    const struct sl_packet *p, __u32 state)
{
	__sync_fetch_and_add(&flow->packets, 1);
	sl_count(state == SL_CLOSED ? SL_STAT_CLOSED : SL_STAT_FORWARDED);
	sl_count_more(SL_STAT_FORWARDED_BYTES, sl_length(ctx) - sl_l3(p));
}

/* Return: 0, or the stat of the drop, as of all that is under way when a HOLD begins. */
static __always_inline int see_end(const struct sl_packet *p, struct sl_flow *flow,
				   const struct sight *sight)
{
	if (!is_about_end(p, flow))
		return 0;
	sl_see_end(p, flow, sight, bpf_ktime_get_coarse_ns());
	/* A FIN moves no position: rule 6 holds for its mark. Nobody sends a RST again. */
	return p->segment.flags & SL_S_FIN && !sl_may_pass_unmoved(flow) ? SL_STAT_DROP_HOLD : 0;
}

/* What is not believed may be anybody's, and is not answered. */
static __always_inline int drop_too_large(sl_ctx *ctx, const struct sl_packet *p,
					  struct sl_flow *flow, const struct sight *sight,
					  const struct way *way)
{
	struct sl_way *known = remembered(flow);

	sl_count(SL_STAT_DROP_MTU);
	if (!sight->is_counted)
		return DROP;
	if (known && sl_way_refuse(known, flow->conn_id, bpf_ktime_get_coarse_ns()))
		sl_tell(flow, SL_EVENT_DEAF, 0, bpf_ktime_get_ns());
	return sl_too_large(ctx, p, way);
}

/* Nothing moves for a packet that has no way out, or cannot be translated. */
static __always_inline int forward(sl_ctx *ctx, const struct sl_packet *p, struct sl_flow *flow,
				   const struct sight *sight, __u32 state, __u64 last_ns,
				   struct way *way)
{
	const struct sl_policy *policy = sl_policy_of(flow);
	struct admission a = {.last_ns = last_ns, .is_believed = sight->is_counted};
	struct change change = {0};
	int why;

	if (!policy)
		return drop(SL_STAT_DROP_LIMIT);
	why = sl_choose_way(ctx, p, flow, last_ns, way);
	if (why == 0 && !has_usual_options(p, flow))
		why = change_options(ctx, p, flow, &change);
	if (why == 0 && is_to_be_admitted(p, policy))
		why = sl_admit(ctx, p, flow, policy, &a);
	if (why == 0)
		why = see_end(p, flow, sight);
	change.tos = sl_tos_of(flow, policy, a.is_ce);
	if (why == 0)
		why = change_packet(ctx, p, flow, way, &change);
	if (why == 0) {
		account(flow, ctx, p, state);
		sl_mark_packet(ctx, policy->priority, a.departure_ns);
		return sl_leave(ctx, p, way);
	}
	if (why == SL_STAT_DROP_MTU)
		return drop_too_large(ctx, p, flow, sight, way);
	return drop_of_flow(flow, why, sight->is_counted);
}

/* ---- every packet of a flow ------------------------------------------------------------------ */

/* What ACTIVE does not translate, whatever its numbers are. Return: 0, or the stat of the drop. */
static __always_inline __u8 refusal_of(const struct sl_packet *p)
{
	if (p->is_fragment)
		return SL_STAT_DROP_FRAGMENT;
	if (p->l4 != sl_plain_l4(p))
		return SL_STAT_DROP_IP_OPTIONS;
	/* A SYN would open a connection to the endpoint past the gateway, as soon as the endpoint
	 * has closed this one. The peer sends it again; once the daemon has removed the entry, it
	 * reaches the listener. */
	if (!p->is_readable || p->segment.flags & SL_S_SYN)
		return SL_STAT_DROP_HEADER;
	return p->hop_limit <= 1 ? SL_STAT_DROP_TTL : 0;
}

/* Global: few packets come here. Return: 1, and it is believed, or 0. */
__noinline int sl_judge_by_other(const struct sl_packet *p, struct sl_flow *flow)
{
	struct sl_flow *other;

	if (!p || !flow)
		return 0;
	other = sl_flow_other(flow, p->is_ipv6);
	return other && sl_is_acceptable(&p->segment, flow, other);
}

static __always_inline int is_believed_spliced(const struct sl_packet *p, struct sl_flow *flow,
					       __u32 end_seq)
{
	return sl_is_likely(&p->segment, flow, end_seq) || sl_judge_by_other(p, flow);
}

/*
 * Here our own socket judges, and all that it may take has to be counted, or it would be missed:
 * somebody who guesses can delay the splice, and no more.
 */
static __always_inline int is_believed_learning(const struct sl_packet *p,
						const struct sl_flow *flow, __u32 end_seq)
{
	return !(SL_READ(flow->marks) & SL_M_SEEN) ||
	       !sl_after(p->segment.end, end_seq + SL_WINDOW_MAX);
}

/*
 * RFC 9293 s3.10.7.4: of a connection that stands there is no segment without ACK. A RST ends the
 * stream and is not a part of it: overtaking the last bytes, it would pass for their end.
 */
static __always_inline int is_of_stream(const struct sl_packet *p)
{
	return (p->segment.flags & (SL_S_ACK | SL_S_RST)) == SL_S_ACK;
}

static __always_inline int is_believed(const struct sl_packet *p, struct sl_flow *flow,
				       const struct sight *sight)
{
	if (!sight->is_right || !is_of_stream(p))
		return 0;
	return sight->is_judged_spliced ? is_believed_spliced(p, flow, sight->end_seq)
					: is_believed_learning(p, flow, sight->end_seq);
}

/* Rule 3. @flow is not in LEARN, so that its peer is known. */
static __always_inline __u32 settle(struct sl_flow *flow, int is_ipv6)
{
	__u64 now_ns = bpf_ktime_get_ns();
	struct sl_flow *first = flow;
	__u32 state;
	int expired;

	if (flow->direction == SL_TO_CLIENT)
		first = sl_flow_other(flow, is_ipv6);
	if (!first)
		return SL_HOLD; /* its entry is being removed */
	state = sl_state_settle(flow, first, now_ns, &expired);
	if (expired) {
		sl_count(SL_STAT_HOLD_EXPIRED);
		sl_tell(flow, SL_EVENT_HOLD_EXPIRED, 0, now_ns);
	}
	return state;
}

/* A fragment's checksum is that of the whole, which only the stack will see. */
static __always_inline int is_right(sl_ctx *ctx, const struct sl_packet *p)
{
	return p->is_readable && (p->is_fragment || sl_is_checksum_right(ctx, p));
}

/* Rule 1: a full barrier in any case. */
static __always_inline struct sight publish(sl_ctx *ctx, struct sl_packet *p, struct sl_flow *flow)
{
	struct sight sight = {
	    .end_seq = SL_READ(flow->end_seq),
	    .refusal = refusal_of(p),
	    .is_judged_spliced = sl_is_spliced(SL_READ(flow->state)),
	};
	__u32 end;

	if (!sight.is_judged_spliced || !sight.refusal)
		sight.is_right = is_right(ctx, p);
	if (sight.is_right)
		sl_read_tsval(ctx, p);
	sight.is_counted = is_believed(p, flow, &sight);
	if (!sight.is_counted) {
		sight.end_seq = sl_end_seq_barrier(flow);
		return sight;
	}
	if (!(flow->marks & SL_M_SEEN))
		sl_first_seen(flow, &p->segment);
	/* An acknowledgment brings nothing, wherever it claims to stand. */
	end = p->segment.end == p->segment.seq ? SL_READ(flow->end_seq) : p->segment.end;
	sight.is_too_late = !sl_end_seq_publish(flow, end, &sight.end_seq);
	return sight;
}

/* In LEARN, what is not on the edge may be anybody's. */
static __always_inline void record(struct sl_flow *flow, const struct sl_packet *p,
				   const struct sight *sight, __u64 now_ns)
{
	SL_WRITE(flow->last_ns, now_ns);
	if (sight->is_judged_spliced || sl_is_on_edge(&p->segment, sight->end_seq))
		sl_record(flow, &p->segment);
}

static __always_inline int learn(const struct sl_packet *p, const struct sight *sight)
{
	/* RFC 1858 s3: so small a fragment is nobody's who means well, and cannot be read. */
	if (p->is_fragment && !p->is_readable)
		return drop(SL_STAT_DROP_FRAGMENT);
	/* It was ACTIVE when this was not believed. The socket might: it shall come again. */
	if (sight->is_judged_spliced && !sight->is_counted)
		return drop(SL_STAT_DROP_HOLD);
	sl_count(SL_STAT_LEARNED);
	return PASS;
}

/* The verdict. @way: zeros, or what sl_choose_way() of the program knows what to do with */
static __always_inline int handle(sl_ctx *ctx, struct sl_packet *p, struct sl_flow *flow,
				  struct way *way)
{
	struct sight sight = publish(ctx, p, flow);
	__u32 state = SL_READ(flow->state); /* rule 1: behind the barrier */
	__u64 now_ns = bpf_ktime_get_coarse_ns(), last_ns = flow->last_ns;

	if (sl_is_hold(state))
		state = settle(flow, p->is_ipv6);
	if (sl_is_hold(state) || sight.is_too_late)
		return drop(SL_STAT_DROP_HOLD);
	if (sight.is_counted)
		record(flow, p, &sight, now_ns);
	if (state == SL_LEARN)
		return learn(p, &sight);
	if (sight.refusal)
		return drop_of_flow(flow, sight.refusal,
				    p->is_readable && is_of_stream(p) &&
					is_believed_spliced(p, flow, sight.end_seq));
	if (!sight.is_right)
		return drop(SL_STAT_DROP_CHECKSUM);
	return forward(ctx, p, flow, &sight, state, last_ns, way);
}
