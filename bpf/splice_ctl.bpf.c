/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * sl_capture, sl_activate and sl_hold, which the daemon runs by BPF_PROG_RUN: sluice/splice_ctl.h
 * says what goes in and out, bpf/splice_control.h has what the last two do.
 */
#include "bpf/splice.bpf.h"
#include "bpf/splice_control.h"
#include "bpf/splice_socket.bpf.h"

SEC("xdp")
int sl_capture(struct xdp_md *packet)
{
	struct sl_capture_args *args = (void *)(long)packet->data;
	struct sl_socket sockets[2] = {0};
	struct sl_key6 keys[2];
	__u32 is_ipv6;

	if ((void *)(args + 1) > (void *)(long)packet->data_end)
		return XDP_DROP;
	__builtin_memcpy(keys, args->keys, sizeof(keys));
	is_ipv6 = args->is_ipv6;
	for (int i = 0; i < 2; i++)
		sl_socket_find(packet, &keys[i], is_ipv6, &sockets[i]);
	__builtin_memcpy(args->sockets, sockets, sizeof(sockets));
	return XDP_PASS;
}

/* Return: 0, or 1 if an entry is missing. */
static __always_inline int find_pair(const struct sl_key6 *keys, __u32 is_ipv6, struct sl_pair *ret)
{
	struct sl_key6 key = keys[SL_TO_ENDPOINT];

	ret->first = sl_flow_find(&key, is_ipv6);
	key = keys[SL_TO_CLIENT];
	ret->second = sl_flow_find(&key, is_ipv6);
	return !ret->first || !ret->second;
}

static __always_inline void settle(const struct sl_pair *pair, __u64 now_ns)
{
	if (sl_pair_settle(pair, now_ns))
		sl_count(SL_STAT_HOLD_EXPIRED);
}

static __always_inline __u32 activate(struct sl_activate_args *args)
{
	__u64 now_ns = bpf_ktime_get_ns();
	struct sl_holding holding = sl_holding_new(SL_LEARN, now_ns, SL_HOLD_NS);
	struct sl_pair pair;
	__u32 result;

	if (find_pair(args->keys, args->is_ipv6, &pair))
		return SL_CTL_NO_FLOW;
	settle(&pair, now_ns);
	result = sl_activate_begin(&pair, args, &holding);
	if (result != SL_CTL_DONE)
		return result;
	return sl_activate_end(&pair, args, &holding, bpf_ktime_get_ns());
}

SEC("syscall")
int sl_activate(struct sl_activate_args *context)
{
	struct sl_activate_args args = *context; /* context can be read at fixed places only */

	context->result = activate(&args);
	context->got_end[0] = args.got_end[0];
	context->got_end[1] = args.got_end[1];
	return 0;
}

static __always_inline __u32 hold(struct sl_hold_args *args)
{
	__u64 now_ns = bpf_ktime_get_ns();
	struct sl_holding holding = sl_holding_new(SL_ACTIVE, now_ns, args->hold_ns);
	struct sl_pair pair;

	if (find_pair(args->keys, args->is_ipv6, &pair))
		return SL_CTL_NO_FLOW;
	settle(&pair, now_ns);
	switch (args->verb) {
	case SL_HOLD_BEGIN:
		return sl_hold_begin(&pair, args, &holding);
	case SL_HOLD_TO_LEARN:
		return sl_hold_release(&pair, SL_LEARN);
	case SL_HOLD_STOP:
		return sl_hold_stop(&pair, args, now_ns);
	default:
		return sl_hold_release(&pair, SL_ACTIVE);
	}
}

SEC("syscall")
int sl_hold(struct sl_hold_args *context)
{
	struct sl_hold_args args = *context;

	context->result = hold(&args);
	context->got_end[0] = args.got_end[0];
	context->got_end[1] = args.got_end[1];
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
