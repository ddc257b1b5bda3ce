/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * sl_splice_xdp: sl_splice for network cards with native XDP, before there is a socket buffer. It
 * takes only what it can finish: packets in ACTIVE with a right checksum that leave by an
 * interface which XDP can send by, to a neighbour that is known, with no marks but DSCP. This is
 * decided before anything is published. All else passes, unchanged and uncounted, to sl_splice at
 * the same interface, and to that of the VLAN; so an ACTIVE packet never gets to the stack.
 *
 * Not for packets in several buffers (xdp.frags): they may be of TSO, of which a redirect loses the
 * segments' size.
 */
#include <linux/bpf.h>

typedef struct xdp_md sl_ctx;
#define PASS XDP_PASS
#define DROP XDP_DROP

#include "bpf/splice_find.bpf.h"
#include "bpf/splice_handle.bpf.h"
#include "sluice/xdp_port.h"

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, struct sl_xdp_port_key);
	__type(value, struct sl_xdp_port);
} xdp_ports SEC(".maps");

/* ---- bytes ----------------------------------------------------------------------------------- */

struct tag { /* IEEE 802.1Q; behind the addresses */
	__be16 protocol, tci;
};

#define TAG_AT     (2 * ETH_ALEN)
#define VLAN_ID(n) ((n) & SL_SWAP16(0xfff))

static __always_inline __u32 sl_l3(const struct sl_packet *p)
{
	return p->is_tagged ? ETH_HLEN + sizeof(struct tag) : ETH_HLEN;
}

static __always_inline __u32 sl_length(const struct xdp_md *ctx)
{
	return (__u32)bpf_xdp_get_buff_len((struct xdp_md *)ctx);
}

static __always_inline __u32 sl_came_by(const struct xdp_md *ctx, const struct sl_packet *p)
{
	return p->ifindex;
}

static __always_inline __u32 sl_gso_size(const struct xdp_md *ctx)
{
	return 0;
}

static __always_inline void *sl_linear(struct xdp_md *ctx, __u32 size)
{
	void *data = (void *)(long)ctx->data;

	return data + size <= (void *)(long)ctx->data_end ? data : NULL;
}

/* The loader attaches to nothing else. */
static __always_inline void *sl_frame(struct xdp_md *ctx, __u32 size)
{
	return sl_linear(ctx, size);
}

static __always_inline long sl_load(const struct xdp_md *ctx, __u32 at, void *to, __u32 size)
{
	return bpf_xdp_load_bytes((struct xdp_md *)ctx, at, to, size);
}

static __always_inline long sl_store(struct xdp_md *ctx, __u32 at, const void *from, __u32 size)
{
	return bpf_xdp_store_bytes(ctx, at, (void *)from, size);
}

/* ---- the checksum ---------------------------------------------------------------------------- */

/* What bpf_csum_diff() takes at a time, and a page of them: more is not in one buffer. */
#define SUM_BLOCK  512
#define SUM_BLOCKS 8

struct sum_walk {
	struct xdp_md *ctx;
	__u32 at, left;
	__u64 sum;
};

static long sum_block(__u32 i, struct sum_walk *walk)
{
	void *data = (void *)(long)walk->ctx->data;
	__u32 at = walk->at;

	/* The verifier adds no more than this to a pointer to a packet. */
	if (walk->left < SUM_BLOCK || at > 0x7fff ||
	    data + at + SUM_BLOCK > (void *)(long)walk->ctx->data_end)
		return 1;
	walk->sum += (__u32)bpf_csum_diff(NULL, 0, data + at, SUM_BLOCK, 0);
	walk->at += SUM_BLOCK;
	walk->left -= SUM_BLOCK;
	return 0;
}

/*
 * XDP is not told what the card has found out about the checksum, so that all bytes are summed up:
 * in their place, but for the last ones. A packet whose checksum is still to be made
 * (CHECKSUM_PARTIAL, on veth and in generic mode) is wrong here, and sl_splice knows it better;
 * unless by chance both are the same, when sl_splice shall have it, too. Global: verified once.
 */
__noinline int sl_is_xdp_sum_right(struct xdp_md *ctx, const struct sl_packet *p)
{
	struct sum_walk walk = {.ctx = ctx};

	if (!p || p->check == p->pseudo)
		return 0;
	walk.at = p->l4;
	walk.left = p->length;
	walk.sum = p->pseudo;
	bpf_loop(SUM_BLOCKS, sum_block, &walk, 0);
	return sl_is_sum_right(ctx, walk.at, walk.left, sl_sum_fold(walk.sum));
}

/* It has been looked at before: can_finish(). */
static __always_inline int sl_is_checksum_right(struct xdp_md *ctx, const struct sl_packet *p)
{
	return 1;
}

static __always_inline void sl_update_checksum(struct xdp_md *ctx, const struct sl_packet *p,
					       __u64 tcp_sum, __u64 pseudo_sum, __u64 first)
{
	__u32 l4 = sl_plain_l4(p);
	void *data = sl_linear(ctx, l4 + sizeof(struct tcphdr));
	struct tcphdr *tcp = data + l4;

	if (data)
		tcp->check =
		    sl_sum_update(p->check, (__u64)sl_sum_fold(tcp_sum) + sl_sum_fold(pseudo_sum));
}

/* ---- the way out ----------------------------------------------------------------------------- */

static __always_inline struct sl_xdp_port *find_port(__u32 ifindex, const struct tag *tag)
{
	struct sl_xdp_port_key key = {.ifindex = ifindex};

	if (tag) {
		key.vlan_protocol = tag->protocol;
		key.vlan_id = VLAN_ID(tag->tci);
	}
	return bpf_map_lookup_elem(&xdp_ports, &key);
}

/*
 * The kernel asks the neighbour where need be when sl_splice hands it a packet (see
 * is_time_to_ask()). That one may be overtaken by those behind it: so it is one that brings nothing
 * new. The sender of data to a neighbour that has moved will send again.
 */
static __always_inline int has_to_ask(const struct sl_packet *p, const struct sl_flow *flow,
				      __u64 now_ns)
{
	return is_time_to_ask(SL_READ(flow->last_ns), now_ns) &&
	       !sl_after(p->segment.end, SL_READ(flow->end_seq));
}

/* Global: verified once. Return: 1, and it is in @way, or 0 if there is none for XDP. */
__noinline int sl_find_xdp_way(struct xdp_md *ctx, const struct sl_packet *p, struct sl_flow *flow,
			       struct way *way)
{
	__u64 now_ns = bpf_ktime_get_coarse_ns();
	const struct sl_xdp_port *port;

	if (!p || !flow || !way || has_to_ask(p, flow, now_ns))
		return 0;
	if (!recall(flow, packet_size(ctx, p), now_ns, way) &&
	    look_up(ctx, p, flow, packet_size(ctx, p), now_ns, way))
		return 0;
	port = way->kind == WAY_DIRECT ? find_port(way->oif, NULL) : NULL;
	if (!port || !port->out)
		return 0;
	way->oif = port->out;
	way->vlan_protocol = port->vlan_protocol;
	way->vlan_id = port->vlan_id;
	return 1;
}

static __always_inline int sl_choose_way(struct xdp_md *ctx, const struct sl_packet *p,
					 struct sl_flow *flow, __u64 last_ns, struct way *way)
{
	return 0; /* it was found before: can_finish() */
}

/* A packet that does not fit is sl_splice's, which answers it: can_finish(). */
static __always_inline int sl_too_large(struct xdp_md *ctx, const struct sl_packet *p,
					const struct way *way)
{
	return DROP;
}

/* Room for the tag that it leaves with. Return: 0, or an error. */
static __always_inline long make_link_header(struct xdp_md *ctx, const struct sl_packet *p,
					     const struct way *way)
{
	if (p->is_tagged && !way->vlan_protocol)
		return bpf_xdp_adjust_head(ctx, (int)sizeof(struct tag));
	if (!p->is_tagged && way->vlan_protocol)
		return bpf_xdp_adjust_head(ctx, -(int)sizeof(struct tag));
	return 0;
}

/* There is nothing beside the bytes: can_finish(). */
static __always_inline void sl_mark_packet(struct xdp_md *ctx, __u32 priority, __u64 departure_ns)
{
}

static __always_inline int sl_leave(struct xdp_md *ctx, const struct sl_packet *p,
				    const struct way *way)
{
	const __u32 tagged_size = ETH_HLEN + sizeof(struct tag);
	struct tag *tag;
	void *data;

	if (p->is_tagged || way->vlan_protocol) {
		if (make_link_header(ctx, p, way) || !(data = sl_linear(ctx, tagged_size)))
			return drop(SL_STAT_DROP_MEMORY);
		write_link_header(data, way);
		tag = data + TAG_AT;
		/* The priority of one that has none is 0. */
		if (way->vlan_protocol)
			*tag =
			    (struct tag){.protocol = way->vlan_protocol,
					 .tci = (p->is_tagged ? tag->tci & SL_SWAP16(0xf000) : 0) |
						way->vlan_id};
		if (way->vlan_protocol && !p->is_tagged)
			*(__be16 *)(tag + 1) = SL_SWAP16(p->is_ipv6 ? ETH_P_IPV6 : ETH_P_IP);
	}
	return (int)bpf_redirect(way->oif, 0);
}

/* ---- the hook -------------------------------------------------------------------------------- */

/* A priority in the kernel, or a time of departure, is a mark on a socket buffer. */
static __always_inline int has_other_marks(const struct sl_flow *flow)
{
	const struct sl_policy *policy = sl_policy_of(flow);

	return !policy || policy->priority || policy->pacing;
}

/*
 * Nothing is changed by asking, so that sl_splice begins where nobody has been. Should the state
 * become another one behind this, handle() finds it, as it does in sl_splice.
 */
static __always_inline int can_finish(struct xdp_md *ctx, const struct sl_packet *p,
				      struct sl_flow *flow, struct way *way)
{
	__u32 state = SL_READ(flow->state);

	return (state == SL_ACTIVE || state == SL_CLOSED) && !refusal_of(p) &&
	       !has_other_marks(flow) && !(flow->flags & SL_F_TO_LOCAL) &&
	       !(SL_READ(flow->marks) & SL_M_NO_LOOKUP) && sl_find_xdp_way(ctx, p, flow, way) &&
	       sl_is_xdp_sum_right(ctx, p);
}

static __always_inline int is_for(const struct sl_xdp_port *port, const struct ethhdr *eth)
{
	const __u16 *ours = (const __u16 *)port->mac, *its = (const __u16 *)eth->h_dest;

	return its[0] == ours[0] && its[1] == ours[1] && its[2] == ours[2];
}

/*
 * Return: the protocol of the network layer; 0 for a frame that is not for us, or of a VLAN that
 * has no interface here.
 */
static __always_inline __be16 read_link_header(struct xdp_md *ctx, struct sl_packet *p)
{
	const struct ethhdr *eth = sl_linear(ctx, ETH_HLEN + sizeof(struct tag));
	const struct sl_xdp_port *port;
	const struct tag *tag = NULL;

	if (!eth)
		return 0;
	if (eth->h_proto == SL_SWAP16(ETH_P_8021Q) || eth->h_proto == SL_SWAP16(ETH_P_8021AD))
		tag = (const void *)eth + TAG_AT;
	port = find_port(ctx->ingress_ifindex, tag);
	if (!port || !is_for(port, eth))
		return 0;
	p->is_tagged = !!tag;
	p->ifindex = port->ifindex;
	return tag ? *(const __be16 *)(tag + 1) : eth->h_proto;
}

SEC("xdp")
int sl_splice_xdp(struct xdp_md *ctx)
{
	struct sl_packet p = {0};
	struct sl_flow *flow = NULL;
	struct way way = {0};
	struct tcphdr tcp;
	__be16 protocol = read_link_header(ctx, &p);

	if (protocol == SL_SWAP16(ETH_P_IP))
		flow = find_ipv4(ctx, &p, &tcp);
	else if (protocol == SL_SWAP16(ETH_P_IPV6))
		flow = find_ipv6(ctx, &p, &tcp);
	if (!flow)
		return PASS;
	sl_read_tcp(&p, &tcp);
	if (!can_finish(ctx, &p, flow, &way))
		return PASS;
	return handle(ctx, &p, flow, &way);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
