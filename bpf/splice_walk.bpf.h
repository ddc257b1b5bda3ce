/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The frame walker over the bytes of a packet. */
#pragma once
#include "bpf/splice_packet.bpf.h"
#include "bpf/splice_walk.h"

struct walk_loop {
	sl_ctx *ctx;
	__u32 payload_at; /* where the segment's payload is in the packet */
	__u32 is_unreadable;
	struct sl_walking w;
};

/*
 * Global: to the verifier the walk is then any, and not one for each way that leads here.
 * Return: 1 at the end of all, or 0; -1 if its bytes are not where they must be
 */
__noinline int sl_walk_turn(sl_ctx *ctx, __u32 payload_at, struct sl_walking *w)
{
	__u8 bytes[16] = {0}; /* a power of two, so that the verifier sees what fits */
	__u32 n;

	if (!w)
		return -1;
	n = w->left < SL_WALK_HEADER_MAX ? w->left : SL_WALK_HEADER_MAX;
	if (sl_load(ctx, payload_at + w->at, bytes, (n - 1) % sizeof(bytes) + 1))
		return -1;
	sl_walk_step(w, bytes, n);
	return sl_walk_is_over(w);
}

static long walk_turn(__u32 i, struct walk_loop *loop)
{
	int r = sl_walk_turn(loop->ctx, loop->payload_at, &loop->w);

	loop->is_unreadable = r < 0;
	return r != 0;
}

/* More headers than the largest packet has bytes (BIG TCP: 512 KiB). */
#define WALK_TURNS (1 << 20)

/*
 * All of the segment. (A loop has its price, and most segments have no header, or one.)
 * Return: 0, or -1 if its bytes are not where they must be
 */
static __always_inline int walk_all(struct walk_loop *loop)
{
	int r;

	if (sl_walk_is_over(&loop->w))
		return 0;
	r = sl_walk_turn(loop->ctx, loop->payload_at, &loop->w);
	if (r != 0)
		return r < 0 ? -1 : 0;
	bpf_loop(WALK_TURNS, walk_turn, loop, 0);
	return loop->is_unreadable ? -1 : 0;
}

static __always_inline void walk_tell(const struct sl_flow *flow, const struct sl_walking *w)
{
	__u64 now_ns;

	if (!w->tells)
		return;
	now_ns = bpf_ktime_get_ns();
	if (w->tells & SL_TELL_CLOSE)
		sl_tell(flow, SL_EVENT_WALK, SL_WALK_EVENT_CLOSE, now_ns);
	if (w->tells & SL_TELL_WRONG)
		sl_tell(flow, SL_EVENT_WALK, SL_WALK_EVENT_WRONG | w->fault << SL_WALK_FAULT_SHIFT,
			now_ns);
	if (w->tells & SL_TELL_LOST)
		sl_tell(flow, SL_EVENT_WALK, SL_WALK_EVENT_LOST, now_ns);
}
