/* SPDX-License-Identifier: Apache-2.0 */
/* Which connections a command means: all conditions that are set must hold. */
#pragma once
#include "base/ip_prefix.h"
#include "base/std.h"
#include "core/config.h"
#include "sluice/path.h"

struct connection;
struct connection_info;

struct connection_filter {
	uint64_t id;       /* 0 = any */
	uint64_t older_ms; /* at least so long since accept */
	uint64_t idle_ms;  /* at least so long without a byte */
	int path;          /* enum sluice_path, or -1 = any */
	struct ip_prefix source;
	char route[CONFIG_NAME_MAX + 1]; /* "" = any; likewise below */
	char class[CONFIG_NAME_MAX + 1];
	char cluster[CONFIG_NAME_MAX + 1];
	char endpoint[CONFIG_NAME_MAX + 1];
	char listener[CONFIG_NAME_MAX + 1];
	char tenant[CONFIG_NAME_MAX + 1]; /* no live connection has one yet */
};

/** connection_filter_init() - a filter that lets everything pass */
void connection_filter_init(struct connection_filter *filter);
/** connection_filter_matches() - on the connection's own thread */
bool connection_filter_matches(const struct connection_filter *filter, const struct connection *c);

/** connection_filter_set() - add the condition called @key, as people write it: route, older, ...
 *  Return: 0; -EINVAL for another value than connection_filter_expected(); -ENOENT for a key that
 *  is none */
int connection_filter_set(struct connection_filter *filter, const char *key, const char *text);
/** connection_filter_expected() - what kind of value @key takes; NULL if it is none */
const char *connection_filter_expected(const char *key);
/** connection_filter_fits() - whether a row of a listing is meant, as connection_filter_matches()
 *  says of a connection; @source: its client's address */
bool connection_filter_fits(const struct connection_filter *filter,
			    const struct connection_info *info, const struct sockaddr *source);
