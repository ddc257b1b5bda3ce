/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Packets as tc programs see them: reading headers, verifying checksums, changing in place. */
#pragma once
#include "bpf/splice.bpf.h"
#include "bpf/splice_rewrite.h"

#include <linux/if_ether.h>
#include <linux/pkt_cls.h>

/* A TCP packet behind an Ethernet header. */
struct sl_packet {
	__u32 l4;     /* where the TCP header is */
	__u32 length; /* bytes of TCP header and payload */
	__u16 pseudo; /* folded sum of the pseudo header */
	__u8 is_ipv6;
	__u8 is_readable; /* the TCP header does not contradict itself; else there is no segment */
	__u8 is_fragment; /* the first one of several */
	__u8 hop_limit;
	__u8 options_size;
	__u8 is_plain; /* options are timestamps in the usual layout, and nothing else */
	__be16 check;
	struct sl_segment segment;
};

#define SL_L3 ((__u32)sizeof(struct ethhdr))

/* What is changed or read in place: headers with no options but the usual ones of TCP. */
#define SL_PLAIN_L4(is_ipv6) (SL_L3 + ((is_ipv6) ? sizeof(struct ipv6hdr) : sizeof(struct iphdr)))
#define SL_LINEAR4           (SL_L3 + sizeof(struct iphdr) + sizeof(struct tcphdr))
#define SL_LINEAR6           (SL_L3 + sizeof(struct ipv6hdr) + sizeof(struct tcphdr))

/* ---- reading --------------------------------------------------------------------------------- */

/* So many bytes from the start on, for direct access; NULL if the packet is shorter. */
static __always_inline void *sl_linear(struct __sk_buff *skb, __u32 size)
{
	if ((void *)(long)skb->data + size > (void *)(long)skb->data_end &&
	    (skb->len < size || bpf_skb_pull_data(skb, size)))
		return NULL;
	if ((void *)(long)skb->data + size > (void *)(long)skb->data_end)
		return NULL;
	return (void *)(long)skb->data;
}

/*
 * The TCP header is copied: from where it is nearly always, or from behind options. Of a fragment
 * it may be the beginning only, of 8 bytes at least (RFC 791 s3.2), and so with the ports.
 * Return: 0, or an error.
 */
static __always_inline int sl_copy_tcp(struct __sk_buff *skb, const struct sl_packet *p,
				       struct tcphdr *ret)
{
	const void *tcp = (void *)(long)skb->data + SL_PLAIN_L4(p->is_ipv6);

	if (p->l4 == SL_PLAIN_L4(p->is_ipv6) && p->length >= sizeof(*ret) &&
	    tcp + sizeof(*ret) <= (void *)(long)skb->data_end) {
		__builtin_memcpy(ret, tcp, sizeof(*ret));
		return 0;
	}
	if (p->length >= sizeof(*ret))
		return bpf_skb_load_bytes(skb, p->l4, ret, sizeof(*ret)) != 0;
	__builtin_memset(ret, 0, sizeof(*ret));
	return !p->is_fragment || bpf_skb_load_bytes(skb, p->l4, ret, 2 * sizeof(ret->source));
}

static __always_inline void sl_read_tcp(struct sl_packet *p, const struct tcphdr *tcp)
{
	__u32 header = tcp->doff * 4;
	struct sl_segment *segment = &p->segment;

	p->check = tcp->check;
	if (header < sizeof(*tcp) || header > p->length)
		return;
	p->is_readable = 1;
	p->options_size = header - sizeof(*tcp);
	segment->seq = SL_SWAP32(tcp->seq);
	segment->ack = SL_SWAP32(tcp->ack_seq);
	segment->window = SL_SWAP16(tcp->window);
	segment->flags = ((const __u8 *)tcp)[13] & SL_S_OF_TCP;
	segment->payload = p->length - header;
	segment->end = sl_segment_end(segment->seq, segment->payload, segment->flags);
}

/* ---- options ---------------------------------------------------------------------------------
 * What is global here, and not static, the kernel verifies once, and not again with all that comes
 * before and behind it.
 */

static long sl_options_turn(__u32 i, struct sl_options *options)
{
	return sl_options_step(options);
}

/* Return: 0, or 1 if there are none there. */
static __always_inline int sl_options_load(struct __sk_buff *skb, __u32 at, __u32 size,
					   struct sl_options *options)
{
	if (size < 1 || size > SL_OPTIONS_MAX)
		return 1;
	/*
	 * Nothing reads the rest of the array, but for the verifier the walk may. Zeros would be
	 * spilled registers to it, of which a store at a variable offset leaves halves behind that
	 * some releases (6.18.15) then take for pointers. Bytes of the packet are only bytes.
	 */
	if (bpf_skb_load_bytes(skb, 0, options->bytes + SL_OPTIONS_MAX,
			       sizeof(options->bytes) - SL_OPTIONS_MAX))
		return 1;
	/* As it is; but clang 19 leaves the verifier no other way to see that. */
	size = (size - 1) % sizeof(options->bytes) + 1;
	return bpf_skb_load_bytes(skb, at, options->bytes, size) != 0;
}

/* The timestamp among options in any layout. Return: 1, or 0 if there is none. */
__noinline int sl_find_tsval(struct __sk_buff *skb, __u32 at, __u32 size, __u32 *ret_tsval)
{
	struct sl_options options = {.length = size};

	if (!ret_tsval || sl_options_load(skb, at, size, &options))
		return 0;
	bpf_loop(SL_OPTIONS_MAX, sl_options_turn, &options, 0); /* changes the copy only */
	*ret_tsval = options.tsval;
	return options.has_tsval;
}

static __always_inline void sl_read_tsval(struct __sk_buff *skb, struct sl_packet *p)
{
	const void *data = (void *)(long)skb->data;
	__u32 at = p->l4 + sizeof(struct tcphdr), plain_at, tsval;
	__be32 words[2];

	if (p->options_size < 10)
		return;
	plain_at = SL_PLAIN_L4(p->is_ipv6) + sizeof(struct tcphdr);
	if (at == plain_at && data + plain_at + sizeof(words) <= (void *)(long)skb->data_end)
		__builtin_memcpy(words, data + plain_at, sizeof(words));
	else if (bpf_skb_load_bytes(skb, at, words, sizeof(words)))
		return;
	if (words[0] == SL_SWAP32(SL_PLAIN_OPTIONS_WORD)) {
		p->segment.tsval = SL_SWAP32(words[1]);
		p->segment.flags |= SL_S_TSVAL;
		p->is_plain = p->options_size == SL_PLAIN_OPTIONS_SIZE;
	} else if (sl_find_tsval(skb, at, p->options_size, &tsval)) {
		p->segment.tsval = tsval;
		p->segment.flags |= SL_S_TSVAL;
	}
}

/*
 * Changes options in any layout. Return: 0, or the enum sl_stat that the packet has to be dropped
 * for.
 * @sum: the changes are added
 */
__noinline int sl_walk_options(struct __sk_buff *skb, struct sl_flow *flow, __u32 at,
			       __u32 size_and_ack, __u64 *sum)
{
	__u32 size = size_and_ack >> 1;
	struct sl_options options = {0};

	if (!flow || !sum || sl_options_load(skb, at, size, &options))
		return SL_STAT_DROP_OPTIONS;
	sl_options_begin(&options, flow, size, size_and_ack & 1);
	bpf_loop(SL_OPTIONS_MAX, sl_options_turn, &options, 0);
	if (options.is_wrong)
		return SL_STAT_DROP_OPTIONS;
	size = (size - 1) % sizeof(options.bytes) + 1;
	if (options.is_changed && bpf_skb_store_bytes(skb, at, options.bytes, size, 0))
		return SL_STAT_DROP_MEMORY;
	*sum += options.sum;
	return 0;
}

/* ---- the checksum ---------------------------------------------------------------------------- */

#define SL_SUM_BLOCK  128
#define SL_SUM_BLOCKS 1024

struct sl_sum_walk {
	struct __sk_buff *skb;
	__u32 at, left;
	__u64 sum;
	__be32 block[SL_SUM_BLOCK / 4];
};

static long sl_sum_block(__u32 i, struct sl_sum_walk *walk)
{
	__u32 n = walk->left < SL_SUM_BLOCK ? walk->left : SL_SUM_BLOCK;

	if (n == 0)
		return 1;
	if (n < SL_SUM_BLOCK)
		__builtin_memset(walk->block, 0, sizeof(walk->block));
	/* The verifier wants to see a size that is neither 0 nor too large. */
	if (bpf_skb_load_bytes(walk->skb, walk->at, walk->block, (n - 1) % SL_SUM_BLOCK + 1))
		return 1;
	walk->sum += (__u32)bpf_csum_diff(NULL, 0, walk->block, sizeof(walk->block), 0);
	walk->at += n;
	walk->left -= n;
	return 0;
}

/* All bytes, where nobody has done that before: an interface without offloads and GRO. */
__noinline int sl_is_sum_right(struct __sk_buff *skb, __u32 l4, __u32 length, __u32 pseudo)
{
	struct sl_sum_walk walk = {.skb = skb, .at = l4, .left = length, .sum = pseudo};

	bpf_loop(SL_SUM_BLOCKS, sl_sum_block, &walk, 0);
	return walk.left == 0 && sl_sum_fold(walk.sum) == 0xffff;
}

/* CHECKSUM_COMPLETE: the device has summed up all behind the Ethernet header. */
static __always_inline int sl_is_device_sum_right(struct __sk_buff *skb, const struct sl_packet *p)
{
	__s64 sum = bpf_csum_update(skb, 0);

	/* The sum of an IPv4 header is zero; another header would have to be taken out. */
	return sum >= 0 && !p->is_ipv6 && sl_sum_fold((__u64)sum + p->pseudo) == 0xffff;
}

/*
 * RFC 9293 s3.1. What GRO has merged, or came from this host, has only the sum of the pseudo
 * header there (CHECKSUM_PARTIAL), and is right by construction: so is whatever is still to be cut
 * into segments. Otherwise somebody has to have looked, or does so now.
 */
static __always_inline int sl_is_checksum_right(struct __sk_buff *skb, const struct sl_packet *p)
{
	return p->check == p->pseudo || skb->gso_size != 0 ||
	       bpf_csum_level(skb, BPF_CSUM_LEVEL_QUERY) >= 0 || sl_is_device_sum_right(skb, p) ||
	       sl_is_sum_right(skb, p->l4, p->length, p->pseudo);
}

/* Only in plain packets. */
static __always_inline struct tcphdr *sl_plain_tcp(struct __sk_buff *skb, int is_ipv6)
{
	void *tcp = (void *)(long)skb->data + SL_PLAIN_L4(is_ipv6);

	return tcp + sizeof(struct tcphdr) <= (void *)(long)skb->data_end ? tcp : NULL;
}

/*
 * Puts the sums of changes into the checksum, as the kind of this packet's wants it. Which kind it
 * is, no helper says. But what the first one, for the pseudo header, has made of the checksum tells
 * whether it is one that is still to be made (CHECKSUM_PARTIAL): then that was all. Only if the two
 * kinds came out the same, the change having been none modulo 2^16 - 1, the helper is asked again.
 * @first: sum of the changes to an IPv6 header before the addresses
 */
static __always_inline void sl_update_checksum(struct __sk_buff *skb, const struct sl_packet *p,
					       __u64 tcp_sum, __u64 pseudo_sum, __u64 first)
{
	__u32 at = p->l4 + __builtin_offsetof(struct tcphdr, check);
	__u16 pseudo = sl_sum_fold(pseudo_sum);
	__u16 made = sl_sum_update(p->check, pseudo),
	      unmade = sl_sum_fold((__u64)p->check + pseudo);
	struct tcphdr *tcp;

	bpf_l4_csum_replace(skb, at, 0, pseudo, BPF_F_PSEUDO_HDR);
	tcp = sl_plain_tcp(skb, p->is_ipv6);
	if (made == unmade || !tcp) {
		bpf_l4_csum_replace(skb, at, 0, sl_sum_fold(tcp_sum), 0);
	} else if (tcp->check == made) {
		tcp->check = sl_sum_update(made, sl_sum_fold(tcp_sum));
	} else {
		return;
	}
	/*
	 * With CHECKSUM_COMPLETE, BPF_F_PSEUDO_HDR has changed the device's sum as is right for
	 * IPv4, where the header's checksum balances its addresses. In IPv6 the TCP checksum does
	 * that (Linux 6.16, BPF_F_IPV6), and nothing balances the hop limit.
	 */
	if (p->is_ipv6)
		bpf_csum_update(skb, sl_sum_fold(pseudo_sum + first));
}
