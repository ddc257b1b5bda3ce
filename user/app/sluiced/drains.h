/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the operator drains: the whole node, routes, clusters, endpoints. A target is closed to new
 * connections from then on until it is undrained; those that it has are closed by the workers
 * (core/drain.h), while the main thread watches their number fall. All functions are for the main
 * thread.
 */
#pragma once
#include "base/list.h"
#include "base/std.h"

#include <ev.h>
#include <jansson.h>

struct command_args;
struct control_call;
struct gateway;

struct drains {
	struct gateway *gateway;
	struct list targets; /* struct target (drains.c) */
	ev_timer tick;       /* runs while connections are left somewhere */
};

void drains_init(struct drains *d, struct gateway *gateway);
/** drains_done() - of one that is zeroed or initialised; the workers have ended */
void drains_done(struct drains *d);
/** drains_stop() - the daemon stops: who waits for a drain is told so */
void drains_stop(struct drains *d);

/** drains_json() - an array of all targets: what, since when, and how many are left */
json_t *drains_json(const struct drains *d);
