/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Whose a packet is: its headers, up to the ports, and the flow that has these addresses. */
#pragma once
#include "bpf/splice_packet.bpf.h"

/* Return: NULL if the packet is not TCP, has no ports, or is of no flow. */
static __always_inline struct sl_flow *find_ipv4(sl_ctx *ctx, struct sl_packet *p,
						 struct tcphdr *tcp)
{
	const struct iphdr *ip = sl_frame(ctx, sl_l3(p) + sizeof(*ip));
	__u32 header, total;
	__be32 saddr, daddr;

	if (!ip)
		return NULL;
	ip = (const void *)ip + sl_l3(p);
	if (ip->protocol != IPPROTO_TCP || ip->ihl < 5)
		return NULL;
	/* Not the first fragment: the stack does not complete it, as the first one is dropped. */
	if (ip->frag_off & SL_SWAP16(0x1fff))
		return NULL;
	header = ip->ihl * 4;
	/* More than 65535 bytes (GRO, TSO) are written as none. */
	total = ip->tot_len ? SL_SWAP16(ip->tot_len) : sl_length(ctx) - sl_l3(p);
	if (total < header || total > sl_length(ctx) - sl_l3(p))
		return NULL;
	p->is_fragment = !!(ip->frag_off & SL_SWAP16(0x2000));
	p->hop_limit = ip->ttl;
	p->l4 = sl_l3(p) + header;
	p->length = total - header;
	p->pseudo = sl_sum_fold(sl_sum_pseudo(&ip->saddr, 2, p->length));
	saddr = ip->saddr;
	daddr = ip->daddr;
	if (sl_copy_tcp(ctx, p, tcp))
		return NULL;
	return sl_flow_find4(saddr, daddr, tcp->source, tcp->dest);
}

/* A walk over the headers between that of IPv6 and that of TCP (RFC 8200 s4). */
struct extensions {
	sl_ctx *ctx;
	__u32 at;
	__u8 next, is_fragment, is_wrong;
};

/* All that fit into a packet, so that nobody gets past the hook by one more than it looks at. */
#define EXTENSIONS_MAX (65535 / 8)
#define IS_FRAGMENT    0x100000

static long step_over_extension(__u32 i, struct extensions *walk)
{
	__u8 bytes[4]; /* next header, length, and of a fragment offset and M flag */

	if (walk->next == IPPROTO_TCP)
		return 1;
	walk->is_wrong = sl_load(walk->ctx, walk->at, bytes, sizeof(bytes)) != 0;
	if (walk->is_wrong)
		return 1;
	switch (walk->next) {
	case IPPROTO_FRAGMENT:
		walk->is_wrong = bytes[2] != 0 || bytes[3] & 0xf8; /* not the first one */
		walk->is_fragment = 1;
		walk->at += 8;
		break;
	case IPPROTO_AH: /* RFC 4302 s2.2 */
		walk->at += (bytes[1] + 2) * 4;
		break;
	case IPPROTO_HOPOPTS:
	case IPPROTO_ROUTING:
	case IPPROTO_DSTOPTS:
		walk->at += (bytes[1] + 1) * 8;
		break;
	default:
		walk->is_wrong = 1;
	}
	walk->next = bytes[0];
	return walk->is_wrong;
}

/*
 * Return: where the TCP header is, with IS_FRAGMENT if it is in the first one of several; 0 if
 * there is none. (Global, to be verified once, and not with all that comes behind.)
 */
__noinline int sl_skip_extensions(sl_ctx *ctx, __u32 at, __u32 next_header)
{
	struct extensions walk = {
	    .ctx = ctx,
	    .at = at,
	    .next = next_header,
	};

	bpf_loop(EXTENSIONS_MAX, step_over_extension, &walk, 0);
	if (walk.is_wrong || walk.next != IPPROTO_TCP)
		return 0;
	return walk.at | (walk.is_fragment ? IS_FRAGMENT : 0);
}

static __always_inline struct sl_flow *find_ipv6(sl_ctx *ctx, struct sl_packet *p,
						 struct tcphdr *tcp)
{
	const struct ipv6hdr *ip = sl_frame(ctx, sl_l3(p) + sizeof(*ip));
	struct sl_key6 key;
	__u32 end, next_header;
	int l4;

	if (!ip)
		return NULL;
	ip = (const void *)ip + sl_l3(p);
	__builtin_memcpy(key.saddr, &ip->saddr, sizeof(key.saddr));
	__builtin_memcpy(key.daddr, &ip->daddr, sizeof(key.daddr));
	/* More than 65535 bytes are written as none. */
	end =
	    ip->payload_len ? sl_l3(p) + sizeof(*ip) + SL_SWAP16(ip->payload_len) : sl_length(ctx);
	next_header = ip->nexthdr;
	p->hop_limit = ip->hop_limit;
	p->is_ipv6 = 1;
	l4 = sl_l3(p) + sizeof(*ip);
	if (next_header != IPPROTO_TCP)
		l4 = sl_skip_extensions(ctx, l4, next_header);
	p->l4 = l4 & (IS_FRAGMENT - 1);
	p->is_fragment = !!(l4 & IS_FRAGMENT);
	if (p->l4 == 0 || end > sl_length(ctx) || p->l4 > end)
		return NULL;
	p->length = end - p->l4;
	p->pseudo = sl_sum_fold(sl_sum_pseudo((const sl_be32 *)&key, 8, p->length));
	if (sl_copy_tcp(ctx, p, tcp))
		return NULL;
	key.sport = tcp->source;
	key.dport = tcp->dest;
	return bpf_map_lookup_elem(&flows6, &key);
}
