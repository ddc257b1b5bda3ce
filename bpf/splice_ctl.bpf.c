/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * sl_activate and sl_hold: how a connection enters and leaves the packet splice. The daemon runs
 * them by BPF_PROG_RUN; see sluice/splice_ctl.h for what goes in and out, and the rules of
 * sluice/flow.h for why it is done in this order.
 */
#include "bpf/splice.bpf.h"

struct pair {
	struct sl_flow *first, *second; /* SL_TO_ENDPOINT, SL_TO_CLIENT */
};

/* A word that no other HOLD has, so that the end of another one is not taken for the end of ours:
 * two of one connection are never within the same 256 ns of the 4 s that the number spans.
 */
static __always_inline __u32 new_hold(__u32 before, __u64 now_ns)
{
	return SL_HOLD_WORD(before, now_ns >> 8);
}

/* Return: 0, or 1 if an entry is missing. */
static __always_inline int find_pair(const struct sl_key6 *keys, __u32 is_ipv6, struct pair *ret)
{
	struct sl_key6 key = keys[SL_TO_ENDPOINT];

	ret->first = sl_flow_find(&key, is_ipv6);
	key = keys[SL_TO_CLIENT];
	ret->second = sl_flow_find(&key, is_ipv6);
	return !ret->first || !ret->second;
}

/* A HOLD that nobody's packet has ended yet is ended here. */
static __always_inline void settle_pair(const struct pair *pair, __u64 now_ns)
{
	int expired;

	sl_state_settle(pair->first, pair->first, now_ns, &expired);
	if (expired)
		sl_count(SL_STAT_HOLD_EXPIRED);
	sl_state_settle(pair->second, pair->first, now_ns, &expired);
}

static __always_inline int begin_hold(const struct pair *pair, __u32 word, __u64 deadline_ns)
{
	SL_WRITE(pair->first->deadline_ns, deadline_ns);
	SL_WRITE(pair->second->deadline_ns, deadline_ns);
	return sl_hold_enter(pair->first, pair->second, SL_BEFORE(word), word);
}

/* Rule 1: behind the exchange that has set HOLD. */
static __always_inline void read_ends(const struct pair *pair, __u32 *ret_ends)
{
	ret_ends[SL_TO_ENDPOINT] = sl_end_seq_barrier(pair->first);
	ret_ends[SL_TO_CLIENT] = sl_end_seq_barrier(pair->second);
}

/* ---- sl_activate ----------------------------------------------------------------------------- */

/* Has the hook seen all that the translation is made of? */
static __always_inline int is_seen(const struct sl_flow *flow, const struct sl_ctl_leg *leg)
{
	__u8 wanted = SL_M_SEEN;

	if (leg->options & SL_O_TIMESTAMPS)
		wanted |= SL_M_TSVAL;
	return (flow->marks & wanted) == wanted;
}

static __always_inline void set_peers(const struct pair *pair, const struct sl_activate_args *args)
{
	sl_peer_set(&pair->first->peer, &args->keys[SL_TO_CLIENT]);
	sl_peer_set(&pair->second->peer, &args->keys[SL_TO_ENDPOINT]);
}

static __always_inline void set_translation(const struct pair *pair,
					    const struct sl_activate_args *args)
{
	const struct sl_ctl_leg *client = &args->legs[0], *endpoint = &args->legs[1];

	sl_translation_set(pair->first, client, endpoint, pair->second->tsval, args->is_ipv6);
	sl_translation_set(pair->second, endpoint, client, pair->first->tsval, args->is_ipv6);
	pair->first->walk.flags = args->walk_flags[SL_TO_ENDPOINT] & SL_W_ON;
	pair->second->walk.flags = args->walk_flags[SL_TO_CLIENT] & SL_W_ON;
}

static __always_inline __u32 activate(struct sl_activate_args *args, const struct pair *pair)
{
	__u64 deadline_ns, now_ns = bpf_ktime_get_ns();
	__u32 ends[2], word = new_hold(SL_LEARN, now_ns);

	settle_pair(pair, now_ns);
	if (pair->first->state != SL_LEARN || pair->second->state != SL_LEARN)
		return SL_CTL_STATE;
	if (!is_seen(pair->first, &args->legs[0]) || !is_seen(pair->second, &args->legs[1]))
		return SL_CTL_UNSEEN;
	set_peers(pair, args);
	deadline_ns = now_ns + SL_HOLD_NS;
	if (!begin_hold(pair, word, deadline_ns))
		return SL_CTL_STATE;
	read_ends(pair, ends);
	args->got_end[0] = ends[0];
	args->got_end[1] = ends[1];
	if (ends[0] != args->legs[0].rcv_nxt || ends[1] != args->legs[1].rcv_nxt) {
		sl_hold_decide(pair->first, pair->second, word, SL_LEARN);
		return SL_CTL_DATA;
	}
	/* Having been preempted for so long, do not write what another may be using already. */
	if (bpf_ktime_get_ns() >= deadline_ns) {
		sl_hold_decide(pair->first, pair->second, word, SL_LEARN);
		return SL_CTL_LATE;
	}
	set_translation(pair, args);
	if (!sl_hold_decide(pair->first, pair->second, word, SL_ACTIVE))
		return SL_CTL_LATE;
	return SL_CTL_DONE;
}

static __always_inline __u32 activate_keys(struct sl_activate_args *args)
{
	struct pair pair;

	if (find_pair(args->keys, args->is_ipv6, &pair))
		return SL_CTL_NO_FLOW;
	return activate(args, &pair);
}

SEC("syscall")
int sl_activate(struct sl_activate_args *context)
{
	struct sl_activate_args args = *context; /* context may be read at fixed places only */

	args.result = activate_keys(&args);
	context->result = args.result;
	context->got_end[0] = args.got_end[0];
	context->got_end[1] = args.got_end[1];
	return 0;
}

/* ---- sl_hold --------------------------------------------------------------------------------- */

static __always_inline __u32 hold(struct sl_hold_args *args, const struct pair *pair)
{
	__u64 now_ns = bpf_ktime_get_ns();
	__u32 ends[2], word = new_hold(SL_ACTIVE, now_ns);

	settle_pair(pair, now_ns);
	if (!begin_hold(pair, word, now_ns + args->hold_ns))
		return SL_CTL_STATE;
	read_ends(pair, ends);
	args->got_end[0] = ends[0];
	args->got_end[1] = ends[1];
	if (sl_is_acked(pair->first, pair->second) && sl_is_acked(pair->second, pair->first))
		return SL_CTL_DONE;
	sl_hold_decide(pair->first, pair->second, word, SL_ACTIVE);
	return SL_CTL_DATA;
}

static __always_inline __u32 release(const struct pair *pair, __u32 outcome)
{
	__u32 word = SL_READ(pair->first->state);

	if (!sl_is_hold(word) || SL_BEFORE(word) != SL_ACTIVE)
		return SL_CTL_LATE;
	return sl_hold_decide(pair->first, pair->second, word, outcome) ? SL_CTL_DONE : SL_CTL_LATE;
}

static __always_inline __u32 hold_keys(struct sl_hold_args *args)
{
	struct pair pair;

	if (find_pair(args->keys, args->is_ipv6, &pair))
		return SL_CTL_NO_FLOW;
	if (args->verb == SL_HOLD_BEGIN)
		return hold(args, &pair);
	return release(&pair, args->verb == SL_HOLD_TO_LEARN ? SL_LEARN : SL_ACTIVE);
}

SEC("syscall")
int sl_hold(struct sl_hold_args *context)
{
	struct sl_hold_args args = *context;

	args.result = hold_keys(&args);
	context->result = args.result;
	context->got_end[0] = args.got_end[0];
	context->got_end[1] = args.got_end[1];
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
