/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * How the headers of a packet become those of the other leg: TCP header and options, addresses,
 * checksums. Pure: no BPF helper, so that unit tests compile the same code. Pointers are to
 * headers in the packet that the caller has found to be whole.
 */
#pragma once
#include "bpf/splice_inline.h"
#include "sluice/flow.h"

#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define SL_SWAP16(x) __builtin_bswap16(x)
#define SL_SWAP32(x) __builtin_bswap32(x)
#else
#define SL_SWAP16(x) ((__u16)(x))
#define SL_SWAP32(x) ((__u32)(x))
#endif

/* ---- checksums -------------------------------------------------------------------------------
 * A sum is one of 16-bit words as they stand in memory (RFC 1071), in 64 bits, carries not folded.
 */

SL_INLINE __u16 sl_sum_fold(__u64 sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (__u16)((sum & 0xffff) + (sum >> 16));
}

/* What a change adds (RFC 1624, equation 3). */
SL_INLINE __u64 sl_sum_change32(__be32 old, __be32 new_)
{
	return (__u64)(__u32)~old + new_;
}

SL_INLINE __u64 sl_sum_change16(__be16 old, __be16 new_)
{
	return (__u64)(__u16)~old + new_;
}

/* A checksum that holds the complement of a sum, behind changes of that sum. */
SL_INLINE __u16 sl_sum_update(__u16 check, __u64 change)
{
	return (__u16)~sl_sum_fold((__u16)~check + change);
}

/* A byte is the upper half of its word at an even offset, and the lower at an odd one. */
SL_INLINE __u16 sl_word_of_byte(__u32 offset, __u8 byte)
{
	return SL_SWAP16((__u16)(offset & 1 ? byte : byte << 8));
}

SL_INLINE __u64 sl_sum_words(const sl_be32 *words, __u32 n)
{
	__u64 sum = 0;

	for (__u32 i = 0; i < n; i++)
		sum += words[i];
	return sum;
}

/* Of the pseudo header; @length is of TCP header and payload. */
SL_INLINE __u64 sl_sum_pseudo(const sl_be32 *addresses, __u32 n_words, __u32 length)
{
	return sl_sum_words(addresses, n_words) + SL_SWAP32(length) + SL_SWAP32(IPPROTO_TCP);
}

/* ---- TCP options ---------------------------------------------------------------------------- */

#define SL_OPTIONS_MAX 40 /* RFC 9293 s3.1: the header has 60 bytes at most */

enum sl_option_kind {
	SL_OPTION_END = 0,
	SL_OPTION_NOP = 1,
	SL_OPTION_SACK = 5,
	SL_OPTION_TIMESTAMPS = 8,
	SL_OPTION_MD5 = 19,
	SL_OPTION_AUTHENTICATION = 29,
};

/* The layout that nearly all packets have (RFC 7323, appendix A): NOP, NOP, kind 8, length 10. */
#define SL_PLAIN_OPTIONS_SIZE 12
#define SL_PLAIN_OPTIONS_WORD 0x0101080au

/* The options of a packet, copied out of it, and what the walk over them has found. */
struct sl_options {
	__u8 bytes[64]; /* SL_OPTIONS_MAX of them; a power of two, to be indexed by a mask */
	__u32 length;
	__u32 at;  /* the walk stands here */
	__u64 sum; /* of the changes */
	__u32 tsval;
	__u8 has_tsval;
	__u8 has_ack;  /* in: the packet has ACK set, so that TSecr means something */
	__u8 is_wrong; /* cannot be read, or not be changed */
	__u8 is_changed;
	__u8 flags; /* in: SL_F_ of the flow, and its deltas */
	__u8 zero[3];
	__u32 ack_delta, tsval_delta, tsecr_delta;
};

SL_INLINE __u8 sl_options_get(const struct sl_options *o, __u32 at)
{
	return o->bytes[at & 63];
}

SL_INLINE void sl_options_set(struct sl_options *o, __u32 at, __u8 byte)
{
	o->sum +=
	    sl_sum_change16(sl_word_of_byte(at, o->bytes[at & 63]), sl_word_of_byte(at, byte));
	o->bytes[at & 63] = byte;
	o->is_changed = 1;
}

SL_INLINE __u32 sl_options_get32(const struct sl_options *o, __u32 at)
{
	return (__u32)sl_options_get(o, at) << 24 | (__u32)sl_options_get(o, at + 1) << 16 |
	       (__u32)sl_options_get(o, at + 2) << 8 | sl_options_get(o, at + 3);
}

SL_INLINE void sl_options_add32(struct sl_options *o, __u32 at, __u32 delta)
{
	__u32 value = sl_options_get32(o, at) + delta;

	sl_options_set(o, at, (__u8)(value >> 24));
	sl_options_set(o, at + 1, (__u8)(value >> 16));
	sl_options_set(o, at + 2, (__u8)(value >> 8));
	sl_options_set(o, at + 3, (__u8)value);
}

SL_INLINE void sl_options_blank(struct sl_options *o, __u32 at, __u32 size)
{
	for (__u32 i = 0; i < SL_OPTIONS_MAX && i < size; i++)
		sl_options_set(o, at + i, SL_OPTION_NOP);
}

/* RFC 7323 s3.2: TSecr counts in segments with ACK only, and zero says that there is none. */
SL_INLINE void sl_options_timestamps(struct sl_options *o, __u32 at)
{
	o->tsval = sl_options_get32(o, at + 2);
	o->has_tsval = 1;
	if (o->flags & SL_F_STRIP_TS) {
		sl_options_blank(o, at, 10);
		return;
	}
	sl_options_add32(o, at + 2, o->tsval_delta);
	if (o->has_ack && sl_options_get32(o, at + 6) != 0)
		sl_options_add32(o, at + 6, o->tsecr_delta);
}

/* RFC 2018 s3: edges are sequence numbers of what the other direction sends. */
SL_INLINE void sl_options_sack(struct sl_options *o, __u32 at, __u32 size)
{
	if (o->flags & SL_F_STRIP_SACK) {
		sl_options_blank(o, at, size);
		return;
	}
	for (__u32 i = 0; i < 8 && 2 + i * 4 < size; i++)
		sl_options_add32(o, at + 2 + i * 4, o->ack_delta);
}

/*
 * What neither leg has negotiated with us does not pass on to the other: a stack between the two
 * would not have handed it on either. A signature covers what is about to change.
 */
SL_INLINE void sl_options_one(struct sl_options *o, __u32 at, __u8 kind, __u32 size)
{
	if (kind == SL_OPTION_TIMESTAMPS && size == 10)
		sl_options_timestamps(o, at);
	else if (kind == SL_OPTION_SACK && size >= 10 && size <= 34 && size % 8 == 2)
		sl_options_sack(o, at, size);
	else if (kind == SL_OPTION_MD5 || kind == SL_OPTION_AUTHENTICATION)
		o->is_wrong = 1;
	else
		sl_options_blank(o, at, size);
}

/* Takes one option, and goes on to the next. Return: 0, or 1 at the end of all. */
SL_INLINE int sl_options_step(struct sl_options *o)
{
	__u32 at = o->at, size;
	__u8 kind;

	if (at >= o->length || o->is_wrong)
		return 1;
	kind = sl_options_get(o, at);
	if (kind == SL_OPTION_END)
		return 1;
	if (kind == SL_OPTION_NOP) {
		o->at = at + 1;
		return 0;
	}
	size = at + 1 < o->length ? sl_options_get(o, at + 1) : 0;
	if (size < 2 || size > SL_OPTIONS_MAX || at + size > o->length) {
		o->is_wrong = 1;
		return 1;
	}
	sl_options_one(o, at, kind, size);
	o->at = at + size;
	return 0;
}

SL_INLINE void sl_options_begin(struct sl_options *o, const struct sl_flow *flow, __u32 length,
				__u8 has_ack)
{
	o->length = length;
	o->has_ack = has_ack;
	o->flags = flow->flags;
	o->ack_delta = flow->ack_delta;
	o->tsval_delta = flow->tsval_delta;
	o->tsecr_delta = flow->tsecr_delta;
}

/* The usual layout in its place in the packet; @words are SL_PLAIN_OPTIONS_SIZE bytes. */
SL_INLINE __u64 sl_rewrite_plain_options(sl_be32 *words, const struct sl_flow *flow, __u8 has_ack)
{
	__be32 tsval = SL_SWAP32(SL_SWAP32(words[1]) + flow->tsval_delta);
	__u64 sum = sl_sum_change32(words[1], tsval);

	words[1] = tsval;
	if (has_ack && words[2] != 0) {
		__be32 tsecr = SL_SWAP32(SL_SWAP32(words[2]) + flow->tsecr_delta);

		sum += sl_sum_change32(words[2], tsecr);
		words[2] = tsecr;
	}
	return sum;
}

/* ---- TCP header ------------------------------------------------------------------------------ */

/* RFC 7323 s2.3: never a larger window than was announced, so shifts to the right round down. */
SL_INLINE __u32 sl_window_shift(__u32 window, __s8 shift)
{
	if (shift < 0)
		return window >> (-shift & 15);
	window <<= shift & 15;
	return window > 65535 ? 65535 : window;
}

/* Window and flags share a word: RFC 7323 s2.2, the window of a SYN is never scaled. */
SL_INLINE __be32 sl_flags_and_window(__be32 word, const struct sl_flow *flow)
{
	__u32 host = SL_SWAP32(word);

	if (!(word & TCP_FLAG_SYN))
		host = (host & 0xffff0000) | sl_window_shift(host & 0xffff, flow->window_shift);
	word = SL_SWAP32(host);
	if (flow->flags & SL_F_CLEAR_ECN)
		word &= ~(TCP_FLAG_ECE | TCP_FLAG_CWR);
	return word;
}

/* All but options, checksum and payload. Return: the sum of the changes. */
SL_INLINE __u64 sl_rewrite_tcp(struct tcphdr *tcp, const struct sl_flow *flow)
{
	sl_be32 *words = (sl_be32 *)tcp;
	__be32 seq = SL_SWAP32(SL_SWAP32(tcp->seq) + flow->seq_delta);
	__be32 rest = sl_flags_and_window(words[3], flow);
	__u64 sum;

	sum = sl_sum_change16(tcp->source, flow->peer.sport) +
	      sl_sum_change16(tcp->dest, flow->peer.dport);
	tcp->source = flow->peer.sport;
	tcp->dest = flow->peer.dport;
	sum += sl_sum_change32(tcp->seq, seq);
	tcp->seq = seq;
	if (tcp->ack) {
		__be32 ack = SL_SWAP32(SL_SWAP32(tcp->ack_seq) + flow->ack_delta);

		sum += sl_sum_change32(tcp->ack_seq, ack);
		tcp->ack_seq = ack;
	}
	sum += sl_sum_change32(words[3], rest);
	words[3] = rest;
	return sum;
}

/* ---- network header -------------------------------------------------------------------------- */

#define SL_ECN_MASK 0x3u /* RFC 3168 s5: the lower bits of the former TOS, or traffic class */

/* What becomes of the former TOS, or traffic class: (old & keep) | set */
struct sl_tos {
	__u8 keep, set;
};

SL_INLINE struct sl_tos sl_tos_plain(const struct sl_flow *flow)
{
	__u8 keep = flow->flags & SL_F_CLEAR_ECN ? (__u8)~SL_ECN_MASK : 0xff;

	return (struct sl_tos){.keep = keep};
}

/*
 * Return: the sum of the changes to the pseudo header. The header's own checksum is changed, and
 * not made anew (RFC 1812 s4.2.2.5): what was damaged on the way shall not look sound.
 */
SL_INLINE __u64 sl_rewrite_ipv4(struct iphdr *ip, const struct sl_flow *flow, struct sl_tos tos)
{
	sl_be32 *words = (sl_be32 *)ip;
	__be32 saddr, daddr, first = words[0], third = words[2];
	__u16 check = ip->check;
	__u64 sum;

	__builtin_memcpy(&saddr, flow->peer.saddr, sizeof(saddr));
	__builtin_memcpy(&daddr, flow->peer.daddr, sizeof(daddr));
	sum = sl_sum_change32(ip->saddr, saddr) + sl_sum_change32(ip->daddr, daddr);
	ip->saddr = saddr;
	ip->daddr = daddr;
	ip->ttl--;
	ip->tos = (ip->tos & tos.keep) | tos.set;
	ip->check = 0;
	third &= SL_SWAP32(0xffff0000); /* all but the checksum */
	ip->check = sl_sum_update(check, sum + sl_sum_change32(first, words[0]) +
					     sl_sum_change32(third, words[2]));
	return sum;
}

SL_INLINE __u64 sl_rewrite_address6(sl_be32 *address, const __u8 *new_)
{
	__be32 words[4];
	__u64 sum = 0;

	__builtin_memcpy(words, new_, sizeof(words));
	for (int i = 0; i < 4; i++) {
		sum += sl_sum_change32(address[i], words[i]);
		address[i] = words[i];
	}
	return sum;
}

/* Likewise; @ret_first: the sum of the changes to the words before the addresses. */
SL_INLINE __u64 sl_rewrite_ipv6(struct ipv6hdr *ip, const struct sl_flow *flow, struct sl_tos tos,
				__u64 *ret_first)
{
	sl_be32 *words = (sl_be32 *)ip;
	__be32 old[2] = {words[0], words[1]};

	ip->hop_limit--;
	words[0] &= SL_SWAP32(~((__u32)(__u8)~tos.keep << 20));
	words[0] |= SL_SWAP32((__u32)tos.set << 20);
	*ret_first = sl_sum_change32(old[0], words[0]) + sl_sum_change32(old[1], words[1]);
	return sl_rewrite_address6(words + 2, flow->peer.saddr) +
	       sl_rewrite_address6(words + 6, flow->peer.daddr);
}
