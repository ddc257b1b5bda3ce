/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * ICMP errors about packets of spliced connections: those that the hook makes itself, for packets
 * that are too large for the way out, and those that come in and belong on the other leg. Pure, as
 * splice_rewrite.h.
 *
 * An error that comes in quotes a packet as the hook has made it. It is not patched, but made anew
 * for the sender: with the IP header that was quoted, and the first 8 bytes of TCP (RFC 792), which
 * have all that a host looks at. What else was quoted is in the numbers of the wrong leg; it is
 * left out, and with it what RFC 4884 may have added.
 */
#pragma once
#include "bpf/splice_core.h"
#include "bpf/splice_rewrite.h"

struct sl_icmp {
	__u8 type, code;
	__be16 check;
	__be32 rest; /* by type */
};

/* The beginning of a TCP header. */
struct sl_quoted_tcp {
	__be16 sport, dport;
	__be32 seq;
};

/* An error, from the network header on: all of it that is read, and all that is sent on. */
struct sl_error4 {
	struct iphdr ip;
	struct sl_icmp icmp;
	struct iphdr quoted;
	struct sl_quoted_tcp tcp;
};

struct sl_error6 {
	struct ipv6hdr ip;
	struct sl_icmp icmp;
	struct ipv6hdr quoted;
	struct sl_quoted_tcp tcp;
};

_Static_assert(sizeof(struct sl_error4) == 56, "as on the wire");
_Static_assert(sizeof(struct sl_error6) == 96, "as on the wire");

enum {
	SL_ICMP4_UNREACHABLE = 3, /* RFC 792 */
	SL_ICMP4_TOO_BIG = 4,     /* a code of it: RFC 1191 s4 */
	SL_ICMP4_TIME_EXCEEDED = 11,
	SL_ICMP6_UNREACHABLE = 1, /* RFC 4443 s3 */
	SL_ICMP6_TOO_BIG = 2,
	SL_ICMP6_TIME_EXCEEDED = 3,
};

#define SL_ICMP_HOPS 64
/* RFC 1812 s4.3.2.5: internetwork control */
#define SL_ICMP4_TOS 0xc0
#define SL_IPV4_DF   SL_SWAP16(0x4000)

/* What is quoted at most: RFC 1812 s4.3.2.3 (576 bytes in all), RFC 4443 s2.4 (c) */
#define SL_QUOTED4_MAX (576 - sizeof(struct iphdr) - sizeof(struct sl_icmp))
#define SL_QUOTED6_MAX (1280 - sizeof(struct ipv6hdr) - sizeof(struct sl_icmp))

/* ---- headers --------------------------------------------------------------------------------- */

/* @length: of ICMP and what it quotes */
SL_INLINE void sl_icmp_header4(struct iphdr *ip, __be32 saddr, __be32 daddr, __u32 length)
{
	*ip = (struct iphdr){
	    .version = 4,
	    .ihl = sizeof(*ip) / 4,
	    .tos = SL_ICMP4_TOS,
	    .tot_len = SL_SWAP16((__u16)(sizeof(*ip) + length)),
	    .frag_off = SL_IPV4_DF, /* so that it needs no identification: RFC 6864 s4.1 */
	    .ttl = SL_ICMP_HOPS,
	    .protocol = IPPROTO_ICMP,
	    .saddr = saddr,
	    .daddr = daddr,
	};
	ip->check = (__u16)~sl_sum_fold(sl_sum_words((const sl_be32 *)ip, sizeof(*ip) / 4));
}

SL_INLINE void sl_icmp_header6(struct ipv6hdr *ip, const __u8 *saddr, const __u8 *daddr,
			       __u32 length)
{
	*ip = (struct ipv6hdr){
	    .version = 6,
	    .payload_len = SL_SWAP16((__u16)length),
	    .nexthdr = IPPROTO_ICMPV6,
	    .hop_limit = SL_ICMP_HOPS,
	};
	__builtin_memcpy(&ip->saddr, saddr, sizeof(ip->saddr));
	__builtin_memcpy(&ip->daddr, daddr, sizeof(ip->daddr));
}

/* RFC 4443 s2.3: the pseudo header of ICMPv6 */
SL_INLINE __u64 sl_icmp_pseudo6(const struct ipv6hdr *ip, __u32 length)
{
	return sl_sum_words((const sl_be32 *)&ip->saddr, 8) + SL_SWAP32(length) +
	       SL_SWAP32(IPPROTO_ICMPV6);
}

/* @sum: of all but this header, and of the pseudo header */
SL_INLINE void sl_icmp_check(struct sl_icmp *icmp, __u64 sum)
{
	icmp->check = 0;
	icmp->check = (__u16)~sl_sum_fold(sum + sl_sum_words((const sl_be32 *)icmp, 2));
}

/* ---- one of ours ----------------------------------------------------------------------------- */

/* RFC 1191 s4: fragmentation needed, and the MTU. @sum: of the bytes that are quoted */
SL_INLINE void sl_icmp_too_big4(struct sl_icmp *icmp, __u32 mtu, __u64 sum)
{
	*icmp = (struct sl_icmp){
	    .type = SL_ICMP4_UNREACHABLE,
	    .code = SL_ICMP4_TOO_BIG,
	    .rest = SL_SWAP32(mtu & 0xffff),
	};
	sl_icmp_check(icmp, sum);
}

/* RFC 4443 s3.2. @sum: likewise, and of the pseudo header */
SL_INLINE void sl_icmp_too_big6(struct sl_icmp *icmp, __u32 mtu, __u64 sum)
{
	*icmp = (struct sl_icmp){.type = SL_ICMP6_TOO_BIG, .rest = SL_SWAP32(mtu)};
	sl_icmp_check(icmp, sum);
}

/*
 * RFC 4443 s2.4 (f): not more than so many, of each CPU. A connection needs one; who does not get
 * it sends again, and asks again.
 */
#define SL_ICMP_EVERY_NS 1000000u
#define SL_ICMP_BURST    100u

/* @free_ns: when the bucket is full again. Return: 1, and one is taken. */
SL_INLINE int sl_icmp_may_send(__u64 *free_ns, __u64 now_ns)
{
	__u64 at = *free_ns > now_ns ? *free_ns : now_ns;

	if (at - now_ns > (SL_ICMP_BURST - 1) * (__u64)SL_ICMP_EVERY_NS)
		return 0;
	*free_ns = at + SL_ICMP_EVERY_NS;
	return 1;
}

/* ---- one that comes in ----------------------------------------------------------------------- */

/*
 * What of its last word is passed on: an MTU, and nothing else. Return: 0 if the error is not one
 * to be passed on.
 */
SL_INLINE int sl_icmp_take4(struct sl_icmp *icmp)
{
	__u32 mtu = SL_SWAP32(icmp->rest) & 0xffff;

	icmp->rest = 0;
	if (icmp->type == SL_ICMP4_TIME_EXCEEDED)
		return 1;
	if (icmp->type != SL_ICMP4_UNREACHABLE)
		return 0;
	if (icmp->code != SL_ICMP4_TOO_BIG)
		return 1;
	icmp->rest = SL_SWAP32(mtu);
	return mtu == 0 || mtu >= 68; /* RFC 1191 s3, s5; RFC 791 s3.2 */
}

SL_INLINE int sl_icmp_take6(struct sl_icmp *icmp)
{
	if (icmp->type == SL_ICMP6_TOO_BIG) /* RFC 8201 s4: a lesser one MUST be discarded */
		return SL_SWAP32(icmp->rest) >= SL_MTU_MIN;
	icmp->rest = 0;
	return icmp->type == SL_ICMP6_UNREACHABLE || icmp->type == SL_ICMP6_TIME_EXCEEDED;
}

/* An error about TCP, to who has sent what it quotes, and in one piece. Checksum of ICMP aside. */
SL_INLINE int sl_error4_is_plain(const struct sl_error4 *e)
{
	return *(const __u8 *)&e->ip == 0x45 && *(const __u8 *)&e->quoted == 0x45 &&
	       e->ip.protocol == IPPROTO_ICMP && e->quoted.protocol == IPPROTO_TCP &&
	       !(e->ip.frag_off & SL_SWAP16(0x3fff)) && !(e->quoted.frag_off & SL_SWAP16(0x1fff)) &&
	       e->ip.daddr == e->quoted.saddr &&
	       sl_sum_fold(sl_sum_words((const sl_be32 *)&e->ip, sizeof(e->ip) / 4)) == 0xffff;
}

SL_INLINE int sl_error6_is_plain(const struct sl_error6 *e)
{
	const sl_be32 *to = (const sl_be32 *)&e->ip.daddr, *by = (const sl_be32 *)&e->quoted.saddr;

	return e->ip.version == 6 && e->quoted.version == 6 && e->ip.nexthdr == IPPROTO_ICMPV6 &&
	       e->quoted.nexthdr == IPPROTO_TCP &&
	       !((to[0] ^ by[0]) | (to[1] ^ by[1]) | (to[2] ^ by[2]) | (to[3] ^ by[3]));
}

/*
 * RFC 5927 s4.1: the segment is among those that have been sent and are not acknowledged yet, or
 * somebody guesses.
 * @sent: whose packets become such as the one that was quoted
 * @back: those that come in where the error did
 */
SL_INLINE int sl_is_under_way(const struct sl_flow *sent, const struct sl_flow *back, __be32 seq)
{
	__u32 at = SL_SWAP32(seq) - sent->seq_delta;
	__u32 acked = SL_READ(back->ack) + back->ack_delta;

	return at - acked < SL_READ(sent->end_seq) - acked;
}

SL_INLINE void sl_quoted_translate(struct sl_quoted_tcp *tcp, const struct sl_flow *sent,
				   const struct sl_flow *back)
{
	tcp->sport = back->peer.dport;
	tcp->dport = back->peer.sport;
	tcp->seq = SL_SWAP32(SL_SWAP32(tcp->seq) - sent->seq_delta);
}

/*
 * For the sender. It knows the address that it talks to; that of a router on the other leg's way is
 * none of its business, and may not even be valid on its side.
 */
SL_INLINE void sl_error4_translate(struct sl_error4 *e, const struct sl_flow *sent,
				   const struct sl_flow *back)
{
	const __u32 length = sizeof(*e) - sizeof(e->ip);
	__be32 ours, theirs;

	__builtin_memcpy(&ours, back->peer.saddr, sizeof(ours));
	__builtin_memcpy(&theirs, back->peer.daddr, sizeof(theirs));
	sl_icmp_header4(&e->ip, ours, theirs, length);
	e->quoted.check =
	    sl_sum_update(e->quoted.check, sl_sum_change32(e->quoted.saddr, theirs) +
					       sl_sum_change32(e->quoted.daddr, ours));
	e->quoted.saddr = theirs;
	e->quoted.daddr = ours;
	sl_quoted_translate(&e->tcp, sent, back);
	sl_icmp_check(&e->icmp,
		      sl_sum_words((const sl_be32 *)&e->quoted, (length - sizeof(e->icmp)) / 4));
}

SL_INLINE void sl_error6_translate(struct sl_error6 *e, const struct sl_flow *sent,
				   const struct sl_flow *back)
{
	const __u32 length = sizeof(*e) - sizeof(e->ip);

	sl_icmp_header6(&e->ip, back->peer.saddr, back->peer.daddr, length);
	__builtin_memcpy(&e->quoted.saddr, back->peer.daddr, sizeof(e->quoted.saddr));
	__builtin_memcpy(&e->quoted.daddr, back->peer.saddr, sizeof(e->quoted.daddr));
	sl_quoted_translate(&e->tcp, sent, back);
	sl_icmp_check(&e->icmp, sl_icmp_pseudo6(&e->ip, length) +
				    sl_sum_words((const sl_be32 *)&e->quoted,
						 (length - sizeof(e->icmp)) / 4));
}
