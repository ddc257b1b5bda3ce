/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP about the daemon (admin.listen), on the main thread: /metrics, /healthz, /readyz and
 * /api/v1. It shows and changes nothing. libmicrohttpd parses; it has no thread of its own, its
 * descriptors are watched by the main loop.
 */
#pragma once
#include "base/std.h"

#include <jansson.h>

struct admin_http;
struct gateway;

/** admin_http_new() - listen where the configuration says; NULL if that is nowhere. Return: 0 or
 *  -errno (logged) */
int admin_http_new(struct gateway *gateway, struct admin_http **ret_http);
/** admin_http_free() - drop all clients; calls in flight end by themselves. NULL is fine */
void admin_http_free(struct admin_http *http);
/** admin_http_addresses() - new array of the addresses as bound */
json_t *admin_http_addresses(const struct admin_http *http);
