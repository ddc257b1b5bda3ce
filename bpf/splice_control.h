/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * How a connection enters and leaves the splice: what sl_activate and sl_hold do with the two flows
 * that they have found, in the order that the rules of sluice/flow.h want. Pure, as splice_core.h.
 */
#pragma once
#include "bpf/splice_walk.h"
#include "sluice/conn.h"
#include "sluice/splice_ctl.h"

struct sl_pair {
	struct sl_flow *first, *second; /* SL_TO_ENDPOINT, SL_TO_CLIENT */
};

/* A HOLD that this side has set. */
struct sl_holding {
	__u32 word;
	__u64 deadline_ns;
};

/*
 * The number that makes a HOLD's word unlike others. To be taken for another one, it would have to
 * begin a multiple of 4.3 s later, to 256 ns, while somebody is still busy with the other.
 */
SL_INLINE struct sl_holding sl_holding_new(__u32 before, __u64 now_ns, __u64 hold_ns)
{
	return (struct sl_holding){
	    .word = SL_HOLD_WORD(before, now_ns >> 8),
	    .deadline_ns = now_ns + hold_ns,
	};
}

/* HOLDs that no packet has ended yet are ended here. Return: 1 if there was one. */
SL_INLINE int sl_pair_settle(const struct sl_pair *pair, __u64 now_ns)
{
	int expired, expired_too;

	sl_state_settle(pair->first, pair->first, now_ns, &expired);
	sl_state_settle(pair->second, pair->first, now_ns, &expired_too);
	return expired || expired_too;
}

SL_INLINE int sl_pair_hold(const struct sl_pair *pair, const struct sl_holding *holding)
{
	SL_WRITE(pair->first->deadline_ns, holding->deadline_ns);
	SL_WRITE(pair->second->deadline_ns, holding->deadline_ns);
	return sl_hold_enter(pair->first, pair->second, SL_BEFORE(holding->word), holding->word);
}

SL_INLINE int sl_pair_decide(const struct sl_pair *pair, __u32 word, __u32 outcome)
{
	return sl_hold_decide(pair->first, pair->second, word, outcome);
}

/* Rule 1: behind the exchange that has set HOLD. */
SL_INLINE void sl_pair_read_ends(const struct sl_pair *pair, __u32 *ret_ends)
{
	ret_ends[SL_TO_ENDPOINT] = sl_end_seq_barrier(pair->first);
	ret_ends[SL_TO_CLIENT] = sl_end_seq_barrier(pair->second);
}

/* Rule 6: likewise. */
SL_INLINE void sl_pair_read_positions(const struct sl_pair *pair, __u32 *ret_positions)
{
	ret_positions[SL_TO_ENDPOINT] = sl_position_barrier(pair->first);
	ret_positions[SL_TO_CLIENT] = sl_position_barrier(pair->second);
}

/* ---- the translation: rule 4 ----------------------------------------------------------------- */

/* Packets with @key come in on the leg that those of the peer go out on. */
SL_INLINE void sl_peer_set(struct sl_peer *peer, const struct sl_key6 *key)
{
	__builtin_memcpy(peer->saddr, key->daddr, sizeof(peer->saddr));
	__builtin_memcpy(peer->daddr, key->saddr, sizeof(peer->daddr));
	peer->sport = key->dport;
	peer->dport = key->sport;
}

SL_INLINE __u8 sl_translation_flags(const struct sl_ctl_leg *in, const struct sl_ctl_leg *out,
				    __u32 is_ipv6)
{
	__u8 flags = out->flags & SL_F_TO_LOCAL;

	if (is_ipv6)
		flags |= SL_F_IPV6_OUT;
	if (in->options & out->options & SL_O_TIMESTAMPS)
		flags |= SL_F_TIMESTAMPS;
	if (in->options & ~out->options & SL_O_TIMESTAMPS)
		flags |= SL_F_STRIP_TS;
	if (in->options & ~out->options & SL_O_SACK)
		flags |= SL_F_STRIP_SACK;
	if ((in->options ^ out->options) & SL_O_ECN)
		flags |= SL_F_CLEAR_ECN;
	return flags;
}

/*
 * The packets of @flow come in on @in and go out on @out. The numbers of both legs stand where the
 * same byte has been taken from one and written to the other.
 * @tsval, @other_tsval: the latest of the far ends of @in and @out
 */
SL_INLINE void sl_translation_set(struct sl_flow *flow, const struct sl_ctl_leg *in,
				  const struct sl_ctl_leg *out, __u32 other_tsval, __u32 is_ipv6)
{
	/* What may have been recorded of others' packets counts no more: all is acknowledged. */
	SL_WRITE(flow->ack, in->snd_nxt);
	flow->right_edge = in->rcv_nxt;
	flow->base_seq = in->rcv_nxt - (__u32)flow->payload_bytes;
	flow->seq_delta = out->snd_nxt - in->rcv_nxt;
	flow->ack_delta = out->rcv_nxt - in->snd_nxt;
	flow->tsval_delta = out->ts_clock - SL_READ(flow->tsval);
	flow->tsecr_delta = other_tsval - in->ts_clock;
	flow->oif = out->oif;
	SL_WRITE(flow->wscale, in->send_wscale); /* beside marks that a late hook may set */
	flow->window_shift = (__s8)(in->send_wscale - out->recv_wscale);
	flow->flags = sl_translation_flags(in, out, is_ipv6);
}

/* ---- sl_activate ----------------------------------------------------------------------------- */

/*
 * The other peer may send by the window of our socket until it hears of this one's; what is beyond
 * this one's is not believed, and the strict walker drops it without an answer.
 */
SL_INLINE int sl_has_room(const struct sl_flow *flow, const struct sl_ctl_leg *leg)
{
	return (__u32)SL_READ(flow->window) << (leg->send_wscale & 15) >= leg->send_mss;
}

/* Has the hook seen all that the translation is made of? */
SL_INLINE int sl_is_seen(const struct sl_flow *flow, const struct sl_ctl_leg *leg)
{
	__u8 wanted = SL_M_SEEN;

	if (leg->options & SL_O_TIMESTAMPS)
		wanted |= SL_M_TSVAL;
	return (SL_READ(flow->marks) & wanted) == wanted;
}

/* Return: SL_CTL_DONE, and both flows are in HOLD; or another enum sl_ctl_result. */
SL_INLINE __u32 sl_activate_begin(const struct sl_pair *pair, const struct sl_activate_args *args,
				  const struct sl_holding *holding)
{
	if (SL_READ(pair->first->state) != SL_LEARN || SL_READ(pair->second->state) != SL_LEARN)
		return SL_CTL_STATE;
	if (!sl_is_seen(pair->first, &args->legs[0]) || !sl_is_seen(pair->second, &args->legs[1]))
		return SL_CTL_UNSEEN;
	if (!sl_has_room(pair->first, &args->legs[0]) || !sl_has_room(pair->second, &args->legs[1]))
		return SL_CTL_DATA;
	sl_peer_set(&pair->first->peer, &args->keys[SL_TO_CLIENT]);
	sl_peer_set(&pair->second->peer, &args->keys[SL_TO_ENDPOINT]);
	return sl_pair_hold(pair, holding) ? SL_CTL_DONE : SL_CTL_STATE;
}

SL_INLINE void sl_pair_translate(const struct sl_pair *pair, const struct sl_activate_args *args)
{
	const struct sl_ctl_leg *client = &args->legs[0], *endpoint = &args->legs[1];
	__u32 client_tsval = SL_READ(pair->first->tsval);
	__u32 endpoint_tsval = SL_READ(pair->second->tsval);

	sl_translation_set(pair->first, client, endpoint, endpoint_tsval, args->is_ipv6);
	sl_translation_set(pair->second, endpoint, client, client_tsval, args->is_ipv6);
	sl_walk_start(pair->first, args->walk_flags[SL_TO_ENDPOINT]);
	sl_walk_start(pair->second, args->walk_flags[SL_TO_CLIENT]);
}

/*
 * A walker that has begun in ACTIVE may still be at it, or about to begin, on a CPU that was busy
 * with other things. Return: 1, and both directions are locked; or 0
 */
SL_INLINE int sl_pair_lock(const struct sl_pair *pair)
{
	if (sl_walk_set(pair->first, SL_W_BUSY) & SL_W_BUSY)
		return 0;
	if (!(sl_walk_set(pair->second, SL_W_BUSY) & SL_W_BUSY))
		return 1;
	sl_walk_clear(pair->first, SL_W_BUSY);
	return 0;
}

SL_INLINE void sl_pair_unlock(const struct sl_pair *pair)
{
	sl_walk_clear(pair->first, SL_W_BUSY);
	sl_walk_clear(pair->second, SL_W_BUSY);
}

SL_INLINE int sl_pair_is_locked(const struct sl_pair *pair)
{
	return (SL_READ(pair->first->walk.flags) | SL_READ(pair->second->walk.flags)) & SL_W_BUSY;
}

/* Ends the HOLD that sl_activate_begin() has set. */
SL_INLINE __u32 sl_activate_end(const struct sl_pair *pair, struct sl_activate_args *args,
				const struct sl_holding *holding, __u64 now_ns)
{
	sl_pair_read_ends(pair, args->got_end);
	if (args->got_end[0] != args->legs[0].rcv_nxt ||
	    args->got_end[1] != args->legs[1].rcv_nxt || !sl_pair_lock(pair)) {
		sl_pair_decide(pair, holding->word, SL_LEARN);
		return SL_CTL_DATA;
	}
	/* After so long a preemption, what is about to be written may be in use already. */
	if (now_ns >= holding->deadline_ns) {
		sl_pair_unlock(pair);
		sl_pair_decide(pair, holding->word, SL_LEARN);
		return SL_CTL_LATE;
	}
	sl_pair_translate(pair, args);
	sl_pair_unlock(pair);
	return sl_pair_decide(pair, holding->word, SL_ACTIVE) ? SL_CTL_DONE : SL_CTL_LATE;
}

/* ---- sl_hold --------------------------------------------------------------------------------- */

/* Sockets that are given back could not tell their ends of that. */
SL_INLINE int sl_is_ending(const struct sl_flow *flow)
{
	return SL_READ(flow->marks) & (SL_M_FIN | SL_M_RST);
}

/* All that has passed is acknowledged by the @other direction. Behind sl_pair_read_positions(). */
SL_INLINE int sl_is_at_rest(const struct sl_flow *other, __u32 position)
{
	return SL_READ(other->ack) + other->ack_delta == position;
}

SL_INLINE void sl_pair_go_on(const struct sl_pair *pair)
{
	sl_walk_clear(pair->first, SL_W_STOP);
	sl_walk_clear(pair->second, SL_W_STOP);
}

/* In HOLD. */
SL_INLINE __u32 sl_hold_judge(const struct sl_pair *pair, struct sl_hold_args *args)
{
	/* Who is walking may yet move a position, and its receiver claim to have that already. */
	int is_walked = sl_pair_is_locked(pair);

	sl_pair_read_positions(pair, args->got_end);
	if (sl_is_ending(pair->first) || sl_is_ending(pair->second))
		return SL_CTL_STATE;
	if (!is_walked && sl_is_at_rest(pair->second, args->got_end[SL_TO_ENDPOINT]) &&
	    sl_is_at_rest(pair->first, args->got_end[SL_TO_CLIENT]))
		return SL_CTL_DONE;
	return SL_CTL_DATA;
}

SL_INLINE __u32 sl_hold_begin(const struct sl_pair *pair, struct sl_hold_args *args,
			      const struct sl_holding *holding)
{
	/* Of a STOP that may be on, which goes on if this fails. */
	__u64 deadlines[2] = {SL_READ(pair->first->deadline_ns),
			      SL_READ(pair->second->deadline_ns)};
	__u32 result = SL_CTL_STATE;

	if (sl_pair_hold(pair, holding)) {
		result = sl_hold_judge(pair, args);
		if (result == SL_CTL_DONE) {
			sl_pair_go_on(pair);
			return result;
		}
		sl_pair_decide(pair, holding->word, SL_ACTIVE);
	}
	SL_WRITE(pair->first->deadline_ns, deadlines[0]);
	SL_WRITE(pair->second->deadline_ns, deadlines[1]);
	return result;
}

/*
 * Rule 6: what is beyond the position, and not acknowledged, is dropped at the hook, until the
 * deadline. Anybody's HOLD ends it.
 */
SL_INLINE __u32 sl_hold_stop(const struct sl_pair *pair, struct sl_hold_args *args, __u64 now_ns)
{
	if (SL_READ(pair->first->state) != SL_ACTIVE || SL_READ(pair->second->state) != SL_ACTIVE ||
	    sl_is_ending(pair->first) || sl_is_ending(pair->second))
		return SL_CTL_STATE;
	SL_WRITE(pair->first->deadline_ns, now_ns + args->hold_ns);
	SL_WRITE(pair->second->deadline_ns, now_ns + args->hold_ns);
	sl_walk_set(pair->first, SL_W_STOP);
	sl_walk_set(pair->second, SL_W_STOP);
	sl_pair_read_positions(pair, args->got_end);
	return SL_CTL_DONE;
}

SL_INLINE __u32 sl_hold_release(const struct sl_pair *pair, __u32 outcome)
{
	__u32 word = SL_READ(pair->first->state);

	if (!sl_is_hold(word) || SL_BEFORE(word) != SL_ACTIVE)
		return SL_CTL_LATE;
	sl_pair_go_on(pair);
	return sl_pair_decide(pair, word, outcome) ? SL_CTL_DONE : SL_CTL_LATE;
}
