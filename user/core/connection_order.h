/* SPDX-License-Identifier: Apache-2.0 */
/* By what a listing of connections is sorted. */
#pragma once
#include "base/std.h"
#include "core/connection_info.h"

enum connection_key {
	CONNECTION_BY_AGE,
	CONNECTION_BY_IDLE,
	CONNECTION_BY_BYTES, /* both directions together, likewise below */
	CONNECTION_BY_FRAMES,
	CONNECTION_BY_RTT, /* both legs together; those not known are like 0 */
	CONNECTION_BY_RATE,
	CONNECTION_BY_MESSAGES,
	CONNECTION_BY_CONNECTIONS, /* of groups: how many */
	CONNECTION_KEYS,
};

struct connection_order {
	enum connection_key key;
	bool is_rising; /* the smallest first, else the largest */
};

#define CONNECTION_ORDER_EXPECTED                                                                \
	"age, idle, bytes, frames or rtt, or of top also rate, messages or connections; with a " \
	"- before it the smallest first"
#define CONNECTION_LIMIT_MAX 500 /* of rows that are chosen by an order, in one answer */

/** connection_order_parse() - "idle", or "-idle" for the smallest first. Return: 0 or -EINVAL */
int connection_order_parse(const char *text, struct connection_order *ret_order);
const char *connection_key_name(enum connection_key key);
/** connection_key_is_of_top() - rate (bytes a second) and messages (frames a second), which are
 * only known of what was measured twice, and connections */
bool connection_key_is_of_top(enum connection_key key);
