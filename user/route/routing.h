/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a request head to what serves it: the routes and clusters of one generation, at work.
 * Shared by all workers; nothing in it changes but counters, which the next generation goes on
 * with.
 */
#pragma once
#include "base/hash.h"
#include "base/list.h"
#include "base/std.h"
#include "core/config.h"
#include "core/generation.h"
#include "core/handshake.h"
#include "route/cluster.h"
#include "route/match.h"

#include <stdatomic.h>

struct class_stats;
struct connection;

/* What a route keeps over a reload, by its name. */
struct route_stats {
	atomic_uint refs;
	_Atomic uint64_t n_active;   /* connections that matched and live */
	_Atomic uint64_t n_accepted; /* that ever matched */
	atomic_bool is_draining;     /* new requests are refused; by the main thread */
};

struct route {
	struct hash_node by_name; /* in its routing */
	const struct config_route *config;
	struct cluster *cluster;   /* PROXY without split */
	struct route_stats *stats; /* one reference */
};

struct routing {
	struct generation generation;
	struct config *config; /* the generation's */
	struct list retired;   /* for whoever replaced it */
	struct route *routes;
	struct cluster *clusters;
	struct class_stats **classes; /* by config->classes; one reference each */
	/* private to routing.c */
	struct matcher *matcher;
	struct hash_key hash_key;
	struct hash_table routes_by_name, clusters_by_name;
};

static inline struct routing *routing_of(struct generation *generation)
{
	return container_of(generation, struct routing, generation);
}

/**
 * routing_new() - build a generation from @config
 * @previous: the one whose counters and endpoints it goes on with, or NULL
 *
 * Return: 0 with one reference (generation_unref()), or -ENOMEM.
 */
int routing_new(struct config *config, struct routing *previous, struct routing **ret_routing);

/** routing_on_request() - the workers' handshake_handler */
void routing_on_request(struct connection *c, const struct handshake_request *request);

/**
 * routing_follow() - the workers' follow: bring @c, of an older generation, to that of its worker
 *
 * It stays with its own if its route, its class, or the endpoint that it is on, is no longer there,
 * or if it is on its way to an endpoint.
 */
void routing_follow(struct connection *c);

/**
 * routing_adopt() - the workers' adopt: an adopted connection has only names. Where @base has a
 * route, a class or an endpoint of its names, it counts there from now on
 * @endpoint: the address that it is on
 */
void routing_adopt(struct connection *c, struct generation *base, const struct address *endpoint);

/** routing_route() - the route called @name, or NULL; likewise below */
struct route *routing_route(const struct routing *routing, const char *name);
struct cluster *routing_cluster(const struct routing *routing, const char *name);

/** routing_count() - routes, clusters and endpoints: how large it is */
size_t routing_count(const struct routing *routing);

/** routing_match() - the first route, in the order of the file, that the request fits, or NULL: see
 * matcher_find() */
struct route *routing_match(struct routing *routing, const struct http1_head *head,
			    const struct sockaddr *source);
