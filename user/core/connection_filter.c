/* SPDX-License-Identifier: Apache-2.0 */
#include "core/connection_filter.h"

#include "base/base32.h"
#include "base/clock.h"
#include "base/parse.h"
#include "core/connection.h"
#include "core/connection_info.h"
#include "core/worker.h"

static bool name_matches(const char *want, const char *name)
{
	return want[0] == '\0' || (name && strcmp(want, name) == 0);
}

void connection_filter_init(struct connection_filter *filter)
{
	*filter = (struct connection_filter){.path = -1};
}

bool connection_filter_matches(const struct connection_filter *filter, const struct connection *c)
{
	return (filter->id == 0 || filter->id == c->id) &&
	       name_matches(filter->route, c->route ? c->route->name : NULL) &&
	       name_matches(filter->class, c->class ? c->class->name : NULL) &&
	       name_matches(filter->cluster, c->cluster ? c->cluster->name : NULL) &&
	       name_matches(filter->endpoint, c->endpoint ? c->endpoint->name : NULL) &&
	       name_matches(filter->listener, c->listener->name) &&
	       name_matches(filter->tenant, NULL) &&
	       (filter->path < 0 || (c->opened_ns && filter->path == c->path)) &&
	       (filter->source.family == 0 || ip_prefix_has(&filter->source, &c->source.sa)) &&
	       (clock_monotonic_ns() - c->accepted_ns) / NS_PER_MS >= filter->older_ms &&
	       (filter->idle_ms == 0 || connection_idle_ms(c) >= filter->idle_ms);
}

bool connection_filter_fits(const struct connection_filter *filter,
			    const struct connection_info *info, const struct sockaddr *source)
{
	return (filter->id == 0 || filter->id == info->id) &&
	       name_matches(filter->route, info->route) &&
	       name_matches(filter->class, info->class) &&
	       name_matches(filter->cluster, info->cluster) &&
	       name_matches(filter->endpoint, info->endpoint) &&
	       name_matches(filter->listener, info->listener) &&
	       name_matches(filter->tenant, info->tenant) &&
	       (filter->path < 0 || filter->path == info->path) &&
	       (filter->source.family == 0 || ip_prefix_has(&filter->source, source)) &&
	       info->age_ms >= filter->older_ms && info->traffic.idle_ms >= filter->idle_ms;
}

/* ---- as people write them ------------------------------------------------------------------ */

static int copy_name(const char *text, char ret_name[CONFIG_NAME_MAX + 1])
{
	if (!*text || strlen(text) > CONFIG_NAME_MAX)
		return -EINVAL;
	memcpy(ret_name, text, strlen(text) + 1);
	return 0;
}

static int set_id(struct connection_filter *filter, const char *text)
{
	/* No connection has the id 0, which in a filter means any. */
	return base32_u64_decode(text, &filter->id) < 0 || filter->id == 0 ? -EINVAL : 0;
}

static int set_route(struct connection_filter *filter, const char *text)
{
	return copy_name(text, filter->route);
}

static int set_class(struct connection_filter *filter, const char *text)
{
	return copy_name(text, filter->class);
}

static int set_cluster(struct connection_filter *filter, const char *text)
{
	return copy_name(text, filter->cluster);
}

static int set_endpoint(struct connection_filter *filter, const char *text)
{
	return copy_name(text, filter->endpoint);
}

static int set_listener(struct connection_filter *filter, const char *text)
{
	return copy_name(text, filter->listener);
}

static int set_tenant(struct connection_filter *filter, const char *text)
{
	return copy_name(text, filter->tenant);
}

static int set_path(struct connection_filter *filter, const char *text)
{
	for (int path = 0; path < SLUICE_PATH_COUNT; path++) {
		if (strcmp(text, sluice_path_name(path)) == 0) {
			filter->path = path;
			return 0;
		}
	}
	return -EINVAL;
}

static int set_source(struct connection_filter *filter, const char *text)
{
	return ip_prefix_parse(text, &filter->source);
}

static int set_older(struct connection_filter *filter, const char *text)
{
	return parse_duration_ms(text, &filter->older_ms);
}

static int set_idle(struct connection_filter *filter, const char *text)
{
	return parse_duration_ms(text, &filter->idle_ms);
}

static const struct condition {
	const char *key;
	int (*set)(struct connection_filter *filter, const char *text);
	const char *expected;
} conditions[] = {
    {"conn", set_id, "a connection id of 13 characters"},
    {"route", set_route, "the name of a route"},
    {"class", set_class, "the name of a class"},
    {"cluster", set_cluster, "the name of a cluster"},
    {"endpoint", set_endpoint, "the name of an endpoint"},
    {"listener", set_listener, "the name of a listener"},
    {"tenant", set_tenant, "the name of a tenant"},
    {"path", set_path, "relay, splice, sockmap, hub or local"},
    {"source", set_source, "an address or a network such as 10.0.0.0/8"},
    {"older", set_older, "a duration such as 30s"},
    {"idle", set_idle, "a duration such as 30s"},
};

static const struct condition *find_condition(const char *key)
{
	for (size_t i = 0; i < ARRAY_SIZE(conditions); i++) {
		if (strcmp(conditions[i].key, key) == 0)
			return &conditions[i];
	}
	return NULL;
}

int connection_filter_set(struct connection_filter *filter, const char *key, const char *text)
{
	const struct condition *condition = find_condition(key);

	if (!condition)
		return -ENOENT;
	return condition->set(filter, text) < 0 ? -EINVAL : 0;
}

const char *connection_filter_expected(const char *key)
{
	const struct condition *condition = find_condition(key);

	return condition ? condition->expected : NULL;
}
