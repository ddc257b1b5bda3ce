/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Looks the names of endpoints up, at once and then again and again, on the main thread's loop. An
 * answer's lifetime is not looked at: resolve_interval says how old addresses may become. A lookup
 * that fails leaves the addresses that there are.
 */
#pragma once
#include "base/std.h"

#include <ev.h>

#define RESOLVER_LOOKUPS_MAX 64u /* at a time */

struct resolver;
struct routing;

/** resolver_new() - with nothing to look up. Return: 0 or -ENOMEM */
int resolver_new(struct ev_loop *loop, struct resolver **ret_resolver);
/** resolver_free() - NULL is fine */
void resolver_free(struct resolver *resolver);

/**
 * resolver_follow() - from now on look up the names of @routing, as its configuration says
 *
 * Reads resolv.conf again. Without memory the servers that were asked before are asked (logged).
 */
void resolver_follow(struct resolver *resolver, struct routing *routing);
