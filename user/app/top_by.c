/* SPDX-License-Identifier: Apache-2.0 */
#include "app/top_by.h"

static const char *const names[TOP_BY_COUNT] = {
    [TOP_CONNECTIONS] = "connection",
    [TOP_ROUTES] = "route",
    [TOP_CLASSES] = "class",
    [TOP_ENDPOINTS] = "endpoint",
};

const char *top_by_name(enum top_by by)
{
	return names[by];
}

int top_by_parse(const char *text, enum top_by *ret_by)
{
	for (enum top_by by = 0; by < TOP_BY_COUNT; by++) {
		if (strcmp(text, names[by]) == 0) {
			*ret_by = by;
			return 0;
		}
	}
	return -EINVAL;
}
