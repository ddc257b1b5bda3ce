/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The configuration: an immutable tree of plain values, read by libconfuse through ONE table of
 * keys (config_keys.c: type, default, range, reloadable, help), which also prints
 * `sluiced --dump-defaults` and the man page's list. Everything is checked here, so that the rest
 * of the program never meets an invalid value. A reload makes a new tree; connections keep a
 * reference to theirs.
 */
#pragma once
#include "base/address.h"
#include "base/ip_prefix.h"
#include "base/log.h"
#include "base/std.h"
#include "sluice/policy.h"

#include <stdatomic.h>
#include <stdio.h>

struct regex;

#define CONFIG_NAME_MAX 63 /* bytes of a listener's, cluster's, endpoint's or route's name */

struct config_listener {
	char *name;
	struct address *addresses;
	size_t n_addresses;
	uint32_t backlog;
};

/* Whether a path through the kernel is taken. */
/* Where the kernel's own ip_local_port_range is not: that begins at 32768 if nobody changes it. */
#define CONFIG_SOURCE_PORTS "16384-32767"

enum config_kernel {
	CONFIG_KERNEL_AUTO,
	CONFIG_KERNEL_OFF,
};

enum config_balance {
	CONFIG_BALANCE_ROUND_ROBIN,
	CONFIG_BALANCE_LEAST_CONN,
	CONFIG_BALANCE_HASH,
};

enum config_health_type {
	CONFIG_HEALTH_OFF,
	CONFIG_HEALTH_TCP,
	CONFIG_HEALTH_HTTP,
	CONFIG_HEALTH_WEBSOCKET,
};

enum endpoint_state {
	ENDPOINT_READY,
	ENDPOINT_DRAIN, /* no new connections */
	ENDPOINT_MAINT, /* nor checks of health */
};

#define CONFIG_ENDPOINT_WEIGHT_MAX 1000u

struct config_endpoint {
	char *name;                /* unique in its cluster */
	char *target;              /* as written: an address, or NAME:PORT */
	uint16_t host_len;         /* of the name that target begins with; 0 = it is an address */
	uint16_t port;             /* behind the name; host order */
	struct address address;    /* unless it is a name */
	enum endpoint_state state; /* at the start */
	uint16_t weight;           /* its share; 0 = no new connections */
};

struct config_cluster {
	char *name;
	enum config_balance balance;
	char *hash_key;          /* what HASH is over, as written (route/hash_key.h) */
	uint16_t hash_load;      /* percent of the average that an endpoint takes; 0 = no bound */
	struct address *sources; /* to connect from, port 0; none = as the kernel chooses */
	size_t n_sources;
	uint16_t retries; /* of one request, after its first try */
	uint64_t slow_start_ms;
	struct {
		uint32_t failures; /* in a row; 0 = off */
		uint64_t time_ms;
		uint16_t max_percent; /* of the cluster's endpoints at a time */
	} ejection;
	struct {
		uint16_t failure_ratio; /* percent; 0 = off */
		uint32_t min_requests;
		uint64_t window_ms, open_time_ms;
		uint32_t probes;
	} breaker;
	struct config_endpoint *endpoints; /* at least one */
	size_t n_endpoints;
	uint64_t connect_timeout_ms;  /* TCP connect to one endpoint */
	uint64_t upgrade_timeout_ms;  /* from connected to a complete 101 */
	uint64_t resolve_interval_ms; /* of endpoints that have a name */
	struct {
		enum config_health_type type;
		uint64_t interval_ms; /* from the start of a check to the next one's */
		uint64_t timeout_ms;  /* for all of one check */
		uint32_t rise, fall;  /* results in a row that make it up, or down */
		char *path;           /* HTTP and WEBSOCKET: a request target */
		char *host;           /* likewise; "" = the endpoint's address */
	} health;
};

enum config_action {
	CONFIG_ACTION_PROXY,
	CONFIG_ACTION_ECHO,
	CONFIG_ACTION_RESPOND,
};

/* "Name: value" or "Name", taken apart; both borrowed from the text. */
struct config_field {
	struct slice name, value;
	bool has_value;
};

/* Which X-Forwarded-… and Forwarded fields an endpoint gets. */
enum config_forwarded {
	CONFIG_FORWARDED_X,
	CONFIG_FORWARDED_RFC7239,
	CONFIG_FORWARDED_BOTH,
	CONFIG_FORWARDED_OFF,
};

enum config_split_key {
	CONFIG_SPLIT_RANDOM,
	CONFIG_SPLIT_SOURCE,
	CONFIG_SPLIT_HEADER,
};

/* Of a frame or a message where they are assembled, unless the file says otherwise. */
#define CONFIG_ASSEMBLED_BYTES (UINT64_C(16) << 20)

#define CONFIG_WEIGHT_MAX 1000000u /* of one cluster in a split */

struct config_split {
	const struct config_cluster *cluster; /* in the same tree */
	uint32_t weight;                      /* 1..CONFIG_WEIGHT_MAX */
};

/* What becomes of a packet in the kernel that comes faster than its class may. */
enum config_over_rate {
	CONFIG_OVER_RATE_DROP,
	CONFIG_OVER_RATE_MARK, /* by ECN, where both ends speak it */
};

/* So many, so that labels of metrics are bounded. */
#define CONFIG_CLASSES_MAX 64u
/* The class of routes that say none; it is always there. */
#define CONFIG_CLASS_DEFAULT "default"

/* Rates are those of each connection and direction. */
struct config_class {
	char *name;
	uint64_t rate_bytes;  /* a second; 0 = no limit */
	uint64_t burst_bytes; /* 0 without a rate */
	uint32_t rate_frames, burst_frames;
	enum config_over_rate over_rate;
	uint64_t pacing;   /* bytes a second; 0 = none */
	char *dscp_text;   /* as written; NULL = off */
	uint8_t dscp;      /* or SL_DSCP_KEEP */
	uint32_t priority; /* SO_PRIORITY; 0 = as it comes */
};

/* How the kernel follows the frames of spliced connections. */
enum config_frames {
	CONFIG_FRAMES_AUTO, /* STRICT with max_frame or max_message, else OBSERVE */
	CONFIG_FRAMES_OBSERVE,
	CONFIG_FRAMES_STRICT,
	CONFIG_FRAMES_OFF,
};

struct config_route {
	char *name;
	/* match: all that are given must hold; routes are tried in the order of the file */
	char *host;               /* lower case, without port; NULL = any */
	char *path;               /* starts with '/'; NULL = any */
	bool path_is_prefix;      /* given with a '*' at the end, which is not part of path */
	struct regex *path_regex; /* path is "~REGEX"; else NULL */
	char **match_headers;     /* all of them; as written, NULL behind the last */
	size_t n_match_headers;
	struct config_field *match_fields; /* the same, n_match_headers of them */
	char *subprotocol;                 /* offered by the client */
	char **sources;                    /* one of them; as written, NULL behind the last */
	size_t n_sources;
	struct ip_prefix *networks; /* the same, n_sources of them */
	enum config_action action;
	const struct config_cluster *cluster; /* PROXY without split; in the same tree */
	char *proxy;                          /* as written: the cluster's name */
	bool echo;                            /* as written */
	char **split_texts;                   /* likewise, NULL behind the last */
	size_t n_splits;
	struct config_split *splits; /* PROXY to several clusters: n_splits of them */
	uint64_t split_weight;       /* the sum */
	char *split_key_text;        /* as written; NULL = random */
	enum config_split_key split_key;
	struct slice split_header; /* name; borrowed from the text */
	struct {
		uint16_t status; /* 200..599 */
		char *content_type;
		char *body;
	} respond;
	/* what is asked of requests, and what becomes of them on their way (PROXY) */
	char **origins; /* that pages may have; NULL behind the last */
	size_t n_origins;
	enum config_forwarded forwarded;
	char **add_headers; /* as written, NULL behind the last */
	size_t n_add_headers;
	struct config_field *add_fields; /* the same, n_add_headers of them */
	char **remove_headers;           /* names; NULL behind the last */
	size_t n_remove_headers;
	char **rewrite; /* none, or FROM and TO, and NULL */
	size_t n_rewrite;
	struct regex *rewrite_regex;      /* FROM is "~REGEX"; else NULL */
	char *class_name;                 /* as written */
	const struct config_class *class; /* in the same tree */
	enum config_kernel splice;
	enum config_frames splice_frames;
	uint64_t tunnel_timeout_ms; /* idle in both directions; 0 = never */
	uint64_t keepalive_ping_ms; /* idle for so long: Pings; 0 = never */
	uint64_t max_duration_ms;   /* from open on; 0 = no limit */
	uint64_t max_frame_bytes;   /* payload; 0 = no limit (PROXY only) */
	uint64_t max_message_bytes;
};

/** config_route_is_conditional() - whether more than host and path decides on a request */
static inline bool config_route_is_conditional(const struct config_route *route)
{
	return route->path_regex || route->n_match_headers > 0 || route->subprotocol ||
	       route->n_sources > 0;
}

struct config {
	atomic_uint refs;
	struct {
		uint32_t count; /* 0 = auto: one for each CPU that the process may use */
	} worker;
	struct {
		char *user;  /* to become, name or number; NULL = stay */
		char *group; /* likewise; NULL = the user's */
	} process;
	struct {
		char *control; /* path of the control socket; NULL = the default (control_path.h) */
		struct address *addresses; /* of the HTTP listener; none = off */
		size_t n_addresses;
	} admin;
	struct {
		enum config_kernel splice;
		char *pins;             /* directory */
		char *source_ports;     /* "FIRST-LAST" */
		uint64_t quarantine_ms; /* of them */
	} kernel;
	struct {
		enum log_level level;
		enum log_format format;
		uint32_t rate_per_s;
		char *access; /* access log: NULL = off, "-" = standard output, else a path */
	} log;
	struct {
		uint32_t max_connections; /* 0 = auto: from RLIMIT_NOFILE */
		uint32_t max_head_bytes;
		uint32_t max_target_bytes;
		uint16_t max_headers;
		uint64_t message_memory_bytes; /* all messages being assembled, whole process */
		uint64_t handshake_timeout_ms; /* from accept to a complete request head */
		uint64_t close_timeout_ms;     /* from our Close or FIN to the peer's */
	} limits;
	struct {
		uint64_t time_ms;      /* over which a drain is spread */
		uint32_t rate_per_s;   /* connections closed, whole process; 0 = no limit */
		uint64_t hard_stop_ms; /* after time_ms */
	} drain;
	struct {
		struct address *servers; /* none: those of resolv.conf */
		size_t n_servers;
		uint64_t timeout_ms; /* for one answer */
	} resolver;
	struct config_listener *listeners;
	size_t n_listeners;
	struct config_class *classes; /* CONFIG_CLASS_DEFAULT among them */
	size_t n_classes;
	struct config_cluster *clusters;
	size_t n_clusters;
	struct config_route *routes;
	size_t n_routes;
};

/* One error, without newline: "FILE:LINE: SECTION \"TITLE\": KEY = \"VALUE\": expected …". */
struct config_error {
	char text[1024];
};

/**
 * config_load_file() - read and check @path
 * @ret_error: the first error; written on failure only
 *
 * Any thread; one at a time goes on (the lexer of libconfuse is global).
 * Return: 0 and a tree with one reference; -EINVAL for anything wrong in the file, else -errno of
 * open or read, or -ENOMEM, all with @ret_error.
 */
int config_load_file(const char *path, struct config **ret_config, struct config_error *ret_error);
/** config_load_text() - as config_load_file(), from @text; @name stands for the file in errors */
int config_load_text(const char *name, const char *text, struct config **ret_config,
		     struct config_error *ret_error);
/** config_embedded_text() - what sluiced runs without -c: /echo on port 8080 */
const char *config_embedded_text(void);

struct config *config_ref(struct config *config);
/** config_unref() - any thread; frees with the last reference. NULL is fine */
void config_unref(struct config *config);
DEFINE_CLEANUP(struct config, config_unref)

/** config_dump_defaults() - every key with default, range, help, as a configuration file that is
 * valid */
void config_dump_defaults(FILE *out);
/** config_dump_man() - the same table as the key list of sluice.conf(5), in roff */
void config_dump_man(FILE *out);
