/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Sockets of this host, looked up by a flow's key, and what the kernel has in them: one call where
 * getsockopt(2) takes seven for each. Nothing is locked: a field may be older than the one read
 * before it, which costs a try (flow.h, rule 1), never a byte.
 */
#pragma once
#include "bpf/splice.bpf.h"

#include <bpf/bpf_core_read.h>

/* Of struct tcp_sock what is read; the loader finds where the running kernel has it. */
#define KERNEL_TYPE __attribute__((preserve_access_index))

struct sock_common {
	unsigned char skc_state;
} KERNEL_TYPE;

struct sock {
	struct sock_common __sk_common;
} KERNEL_TYPE;

struct inet_sock {
	struct sock sk;
} KERNEL_TYPE;

struct inet_connection_sock {
	struct inet_sock icsk_inet;
	__u32 icsk_pmtu_cookie;
} KERNEL_TYPE;

struct tcp_options_received {
	__u16 tstamp_ok : 1, wscale_ok : 1, sack_ok : 3, snd_wscale : 4, rcv_wscale : 4;
} KERNEL_TYPE;

struct tcp_sock {
	struct inet_connection_sock inet_conn;
	__u32 rcv_nxt, copied_seq, write_seq, snd_una, tsoffset, mss_cache;
	__u16 advmss;
	__u8 ecn_flags;
	__u8 tcp_usec_ts : 1; /* Linux 6.7 */
	struct tcp_options_received rx_opt;
} KERNEL_TYPE;

#define ECN_RFC3168 1u /* TCP_ECN_OK; other bits are of AccECN, which cannot be translated */

/* Not inline, lest a part of it be moved to before the question whether the kernel has the field.
 */
static __noinline int sl_socket_counts_usec(const struct tcp_sock *tp)
{
	return BPF_CORE_READ_BITFIELD(tp, tcp_usec_ts);
}

/* As tcp_time_stamp_ts() of Linux's include/net/tcp.h. */
static __always_inline void sl_socket_read_clock(const struct tcp_sock *tp, struct sl_socket *ret)
{
	__u64 unit_ns = 1000000;

	ret->options |= SL_O_TIMESTAMPS;
	if (bpf_core_field_exists(tp->tcp_usec_ts) && sl_socket_counts_usec(tp)) {
		ret->options |= SL_O_USEC;
		unit_ns = 1000;
	}
	ret->ts_clock = (__u32)(bpf_ktime_get_ns() / unit_ns) + tp->tsoffset;
}

static __always_inline void sl_socket_read_options(const struct tcp_sock *tp, struct sl_socket *ret)
{
	const struct tcp_options_received *options = &tp->rx_opt;

	if (BPF_CORE_READ_BITFIELD(options, tstamp_ok))
		sl_socket_read_clock(tp, ret);
	if (BPF_CORE_READ_BITFIELD(options, sack_ok))
		ret->options |= SL_O_SACK;
	if (BPF_CORE_READ_BITFIELD(options, wscale_ok)) {
		ret->options |= SL_O_WSCALE;
		ret->send_wscale = BPF_CORE_READ_BITFIELD(options, snd_wscale);
		ret->recv_wscale = BPF_CORE_READ_BITFIELD(options, rcv_wscale);
	}
	if (BPF_CORE_READ_BITFIELD(tp, ecn_flags) & ECN_RFC3168)
		ret->options |= SL_O_ECN;
}

static __always_inline void sl_socket_read(const struct tcp_sock *tp, struct sl_socket *ret)
{
	/* The kernel moves rcv_nxt before anybody can read what came: so it is read first. */
	ret->rcv_nxt = SL_READ(tp->rcv_nxt);
	ret->unread = ret->rcv_nxt - SL_READ(tp->copied_seq);
	ret->snd_nxt = SL_READ(tp->write_seq);
	ret->unacked = ret->snd_nxt - SL_READ(tp->snd_una);
	ret->path_mtu = tp->inet_conn.icsk_pmtu_cookie;
	ret->send_mss = (__u16)tp->mss_cache;
	ret->recv_mss = tp->advmss;
	sl_socket_read_options(tp, ret);
	ret->state = tp->inet_conn.icsk_inet.sk.__sk_common.skc_state;
}

/* The packets of @key come in to it. Return: 0, or 1 if there is none. */
static __always_inline int sl_socket_find(struct xdp_md *packet, const struct sl_key6 *key,
					  __u32 is_ipv6, struct sl_socket *ret)
{
	struct bpf_sock_tuple tuple = {0};
	const struct tcp_sock *tp;
	struct bpf_sock *sk;

	if (is_ipv6) {
		__builtin_memcpy(tuple.ipv6.saddr, key->saddr, sizeof(tuple.ipv6.saddr));
		__builtin_memcpy(tuple.ipv6.daddr, key->daddr, sizeof(tuple.ipv6.daddr));
		tuple.ipv6.sport = key->sport;
		tuple.ipv6.dport = key->dport;
		sk = bpf_skc_lookup_tcp(packet, &tuple, sizeof(tuple.ipv6), BPF_F_CURRENT_NETNS, 0);
	} else {
		tuple.ipv4.saddr = sl_address4(key->saddr);
		tuple.ipv4.daddr = sl_address4(key->daddr);
		tuple.ipv4.sport = key->sport;
		tuple.ipv4.dport = key->dport;
		sk = bpf_skc_lookup_tcp(packet, &tuple, sizeof(tuple.ipv4), BPF_F_CURRENT_NETNS, 0);
	}
	if (!sk)
		return 1;
	tp = bpf_skc_to_tcp_sock(sk);
	if (tp)
		sl_socket_read(tp, ret);
	bpf_sk_release(sk);
	return !tp;
}
