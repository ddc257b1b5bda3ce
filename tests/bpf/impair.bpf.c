/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A bad network, for tests alone: TCP packets of an interface are lost, doubled, or overtaken by
 * those behind them, at random. (netem is a module that not every kernel has.)
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/pkt_cls.h>

#include <bpf/bpf_helpers.h>

enum harm {
	HARM_DROP,
	HARM_DOUBLE,
	HARM_DELAY,
	HARM_COUNT,
};

struct harms {
	__u32 rates[HARM_COUNT]; /* of a million packets */
	__u64 done[HARM_COUNT];  /* packets that it has come to */
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct harms);
} harms SEC(".maps");

#define MILLION 1000000

static __always_inline int is_tcp(struct __sk_buff *skb)
{
	__u32 at = skb->protocol == __builtin_bswap16(ETH_P_IP)     ? ETH_HLEN + 9
		   : skb->protocol == __builtin_bswap16(ETH_P_IPV6) ? ETH_HLEN + 6
								    : 0;
	__u8 protocol = 0;

	return at && bpf_skb_load_bytes(skb, at, &protocol, sizeof(protocol)) == 0 &&
	       protocol == IPPROTO_TCP;
}

/* Return: which, or HARM_COUNT for none. */
static __always_inline __u32 choose(struct __sk_buff *skb)
{
	__u32 key = 0, random = bpf_get_prandom_u32() % MILLION;
	struct harms *all = bpf_map_lookup_elem(&harms, &key);

	if (!all || !is_tcp(skb))
		return HARM_COUNT;
	for (__u32 i = 0; i < HARM_COUNT; i++) {
		if (random < all->rates[i]) {
			__sync_fetch_and_add(&all->done[i], 1);
			return i;
		}
		random -= all->rates[i];
	}
	return HARM_COUNT;
}

/* At the egress nothing can wait. */
SEC("tc")
int impair_out(struct __sk_buff *skb)
{
	switch (choose(skb)) {
	case HARM_DROP:
		return TC_ACT_SHOT;
	case HARM_DOUBLE:
		bpf_clone_redirect(skb, skb->ifindex, 0);
		return TC_ACT_OK;
	default:
		return TC_ACT_OK;
	}
}

/* Sent back to the same ingress, a packet waits behind all that have come meanwhile. */
SEC("tc")
int impair_in(struct __sk_buff *skb)
{
	switch (choose(skb)) {
	case HARM_DROP:
		return TC_ACT_SHOT;
	case HARM_DOUBLE:
		bpf_clone_redirect(skb, skb->ifindex, BPF_F_INGRESS);
		return TC_ACT_OK;
	case HARM_DELAY:
		return bpf_redirect(skb->ifindex, BPF_F_INGRESS);
	default:
		return TC_ACT_OK;
	}
}

char LICENSE[] SEC("license") = "Apache-2.0";
