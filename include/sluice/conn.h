/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A connection that the kernel serves, or may: all that a daemon that has not made it needs to
 * list it, account for it, demote it and close it. The map `conns` has it by conn_id. The daemon
 * alone writes it; the kernel programs do not look at it.
 */
#pragma once
#include "sluice/flow.h"
#include "sluice/path.h"

/* One leg as it was when the connection was handed to the kernel. */
struct sl_leg {
	struct sl_key6 key; /* of the packets that come in on it; IPv4: first four bytes of each */
	__u16 mss;          /* that we may send, options included */
	__u8 send_wscale;   /* the peer's: shifts the windows that it announces */
	__u8 recv_wscale;   /* ours */
	__u8 options;       /* SL_O_ */
	__u8 zero;
	__u16 ifindex_low; /* of the interface that its packets come in on, for people */
};

/* sl_leg.options, as negotiated */
#define SL_O_TIMESTAMPS 0x01u
#define SL_O_SACK       0x02u
#define SL_O_WSCALE     0x04u
#define SL_O_ECN        0x08u
#define SL_O_USEC       0x10u /* our timestamps count µs, not ms (Linux 6.7, by a route's feature) */

/* What userspace had counted until then, by direction; the flows count what came behind. */
struct sl_traffic {
	__u64 bytes; /* of the WebSocket stream, headers included */
	__u64 frames;
};

#define SL_TENANT_MAX  31 /* bytes; longer ones are cut */
#define SL_SUBJECT_MAX 63

struct sl_conn {
	__u64 conn_id;
	__u32 epoch; /* sl_ids.epoch of the daemon that wrote this */
	__u32 flags; /* SL_CONN_ */

	/* ids of `names` */
	__u32 listener, route, rule, class_id, cluster, endpoint;

	/* CLOCK_REALTIME ns for the first, which goes into the log; CLOCK_MONOTONIC for the others
	 */
	__u64 accepted_time_ns;
	__u64 accepted_ns, opened_ns, spliced_ns;
	__u64 handshake_ns; /* how long that took */

	/* deadlines and limits; 0 = none */
	__u64 tunnel_timeout_ns; /* without a packet in either direction */
	__u64 max_until_ns;      /* max_connection_duration */
	__u64 token_until_ns;    /* the credentials expire */
	__u64 max_frame_bytes, max_message_bytes;

	struct sl_leg legs[2];        /* by enum sl_direction: whose packets */
	struct sl_traffic traffic[2]; /* likewise */

	__u8 path;   /* enum sluice_path */
	__u8 reason; /* enum sluice_reason */
	__u16 promotions;
	__u32 keepalive_ping_ms; /* idle for so long, it is pinged; 0 = never */

	char tenant[SL_TENANT_MAX + 1], subject[SL_SUBJECT_MAX + 1]; /* zero-terminated */
};

#define SL_CONN_IPV6    0x01u /* its flows are in flows6 */
#define SL_CONN_ADOPTED 0x02u /* by a daemon that did not make it */

_Static_assert(sizeof(struct sl_leg) == 44, "no padding");
_Static_assert(sizeof(struct sl_conn) % 8 == 0, "no padding");
_Static_assert(sizeof(struct sl_conn) <= 384, "reported apart from the flows; keep it in bounds");
