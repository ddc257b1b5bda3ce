/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a request head to what serves it: the routes and clusters of one configuration, at work.
 * Shared by all workers; only its atomic counters change.
 */
#pragma once
#include "base/std.h"
#include "core/config.h"
#include "core/handshake.h"
#include "route/cluster.h"

#include <stdatomic.h>

struct connection;

struct route {
	const struct config_route *config;
	struct cluster *cluster;     /* PROXY */
	_Atomic uint64_t n_active;   /* connections that matched and live */
	_Atomic uint64_t n_accepted; /* that ever matched */
};

struct routing {
	struct config *config; /* one reference */
	struct route *routes;
	struct cluster *clusters;
};

/** routing_new() - Return: 0 or -ENOMEM */
int routing_new(struct config *config, struct routing **ret_routing);
/** routing_free() - no connection may be left. NULL is fine */
void routing_free(struct routing *routing);
DEFINE_CLEANUP(struct routing, routing_free)

/** routing_on_request() - the workers' handshake_handler; worker->routing is the routing */
void routing_on_request(struct connection *c, const struct handshake_request *request);

/**
 * routing_match() - the first route, in the order of the file, that @head fits, or NULL
 *
 * Host is compared without port and case. Paths are compared as received: percent-encoding is not
 * undone. A path with "." or ".." segments matches nothing, whether dots and slashes (also
 * backslashes) are plain or encoded: it would mean one thing here and another at the endpoint.
 */
struct route *routing_match(struct routing *routing, const struct http1_head *head);
