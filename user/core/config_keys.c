/* SPDX-License-Identifier: Apache-2.0 */
#include "core/config_keys.h"

#include "core/config.h"
#include "core/config_syntax.h"
#include "core/nearest.h"

/* Where a key's value goes: a member of the section's struct. */
#define FIELD(type, member) .offset = offsetof(type, member), .size = sizeof(((type *)0)->member)
#define KEYS(array)         .keys = (array), .n_keys = ARRAY_SIZE(array)
/* Where the sections of one kind go: an array in their parent's struct. */
#define ELEMENTS(type, array, count, element)                                         \
	.array_offset = offsetof(type, array), .count_offset = offsetof(type, count), \
	.element_size = sizeof(element)

#define KB        (UINT64_C(1) << 10)
#define MB        (UINT64_C(1) << 20)
#define TB        (UINT64_C(1) << 40)
#define SECOND    UINT64_C(1000)
#define MINUTE    (60 * SECOND)
#define HOUR      (60 * MINUTE)
#define DAY       (24 * HOUR)
#define PATH_LEN  4095
#define FIELD_LEN 4096 /* of a header: name and value */
/* Frames and messages may have 2^63 - 1 bytes (RFC 6455 s5.2); half of it leaves room for sums. */
#define SIZE_LIMIT_MAX (UINT64_C(1) << 62)

static const char *const log_levels[] = {
    [LOG_LEVEL_ERROR] = "error", [LOG_LEVEL_WARNING] = "warning", [LOG_LEVEL_NOTICE] = "notice",
    [LOG_LEVEL_INFO] = "info",   [LOG_LEVEL_DEBUG] = "debug",     NULL,
};

static const char *const log_formats[] = {
    [LOG_FORMAT_TEXT] = "text",
    [LOG_FORMAT_JSON] = "json",
    NULL,
};

static const char *const kernel_paths[] = {
    [CONFIG_KERNEL_AUTO] = "auto",
    [CONFIG_KERNEL_OFF] = "off",
    NULL,
};

static const char *const balances[] = {
    [CONFIG_BALANCE_ROUND_ROBIN] = "round_robin",
    [CONFIG_BALANCE_LEAST_CONN] = "least_conn",
    [CONFIG_BALANCE_HASH] = "hash",
    NULL,
};

static const char *const health_types[] = {
    [CONFIG_HEALTH_OFF] = "off",
    [CONFIG_HEALTH_TCP] = "tcp",
    [CONFIG_HEALTH_HTTP] = "http",
    [CONFIG_HEALTH_WEBSOCKET] = "websocket",
    NULL,
};

static const char *const forwards[] = {
    [CONFIG_FORWARDED_X] = "x",
    [CONFIG_FORWARDED_RFC7239] = "rfc7239",
    [CONFIG_FORWARDED_BOTH] = "both",
    [CONFIG_FORWARDED_OFF] = "off",
    NULL,
};

static const char *const endpoint_states[] = {
    [ENDPOINT_READY] = "ready",
    [ENDPOINT_DRAIN] = "drain",
    [ENDPOINT_MAINT] = "maint",
    NULL,
};

static const struct config_key worker_keys[] = {
    {
	.name = "count",
	.type = CONFIG_NUMBER,
	.fallback = "auto",
	.none = "auto",
	.min = 1,
	.max = 64,
	FIELD(struct config, worker.count),
	.help = "Worker threads. With auto there is one for each CPU that the process may "
		"use.",
    },
};

static const struct config_key process_keys[] = {
    {
	.name = "user",
	.type = CONFIG_TEXT,
	.example = "\"sluice\"",
	.min = 1,
	.max = 63,
	.is_valid = config_is_name,
	.expected = "a name or number of [A-Za-z0-9_.-]",
	FIELD(struct config, process.user),
	.help = "User, by name or number, that the process becomes when it is started as root, "
		"before it opens anything. It keeps CAP_NET_ADMIN, for packet splice, and "
		"CAP_NET_BIND_SERVICE, for ports below 1024. By default it stays who it is.",
    },
    {
	.name = "group",
	.type = CONFIG_TEXT,
	.example = "\"sluice\"",
	.min = 1,
	.max = 63,
	.is_valid = config_is_name,
	.expected = "a name or number of [A-Za-z0-9_.-]",
	FIELD(struct config, process.group),
	.help =
	    "Group, by name or number, to go with user, and not without it: the one that sluice-loader gave the "
	    "pins to, unless the user is a member of it. By default the user's own.",
    },
};

static const struct config_key admin_keys[] = {
    {
	.name = "control",
	.type = CONFIG_TEXT,
	.example = "\"/run/sluice/control.sock\"",
	.min = 1,
	.max = 107,
	.is_valid = config_is_path,
	.expected = "an absolute path",
	FIELD(struct config, admin.control),
	.help = "Path of the unix socket that sluicectl talks to. By default it is "
		"/run/sluice/control.sock if the process is root or may write to "
		"/run/sluice, otherwise sluice/control.sock in $XDG_RUNTIME_DIR.",
    },
    {
	.name = "listen",
	.type = CONFIG_ADDRESSES,
	.example = "{\"127.0.0.1:9810\"}",
	.offset = offsetof(struct config, admin.addresses),
	.count_offset = offsetof(struct config, admin.n_addresses),
	.help = "Addresses for HTTP requests about the daemon, IPv4, IPv6 or unix:/path: "
		"/metrics, /healthz, /readyz, /api/v1. Nothing can be changed there, but there is "
		"no access control either. By default there are none.",
    },
};

static const struct config_key kernel_keys[] = {
    {
	.name = "splice",
	.type = CONFIG_WORD,
	.fallback = "auto",
	.words = kernel_paths,
	FIELD(struct config, kernel.splice),
	.help = "Whether the kernel moves the packets of connections that allow it. With auto it "
		"does if sluice-loader has loaded the programs before the start; if not, all "
		"connections stay on the relay.",
    },
    {
	.name = "pins",
	.type = CONFIG_TEXT,
	.fallback = "/sys/fs/bpf/sluice",
	.min = 1,
	.max = 107,
	.is_valid = config_is_path,
	.expected = "an absolute path",
	FIELD(struct config, kernel.pins),
	.help = "Directory in which sluice-loader has pinned the programs and maps.",
    },
};

static const struct config_key log_keys[] = {
    {
	.name = "level",
	.type = CONFIG_WORD,
	.fallback = "notice",
	.words = log_levels,
	.is_reloadable = true,
	FIELD(struct config, log.level),
	.help = "The least important events that are logged.",
    },
    {
	.name = "format",
	.type = CONFIG_WORD,
	.fallback = "text",
	.words = log_formats,
	.is_reloadable = true,
	FIELD(struct config, log.format),
	.help = "Lines for people, or one JSON object on each line.",
    },
    {
	.name = "rate",
	.type = CONFIG_NUMBER,
	.fallback = "100",
	.zero = "unlimited",
	.min = 1,
	.max = 1000000,
	.is_reloadable = true,
	FIELD(struct config, log.rate_per_s),
	.help = "Lines that are logged in a second at most. Those beyond are counted, and "
		"the next line says how many were left out.",
    },
    {
	.name = "access",
	.type = CONFIG_TEXT,
	.fallback = "off",
	.none = "off",
	.min = 1,
	.max = PATH_LEN,
	.is_valid = config_is_log_target,
	.expected = "an absolute path, or - for standard output",
	.is_reloadable = true,
	FIELD(struct config, log.access),
	.help = "File of the access log: one JSON line for each connection, written at its "
		"end.",
    },
};

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
	.help = "Time that a peer has to answer a Close frame, or the end of a stream.",
    },
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

static const struct config_key resolver_keys[] = {
    {
	.name = "nameserver",
	.type = CONFIG_ADDRESSES,
	.example = "{\"10.0.0.2:53\"}",
	.is_valid = config_is_name_server,
	.expected = "an IP address with a port other than 0",
	.is_reloadable = true,
	.offset = offsetof(struct config, resolver.servers),
	.count_offset = offsetof(struct config, resolver.n_servers),
	.help = "Servers to ask. By default those of /etc/resolv.conf, which is read at the start "
		"and at each reload. /etc/hosts counts in any case.",
    },
    {
	.name = "timeout",
	.type = CONFIG_DURATION,
	.fallback = "2s",
	.min = SECOND / 100,
	.max = 1 * MINUTE,
	.is_reloadable = true,
	FIELD(struct config, resolver.timeout_ms),
	.help = "Time for one answer of a server; each is asked twice.",
    },
};

static const struct config_key listener_keys[] = {
    {
	.name = "listen",
	.type = CONFIG_ADDRESSES,
	.example = "{\"0.0.0.0:8080\", \"[::]:8080\"}",
	.is_required = true,
	.offset = offsetof(struct config_listener, addresses),
	.count_offset = offsetof(struct config_listener, n_addresses),
	.help = "Addresses to listen on, IPv4, IPv6 or unix:/path. An IPv6 address takes no "
		"IPv4 connections. With port 0 the kernel chooses the port.",
    },
    {
	.name = "backlog",
	.type = CONFIG_NUMBER,
	.fallback = "4096",
	.min = 1,
	.max = 65535,
	FIELD(struct config_listener, backlog),
	.help = "Connections that may wait to be accepted, on each address and worker. The "
		"kernel caps it at net.core.somaxconn.",
    },
};

static const struct config_key cluster_keys[] = {
    {
	.name = "balance",
	.type = CONFIG_WORD,
	.fallback = "round_robin",
	.words = balances,
	.is_reloadable = true,
	FIELD(struct config_cluster, balance),
	.help = "How an endpoint is chosen, always by weight: in turn, the one with the fewest "
		"connections, or by a hash of hash_key on a ring, so that equal keys meet the same "
		"endpoint for as long as it is available.",
    },
    {
	.name = "hash_key",
	.type = CONFIG_TEXT,
	.fallback = "source",
	.min = 1,
	.max = 255,
	.is_valid = config_is_hash_key,
	.expected = "source, host, path, header:NAME, query:NAME or cookie:NAME",
	.is_reloadable = true,
	FIELD(struct config_cluster, hash_key),
	.help = "What balance = hash is over: the client's address, or a part of the request. A "
		"request without that part counts by its source.",
    },
    {
	.name = "hash_load",
	.type = CONFIG_PERCENT,
	.fallback = "off",
	.none = "off",
	.min = 100,
	.max = 1000,
	.is_reloadable = true,
	FIELD(struct config_cluster, hash_load),
	.help = "With balance = hash, how much of the average load, by weight, one endpoint takes, "
		"such as 125%; what is beyond goes to the next on the ring.",
    },
    {
	.name = "source",
	.type = CONFIG_IPS,
	.example = "{\"10.0.0.1\", \"10.0.0.2\"}",
	.is_reloadable = true,
	.offset = offsetof(struct config_cluster, sources),
	.count_offset = offsetof(struct config_cluster, n_sources),
	.help = "Addresses to connect from, in turn: each has its own ports, about 28,000 to one "
		"endpoint. Those of the endpoint's family are used; by default, and if there is "
		"none of it, the kernel chooses.",
    },
    {
	.name = "retries",
	.type = CONFIG_NUMBER,
	.fallback = "3",
	.max = 7,
	.is_reloadable = true,
	FIELD(struct config_cluster, retries),
	.help = "How many other endpoints one request is tried on when an endpoint cannot be "
		"connected to, closes, does not answer in time, or answers 502, 503 or 504.",
    },
    {
	.name = "slow_start",
	.type = CONFIG_DURATION,
	.fallback = "off",
	.none = "off",
	.min = SECOND,
	.max = 1 * HOUR,
	.is_reloadable = true,
	FIELD(struct config_cluster, slow_start_ms),
	.help = "Time over which the share of an endpoint that is new or back grows to its weight. "
		"Not at the start of the process.",
    },
    {
	.name = "connect_timeout",
	.type = CONFIG_DURATION,
	.fallback = "3s",
	.min = SECOND / 100,
	.max = 10 * MINUTE,
	.is_reloadable = true,
	FIELD(struct config_cluster, connect_timeout_ms),
	.help = "Time for connecting to one endpoint.",
    },
    {
	.name = "upgrade_timeout",
	.type = CONFIG_DURATION,
	.fallback = "10s",
	.min = SECOND / 100,
	.max = 10 * MINUTE,
	.is_reloadable = true,
	FIELD(struct config_cluster, upgrade_timeout_ms),
	.help = "Time that a connected endpoint has for its answer to the upgrade request.",
    },
    {
	.name = "resolve_interval",
	.type = CONFIG_DURATION,
	.fallback = "30s",
	.min = SECOND / 100,
	.max = 1 * DAY,
	.is_reloadable = true,
	FIELD(struct config_cluster, resolve_interval_ms),
	.help = "Time between two lookups of an endpoint's name, give or take a tenth, whatever "
		"lifetime an answer has; until the first answer a second at most. A lookup that "
		"fails leaves the addresses that there are.",
    },
};

static const struct config_key ejection_keys[] = {
    {
	.name = "failures",
	.type = CONFIG_NUMBER,
	.fallback = "5",
	.none = "off",
	.min = 1,
	.max = 1000000,
	.is_reloadable = true,
	FIELD(struct config_cluster, ejection.failures),
	.help = "Failed connects and upgrades in a row after which an endpoint is ejected.",
    },
    {
	.name = "time",
	.type = CONFIG_DURATION,
	.fallback = "30s",
	.min = SECOND / 10,
	.max = 1 * HOUR,
	.is_reloadable = true,
	FIELD(struct config_cluster, ejection.time_ms),
	.help = "How long, times the number of ejections of late (10 at most). It ends before "
		"when the checks of health see the endpoint come back.",
    },
    {
	.name = "max_percent",
	.type = CONFIG_PERCENT,
	.fallback = "50%",
	.min = 1,
	.max = 100,
	.is_reloadable = true,
	FIELD(struct config_cluster, ejection.max_percent),
	.help = "Share of the cluster's endpoints that may be ejected at a time.",
    },
};

static const struct config_key breaker_keys[] = {
    {
	.name = "failure_ratio",
	.type = CONFIG_PERCENT,
	.fallback = "off",
	.none = "off",
	.min = 1,
	.max = 100,
	.is_reloadable = true,
	FIELD(struct config_cluster, breaker.failure_ratio),
	.help = "Share of failed requests, retries included, from which on the breaker opens.",
    },
    {
	.name = "min_requests",
	.type = CONFIG_NUMBER,
	.fallback = "20",
	.min = 1,
	.max = 1000000,
	.is_reloadable = true,
	FIELD(struct config_cluster, breaker.min_requests),
	.help = "Requests that must have ended within the window before it may open.",
    },
    {
	.name = "window",
	.type = CONFIG_DURATION,
	.fallback = "10s",
	.min = SECOND / 10,
	.max = 10 * MINUTE,
	.is_reloadable = true,
	FIELD(struct config_cluster, breaker.window_ms),
	.help = "The time that is looked at.",
    },
    {
	.name = "open_time",
	.type = CONFIG_DURATION,
	.fallback = "10s",
	.min = SECOND / 10,
	.max = 1 * HOUR,
	.is_reloadable = true,
	FIELD(struct config_cluster, breaker.open_time_ms),
	.help = "How long it stays open: requests get 503 at once.",
    },
    {
	.name = "probes",
	.type = CONFIG_NUMBER,
	.fallback = "3",
	.min = 1,
	.max = 1000,
	.is_reloadable = true,
	FIELD(struct config_cluster, breaker.probes),
	.help = "Requests that are let through then; if all succeed it closes, if one fails it is "
		"open again.",
    },
};

static const struct config_key health_keys[] = {
    {
	.name = "type",
	.type = CONFIG_WORD,
	.fallback = "off",
	.words = health_types,
	.is_reloadable = true,
	FIELD(struct config_cluster, health.type),
	.help = "What a check does. tcp: connect. http: GET path; a status of 2xx or 3xx is good. "
		"websocket: upgrade at path, send a ping, wait for its pong, and close with 1000.",
    },
    {
	.name = "interval",
	.type = CONFIG_DURATION,
	.fallback = "2s",
	.min = SECOND / 100,
	.max = 1 * DAY,
	.is_reloadable = true,
	FIELD(struct config_cluster, health.interval_ms),
	.help = "Time from the start of a check to that of the next one of the same endpoint, give "
		"or take a tenth, so that many endpoints do not beat together.",
    },
    {
	.name = "timeout",
	.type = CONFIG_DURATION,
	.fallback = "1s",
	.min = SECOND / 100,
	.max = 10 * MINUTE,
	.is_reloadable = true,
	FIELD(struct config_cluster, health.timeout_ms),
	.help = "Time for one check, from connecting to its last answer.",
    },
    {
	.name = "rise",
	.type = CONFIG_NUMBER,
	.fallback = "2",
	.min = 1,
	.max = 1000,
	.is_reloadable = true,
	FIELD(struct config_cluster, health.rise),
	.help = "Good checks in a row after which an endpoint that was down is up. The very first "
		"check decides alone.",
    },
    {
	.name = "fall",
	.type = CONFIG_NUMBER,
	.fallback = "3",
	.min = 1,
	.max = 1000,
	.is_reloadable = true,
	FIELD(struct config_cluster, health.fall),
	.help = "Failed checks in a row after which an endpoint is down: it gets no new "
		"connections, and those that it has go on.",
    },
    {
	.name = "path",
	.type = CONFIG_TEXT,
	.fallback = "/",
	.min = 1,
	.max = PATH_LEN,
	.is_valid = config_is_request_path,
	.expected = "a path such as /healthz, with a query or without",
	.is_reloadable = true,
	FIELD(struct config_cluster, health.path),
	.help = "What is asked for with type http or websocket.",
    },
    {
	.name = "host",
	.type = CONFIG_TEXT,
	.fallback = "",
	.max = 255,
	.is_valid = config_is_health_host,
	.expected = "a host name or address, with a port or without",
	.is_reloadable = true,
	FIELD(struct config_cluster, health.host),
	.help = "The Host of that request. By default the endpoint's address.",
    },
};

static const struct config_key endpoint_keys[] = {
    {
	.name = "address",
	.type = CONFIG_TEXT,
	.example = "\"127.0.0.1:9000\"",
	.min = 1,
	.max = 260,
	.is_valid = config_is_target,
	.expected = "an address or a name, with a port other than 0, such as 10.0.0.5:9000, "
		    "[::1]:9000, backend.example:9000 or unix:/path",
	.is_required = true,
	.is_reloadable = true,
	FIELD(struct config_endpoint, target),
	.help = "Where to connect: IPv4, IPv6, unix:/path, or a name, which is looked up again and "
		"again (see resolve_interval). Of a name's addresses, 16 at most, each connection "
		"takes the next one.",
    },
    {
	.name = "state",
	.type = CONFIG_WORD,
	.fallback = "ready",
	.words = endpoint_states,
	.is_reloadable = true,
	FIELD(struct config_endpoint, state),
	.help =
	    "ready; drain: no new connections, those that live go on; maint: nor is its health "
	    "checked. At run time sluicectl set endpoint sets it, and that holds until this key "
	    "changes.",
    },
    {
	.name = "weight",
	.type = CONFIG_NUMBER,
	.fallback = "100",
	.max = CONFIG_ENDPOINT_WEIGHT_MAX,
	.is_reloadable = true,
	FIELD(struct config_endpoint, weight),
	.help =
	    "Its share of the cluster's connections, beside the others' weights. With 0 it gets "
	    "no new ones.",
    },
};

static const struct config_key route_keys[] = {
    {
	.name = "proxy",
	.type = CONFIG_TEXT,
	.example = "example",
	.min = 1,
	.max = CONFIG_NAME_MAX,
	.is_valid = config_is_name,
	.expected = "the name of a cluster",
	.is_reloadable = true,
	.is_shown = true,
	FIELD(struct config_route, proxy),
	.help = "Action: connect to an endpoint of this cluster.",
    },
    {
	.name = "split",
	.type = CONFIG_TEXTS,
	.example = "{\"stable 95\", \"canary 5\"}",
	.min = 1,
	.max = CONFIG_NAME_MAX + 16,
	.is_valid = config_is_split,
	.expected = "CLUSTER WEIGHT",
	.is_reloadable = true,
	.offset = offsetof(struct config_route, split_texts),
	.count_offset = offsetof(struct config_route, n_splits),
	.help = "Action: as proxy, to one of several clusters, each with a share of the requests "
		"by its weight (1 to 1000000).",
    },
    {
	.name = "split_key",
	.type = CONFIG_TEXT,
	.example = "random", /* no default: it may stand beside split only */
	.min = 1,
	.max = 255,
	.is_valid = config_is_split_key,
	.expected = "random, source or header:NAME",
	.is_reloadable = true,
	FIELD(struct config_route, split_key_text),
	.help =
	    "What decides about a request's cluster: chance (if not given), the client's "
	    "address, or the value of a header. Equal ones come to the same cluster, also after a restart. "
	    "Without the header the address decides, and without an address chance.",
    },
    {
	.name = "echo",
	.type = CONFIG_BOOL,
	.fallback = "false",
	.is_reloadable = true,
	FIELD(struct config_route, echo),
	.help = "Action: send every message back.",
    },
    {
	.name = "origin",
	.type = CONFIG_TEXTS,
	.example = "{\"https://a.example\", \"https://*.b.example\"}",
	.min = 1,
	.max = 512,
	.is_valid = config_is_origin,
	.expected = "https://HOST, https://HOST:PORT, https://*.HOST or null",
	.is_reloadable = true,
	.offset = offsetof(struct config_route, origins),
	.count_offset = offsetof(struct config_route, n_origins),
	.help = "Pages that may connect, by the Origin that their browser sends; others get 403. "
		"Clients that send none are no browsers, which alone enforce anything here, and "
		"may connect. By default all.",
    },
    {
	.name = "forwarded",
	.type = CONFIG_WORD,
	.fallback = "x",
	.words = forwards,
	.is_reloadable = true,
	FIELD(struct config_route, forwarded),
	.help = "How an endpoint learns who the client is: X-Forwarded-For, to which the address "
		"is appended, X-Forwarded-Proto and X-Forwarded-Host; Forwarded (RFC 7239), to "
		"which an element is appended; or both. What is in front came from the client, "
		"unless headers { remove } names the field.",
    },
    {
	.name = "rewrite",
	.type = CONFIG_TEXTS,
	.example = "{\"/api/\", \"/\"}",
	.min = 0,
	.max = PATH_LEN,
	.is_valid = config_is_any_text,
	.expected = "FROM and TO",
	.is_reloadable = true,
	.offset = offsetof(struct config_route, rewrite),
	.count_offset = offsetof(struct config_route, n_rewrite),
	.help = "Change of the path on its way to an endpoint: FROM and TO. If the path begins "
		"with FROM, TO takes its place. With ~ and a regular expression as FROM, TO takes "
		"the place of the part that matches, with $0 to $9 for it and its groups, and $$ "
		"for a $. The query stays.",
    },
    {
	.name = "splice",
	.type = CONFIG_WORD,
	.fallback = "auto",
	.words = kernel_paths,
	.is_reloadable = true,
	FIELD(struct config_route, splice),
	.help =
	    "With off, connections stay on the relay, whatever kernel.splice says: for routes "
	    "whose frames are to be checked and counted to the end, and whose connections are to "
	    "be closed by Close frames. A change counts for new connections.",
    },
    {
	.name = "tunnel_timeout",
	.type = CONFIG_DURATION,
	.fallback = "1h",
	.zero = "never",
	.min = SECOND / 10,
	.max = 365 * DAY,
	.is_reloadable = true,
	FIELD(struct config_route, tunnel_timeout_ms),
	.help = "A connection on which nothing was received from either side for this long "
		"is closed with 1001; if it is spliced, both sides are reset.",
    },
    {
	.name = "max_connection_duration",
	.type = CONFIG_DURATION,
	.fallback = "0",
	.zero = "never",
	.min = SECOND / 10,
	.max = 365 * DAY,
	.is_reloadable = true,
	FIELD(struct config_route, max_duration_ms),
	.help =
	    "A connection that has been open for this long is closed with 1001, busy or not. "
	    "Clients that come back are spread over the endpoints that there are then. It keeps "
	    "the route's connections on the relay, as only that can send a Close frame; one that is "
	    "spliced already when a reload sets it is reset.",
    },
    {
	.name = "max_frame",
	.type = CONFIG_BYTES,
	.fallback = "auto",
	.none = "auto",
	.none_value = CONFIG_SIZE_AUTO,
	.zero = "no limit, with proxy only",
	.min = 1,
	.max = SIZE_LIMIT_MAX,
	.is_reloadable = true,
	FIELD(struct config_route, max_frame_bytes),
	.help =
	    "Payload of one frame. A longer one closes the connection with 1009. With auto there "
	    "is no limit with proxy, which passes frames on without keeping them, and 16mb where "
	    "they are assembled (echo). A limit keeps the route's connections on the relay, as "
	    "only that looks into them.",
    },
    {
	.name = "max_message",
	.type = CONFIG_BYTES,
	.fallback = "auto",
	.none = "auto",
	.none_value = CONFIG_SIZE_AUTO,
	.zero = "no limit, with proxy only",
	.min = 1,
	.max = SIZE_LIMIT_MAX,
	.is_reloadable = true,
	FIELD(struct config_route, max_message_bytes),
	.help = "Payload of one message, all its frames together, likewise.",
    },
};

static const struct config_key match_keys[] = {
    {
	.name = "host",
	.type = CONFIG_TEXT,
	.example = "\"play.example\"",
	.min = 1,
	.max = 255,
	.is_valid = config_is_host,
	.expected = "a host name or address without port",
	.is_reloadable = true,
	FIELD(struct config_route, host),
	.help = "The request's host, in any case and without port. By default any.",
    },
    {
	.name = "path",
	.type = CONFIG_TEXT,
	.example = "\"/game/*\"",
	.min = 1,
	.max = PATH_LEN,
	.is_valid = config_is_match_path,
	.expected = "a path such as /live, /game/* for all that begins so, or ~REGEX",
	.is_reloadable = true,
	FIELD(struct config_route, path),
	.help = "The request's path, without query; with * at its end, how it begins; behind ~ a "
		"regular expression (PCRE2) for any part of it, or for the whole between ^ and "
		"$, each backslash doubled. One that takes too long for a path does not match "
		"it. By default any.",
    },
    {
	.name = "header",
	.type = CONFIG_TEXTS,
	.example = "{\"X-Version: 2\", \"X-Beta\"}",
	.min = 1,
	.max = FIELD_LEN,
	.is_valid = config_is_match_field,
	.expected = "a header's name, or NAME: VALUE",
	.is_reloadable = true,
	.offset = offsetof(struct config_route, match_headers),
	.count_offset = offsetof(struct config_route, n_match_headers),
	.help = "Headers that the request must all have: just there, or with this value.",
    },
    {
	.name = "subprotocol",
	.type = CONFIG_TEXT,
	.example = "mqtt",
	.min = 1,
	.max = 255,
	.is_valid = config_is_token,
	.expected = "a name without blanks and separators",
	.is_reloadable = true,
	FIELD(struct config_route, subprotocol),
	.help = "A subprotocol that the client must offer (Sec-WebSocket-Protocol).",
    },
    {
	.name = "source",
	.type = CONFIG_TEXTS,
	.example = "{\"10.0.0.0/8\", \"2001:db8::1\"}",
	.min = 1,
	.max = 49,
	.is_valid = config_is_network,
	.expected = "an address or network such as 10.0.0.0/8",
	.is_reloadable = true,
	.offset = offsetof(struct config_route, sources),
	.count_offset = offsetof(struct config_route, n_sources),
	.help = "Where the client must come from: one of these. Those on a unix socket come "
		"from nowhere.",
    },
};

static const struct config_key headers_keys[] = {
    {
	.name = "add",
	.type = CONFIG_TEXTS,
	.example = "{\"X-Env: prod\"}",
	.min = 1,
	.max = FIELD_LEN,
	.is_valid = config_is_added_field,
	.expected = "NAME: VALUE, not a header of the handshake or the connection",
	.is_reloadable = true,
	.offset = offsetof(struct config_route, add_headers),
	.count_offset = offsetof(struct config_route, n_add_headers),
	.help = "Headers that an endpoint gets in addition, also if the client sends one of that "
		"name; remove it, too, to replace it.",
    },
    {
	.name = "remove",
	.type = CONFIG_TEXTS,
	.example = "{\"Cookie\"}",
	.min = 1,
	.max = FIELD_LEN,
	.is_valid = config_is_removed_field,
	.expected = "a header's name, not one of the handshake or the connection",
	.is_reloadable = true,
	.offset = offsetof(struct config_route, remove_headers),
	.count_offset = offsetof(struct config_route, n_remove_headers),
	.help = "Headers of the client that an endpoint does not get.",
    },
};

static const struct config_key respond_keys[] = {
    {
	.name = "status",
	.type = CONFIG_NUMBER,
	.fallback = "200",
	.min = 200,
	.max = 599,
	.is_reloadable = true,
	FIELD(struct config_route, respond.status),
	.help = "Status code.",
    },
    {
	.name = "content_type",
	.type = CONFIG_TEXT,
	.fallback = "text/plain; charset=utf-8",
	.min = 3,
	.max = 255,
	.is_valid = config_is_media_type,
	.expected = "a media type such as text/plain",
	.is_reloadable = true,
	FIELD(struct config_route, respond.content_type),
	.help = "Content-Type of the body.",
    },
    {
	.name = "body",
	.type = CONFIG_TEXT,
	.fallback = "",
	.max = 65536,
	.is_valid = config_is_any_text,
	.expected = "a text",
	.is_reloadable = true,
	FIELD(struct config_route, respond.body),
	.help = "What is sent; \\n begins a new line.",
    },
};

enum {
	SECTION_FILE,
	SECTION_WORKER,
	SECTION_PROCESS,
	SECTION_ADMIN,
	SECTION_KERNEL,
	SECTION_LOG,
	SECTION_LIMITS,
	SECTION_DRAIN,
	SECTION_RESOLVER,
	SECTION_LISTENER,
	SECTION_CLUSTER,
	SECTION_EJECTION,
	SECTION_BREAKER,
	SECTION_HEALTH,
	SECTION_ENDPOINT,
	SECTION_ROUTE,
	SECTION_MATCH,
	SECTION_HEADERS,
	SECTION_RESPOND,
	N_SECTIONS,
};

const struct config_section config_sections[N_SECTIONS] = {
    [SECTION_FILE] = {.help = "The configuration of sluiced."},
    [SECTION_WORKER] =
	{
	    .name = "worker",
	    .parent = &config_sections[SECTION_FILE],
	    KEYS(worker_keys),
	    .help = "The threads that serve connections.",
	},
    [SECTION_PROCESS] =
	{
	    .name = "process",
	    .parent = &config_sections[SECTION_FILE],
	    KEYS(process_keys),
	    .help = "Who the process is.",
	},
    [SECTION_ADMIN] =
	{
	    .name = "admin",
	    .parent = &config_sections[SECTION_FILE],
	    KEYS(admin_keys),
	    .help = "How the running process is looked at and told what to do.",
	},
    [SECTION_KERNEL] =
	{
	    .name = "kernel",
	    .parent = &config_sections[SECTION_FILE],
	    KEYS(kernel_keys),
	    .help = "What the kernel may do for connections once they are open.",
	},
    [SECTION_LOG] =
	{
	    .name = "log",
	    .parent = &config_sections[SECTION_FILE],
	    KEYS(log_keys),
	    .help = "The log on standard error, and the access log.",
	},
    [SECTION_LIMITS] =
	{
	    .name = "limits",
	    .parent = &config_sections[SECTION_FILE],
	    KEYS(limits_keys),
	    .help = "What peers may use at most, and how long they may take.",
	},
    [SECTION_DRAIN] =
	{
	    .name = "drain",
	    .parent = &config_sections[SECTION_FILE],
	    KEYS(drain_keys),
	    .help =
		"How connections are closed when the process stops, or when the operator drains "
		"it, a route, a cluster or an endpoint: with 1001, each between two frames.",
	},
    [SECTION_RESOLVER] =
	{
	    .name = "resolver",
	    .parent = &config_sections[SECTION_FILE],
	    KEYS(resolver_keys),
	    .help = "How the names of endpoints are looked up.",
	},
    [SECTION_LISTENER] =
	{
	    .name = "listener",
	    .parent = &config_sections[SECTION_FILE],
	    .title = "public",
	    KEYS(listener_keys),
	    ELEMENTS(struct config, listeners, n_listeners, struct config_listener),
	    .help = "Where clients connect. At least one is needed.",
	},
    [SECTION_CLUSTER] =
	{
	    .name = "cluster",
	    .parent = &config_sections[SECTION_FILE],
	    .title = "example",
	    KEYS(cluster_keys),
	    ELEMENTS(struct config, clusters, n_clusters, struct config_cluster),
	    .help = "Servers that do the same, for a route's proxy. At least one endpoint is "
		    "needed.",
	},
    [SECTION_EJECTION] =
	{
	    .name = "ejection",
	    .parent = &config_sections[SECTION_CLUSTER],
	    KEYS(ejection_keys),
	    .help = "An endpoint that fails again and again gets no connections for a time.",
	},
    [SECTION_BREAKER] =
	{
	    .name = "breaker",
	    .parent = &config_sections[SECTION_CLUSTER],
	    KEYS(breaker_keys),
	    .help = "A cluster that fails as a whole is left alone for a time.",
	},
    [SECTION_HEALTH] =
	{
	    .name = "health",
	    .parent = &config_sections[SECTION_CLUSTER],
	    KEYS(health_keys),
	    .help = "Checks of each endpoint's health, whether it has connections or not.",
	},
    [SECTION_ENDPOINT] =
	{
	    .name = "endpoint",
	    .parent = &config_sections[SECTION_CLUSTER],
	    .title = "a",
	    KEYS(endpoint_keys),
	    ELEMENTS(struct config_cluster, endpoints, n_endpoints, struct config_endpoint),
	    .help = "One of the servers.",
	},
    [SECTION_ROUTE] =
	{
	    .name = "route",
	    .parent = &config_sections[SECTION_FILE],
	    .title = "example",
	    KEYS(route_keys),
	    ELEMENTS(struct config, routes, n_routes, struct config_route),
	    .help = "What happens to which requests. Routes are tried in the order of the file; "
		    "a request that none matches gets 404. Each has exactly one action: proxy, "
		    "split, echo or respond.",
	},
    [SECTION_MATCH] =
	{
	    .name = "match",
	    .parent = &config_sections[SECTION_ROUTE],
	    KEYS(match_keys),
	    .help = "Which requests. All that is given must hold; without anything, all match.",
	},
    [SECTION_HEADERS] =
	{
	    .name = "headers",
	    .parent = &config_sections[SECTION_ROUTE],
	    KEYS(headers_keys),
	    .help = "Changes to a request's headers on its way to an endpoint.",
	},
    [SECTION_RESPOND] =
	{
	    .name = "respond",
	    .parent = &config_sections[SECTION_ROUTE],
	    KEYS(respond_keys),
	    .is_alternative = true,
	    .help = "Action: answer with a fixed response.",
	},
};

const size_t config_n_sections = N_SECTIONS;

/* The name of an element is where the name of every element is. */
_Static_assert(offsetof(struct config_listener, name) == 0, "name first");
_Static_assert(offsetof(struct config_cluster, name) == 0, "name first");
_Static_assert(offsetof(struct config_endpoint, name) == 0, "name first");
_Static_assert(offsetof(struct config_route, name) == 0, "name first");

const struct config_section *config_section_find(const struct config_section *parent,
						 struct slice name)
{
	for (size_t i = 0; i < config_n_sections; i++) {
		const struct config_section *section = &config_sections[i];

		if (section->name && section->parent == parent &&
		    slice_equal(slice_from_str(section->name), name))
			return section;
	}
	return NULL;
}

const struct config_key *config_key_find(const struct config_section *section, struct slice name)
{
	for (size_t i = 0; i < section->n_keys; i++) {
		if (slice_equal(slice_from_str(section->keys[i].name), name))
			return &section->keys[i];
	}
	return NULL;
}

const char *config_keys_nearest(const struct config_section *section, struct slice name)
{
	struct nearest nearest;

	nearest_init(&nearest, name);
	for (size_t i = 0; i < section->n_keys; i++)
		nearest_offer(&nearest, section->keys[i].name);
	for (size_t i = 1; i < config_n_sections; i++) {
		if (config_sections[i].parent == section)
			nearest_offer(&nearest, config_sections[i].name);
	}
	return nearest.best;
}
