/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which route takes a request: the first one in the order of the file that all of its conditions
 * hold for.
 *
 * Tried one after the other, ten thousand routes would cost more than the rest of a handshake. So
 * the routes are taken in two steps, and each looks only at routes that stand in front of the best
 * one so far:
 *
 *  1. The path index (core/path_index.h) is searched twice, for the routes of the request's host
 *     and for those of any host. Each search gives a chain of entries, one for each path of a
 *     route that the request's path begins with or is. The best route without further conditions
 *     is stored with the chain's end and needs no walk.
 *  2. Up the chains, routes that want more are tried, as long as an entry or one of its ancestors
 *     has one in front of the best: headers, subprotocol and source first, then the regular
 *     expression of a path. One that does not come to an end within its steps (base/regex.h)
 *     counts as no match; its route's name is logged, once.
 *
 * What is dear are many routes with conditions under one path, and regular expressions that do not
 * say how a path begins ("~^/a/[0-9]+$" does): these are tried one after the other.
 *
 * Both steps do what a walk along all routes would, as the differential test shows.
 */
#pragma once
#include "base/std.h"
#include "core/config.h"
#include "proto/http1_head.h"

struct matcher;
struct sockaddr;

/** matcher_new() - for the routes of @config, which must outlive it. Return: 0 or -ENOMEM */
int matcher_new(const struct config *config, struct matcher **ret_matcher);
void matcher_free(struct matcher *matcher);

/**
 * matcher_find() - the first route that @head, from @source, fits
 *
 * Host is compared without port and case. Paths are compared as received: percent-encoding is not
 * undone. A path with "." or ".." segments matches nothing, whether dots and slashes (also
 * backslashes) are plain or encoded: it would mean one thing here and another at the endpoint.
 * Any thread. Return: the number of the route, or -1.
 */
ssize_t matcher_find(struct matcher *matcher, const struct http1_head *head,
		     const struct sockaddr *source);

/** match_has_dot_segment() - whether @path has a "." or ".." segment, in whatever disguise */
bool match_has_dot_segment(struct slice path);
/** match_conditions_hold() - headers, subprotocol and source of @route; not host and path */
bool match_conditions_hold(const struct config_route *route, const struct http1_head *head,
			   const struct sockaddr *source);
