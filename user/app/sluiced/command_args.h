/* SPDX-License-Identifier: Apache-2.0 */
/* The arguments that commands share, from a request's JSON to checked values: one table. */
#pragma once
#include "app/top_by.h"
#include "base/std.h"
#include "core/connection_filter.h"
#include "core/connection_order.h"
#include "proto/ws_frame.h"
#include "route/endpoint.h"

struct control_call;

enum command_arg_group {
	COMMAND_ARGS_FILTER = 1 << 0,   /* what connection_filter_set() takes */
	COMMAND_ARGS_CLOSE = 1 << 1,    /* code, reason */
	COMMAND_ARGS_ENDPOINT = 1 << 2, /* cluster and endpoint, for the filter; state, weight */
	COMMAND_ARGS_TARGET = 1 << 3,   /* route, cluster, endpoint, likewise; all */
	COMMAND_ARGS_DRAIN = 1 << 4,    /* time, rate, wait */
	COMMAND_ARGS_EVENTS = 1 << 5,   /* last */
	COMMAND_ARGS_ORDER = 1 << 6,    /* sort, limit */
	COMMAND_ARGS_VIEW = 1 << 7,     /* by */
	COMMAND_ARGS_ALL = 1 << 8,      /* all, instead of a filter */
};

struct command_args {
	struct connection_filter filter;
	bool has_filter, is_all;
	uint16_t code; /* 1001 unless given */
	char reason[WS_CONTROL_MAX - 1];
	bool has_state, has_weight;
	uint16_t weight;
	enum endpoint_state state;
	bool has_time, has_rate, is_without_wait;
	uint64_t time_ms, rate_per_s;
	bool has_last;
	uint32_t last; /* events, 0..EVENTS_KEPT */
	bool has_order;
	struct connection_order order;
	size_t limit; /* of rows, 1..CONNECTION_LIMIT_MAX; 0 = not given */
	enum top_by by;
};

/**
 * command_args_parse() - check @call's arguments against what its command takes
 * @groups: enum command_arg_group bits
 *
 * Return: 0, or -EINVAL with the call failed: the answer names the argument, its value and what
 * was expected.
 */
int command_args_parse(struct control_call *call, int groups, struct command_args *ret_args);
