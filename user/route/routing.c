/* SPDX-License-Identifier: Apache-2.0 */
#include "route/routing.h"

#include "core/connection.h"
#include "core/worker.h"
#include "route/echo.h"
#include "route/proxy.h"
#include "route/respond.h"

static int set_up(struct routing *r)
{
	const struct config *config = r->config;

	r->routes = calloc(config->n_routes ? config->n_routes : 1, sizeof(*r->routes));
	r->clusters = calloc(config->n_clusters ? config->n_clusters : 1, sizeof(*r->clusters));
	if (!r->routes || !r->clusters)
		return -ENOMEM;
	for (size_t i = 0; i < config->n_clusters; i++) {
		int error = cluster_init(&r->clusters[i], &config->clusters[i]);

		if (error < 0)
			return error;
	}
	for (size_t i = 0; i < config->n_routes; i++) {
		r->routes[i].config = &config->routes[i];
		if (config->routes[i].action == CONFIG_ACTION_PROXY)
			r->routes[i].cluster =
			    &r->clusters[config->routes[i].cluster - config->clusters];
	}
	return 0;
}

int routing_new(struct config *config, struct routing **ret_routing)
{
	_cleanup_(cleanup_routing_free) struct routing *r = calloc(1, sizeof(*r));
	int error;

	if (!r)
		return -ENOMEM;
	r->config = config_ref(config);
	error = set_up(r);
	if (error < 0)
		return error;
	*ret_routing = TAKE_PTR(r);
	return 0;
}

void routing_free(struct routing *r)
{
	if (!r)
		return;
	if (r->clusters) {
		for (size_t i = 0; i < r->config->n_clusters; i++)
			cluster_done(&r->clusters[i]);
	}
	free(r->clusters);
	free(r->routes);
	config_unref(r->config);
	free(r);
}

/* ---- matching ------------------------------------------------------------------------------ */

/* "name:80" -> "name", "[::1]:80" -> "[::1]" */
static struct slice without_port(struct slice host)
{
	size_t from = 0;
	const char *colon;

	if (host.len && host.ptr[0] == '[') {
		const char *end = memchr(host.ptr, ']', host.len);

		from = end ? (size_t)(end - host.ptr) : host.len;
	}
	colon = memchr(host.ptr + from, ':', host.len - from);
	if (colon)
		host.len = (size_t)(colon - host.ptr);
	return host;
}

/* Length of @plain at @s, as it is or percent-encoded as @hex (lower case); 0 if it is not there.
 */
static size_t char_len(const char *s, const char *end, char plain, const char hex[2])
{
	if (s < end && *s == plain)
		return 1;
	if (end - s >= 3 && s[0] == '%' && s[1] == hex[0] && ascii_lower(s[2]) == hex[1])
		return 3;
	return 0;
}

/* What some endpoint may take for the end of a segment, once it has decoded the path. */
static size_t separator_len(const char *s, const char *end)
{
	size_t len = char_len(s, end, '/', "2f");

	return len ? len : char_len(s, end, '\\', "5c");
}

/* Whether one or two dots stand at @s, and then a separator or the end. */
static bool is_dot_segment(const char *s, const char *end)
{
	size_t dots = 0, len;

	while (dots < 2 && (len = char_len(s, end, '.', "2e")) > 0) {
		s += len;
		dots++;
	}
	return dots > 0 && (s == end || separator_len(s, end) > 0);
}

static bool has_dot_segment(struct slice path)
{
	const char *s = path.ptr, *end = path.ptr + path.len;

	while (s < end) {
		size_t len = separator_len(s, end);

		s += len ? len : 1;
		if (len && is_dot_segment(s, end))
			return true;
	}
	return false;
}

static bool matches(const struct config_route *route, struct slice host, struct slice path)
{
	if (route->host && !slice_equal_nocase(slice_from_str(route->host), host))
		return false;
	if (route->path) {
		struct slice want = slice_from_str(route->path);

		if (route->path_is_prefix && path.len > want.len)
			path.len = want.len;
		if (!slice_equal(want, path))
			return false;
	}
	return true;
}

struct route *routing_match(struct routing *r, const struct http1_head *head)
{
	struct slice host = without_port(head->host);

	if (has_dot_segment(head->path))
		return NULL;
	for (size_t i = 0; i < r->config->n_routes; i++) {
		if (matches(r->routes[i].config, host, head->path))
			return &r->routes[i];
	}
	return NULL;
}

/* ---- requests ------------------------------------------------------------------------------ */

static void on_end(struct connection *c)
{
	struct route *route = c->route_state;

	atomic_fetch_sub_explicit(&route->n_active, 1, memory_order_relaxed);
	if (c->endpoint_state)
		cluster_release(c->endpoint_state);
}

void routing_on_request(struct connection *c, const struct handshake_request *request)
{
	struct route *route = routing_match(c->worker->routing, request->head);

	if (!route) {
		connection_refuse(c, EGW_NO_ROUTE);
		return;
	}
	c->route = route->config;
	c->route_state = route;
	c->on_end = on_end;
	atomic_fetch_add_explicit(&route->n_active, 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&route->n_accepted, 1, memory_order_relaxed);
	switch (route->config->action) {
	case CONFIG_ACTION_PROXY:
		proxy_begin(c, route->cluster, request);
		break;
	case CONFIG_ACTION_ECHO:
		echo_begin(c, request);
		break;
	case CONFIG_ACTION_RESPOND:
		respond_begin(c, request);
		break;
	}
}
