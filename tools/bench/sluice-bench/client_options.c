/* SPDX-License-Identifier: Apache-2.0 */
#include "client_options.h"

#include "base/clock.h"
#include "base/random.h"
#include "option_table.h"
#include "proto/ws_frame.h"
#include "values.h"

#include <stdio.h>

#define DEFAULT_DURATION_NS (10 * NS_PER_S)
#define FRAGMENTS_MAX       65536
#define SEED_MAX            (1ull << 53) /* JSON numbers keep no more (RFC 8259 s6) */
/* Send times remembered by all connections of a run, 8 bytes each. */
#define OUTSTANDING_MAX (1ull << 27)

static const char *const mode_names[] = {
    [CLIENT_PINGPONG] = "pingpong",   [CLIENT_PIPELINE] = "pipeline", [CLIENT_RATE] = "rate",
    [CLIENT_SEND] = "send",           [CLIENT_RECEIVE] = "receive",   [CLIENT_IDLE] = "idle",
    [CLIENT_HANDSHAKE] = "handshake",
};

const char *client_mode_name(enum client_mode mode)
{
	return mode_names[mode];
}

static int set_mode(void *options, const char *value)
{
	struct client_options *o = options;

	for (size_t i = 0; i < ARRAY_SIZE(mode_names); i++) {
		if (strcmp(value, mode_names[i]) == 0) {
			o->mode = (enum client_mode)i;
			return 0;
		}
	}
	return -EINVAL;
}

static int set_sources(void *options, const char *value)
{
	return source_pool_add(&((struct client_options *)options)->sources, value);
}

static int set_size(void *options, const char *value)
{
	struct client_options *o = options;

	o->has_size = true;
	return size_mix_parse_size(value, &o->sizes);
}

static int set_mix(void *options, const char *value)
{
	struct client_options *o = options;

	o->has_mix = true;
	return size_mix_parse_mix(value, &o->sizes);
}

static int set_close(void *options, const char *value)
{
	struct client_options *o = options;
	uint64_t code = 0;

	o->no_close = strcmp(value, "none") == 0;
	if (o->no_close)
		return 0;
	/* RFC 6455 s7.4.1: 1005 and 1006 never stand in a frame; 0 asks for a Close without. */
	if (value_u64(value, 0, UINT16_MAX, &code) < 0 ||
	    (code != 0 && !ws_close_code_is_valid((uint16_t)code)))
		return -EINVAL;
	o->close_code = (uint32_t)code;
	return 0;
}

static int set_protocols(void *options, const char *value)
{
	struct client_options *o = options;
	struct slice rest = slice_from_str(value), element;

	o->protocols = value;
	o->offer.n_protocols = 0;
	while (http1_list_next(&rest, &element)) {
		if (!http1_is_token(element) || o->offer.n_protocols == WS_PROTOCOLS_MAX)
			return -EINVAL;
		o->offer.protocols[o->offer.n_protocols++] = element;
	}
	return o->offer.n_protocols > 0 ? 0 : -EINVAL;
}

static int set_header(void *options, const char *value)
{
	struct client_options *o = options;
	const char *colon = strchr(value, ':');
	size_t room = sizeof(o->headers) - o->headers_len;
	int n;

	if (!colon || !http1_is_token((struct slice){value, (size_t)(colon - value)}))
		return -EINVAL;
	for (const char *c = colon + 1; *c; c++) {
		if (((unsigned char)*c < ' ' && *c != '\t') || *c == 0x7f)
			return -EINVAL;
	}
	n = snprintf(o->headers + o->headers_len, room, "%.*s: %s\r\n", (int)(colon - value), value,
		     colon + 1 + strspn(colon + 1, " \t"));
	if ((size_t)n >= room)
		return -E2BIG;
	o->headers_len += (size_t)n;
	return 0;
}

#define AT(member) offsetof(struct client_options, member)

static const struct option_spec specs[] = {
    {"Connections", .kind = OPTION_HEADING},
    {"connections", 'c', OPTION_U32, AT(connections), 1, CLIENT_CONNECTIONS_MAX, "N", "1..1000000",
     NULL, "connections to hold open (1)"},
    {"threads", 't', OPTION_U32, AT(threads), 1, CLIENT_THREADS_MAX, "N", "1..256", NULL,
     "threads to share them (1)"},
    {"ramp", 0, OPTION_RATE, AT(ramp_per_s), 0, 0, "N/s", "a rate such as 500 or 2k/s", NULL,
     "open no more than N connections a second"},
    {"source", 0, OPTION_CUSTOM, 0, 0, 0, "ADDR,...",
     "addresses or networks such as 127.0.0.2,127.1.0.0/16,::1", set_sources,
     "connect from these local addresses in turn; repeatable"},
    {"host", 0, OPTION_TEXT, AT(host), 0, 0, "HOST", "a Host header", NULL,
     "Host header instead of the target's"},
    {"path", 0, OPTION_TEXT, AT(path), 0, 0, "PATH", "a path that starts with /", NULL,
     "request target instead of the target's"},
    {"protocol", 0, OPTION_CUSTOM, 0, 0, 0, "NAME,...", "subprotocol names such as chat,superchat",
     set_protocols, "offer these subprotocols"},
    {"header", 0, OPTION_CUSTOM, 0, 0, 0, "NAME:VALUE",
     "a header such as 'Authorization: Bearer x', 8 kB in all", set_header,
     "add a header to the upgrade request; repeatable"},
    {"connect-timeout", 0, OPTION_DURATION, AT(connect_timeout_ns), 1, 0, "TIME",
     "a time such as 5, 0.5 or 200ms", NULL, "for connect and upgrade each (5)"},
    {"expect-status", 0, OPTION_U32, AT(expect_status), 100, 599, "CODE",
     "an HTTP status, 100..599", NULL,
     "an upgrade refused with this status is a success, an accepted one an error"},

    {"Load", .kind = OPTION_HEADING},
    {"mode", 'm', OPTION_CUSTOM, 0, 0, 0, "MODE",
     "pingpong, pipeline, rate, send, receive, idle or handshake", set_mode,
     "pingpong (default): next message after the answer; pipeline: --depth on their way; rate: "
     "open loop; send, receive: one direction; idle: hold; handshake: connect, upgrade, close, "
     "again"},
    {"size", 's', OPTION_CUSTOM, 0, 0, 0, "BYTES[-MAX]",
     "a size such as 64, 1k or 64-16k, at most 1g", set_size, "payload of a message (64)"},
    {"mix", 0, OPTION_CUSTOM, 0, 0, 0, "SIZE:WEIGHT,...",
     "sizes with weights such as 64:70,1k:20,16k:10", set_mix, "weighted mix of sizes"},
    {"depth", 0, OPTION_U32, AT(depth), 1, CLIENT_DEPTH_MAX, "N", "1..65536", NULL,
     "pipeline: unanswered messages on each connection (16)"},
    {"rate", 'r', OPTION_RATE, AT(rate_per_s), 0, 0, "N/s", "a rate such as 500 or 2k/s", NULL,
     "rate: messages a second, all connections together; latency counts from the time at "
     "which a message was due"},
    {"duration", 'd', OPTION_DURATION, AT(duration_ns), 1, 0, "TIME",
     "a time such as 10, 0.5, 200ms or 2m", NULL, "measure for so long (10; with -n no limit)"},
    {"warmup", 0, OPTION_DURATION, AT(warmup_ns), 0, 0, "TIME", "a time such as 1, 0.5 or 200ms",
     NULL, "run for so long before measuring (0)"},
    {"messages", 'n', OPTION_U64, AT(messages), 1, 0, "N", "a number from 1 on", NULL,
     "stop after N messages in all, less those of the warm-up (in handshake mode: handshakes)"},
    {"messages-per-conn", 0, OPTION_U64, AT(messages_per_conn), 1, 0, "N", "a number from 1 on",
     NULL, "close a connection after N messages"},
    {"churn", 0, OPTION_FLAG, AT(churn), 0, 0, NULL, NULL, NULL,
     "then open another in its place, also after an error; without -d, 20 errors in a row and "
     "no answer between them end that"},
    {"text", 0, OPTION_FLAG, AT(is_text), 0, 0, NULL, NULL, NULL, "text messages (UTF-8)"},
    {"binary", 0, OPTION_CLEAR, AT(is_text), 0, 0, NULL, NULL, NULL, "binary messages (default)"},
    {"fragment", 0, OPTION_U32, AT(fragments), 1, FRAGMENTS_MAX, "N", "1..65536", NULL,
     "send each message in N frames (1)"},
    {"ping", 0, OPTION_DURATION, AT(ping_ns), 1, 0, "TIME", "a time such as 1 or 200ms", NULL,
     "ping each connection so often; the pong must come within --timeout"},
    {"verify", 0, OPTION_FLAG, AT(verify), 0, 0, NULL, NULL, NULL,
     "compare every byte of every answer with random content; without it only number, order, "
     "length and opcode are checked"},
    {"seed", 0, OPTION_U64, AT(seed), 0, SEED_MAX, "N", "0..9007199254740992", NULL,
     "of sizes and contents (random, printed in the result)"},
    {"secure-masks", 0, OPTION_FLAG, AT(secure_masks), 0, 0, NULL, NULL, NULL,
     "mask keys from getrandom(2); the default is a fast generator that can be predicted, "
     "which is fine for generated payload"},
    {"timeout", 0, OPTION_DURATION, AT(timeout_ns), 1, 0, "TIME", "a time such as 5, 0.5 or 200ms",
     NULL,
     "for each answer; a stuck connection is an error "
     "(10)"},
    {"hold-after-open", 0, OPTION_DURATION, AT(hold_ns), 0, 0, "TIME",
     "a time such as 5, 0.5 or 200ms", NULL, "wait between the last open and the first message"},
    {"stall", 0, OPTION_DURATION, AT(stall_ns), 0, 0, "TIME", "a time such as 5, 0.5 or 200ms",
     NULL, "do not read for so long from the first message on, and go on sending"},

    {"End of a connection", .kind = OPTION_HEADING},
    {"close", 0, OPTION_CUSTOM, 0, 0, 0, "CODE",
     "a close code that may be sent (1000..4999), 0 for none in the frame, or 'none'", set_close,
     "close code (1000); 0: empty Close frame; none: FIN without a Close frame"},
    {"half-close", 0, OPTION_FLAG, AT(half_close), 0, 0, NULL, NULL, NULL,
     "FIN right after the last message, then read the answers up to the peer's FIN"},
    {"reset", 0, OPTION_FLAG, AT(reset), 0, 0, NULL, NULL, NULL, "RST instead of any closing"},

    {"Output", .kind = OPTION_HEADING},
    {"json", 'j', OPTION_FLAG, AT(json), 0, 0, NULL, NULL, NULL,
     "result as one JSON object on stdout"},
    {"progress", 0, OPTION_CLEAR, AT(no_progress), 0, 0, NULL, NULL, NULL,
     "a line that follows the run, on a terminal only (default)"},
    {"no-progress", 0, OPTION_FLAG, AT(no_progress), 0, 0, NULL, NULL, NULL, "no such line"},
};

static const struct option_table table = {
    .program = "sluice-bench client",
    .usage = "ws://HOST[:PORT][/PATH] | unix:/PATH [options]",
    .summary = "Opens WebSocket connections, puts load on them, checks every answer and prints "
	       "rates and latencies.",
    .details =
	"\nSizes take k, m, g (powers of 1024), times us, ms, s, m, h (a bare number is\n"
	"seconds). Up to 10 errors are described on stderr. SIGINT and SIGTERM end a run;\n"
	"what was measured is printed. Exit status: 0 no error, 1 errors, 2 bad usage.\n"
	"\nJSON result: target, mode, connections, threads, seed, opened, failed, refused,\n"
	"messages, messages_total (with those of the warm-up), bytes (payload, one\n"
	"direction), stream_sent, stream_received (all that stood behind the upgrades' heads,\n"
	"frame headers and Close frames included), msgs_per_s, mbytes_per_s, handshakes,\n"
	"handshakes_per_s, pongs, unsent (rate: due and never sent), unchecked (interrupted\n"
	"while unanswered), latency_us and handshake_us {count, min, mean, p50, p90, p99,\n"
	"p99_9, max}, duration_s, cpu_s (own, inside the measured time), system_cpu_s\n"
	"(of the whole system meanwhile), interrupted,\n"
	"close_codes {code: count received; 1005 = without one}, errors {connect, handshake,\n"
	"status, timeout, mismatch, protocol, reset, early_close}, errors_total.\n",
    .specs = specs,
    .n_specs = ARRAY_SIZE(specs),
};

static const char *load_conflict(const struct client_options *o)
{
	if (o->has_size && o->has_mix)
		return "--size and --mix exclude each other";
	if (o->mode == CLIENT_RATE && o->rate_per_s == 0)
		return "--mode rate: needs --rate";
	if (o->mode != CLIENT_RATE && o->rate_per_s != 0)
		return "--rate: needs --mode rate";
	if (o->mode != CLIENT_PIPELINE && o->depth != 0)
		return "--depth: needs --mode pipeline";
	if (o->verify && !client_mode_is_echo(o->mode) && o->mode != CLIENT_RECEIVE)
		return "--verify: this mode receives nothing to verify";
	if (o->messages && o->mode == CLIENT_IDLE)
		return "--messages: --mode idle sends none";
	if (o->messages_per_conn && !client_mode_sends(o->mode))
		return "--messages-per-conn: needs a mode that sends messages";
	if (o->churn && !o->messages_per_conn)
		return "--churn: needs --messages-per-conn";
	if ((uint64_t)o->connections * MAX(o->depth, 1) > OUTSTANDING_MAX)
		return "--depth: too much for so many connections (2^27 messages in all)";
	return NULL;
}

/* Printable ASCII without spaces, 1..@max bytes: cannot break the request head. */
static bool is_one_word(const char *s, size_t max)
{
	size_t len = strlen(s);

	for (size_t i = 0; i < len; i++) {
		if (s[i] <= ' ' || s[i] >= 0x7f)
			return false;
	}
	return len >= 1 && len <= max;
}

static const char *connection_conflict(const struct client_options *o)
{
	if (o->threads > o->connections)
		return "--threads: more threads than --connections";
	if (o->half_close && o->reset)
		return "--half-close and --reset exclude each other";
	if (o->half_close && !client_mode_sends(o->mode))
		return "--half-close: needs a mode that sends messages";
	if (o->path && (*o->path != '/' || !is_one_word(o->path, TARGET_PATH_MAX)))
		return "--path: expected a path that starts with /, without spaces";
	if (o->host && !is_one_word(o->host, TARGET_HOST_MAX))
		return "--host: expected a name or an address, without spaces";
	if (!source_pool_has_family(&o->sources, o->target.address.sa.sa_family))
		return "--source: not of the target's address family";
	return NULL;
}

static void apply_defaults(struct client_options *o)
{
	if (o->mode == CLIENT_PIPELINE && o->depth == 0)
		o->depth = 16;
	if (o->duration_ns == 0 && o->messages == 0)
		o->duration_ns = DEFAULT_DURATION_NS;
	if (o->expect_status == 101)
		o->expect_status = 0;
	if (!o->host)
		o->host = o->target.host;
	if (!o->path)
		o->path = o->target.path;
}

int client_options_parse(int argc, char **argv, struct client_options *ret_options)
{
	struct client_options *o = ret_options;
	const char *conflict, *wrong;
	int r, first;

	*o = (struct client_options){
	    .connections = 1,
	    .threads = 1,
	    .fragments = 1,
	    .timeout_ns = 10 * NS_PER_S,
	    .connect_timeout_ns = 5 * NS_PER_S,
	    .close_code = 1000,
	};
	random_secure(&o->seed, sizeof(o->seed));
	o->seed %= SEED_MAX;
	(void)size_mix_parse_size("64", &o->sizes);
	r = option_table_parse(&table, argc, argv, o, &first);
	if (r != 0)
		return r;
	if (first == argc)
		return option_table_refuse(&table, "no target; usage: %s", table.usage);
	if (first + 1 < argc)
		return option_table_refuse(&table, "'%s': one target only", argv[first + 1]);
	o->target_text = argv[first];
	if (target_parse(o->target_text, &o->target, &wrong) < 0)
		return option_table_refuse(&table, "'%s': %s", o->target_text, wrong);
	conflict = load_conflict(o);
	if (!conflict)
		conflict = connection_conflict(o);
	if (conflict)
		return option_table_refuse(&table, "%s", conflict);
	apply_defaults(o);
	return 0;
}
