/* SPDX-License-Identifier: Apache-2.0 */
/* Keys of clusters, their endpoints, and how those are watched and looked up. */
#include "core/config_sections.h"

#include "core/config.h"
#include "core/config_syntax.h"

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

static const char *const endpoint_states[] = {
    [ENDPOINT_READY] = "ready",
    [ENDPOINT_DRAIN] = "drain",
    [ENDPOINT_MAINT] = "maint",
    NULL,
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

const struct config_section config_section_resolver = {
    .name = "resolver",
    .parent = &config_section_file,
    KEYS(resolver_keys),
    .help = "How the names of endpoints are looked up.",
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

const struct config_section config_section_cluster = {
    .name = "cluster",
    .parent = &config_section_file,
    .title = "example",
    KEYS(cluster_keys),
    ELEMENTS(struct config, clusters, n_clusters, struct config_cluster),
    .help = "Servers that do the same, for a route's proxy. At least one endpoint is "
	    "needed.",
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

const struct config_section config_section_ejection = {
    .name = "ejection",
    .parent = &config_section_cluster,
    KEYS(ejection_keys),
    .help = "An endpoint that fails again and again gets no connections for a time.",
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

const struct config_section config_section_breaker = {
    .name = "breaker",
    .parent = &config_section_cluster,
    KEYS(breaker_keys),
    .help = "A cluster that fails as a whole is left alone for a time.",
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

const struct config_section config_section_health = {
    .name = "health",
    .parent = &config_section_cluster,
    KEYS(health_keys),
    .help = "Checks of each endpoint's health, whether it has connections or not.",
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

const struct config_section config_section_endpoint = {
    .name = "endpoint",
    .parent = &config_section_cluster,
    .title = "a",
    KEYS(endpoint_keys),
    ELEMENTS(struct config_cluster, endpoints, n_endpoints, struct config_endpoint),
    .help = "One of the servers.",
};

/* The name of an element is where the name of every element is. */
_Static_assert(offsetof(struct config_cluster, name) == 0, "name first");
_Static_assert(offsetof(struct config_endpoint, name) == 0, "name first");
