/* SPDX-License-Identifier: Apache-2.0 */
#include "core/connection_order.h"

static const char *const names[CONNECTION_KEYS] = {
    [CONNECTION_BY_AGE] = "age",           [CONNECTION_BY_IDLE] = "idle",
    [CONNECTION_BY_BYTES] = "bytes",       [CONNECTION_BY_FRAMES] = "frames",
    [CONNECTION_BY_RTT] = "rtt",           [CONNECTION_BY_RATE] = "rate",
    [CONNECTION_BY_MESSAGES] = "messages", [CONNECTION_BY_CONNECTIONS] = "connections",
};

int connection_order_parse(const char *text, struct connection_order *ret_order)
{
	bool is_rising = text[0] == '-';

	for (enum connection_key key = 0; key < CONNECTION_KEYS; key++) {
		if (strcmp(text + is_rising, names[key]) == 0) {
			*ret_order = (struct connection_order){key, is_rising};
			return 0;
		}
	}
	return -EINVAL;
}

const char *connection_key_name(enum connection_key key)
{
	return names[key];
}

bool connection_key_is_of_top(enum connection_key key)
{
	return key >= CONNECTION_BY_RATE;
}
