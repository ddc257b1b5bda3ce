/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The definition of matching: all routes, one after the other. What route/match.c finds by its
 * index must be what this finds.
 */
#pragma once
#include "base/regex.h"
#include "route/match.h"

static inline bool match_naive_path(const struct config_route *route, struct slice path)
{
	struct slice groups[REGEX_GROUPS], want;

	if (!route->path)
		return true;
	if (route->path_regex)
		return regex_match(route->path_regex, path, groups) == 1;
	want = slice_from_str(route->path);
	if (route->path_is_prefix && path.len > want.len)
		path.len = want.len;
	return slice_equal(want, path);
}

/** match_naive() - as matcher_find(), for a host without port and a path without dot segments */
static inline ssize_t match_naive(const struct config *config, const struct http1_head *head,
				  const struct sockaddr *source)
{
	for (size_t i = 0; i < config->n_routes; i++) {
		const struct config_route *route = &config->routes[i];

		if ((!route->host || slice_equal_nocase(slice_from_str(route->host), head->host)) &&
		    match_naive_path(route, head->path) &&
		    match_conditions_hold(route, head, source))
			return (ssize_t)i;
	}
	return -1;
}
