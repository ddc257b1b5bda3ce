/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * ICMP errors at the tc hook: a packet that is too large for the way out is answered, out of the
 * packet itself; an error about a packet that the hook has translated goes on to its sender.
 */
#pragma once
#include "bpf/splice_icmp.h"
#include "bpf/splice_packet.bpf.h"
#include "bpf/splice_way.bpf.h"

/*
 * How much of a packet that is too large is taken off, to be put back with the headers of the
 * answer. More than the IP header, for this: a packet whose checksum is still to be made has a mark
 * where TCP begins; taking that off makes it one without, and nobody writes a checksum into what is
 * quoted.
 */
#define TAKEN4 (sizeof(struct iphdr) + 16)
#define TAKEN6 (sizeof(struct ipv6hdr) + 16)

struct answer4 {
	struct iphdr ip;
	struct sl_icmp icmp;
	__u8 taken[TAKEN4];
};

struct answer6 {
	struct ipv6hdr ip;
	struct sl_icmp icmp;
	__u8 taken[TAKEN6];
};

/* Of this CPU. The headers would take too much of the stack. */
struct icmp_desk {
	__u64 free_ns; /* of sl_icmp_may_send() */
	union {
		struct answer4 answer4;
		struct answer6 answer6;
		struct sl_error4 error4;
		struct {
			struct sl_error6 error6;
			struct sl_key6 key6;
		};
	};
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct icmp_desk);
} icmp SEC(".maps");

static __always_inline struct icmp_desk *icmp_desk(void)
{
	__u32 key = 0;

	return bpf_map_lookup_elem(&icmp, &key);
}

/* ---- the answer to a packet that is too large ------------------------------------------------ */

/* The rest of what is quoted stays where it is. Return: 0, or an error. */
static __always_inline int make_room(struct __sk_buff *skb, __u32 quoted, __s32 taken,
				     __s32 headers)
{
	return bpf_skb_change_tail(skb, ETH_HLEN + quoted, 0) ||
	       bpf_skb_adjust_room(skb, -taken, BPF_ADJ_ROOM_MAC, 0) ||
	       bpf_skb_adjust_room(skb, headers + taken, BPF_ADJ_ROOM_MAC, 0);
}

static __always_inline __u32 quoted_size(const struct __sk_buff *skb, int is_ipv6)
{
	__u32 size = skb->len - ETH_HLEN, max = is_ipv6 ? SL_QUOTED6_MAX : SL_QUOTED4_MAX;

	return size < max ? size : max;
}

/* @sum: of what is quoted. Return: 0, or an error. */
static __always_inline int answer_ipv4(struct __sk_buff *skb, struct answer4 *a, __u32 mtu,
				       __u32 sum)
{
	const struct iphdr *ip = (const void *)a->taken;
	__u32 quoted = quoted_size(skb, 0);

	if (bpf_skb_load_bytes(skb, ETH_HLEN, a->taken, sizeof(a->taken)) ||
	    make_room(skb, quoted, sizeof(a->taken), sizeof(*a) - sizeof(a->taken)))
		return 1;
	sl_icmp_header4(&a->ip, ip->daddr, ip->saddr, sizeof(a->icmp) + quoted);
	sl_icmp_too_big4(&a->icmp, mtu, sum);
	return bpf_skb_store_bytes(skb, ETH_HLEN, a, sizeof(*a), BPF_F_RECOMPUTE_CSUM) != 0;
}

static __always_inline int answer_ipv6(struct __sk_buff *skb, struct answer6 *a, __u32 mtu,
				       __u32 sum)
{
	const struct ipv6hdr *ip = (const void *)a->taken;
	__u32 quoted = quoted_size(skb, 1);

	if (bpf_skb_load_bytes(skb, ETH_HLEN, a->taken, sizeof(a->taken)) ||
	    make_room(skb, quoted, sizeof(a->taken), sizeof(*a) - sizeof(a->taken)))
		return 1;
	sl_icmp_header6(&a->ip, (const __u8 *)&ip->daddr, (const __u8 *)&ip->saddr,
			sizeof(a->icmp) + quoted);
	sl_icmp_too_big6(&a->icmp, mtu, sum + sl_icmp_pseudo6(&a->ip, sizeof(a->icmp) + quoted));
	return bpf_skb_store_bytes(skb, ETH_HLEN, a, sizeof(*a), BPF_F_RECOMPUTE_CSUM) != 0;
}

/* Global, as the others here: few packets come here. Return: the verdict. */
__noinline int sl_send_answer(struct __sk_buff *skb, __u32 is_ipv6, __u32 mtu, __u32 sum)
{
	struct icmp_desk *desk = icmp_desk();

	if (!desk)
		return DROP;
	if (is_ipv6 ? answer_ipv6(skb, &desk->answer6, mtu, sum)
		    : answer_ipv4(skb, &desk->answer4, mtu, sum))
		return DROP;
	sl_count(SL_STAT_ICMP_SENT);
	return bpf_redirect_neigh(skb->ifindex, NULL, 0, 0);
}

static __always_inline int may_answer(void)
{
	struct icmp_desk *desk = icmp_desk();

	return desk && sl_icmp_may_send(&desk->free_ns, bpf_ktime_get_ns());
}

/*
 * To the sender, from the address that it talks to, and out by where its packet has come in. IPv4
 * without DF is answered as well, and not fragmented as RFC 1812 s4.2.2.7 wants it: hardly any TCP
 * asks for that, and who does not heed goes back to the relay (SL_EVENT_DEAF). The summing up is
 * called from here, so that its stack does not come on top of another's.
 */
static __always_inline int answer_too_big(struct __sk_buff *skb, int is_ipv6, __u32 mtu)
{
	__u32 sum;

	if (mtu == 0 || !may_answer())
		return DROP;
	sum = sl_sum_of(skb, ETH_HLEN, quoted_size(skb, is_ipv6), 0);
	return sum == SL_SUM_FAILED ? DROP : sl_send_answer(skb, is_ipv6, mtu, sum);
}

/* ---- an error that comes in ------------------------------------------------------------------ */

/* In LEARN it is for our own socket; in HOLD nobody knows yet. */
static __always_inline int is_for_us(const struct sl_flow *back)
{
	__u32 state = SL_READ(back->state);

	return state != SL_ACTIVE && state != SL_CLOSED;
}

static __always_inline int error_leave(struct __sk_buff *skb, const struct sl_packet *p,
				       struct sl_flow *back, struct way *way, const void *error,
				       __u32 size)
{
	int why = sl_choose_way(skb, p, back, back->last_ns, way);

	if (why)
		goto drop;
	why = SL_STAT_DROP_MEMORY;
	if (bpf_skb_change_tail(skb, ETH_HLEN + size, 0) ||
	    bpf_skb_store_bytes(skb, 0, way->dmac, sizeof(way->dmac), 0) ||
	    bpf_skb_store_bytes(skb, ETH_ALEN, way->smac, sizeof(way->smac), 0) ||
	    bpf_skb_store_bytes(skb, ETH_HLEN, error, size, BPF_F_RECOMPUTE_CSUM))
		goto drop;
	sl_count(SL_STAT_ICMP_PASSED);
	return sl_leave(skb, p, way);
drop:
	sl_count(why);
	return DROP;
}

/* What an error is about. */
struct subject {
	struct sl_flow *sent, *back; /* as sl_is_under_way() has them */
};

/* Return: 1, and the error is about what is under way, and not for our own stack. */
static __always_inline int find_subject(struct sl_flow *back, int is_ipv6, __be32 seq,
					struct subject *ret)
{
	if (!back || is_for_us(back))
		return 0;
	ret->back = back;
	ret->sent = sl_flow_other(back, is_ipv6);
	return ret->sent && sl_is_under_way(ret->sent, back, seq);
}

static __always_inline int find_subject4(const struct sl_error4 *e, struct subject *ret)
{
	return find_subject(sl_flow_find4(e->quoted.daddr, e->quoted.saddr, e->tcp.dport,
					  e->tcp.sport),
			    0, e->tcp.seq, ret);
}

static __always_inline int find_subject6(struct icmp_desk *desk, struct subject *ret)
{
	const struct sl_error6 *e = &desk->error6;
	struct sl_key6 *key = &desk->key6;

	__builtin_memcpy(key->saddr, &e->quoted.daddr, sizeof(key->saddr));
	__builtin_memcpy(key->daddr, &e->quoted.saddr, sizeof(key->daddr));
	key->sport = e->tcp.dport;
	key->dport = e->tcp.sport;
	return find_subject(bpf_map_lookup_elem(&flows6, key), 1, e->tcp.seq, ret);
}

/* Puts the error on the desk. Return: the bytes of ICMP in it; 0 if it is not to be passed on. */
__noinline __u32 sl_read_error4(struct __sk_buff *skb)
{
	struct icmp_desk *desk = icmp_desk();
	struct subject subject;
	struct sl_error4 *e;
	__u32 length;

	if (!desk)
		return 0;
	e = &desk->error4;
	if (bpf_skb_load_bytes(skb, ETH_HLEN, e, sizeof(*e)) || !sl_error4_is_plain(e))
		return 0;
	length = SL_SWAP16(e->ip.tot_len) - sizeof(e->ip);
	if (length < sizeof(*e) - sizeof(e->ip) || length > skb->len - ETH_HLEN - sizeof(e->ip))
		return 0;
	return find_subject4(e, &subject) ? length : 0;
}

__noinline __u32 sl_read_error6(struct __sk_buff *skb)
{
	struct icmp_desk *desk = icmp_desk();
	struct subject subject;
	struct sl_error6 *e;
	__u32 length;

	if (!desk)
		return 0;
	e = &desk->error6;
	if (bpf_skb_load_bytes(skb, ETH_HLEN, e, sizeof(*e)) || !sl_error6_is_plain(e))
		return 0;
	length = SL_SWAP16(e->ip.payload_len);
	if (length < sizeof(*e) - sizeof(e->ip) || length > skb->len - ETH_HLEN - sizeof(e->ip))
		return 0;
	return find_subject6(desk, &subject) ? length : 0;
}

/* That on the desk, whose bytes of ICMP sum up to @sum. Return: the verdict. */
__noinline int sl_pass_error4(struct __sk_buff *skb, struct sl_packet *p, struct way *way,
			      __u32 sum)
{
	struct icmp_desk *desk = icmp_desk();
	struct subject subject;

	if (!p || !way || !desk || sum != 0xffff || !find_subject4(&desk->error4, &subject) ||
	    !sl_icmp_take4(&desk->error4.icmp))
		return PASS;
	p->l4 = sl_plain_l4(p);
	sl_error4_translate(&desk->error4, subject.sent, subject.back);
	return error_leave(skb, p, subject.back, way, &desk->error4, sizeof(desk->error4));
}

__noinline int sl_pass_error6(struct __sk_buff *skb, struct sl_packet *p, struct way *way,
			      __u32 sum)
{
	struct icmp_desk *desk = icmp_desk();
	struct subject subject;

	if (!p || !way || !desk)
		return PASS;
	sum +=
	    sl_sum_fold(sl_icmp_pseudo6(&desk->error6.ip, SL_SWAP16(desk->error6.ip.payload_len)));
	if (sl_sum_fold(sum) != 0xffff || !find_subject6(desk, &subject) ||
	    !sl_icmp_take6(&desk->error6.icmp))
		return PASS;
	p->is_ipv6 = 1;
	p->l4 = sl_plain_l4(p);
	sl_error6_translate(&desk->error6, subject.sent, subject.back);
	return error_leave(skb, p, subject.back, way, &desk->error6, sizeof(desk->error6));
}

/* What is not believed is the stack's, which has no socket that it could mean. */
static __always_inline int pass_error(struct __sk_buff *skb, struct sl_packet *p, struct way *way,
				      int is_ipv6)
{
	__u32 at = ETH_HLEN + (is_ipv6 ? sizeof(struct ipv6hdr) : sizeof(struct iphdr));
	__u32 length = is_ipv6 ? sl_read_error6(skb) : sl_read_error4(skb), sum;

	if (length == 0)
		return PASS;
	sum = sl_sum_of(skb, at, length, 0);
	if (sum == SL_SUM_FAILED)
		return PASS;
	return is_ipv6 ? sl_pass_error6(skb, p, way, sum) : sl_pass_error4(skb, p, way, sum);
}
