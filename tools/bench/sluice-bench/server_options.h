/* SPDX-License-Identifier: Apache-2.0 */
/* What a server is asked to do. */
#pragma once
#include "base/address.h"
#include "base/std.h"
#include "size_mix.h"

#define SERVER_LISTEN_MAX  16
#define SERVER_WORKERS_MAX 256

enum server_mode {
	SERVER_ECHO,   /* every message goes back */
	SERVER_SINK,   /* messages are swallowed */
	SERVER_SOURCE, /* messages are sent as fast as they are taken */
};

struct server_options {
	struct address listen[SERVER_LISTEN_MAX];
	size_t n_listen;
	enum server_mode mode;
	uint32_t workers;
	uint64_t max_message;
	const char *path, *protocol; /* borrowed from argv; NULL = any */
	/* source */
	struct size_mix sizes;
	uint64_t messages; /* for each connection, 0 = no limit */
	uint64_t seed;
	bool is_text, json;
};

/**
 * server_options_parse() - read the command line of `sluice-bench server`
 *
 * Return: 0, 1 after --help, or -EINVAL after one line on stderr.
 */
int server_options_parse(int argc, char **argv, struct server_options *ret_options);
