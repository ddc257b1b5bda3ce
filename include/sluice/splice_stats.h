/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the hook counts, one __u64 for each CPU in the map `stats`, by enum sl_stat. Packets are
 * those that the hook sees: a GRO packet of 40 segments is one.
 *
 * X(symbol, name, what)
 */
#pragma once

#define SL_STATS(X)                                                                            \
	X(SL_STAT_LEARNED, "learned", "passed to the stack and recorded")                      \
	X(SL_STAT_FORWARDED, "forwarded", "translated and sent on")                            \
	X(SL_STAT_FORWARDED_BYTES, "forwarded_bytes", "of them, network layer and up")         \
	X(SL_STAT_CLOSED, "closed_forwarded", "translated behind the end of their connection") \
	X(SL_STAT_DROP_HOLD, "drop_hold", "dropped while a connection changed hands")          \
	X(SL_STAT_DROP_FRAGMENT, "drop_fragment", "fragments")                                 \
	X(SL_STAT_DROP_IP_OPTIONS, "drop_ip_options", "IP options or extension headers")       \
	X(SL_STAT_DROP_HEADER, "drop_header", "a wrong TCP header, or a SYN")                  \
	X(SL_STAT_DROP_CHECKSUM, "drop_checksum", "a wrong checksum")                          \
	X(SL_STAT_DROP_OPTIONS, "drop_options", "TCP options that cannot be translated")       \
	X(SL_STAT_DROP_TTL, "drop_ttl", "no hop left")                                         \
	X(SL_STAT_DROP_ROUTE, "drop_route", "no route or neighbour to the other leg")          \
	X(SL_STAT_DROP_MTU, "drop_mtu", "larger than the way out")                             \
	X(SL_STAT_DROP_LIMIT, "drop_limit", "over a rate limit")                               \
	X(SL_STAT_MARKED_LIMIT, "marked_limit", "over a rate limit, and marked by ECN")        \
	X(SL_STAT_DROP_HOLE, "drop_hole", "behind a hole, of a connection with frame limits")  \
	X(SL_STAT_DROP_FRAME, "drop_frame", "with or behind a frame that is not allowed")      \
	X(SL_STAT_DROP_STOP, "drop_stop", "new, while a connection is about to change hands")  \
	X(SL_STAT_ICMP_SENT, "icmp_sent", "answered by: too big for the way out")              \
	X(SL_STAT_ICMP_PASSED, "icmp_passed", "ICMP errors, translated and sent on")           \
	X(SL_STAT_DROP_MEMORY, "drop_memory", "the kernel had no memory to change the packet") \
	X(SL_STAT_HOLD_EXPIRED, "hold_expired", "HOLDs that ended by themselves")              \
	X(SL_STAT_RST_IGNORED, "rst_ignored", "RSTs at another than the expected sequence")    \
	X(SL_STAT_FIN_IGNORED, "fin_ignored", "FINs outside of the window")                    \
	X(SL_STAT_OPTIONS_WALKED, "options_walked", "packets with an unusual option layout")   \
	X(SL_STAT_EVENT_LOST, "event_lost", "events that found no room")

enum sl_stat {
#define X(symbol, name, what) symbol,
	SL_STATS(X)
#undef X
	SL_STAT_COUNT,
};
