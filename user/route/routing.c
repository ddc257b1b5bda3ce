/* SPDX-License-Identifier: Apache-2.0 */
#include "route/routing.h"

#include "base/clock.h"
#include "core/class_stats.h"
#include "core/config_class.h"
#include "core/connection.h"
#include "core/keepalive.h"
#include "core/promotion.h"
#include "core/worker.h"
#include "proto/origin.h"
#include "route/echo.h"
#include "route/proxy.h"
#include "route/respond.h"
#include "route/split.h"

/* ---- life ---------------------------------------------------------------------------------- */

static struct route_stats *stats_new(void)
{
	struct route_stats *stats = calloc(1, sizeof(*stats));

	if (stats)
		atomic_init(&stats->refs, 1);
	return stats;
}

static struct route_stats *stats_ref(struct route_stats *stats)
{
	atomic_fetch_add_explicit(&stats->refs, 1, memory_order_relaxed);
	return stats;
}

static void stats_unref(struct route_stats *stats)
{
	if (stats && atomic_fetch_sub_explicit(&stats->refs, 1, memory_order_acq_rel) == 1)
		free(stats);
}

static uint64_t name_hash(const struct routing *r, const char *name)
{
	return hash_bytes(&r->hash_key, name, strlen(name));
}

static int set_up_clusters(struct routing *r, const struct routing *previous)
{
	uint64_t now_ns = clock_monotonic_ns();

	for (size_t i = 0; i < r->config->n_clusters; i++) {
		const struct config_cluster *config = &r->config->clusters[i];
		struct cluster *cluster = &r->clusters[i];
		int error =
		    cluster_init(cluster, config,
				 previous ? routing_cluster(previous, config->name) : NULL, now_ns);

		if (error == 0)
			error = hash_table_insert(&r->clusters_by_name, &cluster->by_name,
						  name_hash(r, config->name));
		if (error < 0)
			return error;
	}
	return 0;
}

static int set_up_routes(struct routing *r, const struct routing *previous)
{
	for (size_t i = 0; i < r->config->n_routes; i++) {
		const struct config_route *config = &r->config->routes[i];
		const struct route *before =
		    previous ? routing_route(previous, config->name) : NULL;
		struct route *route = &r->routes[i];
		int error;

		route->config = config;
		route->stats = before ? stats_ref(before->stats) : stats_new();
		if (!route->stats)
			return -ENOMEM;
		if (config->cluster)
			route->cluster = &r->clusters[config->cluster - r->config->clusters];
		error = hash_table_insert(&r->routes_by_name, &route->by_name,
					  name_hash(r, config->name));
		if (error < 0)
			return error;
	}
	return 0;
}

static int set_up_classes(struct routing *r)
{
	for (size_t i = 0; i < r->config->n_classes; i++) {
		r->classes[i] = class_stats_get(r->config->classes[i].name);
		if (!r->classes[i])
			return -ENOMEM;
	}
	return 0;
}

static void routing_free(struct generation *generation)
{
	struct routing *r = routing_of(generation);

	for (size_t i = 0; r->clusters && i < r->config->n_clusters; i++)
		cluster_done(&r->clusters[i]);
	for (size_t i = 0; r->routes && i < r->config->n_routes; i++)
		stats_unref(r->routes[i].stats);
	for (size_t i = 0; r->classes && i < r->config->n_classes; i++)
		class_stats_unref(r->classes[i]);
	free(r->classes);
	free(r->clusters);
	free(r->routes);
	matcher_free(r->matcher);
	hash_table_done(&r->routes_by_name);
	hash_table_done(&r->clusters_by_name);
	generation_done(generation);
	free(r);
}

int routing_new(struct config *config, struct routing *previous, struct routing **ret_routing)
{
	struct routing *r = calloc(1, sizeof(*r));
	int error;

	if (!r)
		return -ENOMEM;
	generation_init(&r->generation, config, routing_free);
	list_init(&r->retired);
	r->config = config;
	hash_key_random(&r->hash_key);
	hash_table_init(&r->routes_by_name);
	hash_table_init(&r->clusters_by_name);
	r->routes = calloc(MAX(config->n_routes, 1), sizeof(*r->routes));
	r->clusters = calloc(MAX(config->n_clusters, 1), sizeof(*r->clusters));
	r->classes = calloc(MAX(config->n_classes, 1), sizeof(struct class_stats *));
	error = r->routes && r->clusters && r->classes ? set_up_clusters(r, previous) : -ENOMEM;
	if (error == 0)
		error = set_up_classes(r);
	if (error == 0)
		error = set_up_routes(r, previous);
	if (error == 0)
		error = matcher_new(config, &r->matcher);
	if (error < 0) {
		generation_unref(&r->generation);
		return error;
	}
	*ret_routing = r;
	return 0;
}

struct route *routing_route(const struct routing *r, const char *name)
{
	for (struct hash_node *node = hash_table_first(&r->routes_by_name, name_hash(r, name));
	     node; node = hash_table_next(node)) {
		struct route *route = container_of(node, struct route, by_name);

		if (strcmp(route->config->name, name) == 0)
			return route;
	}
	return NULL;
}

struct cluster *routing_cluster(const struct routing *r, const char *name)
{
	for (struct hash_node *node = hash_table_first(&r->clusters_by_name, name_hash(r, name));
	     node; node = hash_table_next(node)) {
		struct cluster *cluster = container_of(node, struct cluster, by_name);

		if (strcmp(cluster->config->name, name) == 0)
			return cluster;
	}
	return NULL;
}

size_t routing_count(const struct routing *r)
{
	size_t n = r->config->n_routes + r->config->n_clusters;

	for (size_t i = 0; i < r->config->n_clusters; i++)
		n += r->config->clusters[i].n_endpoints;
	return n;
}

/* ---- requests ------------------------------------------------------------------------------ */

struct route *routing_match(struct routing *r, const struct http1_head *head,
			    const struct sockaddr *source)
{
	ssize_t route = matcher_find(r->matcher, head, source);

	return route < 0 ? NULL : &r->routes[route];
}

static void count_on(struct connection *c, struct route *route)
{
	c->route = route->config;
	c->route_state = route;
	atomic_fetch_add_explicit(&route->stats->n_active, 1, memory_order_relaxed);
}

static void set_class(struct connection *c, const struct routing *r,
		      const struct config_class *class)
{
	connection_set_class(c, class, r->classes[class - r->config->classes]);
}

static void count_off(struct connection *c)
{
	struct route *route = c->route_state;

	if (!route) /* adopted, and its route is not there any more */
		return;
	atomic_fetch_sub_explicit(&route->stats->n_active, 1, memory_order_relaxed);
}

static void on_end(struct connection *c)
{
	count_off(c);
	if (c->endpoint_state)
		cluster_release(c->endpoint_state);
}

/* RFC 6455 s4.2.2, s10.2: a page of another origin is told 403. Who sends no Origin is no browser,
 * and could send any. */
static bool is_origin_allowed(const struct config_route *route, const struct http1_head *head)
{
	static const struct slice name = SLICE_LITERAL("Origin");
	const struct http1_field *field = http1_find(head, name);

	if (route->n_origins == 0 || !field)
		return true;
	if (http1_find_next(head, field))
		return false;
	for (size_t i = 0; i < route->n_origins; i++) {
		if (origin_matches(slice_from_str(route->origins[i]), field->value))
			return true;
	}
	return false;
}

static struct cluster *choose_cluster(const struct connection *c, const struct http1_head *head)
{
	const struct routing *r = routing_of(c->generation);
	const struct route *route = c->route_state;

	if (route->cluster)
		return route->cluster;
	return &r->clusters[split_choose(route->config, head, &c->source.sa) - r->config->clusters];
}

void routing_on_request(struct connection *c, const struct handshake_request *request)
{
	struct route *route;

	connection_set_generation(c, worker_generation(c->worker));
	route = routing_match(routing_of(c->generation), request->head, &c->source.sa);
	if (!route) {
		connection_refuse(c, EGW_NO_ROUTE);
		return;
	}
	if (atomic_load_explicit(&route->stats->is_draining, memory_order_relaxed)) {
		connection_refuse(c, EGW_DRAINING);
		return;
	}
	count_on(c, route);
	set_class(c, routing_of(c->generation), route->config->class);
	atomic_fetch_add_explicit(&c->class_stats->n_accepted, 1, memory_order_relaxed);
	c->on_end = on_end;
	atomic_fetch_add_explicit(&route->stats->n_accepted, 1, memory_order_relaxed);
	if (!is_origin_allowed(route->config, request->head)) {
		connection_refuse(c, EGW_ORIGIN);
		return;
	}
	switch (route->config->action) {
	case CONFIG_ACTION_PROXY:
		proxy_begin(c, choose_cluster(c, request->head), request);
		break;
	case CONFIG_ACTION_ECHO:
		echo_begin(c, request);
		break;
	case CONFIG_ACTION_RESPOND:
		respond_begin(c, request);
		break;
	}
}

/* ---- adoption ------------------------------------------------------------------------------ */

/* Of the same name, but with another address, it is another one. What a name stands for is not
 * known so early. */
static bool is_at(const struct endpoint *endpoint, const struct address *address)
{
	return endpoint->host_len > 0 || address_equal(&endpoint->address, address);
}

void routing_adopt(struct connection *c, struct generation *base, const struct address *endpoint)
{
	const struct routing *r = routing_of(base);
	struct route *route = routing_route(r, c->route->name);
	const struct cluster *cluster = routing_cluster(r, c->cluster->name);
	const struct member *member = cluster ? cluster_member(cluster, c->endpoint->name) : NULL;
	const struct config_class *class = config_class_find(r->config, c->class->name);

	c->on_end = on_end;
	if (class)
		set_class(c, r, class);
	if (route) {
		c->route_state = route;
		atomic_fetch_add_explicit(&route->stats->n_active, 1, memory_order_relaxed);
	}
	if (member && is_at(member->endpoint, endpoint)) {
		c->endpoint_state = endpoint_ref(member->endpoint);
		atomic_fetch_add_explicit(&member->endpoint->n_active, 1, memory_order_relaxed);
	}
}

/* ---- reload -------------------------------------------------------------------------------- */

static bool move_endpoint(struct connection *c, const struct routing *r)
{
	const struct cluster *cluster = routing_cluster(r, c->cluster->name);
	const struct member *member = cluster ? cluster_member(cluster, c->endpoint->name) : NULL;

	/* Of the same name, but with another address, it is another one. */
	if (!member || member->endpoint != c->endpoint_state)
		return false;
	c->cluster = cluster->config;
	c->endpoint = member->config;
	return true;
}

void routing_follow(struct connection *c)
{
	struct routing *r = routing_of(c->worker->generation);
	const struct config_class *class;
	struct route *route;

	if (c->generation == &r->generation || !c->route || c->state < CONNECTION_OPEN)
		return; /* without a route it follows at its request; on its way, when it is open */
	route = routing_route(r, c->route->name);
	if (!route || route->config->action != c->route->action)
		return;
	class = config_class_find(r->config, c->class->name);
	if (!class)
		return;
	if (c->endpoint && !move_endpoint(c, r))
		return;
	count_off(c);
	count_on(c, route);
	/* Before its own generation goes, which has what it was held to. */
	set_class(c, r, class);
	connection_set_generation(c, &r->generation);
	connection_limit_duration(c);
	keepalive_begin(c);
	promotion_follow(c);
}
