/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What all splice programs share: finding flows, counting, telling the daemon. */
#pragma once
#include "bpf/splice_core.h"
#include "bpf/splice_maps.bpf.h"

/* ---- figures and events ---------------------------------------------------------------------- */

static __always_inline void sl_count_more(enum sl_stat stat, __u64 n)
{
	__u32 key = stat;
	__u64 *value = bpf_map_lookup_elem(&stats, &key);

	if (value)
		*value += n;
}

static __always_inline void sl_count(enum sl_stat stat)
{
	sl_count_more(stat, 1);
}

static __always_inline void sl_tell(const struct sl_flow *flow, enum sl_event_type type,
				    __u32 detail, __u64 now_ns)
{
	struct sl_event event = {
	    .conn_id = flow->conn_id,
	    .time_ns = now_ns,
	    .detail = detail,
	    .type = type,
	    .direction = flow->direction,
	};

	if (bpf_ringbuf_output(&events, &event, sizeof(event), 0))
		sl_count(SL_STAT_EVENT_LOST);
}

/* ---- flows ----------------------------------------------------------------------------------- */

static __always_inline struct sl_flow *sl_flow_find4(__be32 saddr, __be32 daddr, __be16 sport,
						     __be16 dport)
{
	struct sl_key4 key = {.saddr = saddr, .daddr = daddr, .sport = sport, .dport = dport};

	return bpf_map_lookup_elem(&flows4, &key);
}

/* IPv4 addresses of a sl_key6 or sl_peer are the first four bytes. */
static __always_inline __be32 sl_address4(const __u8 *address)
{
	__be32 word;

	__builtin_memcpy(&word, address, sizeof(word));
	return word;
}

static __always_inline struct sl_flow *sl_flow_find(const struct sl_key6 *key, __u32 is_ipv6)
{
	if (is_ipv6)
		return bpf_map_lookup_elem(&flows6, key);
	return sl_flow_find4(sl_address4(key->saddr), sl_address4(key->daddr), key->sport,
			     key->dport);
}

/*
 * The other direction: its packets come from where those of @flow go to. Not before sl_activate
 * has written flow->peer. While the endpoint's entry of an old connection is in quarantine, its
 * client may have come again from the same port: that is another connection's.
 */
static __always_inline struct sl_flow *sl_flow_other(const struct sl_flow *flow, int is_ipv6)
{
	struct sl_key6 key = {.sport = flow->peer.dport, .dport = flow->peer.sport};
	struct sl_flow *other;

	__builtin_memcpy(key.saddr, flow->peer.daddr, sizeof(key.saddr));
	__builtin_memcpy(key.daddr, flow->peer.saddr, sizeof(key.daddr));
	other = sl_flow_find(&key, is_ipv6);
	return other && other->conn_id == flow->conn_id ? other : NULL;
}

static __always_inline struct sl_flow *sl_flow_first(struct sl_flow *flow, struct sl_flow *other)
{
	return flow->direction == SL_TO_ENDPOINT ? flow : other;
}
