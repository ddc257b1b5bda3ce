/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The way out of the gateway for a packet of a flow: interface and addresses of the link layer. */
#pragma once
#include "bpf/splice_packet.bpf.h"
#include "bpf/splice_way.h"

enum way_kind {
	WAY_DIRECT,    /* addresses of the link layer are known */
	WAY_NEIGHBOUR, /* the kernel shall find them, or its own stack, by way of lo */
	WAY_RECORDED,  /* likewise, and where is in the flow; its MTU is not known yet */
};

struct way {
	__u32 oif;
	enum way_kind kind;
	__u32 mtu; /* of the network layer; known if the packet does not fit */
	__u8 dmac[ETH_ALEN], smac[ETH_ALEN];
	__be16 vlan_protocol, vlan_id; /* XDP: the tag to leave with; 0 = none */
};

/* Of the network layer: of each segment that a packet of GRO or TSO will be cut into. */
static __always_inline __u32 packet_size(const sl_ctx *ctx, const struct sl_packet *p)
{
	__u32 header = p->l4 - sl_l3(p) + sizeof(struct tcphdr) + p->options_size;

	if (sl_gso_size(ctx))
		return header + sl_gso_size(ctx);
	return header + p->segment.payload;
}

static __always_inline void ask_for(struct bpf_fib_lookup *fib, const struct sl_flow *flow,
				    int is_ipv6)
{
	fib->l4_protocol = IPPROTO_TCP;
	fib->sport = flow->peer.sport;
	fib->dport = flow->peer.dport;
	if (is_ipv6) {
		fib->family = 10; /* AF_INET6; there is no header for it here */
		__builtin_memcpy(fib->ipv6_src, flow->peer.saddr, sizeof(fib->ipv6_src));
		__builtin_memcpy(fib->ipv6_dst, flow->peer.daddr, sizeof(fib->ipv6_dst));
	} else {
		fib->family = 2; /* AF_INET */
		fib->ipv4_src = sl_address4(flow->peer.saddr);
		fib->ipv4_dst = sl_address4(flow->peer.daddr);
	}
}

/*
 * The lookup takes a neighbour's address as long as there is one, and does not tell the kernel that
 * it is in use: nobody would notice that it has moved. So about once a second a packet of each
 * flow goes the kernel's way, which asks the neighbour where need be (RFC 4861 s7.3).
 */
static __always_inline int is_time_to_ask(__u64 last_ns, __u64 now_ns)
{
	return (last_ns ^ now_ns) >> 30 != 0;
}

/* ---- what a lookup has found, remembered ------------------------------------------------------
 */

static __always_inline struct sl_way *remembered(const struct sl_flow *flow)
{
	__u32 place = sl_way_place(flow->conn_id, flow->direction);

	return bpf_map_lookup_elem(&ways, &place);
}

/* Return: 1, and it is in @way. Numbers of connections are never used again. */
static __always_inline int recall(const struct sl_flow *flow, __u32 size, __u64 now_ns,
				  struct way *way)
{
	const struct sl_way *known = remembered(flow);

	if (!known || known->conn_id != flow->conn_id || known->age != sl_way_age(now_ns) ||
	    size > known->mtu)
		return 0;
	way->oif = known->oif;
	way->kind = WAY_DIRECT;
	__builtin_memcpy(way->dmac, known->dmac, sizeof(way->dmac));
	__builtin_memcpy(way->smac, known->smac, sizeof(way->smac));
	return 1;
}

static __always_inline void remember(const struct sl_flow *flow, const struct bpf_fib_lookup *fib,
				     __u64 now_ns)
{
	struct sl_way *known = remembered(flow);

	if (!known)
		return;
	if (known->conn_id != flow->conn_id)
		sl_way_take(known, flow->conn_id, now_ns);
	known->age = sl_way_age(now_ns);
	known->oif = fib->ifindex;
	known->mtu = fib->mtu_result;
	__builtin_memcpy(known->dmac, fib->dmac, sizeof(known->dmac));
	__builtin_memcpy(known->smac, fib->smac, sizeof(known->smac));
}

/* ---- finding it -------------------------------------------------------------------------------
 */

/* Return: 0, or the enum sl_stat that the packet has to be dropped for. */
static __always_inline int look_up(sl_ctx *ctx, const struct sl_packet *p, struct sl_flow *flow,
				   __u32 size, __u64 now_ns, struct way *way)
{
	struct bpf_fib_lookup fib = {0};

	ask_for(&fib, flow, p->is_ipv6);
	fib.ifindex = sl_came_by(ctx, p);
	fib.tot_len = size;
	switch (bpf_fib_lookup(ctx, &fib, sizeof(fib), 0)) {
	case BPF_FIB_LKUP_RET_SUCCESS:
		way->oif = fib.ifindex;
		way->kind = WAY_DIRECT;
		__builtin_memcpy(way->dmac, fib.dmac, sizeof(way->dmac));
		__builtin_memcpy(way->smac, fib.smac, sizeof(way->smac));
		remember(flow, &fib, now_ns);
		return 0;
	case BPF_FIB_LKUP_RET_NO_NEIGH:
		way->oif = fib.ifindex;
		way->kind = WAY_NEIGHBOUR;
		return 0;
	case BPF_FIB_LKUP_RET_FWD_DISABLED:
		sl_mark(flow, SL_M_NO_LOOKUP);
		way->kind = WAY_RECORDED;
		return 0;
	case BPF_FIB_LKUP_RET_UNSUPP_LWT:
		way->kind = WAY_RECORDED;
		return 0;
	case BPF_FIB_LKUP_RET_FRAG_NEEDED:
		way->mtu = fib.mtu_result;
		return SL_STAT_DROP_MTU;
	default:
		return SL_STAT_DROP_ROUTE;
	}
}

static __always_inline void write_link_header(struct ethhdr *eth, const struct way *way)
{
	__builtin_memcpy(eth->h_dest, way->dmac, ETH_ALEN);
	__builtin_memcpy(eth->h_source, way->smac, ETH_ALEN);
}
