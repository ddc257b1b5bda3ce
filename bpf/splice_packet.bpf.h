/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Reading the headers of a packet, walking over its options, and its checksum by hand. */
#pragma once
#include "bpf/splice_hook.bpf.h"
#include "bpf/splice_rewrite.h"

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
	__u32 ifindex;  /* XDP: it came in by */
	__u8 is_tagged; /* likewise: a VLAN's tag is in the packet */
	__u8 zero[3];
	struct sl_segment segment;
};

/* What is changed or read in place: headers with no options but the usual ones of TCP. */
static __always_inline __u32 sl_plain_l4(const struct sl_packet *p)
{
	return sl_l3(p) + (p->is_ipv6 ? sizeof(struct ipv6hdr) : sizeof(struct iphdr));
}

/* ---- reading --------------------------------------------------------------------------------- */

/*
 * The TCP header is copied: from where it is nearly always, or from behind options. Of a fragment
 * it may be the beginning only, of 8 bytes at least (RFC 791 s3.2), and so with the ports.
 * Return: 0, or an error.
 */
static __always_inline int sl_copy_tcp(sl_ctx *ctx, const struct sl_packet *p, struct tcphdr *ret)
{
	const void *tcp = (void *)(long)ctx->data + sl_plain_l4(p);

	if (p->l4 == sl_plain_l4(p) && p->length >= sizeof(*ret) &&
	    tcp + sizeof(*ret) <= (void *)(long)ctx->data_end) {
		__builtin_memcpy(ret, tcp, sizeof(*ret));
		return 0;
	}
	if (p->length >= sizeof(*ret))
		return sl_load(ctx, p->l4, ret, sizeof(*ret)) != 0;
	__builtin_memset(ret, 0, sizeof(*ret));
	return !p->is_fragment || sl_load(ctx, p->l4, ret, 2 * sizeof(ret->source));
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
static __always_inline int sl_options_load(sl_ctx *ctx, __u32 at, __u32 size,
					   struct sl_options *options)
{
	if (size < 1 || size > SL_OPTIONS_MAX)
		return 1;
	/*
	 * Nothing reads the rest of the array, but for the verifier the walk may. Zeros would be
	 * spilled registers to it, of which a store at a variable offset leaves halves behind that
	 * some releases (6.18.15) then take for pointers. Bytes of the packet are only bytes.
	 */
	if (sl_load(ctx, 0, options->bytes + SL_OPTIONS_MAX,
		    sizeof(options->bytes) - SL_OPTIONS_MAX))
		return 1;
	/* As it is; but clang 19 leaves the verifier no other way to see that. */
	size = (size - 1) % sizeof(options->bytes) + 1;
	return sl_load(ctx, at, options->bytes, size) != 0;
}

/* The timestamp among options in any layout. Return: 1, or 0 if there is none. */
__noinline int sl_find_tsval(sl_ctx *ctx, __u32 at, __u32 size, __u32 *ret_tsval)
{
	struct sl_options options = {.length = size};

	if (!ret_tsval || sl_options_load(ctx, at, size, &options))
		return 0;
	bpf_loop(SL_OPTIONS_MAX, sl_options_turn, &options, 0); /* changes the copy only */
	*ret_tsval = options.tsval;
	return options.has_tsval;
}

static __always_inline void sl_read_tsval(sl_ctx *ctx, struct sl_packet *p)
{
	const void *data = (void *)(long)ctx->data;
	__u32 at = p->l4 + sizeof(struct tcphdr), plain_at, tsval;
	__be32 words[2];

	if (p->options_size < 10)
		return;
	plain_at = sl_plain_l4(p) + sizeof(struct tcphdr);
	if (at == plain_at && data + plain_at + sizeof(words) <= (void *)(long)ctx->data_end)
		__builtin_memcpy(words, data + plain_at, sizeof(words));
	else if (sl_load(ctx, at, words, sizeof(words)))
		return;
	if (words[0] == SL_SWAP32(SL_PLAIN_OPTIONS_WORD)) {
		p->segment.tsval = SL_SWAP32(words[1]);
		p->segment.flags |= SL_S_TSVAL;
		p->is_plain = p->options_size == SL_PLAIN_OPTIONS_SIZE;
	} else if (sl_find_tsval(ctx, at, p->options_size, &tsval)) {
		p->segment.tsval = tsval;
		p->segment.flags |= SL_S_TSVAL;
	}
}

/*
 * Changes options in any layout. Return: 0, or the enum sl_stat that the packet has to be dropped
 * for.
 * @sum: the changes are added
 */
__noinline int sl_walk_options(sl_ctx *ctx, struct sl_flow *flow, __u32 at, __u32 size_and_ack,
			       __u64 *sum)
{
	__u32 size = size_and_ack >> 1;
	struct sl_options options = {0};

	if (!flow || !sum || sl_options_load(ctx, at, size, &options))
		return SL_STAT_DROP_OPTIONS;
	sl_options_begin(&options, flow, size, size_and_ack & 1);
	bpf_loop(SL_OPTIONS_MAX, sl_options_turn, &options, 0);
	if (options.is_wrong)
		return SL_STAT_DROP_OPTIONS;
	size = (size - 1) % sizeof(options.bytes) + 1;
	if (options.is_changed && sl_store(ctx, at, options.bytes, size))
		return SL_STAT_DROP_MEMORY;
	*sum += options.sum;
	return 0;
}

/* ---- the checksum ---------------------------------------------------------------------------- */

#define SL_SUM_BLOCK  128
#define SL_SUM_BLOCKS 1024

struct sl_sum_walk {
	sl_ctx *ctx;
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
	if (sl_load(walk->ctx, walk->at, walk->block, (n - 1) % SL_SUM_BLOCK + 1))
		return 1;
	walk->sum += (__u32)bpf_csum_diff(NULL, 0, walk->block, sizeof(walk->block), 0);
	walk->at += n;
	walk->left -= n;
	return 0;
}

#define SL_SUM_FAILED 0x10000u

/* Of so many bytes, and @sum. Return: folded, or SL_SUM_FAILED if they are not there. */
__noinline __u32 sl_sum_of(sl_ctx *ctx, __u32 at, __u32 length, __u32 sum)
{
	struct sl_sum_walk walk = {.ctx = ctx, .at = at, .left = length, .sum = sum};

	bpf_loop(SL_SUM_BLOCKS, sl_sum_block, &walk, 0);
	return walk.left == 0 ? sl_sum_fold(walk.sum) : SL_SUM_FAILED;
}

/* All bytes, where nobody has done that before: an interface without offloads and GRO. */
static __always_inline int sl_is_sum_right(sl_ctx *ctx, __u32 l4, __u32 length, __u32 pseudo)
{
	return sl_sum_of(ctx, l4, length, pseudo) == 0xffff;
}
