/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * sl_splice: the hook at the ingress of every interface that either leg of a connection comes in
 * by. Packets of no flow are not touched; of those that are, bpf/splice_handle.bpf.h decides.
 */
#include <linux/bpf.h>
#include <linux/if_packet.h>
#include <linux/pkt_cls.h>

typedef struct __sk_buff sl_ctx;
#define PASS TC_ACT_UNSPEC
#define DROP TC_ACT_SHOT

#include "bpf/splice_find.bpf.h"
#include "bpf/splice_handle.bpf.h"

/* ---- bytes ----------------------------------------------------------------------------------- */

static __always_inline __u32 sl_l3(const struct sl_packet *p)
{
	return ETH_HLEN;
}

static __always_inline __u32 sl_length(const struct __sk_buff *skb)
{
	return skb->len;
}

static __always_inline __u32 sl_came_by(const struct __sk_buff *skb, const struct sl_packet *p)
{
	return skb->ingress_ifindex;
}

static __always_inline __u32 sl_gso_size(const struct __sk_buff *skb)
{
	return skb->gso_size;
}

static __always_inline void *sl_linear(struct __sk_buff *skb, __u32 size)
{
	if ((void *)(long)skb->data + size > (void *)(long)skb->data_end &&
	    (skb->len < size || bpf_skb_pull_data(skb, size)))
		return NULL;
	if ((void *)(long)skb->data + size > (void *)(long)skb->data_end)
		return NULL;
	return (void *)(long)skb->data;
}

static __always_inline void *sl_frame(struct __sk_buff *skb, __u32 size)
{
	struct ethhdr *eth = sl_linear(skb, size);

	/* On a device without such (a tunnel) packets begin with something else; nothing is spliced
	 * over it. */
	return eth && eth->h_proto == skb->protocol ? eth : NULL;
}

static __always_inline long sl_load(const struct __sk_buff *skb, __u32 at, void *to, __u32 size)
{
	return bpf_skb_load_bytes(skb, at, to, size);
}

static __always_inline long sl_store(struct __sk_buff *skb, __u32 at, const void *from, __u32 size)
{
	return bpf_skb_store_bytes(skb, at, from, size, 0);
}

/* ---- the checksum ---------------------------------------------------------------------------- */

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
static __always_inline struct tcphdr *sl_plain_tcp(struct __sk_buff *skb, const struct sl_packet *p)
{
	void *tcp = (void *)(long)skb->data + sl_plain_l4(p);

	return tcp + sizeof(struct tcphdr) <= (void *)(long)skb->data_end ? tcp : NULL;
}

/*
 * As the kind of this packet's checksum wants it. Which kind it is, no helper says. But what the
 * first one, for the pseudo header, has made of the checksum tells whether it is one that is still
 * to be made (CHECKSUM_PARTIAL): then that was all. Only if the two kinds came out the same, the
 * change having been none modulo 2^16 - 1, the helper is asked again.
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
	tcp = sl_plain_tcp(skb, p);
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

/* ---- the way out ----------------------------------------------------------------------------- */

/* By the kernel's own routing of locally made packets. Return: 0, or the stat of the drop. */
static __always_inline int way_by_neighbour(struct __sk_buff *skb, struct way *way, __u32 oif)
{
	__u32 mtu = 0;

	way->oif = oif;
	way->kind = WAY_NEIGHBOUR;
	if (skb->len <= ETH_HLEN + SL_MTU_MIN)
		return 0;
	switch (bpf_check_mtu(skb, oif, &mtu, 0, BPF_MTU_CHK_SEGS)) {
	case BPF_MTU_CHK_RET_SUCCESS:
		return 0;
	case BPF_MTU_CHK_RET_FRAG_NEEDED:
	case BPF_MTU_CHK_RET_SEGS_TOOBIG:
		way->mtu = mtu;
		return SL_STAT_DROP_MTU;
	default:
		return SL_STAT_DROP_ROUTE;
	}
}

/* Global: verified once. Return: as sl_choose_way() */
__noinline int sl_find_way(struct __sk_buff *skb, const struct sl_packet *p, struct sl_flow *flow,
			   __u64 last_ns, struct way *way)
{
	__u64 now_ns = bpf_ktime_get_coarse_ns();
	__u32 size;
	int why;

	if (!p || !flow || !way)
		return SL_STAT_DROP_ROUTE;
	if (flow->flags & SL_F_TO_LOCAL) {
		*way = (struct way){.oif = flow->oif, .kind = WAY_NEIGHBOUR};
		return 0;
	}
	if (flow->marks & SL_M_NO_LOOKUP)
		return way_by_neighbour(skb, way, flow->oif);
	size = packet_size(skb, p);
	if (recall(flow, size, now_ns, way))
		return 0;
	why = look_up(skb, p, flow, size, now_ns, way);
	if (why == 0 && way->kind == WAY_RECORDED)
		return way_by_neighbour(skb, way, flow->oif);
	if (why == 0 && is_time_to_ask(last_ns, now_ns))
		way->kind = WAY_NEIGHBOUR;
	return why;
}

static __always_inline int sl_choose_way(struct __sk_buff *skb, const struct sl_packet *p,
					 struct sl_flow *flow, __u64 last_ns, struct way *way)
{
	return sl_find_way(skb, p, flow, last_ns, way);
}

/*
 * A departure time has to be told from the time of arrival, which stands in the same place, or
 * sending would clear it (Linux 5.18, a1ac9c8acec1).
 */
static __always_inline void sl_mark_packet(struct __sk_buff *skb, __u32 priority,
					   __u64 departure_ns)
{
	if (priority)
		skb->priority = priority;
	if (departure_ns)
		bpf_skb_set_tstamp(skb, departure_ns, BPF_SKB_TSTAMP_DELIVERY_MONO);
}

static __always_inline int sl_leave(struct __sk_buff *skb, const struct sl_packet *p,
				    const struct way *way)
{
	if (way->kind == WAY_NEIGHBOUR)
		return bpf_redirect_neigh(way->oif, NULL, 0, 0);
	return bpf_redirect(way->oif, 0);
}

/* ---- ICMP ------------------------------------------------------------------------------------ */

#include "bpf/splice_icmp.bpf.h"

static __always_inline int sl_too_large(struct __sk_buff *skb, const struct sl_packet *p,
					const struct way *way)
{
	return answer_too_big(skb, p->is_ipv6, way->mtu);
}

/* An error may be about a packet of a flow. */
static __always_inline int pass_other(struct __sk_buff *skb, struct sl_packet *p, struct way *way)
{
	const void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	const struct ipv6hdr *ip6 = data + ETH_HLEN;
	const struct iphdr *ip4 = data + ETH_HLEN;

	if (skb->protocol == SL_SWAP16(ETH_P_IP) && (const void *)(ip4 + 1) <= end &&
	    ip4->protocol == IPPROTO_ICMP)
		return pass_error(skb, p, way, 0);
	if (skb->protocol == SL_SWAP16(ETH_P_IPV6) && (const void *)(ip6 + 1) <= end &&
	    ip6->nexthdr == IPPROTO_ICMPV6)
		return pass_error(skb, p, way, 1);
	return PASS;
}

/* ---- the hook -------------------------------------------------------------------------------- */

SEC("tc")
int sl_splice(struct __sk_buff *skb)
{
	struct sl_packet p = {0};
	struct sl_flow *flow = NULL;
	struct way way = {0};
	struct tcphdr tcp;

	/* Of another station, in promiscuous mode; or of a VLAN, whose own interface has a hook. */
	if (skb->pkt_type != PACKET_HOST || skb->vlan_present)
		return PASS;
	if (skb->protocol == SL_SWAP16(ETH_P_IP))
		flow = find_ipv4(skb, &p, &tcp);
	else if (skb->protocol == SL_SWAP16(ETH_P_IPV6))
		flow = find_ipv6(skb, &p, &tcp);
	if (!flow)
		return pass_other(skb, &p, &way);
	sl_read_tcp(&p, &tcp);
	return handle(skb, &p, flow, &way);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
