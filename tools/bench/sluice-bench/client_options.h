/* SPDX-License-Identifier: Apache-2.0 */
/* What a client run is asked to do. */
#pragma once
#include "base/std.h"
#include "proto/ws_handshake.h"
#include "size_mix.h"
#include "source_pool.h"
#include "target.h"

#define CLIENT_CONNECTIONS_MAX 1000000
#define CLIENT_THREADS_MAX     256
#define CLIENT_DEPTH_MAX       65536
#define CLIENT_HEADERS_MAX     8192 /* bytes of --header lines */

enum client_mode {
	CLIENT_PINGPONG,  /* one message, its answer, the next */
	CLIENT_PIPELINE,  /* --depth messages on their way */
	CLIENT_RATE,      /* open loop: --rate messages a second, answered or not */
	CLIENT_SEND,      /* send only; nothing is answered */
	CLIENT_RECEIVE,   /* receive only */
	CLIENT_IDLE,      /* hold the connections */
	CLIENT_HANDSHAKE, /* connect, upgrade, close, again */
};

struct client_options {
	struct target target;
	enum client_mode mode;
	uint32_t connections, threads, depth, fragments;
	uint64_t ramp_per_s, rate_per_s; /* 0 = no limit */
	uint64_t duration_ns;            /* 0 = none was given */
	uint64_t warmup_ns, hold_ns, stall_ns, ping_ns;
	uint64_t timeout_ns, connect_timeout_ns;
	uint64_t messages, messages_per_conn; /* 0 = no limit */
	uint64_t seed;
	uint32_t close_code, expect_status; /* 0 = empty Close; 0 = 101 */
	struct source_pool sources;
	struct size_mix sizes;
	const char *target_text; /* as given; borrowed from argv, as are the next two */
	const char *host, *path; /* NULL = the target's */
	const char *protocols;   /* as sent; NULL = none */
	struct ws_upgrade offer; /* protocols, taken apart */
	char headers[CLIENT_HEADERS_MAX];
	size_t headers_len;
	bool is_text, verify, churn, secure_masks, half_close, reset, no_close, json, no_progress;
	bool has_size, has_mix;
};

/** client_mode_name() - as --mode takes it */
const char *client_mode_name(enum client_mode mode);

/**
 * client_options_parse() - read the command line of `sluice-bench client`
 * @argv: argv[0] is the subcommand
 *
 * Return: 0, 1 after --help, or -EINVAL after one line on stderr.
 */
int client_options_parse(int argc, char **argv, struct client_options *ret_options);

/* Whether messages of this mode are answered by equal ones. */
static inline bool client_mode_is_echo(enum client_mode mode)
{
	return mode == CLIENT_PINGPONG || mode == CLIENT_PIPELINE || mode == CLIENT_RATE;
}

static inline bool client_mode_sends(enum client_mode mode)
{
	return client_mode_is_echo(mode) || mode == CLIENT_SEND;
}
