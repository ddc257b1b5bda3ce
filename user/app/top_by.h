/* SPDX-License-Identifier: Apache-2.0 */
/* What `top` adds its figures up by. */
#pragma once
#include "base/std.h"

enum top_by {
	TOP_CONNECTIONS,
	TOP_ROUTES,
	TOP_CLASSES,
	TOP_ENDPOINTS,
	TOP_BY_COUNT
};

/** top_by_name() - as in requests: "connection", ... */
const char *top_by_name(enum top_by by);
/** top_by_parse() - the reverse. Return: 0 or -EINVAL */
int top_by_parse(const char *text, enum top_by *ret_by);
