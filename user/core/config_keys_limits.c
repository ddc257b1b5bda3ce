/* SPDX-License-Identifier: Apache-2.0 */
/* Keys of what peers may use, and of how connections are closed. */
#include "core/config_sections.h"

#include "core/config.h"

static const struct config_key limits_keys[] = {
    {
	.name = "max_connections",
	.type = CONFIG_NUMBER,
	.fallback = "auto",
	.none = "auto",
	.min = 1,
	.max = 10000000,
	.is_reloadable = true,
	FIELD(struct config, limits.max_connections),
	.help = "Connections of clients at a time; more are refused. With auto it follows "
		"from the number of files that the process may open. Spliced connections "
		"do not count: the kernel has them, and sluice-loader load --flows bounds "
		"them.",
    },
    {
	.name = "max_head_bytes",
	.type = CONFIG_BYTES,
	.fallback = "16kb",
	.min = 1 * KB,
	.max = 64 * KB,
	.is_reloadable = true,
	FIELD(struct config, limits.max_head_bytes),
	.help = "Size of a request head: request line and all header fields.",
    },
    {
	.name = "max_target_bytes",
	.type = CONFIG_BYTES,
	.fallback = "8kb",
	.min = 64,
	.max = 64 * KB,
	.is_reloadable = true,
	FIELD(struct config, limits.max_target_bytes),
	.help = "Size of a request target (path and query). At most max_head_bytes.",
    },
    {
	.name = "max_headers",
	.type = CONFIG_NUMBER,
	.fallback = "100",
	.min = 1,
	.max = 128,
	.is_reloadable = true,
	FIELD(struct config, limits.max_headers),
	.help = "Header fields in a request head.",
    },
    {
	.name = "message_memory",
	.type = CONFIG_BYTES,
	.fallback = "256mb",
	.min = 1 * MB,
	.max = 1 * TB,
	.is_reloadable = true,
	FIELD(struct config, limits.message_memory_bytes),
	.help = "Memory for all messages that are being put together from frames, in the "
		"whole process.",
    },
    {
	.name = "handshake_timeout",
	.type = CONFIG_DURATION,
	.fallback = "10s",
	.min = SECOND / 10,
	.max = 10 * MINUTE,
	.is_reloadable = true,
	FIELD(struct config, limits.handshake_timeout_ms),
	.help = "Time that a client has for its request head, from accept on.",
    },
    {
	.name = "close_timeout",
	.type = CONFIG_DURATION,
	.fallback = "5s",
	.min = SECOND / 10,
	.max = 10 * MINUTE,
	.is_reloadable = true,
	FIELD(struct config, limits.close_timeout_ms),
	.help =
	    "Time that a peer has to answer a Close frame, or the end of a stream; and that both "
	    "peers have to end their TCP connections behind Close frames of their own, on the "
	    "relay, or spliced if the kernel has seen these: see splice_frames.",
    },
};

const struct config_section config_section_limits = {
    .name = "limits",
    .parent = &config_section_file,
    KEYS(limits_keys),
    .help = "What peers may use at most, and how long they may take.",
};

static const struct config_key drain_keys[] = {
    {
	.name = "drain_time",
	.type = CONFIG_DURATION,
	.fallback = "0",
	.zero = "as fast as conn_evict_rate allows",
	.min = SECOND / 10,
	.max = 7 * DAY,
	.is_reloadable = true,
	FIELD(struct config, drain.time_ms),
	.help = "Time over which the closing of connections is spread evenly.",
    },
    {
	.name = "conn_evict_rate",
	.type = CONFIG_NUMBER,
	.fallback = "1000",
	.zero = "no limit",
	.min = 1,
	.max = 10000000,
	.is_reloadable = true,
	FIELD(struct config, drain.rate_per_s),
	.help = "Connections closed in a second at most, by all workers together, each of which "
		"has an equal share. Their clients come back at the same rate.",
    },
    {
	.name = "hard_stop_after",
	.type = CONFIG_DURATION,
	.fallback = "30s",
	.min = SECOND / 10,
	.max = 7 * DAY,
	.is_reloadable = true,
	FIELD(struct config, drain.hard_stop_ms),
	.help = "Time behind drain_time after which connections that are left are ended at once, "
		"and the process exits if it was told to stop.",
    },
};

const struct config_section config_section_drain = {
    .name = "drain",
    .parent = &config_section_file,
    KEYS(drain_keys),
    .help = "How connections are closed when the process stops, or when the operator drains "
	    "it, a route, a cluster or an endpoint: with 1001, each between two frames.",
};
