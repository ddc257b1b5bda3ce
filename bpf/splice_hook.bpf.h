/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What each program that splices brings with it: how it sees the bytes of a packet, and the ways
 * out that it has. What is the same for all (splice_packet, splice_way, splice_find and
 * splice_handle) is written over these. A program says what sl_ctx is (its context), and its
 * verdicts, before it includes them:
 *
 *   PASS   another program, or the stack, may have the packet
 *   DROP   nobody
 */
#pragma once
#include "bpf/splice.bpf.h"

#include <linux/if_ether.h>

struct sl_packet;
struct way;

/* ---- bytes; places count from the Ethernet header on ----------------------------------------- */

/* Where the network header is. */
static __always_inline __u32 sl_l3(const struct sl_packet *p);
static __always_inline __u32 sl_length(const sl_ctx *ctx);
/* The interface that it came in by, as routing goes. */
static __always_inline __u32 sl_came_by(const sl_ctx *ctx, const struct sl_packet *p);
/* Payload of each segment that it will be cut into; 0 if it is one. */
static __always_inline __u32 sl_gso_size(const sl_ctx *ctx);
/* So many bytes from the start on, for direct access; NULL if the packet is shorter. */
static __always_inline void *sl_linear(sl_ctx *ctx, __u32 size);
/* Likewise, if they begin with an Ethernet header. */
static __always_inline void *sl_frame(sl_ctx *ctx, __u32 size);
/* Copies. Return: 0, or an error. The verifier wants to see a @size that is not 0. */
static __always_inline long sl_load(const sl_ctx *ctx, __u32 at, void *to, __u32 size);
static __always_inline long sl_store(sl_ctx *ctx, __u32 at, const void *from, __u32 size);

/* ---- the checksum of TCP --------------------------------------------------------------------- */

static __always_inline int sl_is_checksum_right(sl_ctx *ctx, const struct sl_packet *p);
/*
 * Puts the sums of changes into it.
 * @first: sum of the changes to an IPv6 header before the addresses
 */
static __always_inline void sl_update_checksum(sl_ctx *ctx, const struct sl_packet *p, __u64 tcp,
					       __u64 pseudo, __u64 first);

/* ---- the way out ----------------------------------------------------------------------------- */

/*
 * Return: 0, or the enum sl_stat that the packet has to be dropped for.
 * @last_ns: when the packet before this one came
 */
static __always_inline int sl_choose_way(sl_ctx *ctx, const struct sl_packet *p,
					 struct sl_flow *flow, __u64 last_ns, struct way *way);
/* For a packet, believed, that is larger than way->mtu. Return: the verdict. */
static __always_inline int sl_too_large(sl_ctx *ctx, const struct sl_packet *p,
					const struct way *way);
/*
 * Marks beside the bytes of the packet: the priority in the kernel, and when it is to leave, by the
 * clock of bpf_ktime_get_ns(); 0 = none, and at once. As far as there is such.
 */
static __always_inline void sl_mark_packet(sl_ctx *ctx, __u32 priority, __u64 departure_ns);
/* Return: the verdict. */
static __always_inline int sl_leave(sl_ctx *ctx, const struct sl_packet *p, const struct way *way);
