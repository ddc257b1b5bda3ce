/* SPDX-License-Identifier: Apache-2.0 */
#include "route/match.h"

#include "base/ip_prefix.h"
#include "base/log.h"
#include "base/regex.h"
#include "core/path_index.h"

#include <stdatomic.h>

#define HOST_MAX 255 /* bytes; no route has a longer one */

struct matcher {
	const struct config *config;
	struct path_index index;
	atomic_bool *is_reported; /* of each route, that its expression took too long */
};

/* What is known of one request on its way. */
struct search {
	const struct http1_head *head;
	const struct sockaddr *source;
	uint32_t best; /* PATH_INDEX_NONE as long as there is none */
};

/* ---- life ---------------------------------------------------------------------------------- */

int matcher_new(const struct config *config, struct matcher **ret_matcher)
{
	struct matcher *m = calloc(1, sizeof(*m));
	int error = m ? path_index_init(&m->index, config) : -ENOMEM;

	if (error == 0) {
		m->config = config;
		m->is_reported = calloc(MAX(config->n_routes, 1), sizeof(*m->is_reported));
		error = m->is_reported ? 0 : -ENOMEM;
	}
	if (error < 0) {
		matcher_free(m);
		return error;
	}
	*ret_matcher = m;
	return 0;
}

void matcher_free(struct matcher *m)
{
	if (!m)
		return;
	path_index_done(&m->index);
	free(m->is_reported);
	free(m);
}

/* ---- what a request says ------------------------------------------------------------------- */

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

bool match_has_dot_segment(struct slice path)
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

/* Lower case, without port. What is no host of a route's becomes empty, which is none. */
static struct slice host_of(const struct http1_head *head, char buf[HOST_MAX])
{
	struct slice host = without_port(head->host);

	if (host.len > HOST_MAX)
		return (struct slice){"", 0};
	for (size_t i = 0; i < host.len; i++)
		buf[i] = ascii_lower(host.ptr[i]);
	return (struct slice){buf, host.len};
}

/* ---- conditions ---------------------------------------------------------------------------- */

static bool has_field(const struct http1_head *head, const struct config_field *wanted)
{
	const struct http1_field *field = http1_find(head, wanted->name);

	while (field && wanted->has_value && !slice_equal(field->value, wanted->value))
		field = http1_find_next(head, field);
	return field != NULL;
}

/* Not http1_list_has(): a subprotocol is compared with its case, as clients do. */
static bool offers(const struct http1_head *head, struct slice subprotocol)
{
	static const struct slice name = SLICE_LITERAL("Sec-WebSocket-Protocol");
	const struct http1_field *field = http1_find(head, name);

	for (; field; field = http1_find_next(head, field)) {
		struct slice rest = field->value, offered;

		while (http1_list_next(&rest, &offered)) {
			if (slice_equal(offered, subprotocol))
				return true;
		}
	}
	return false;
}

static bool comes_from(const struct config_route *route, const struct sockaddr *source)
{
	for (size_t i = 0; i < route->n_sources; i++) {
		if (ip_prefix_has(&route->networks[i], source))
			return true;
	}
	return false;
}

bool match_conditions_hold(const struct config_route *route, const struct http1_head *head,
			   const struct sockaddr *source)
{
	for (size_t i = 0; i < route->n_match_headers; i++) {
		if (!has_field(head, &route->match_fields[i]))
			return false;
	}
	if (route->subprotocol && !offers(head, slice_from_str(route->subprotocol)))
		return false;
	return route->n_sources == 0 || comes_from(route, source);
}

static bool regex_takes(struct matcher *m, uint32_t route, struct slice path)
{
	const struct config_route *config = &m->config->routes[route];
	struct slice groups[REGEX_GROUPS];
	int r = regex_match(config->path_regex, path, groups);

	if (r < 0 && !atomic_exchange_explicit(&m->is_reported[route], true, memory_order_relaxed))
		log_warning("route \"%s\": the regular expression of its path took too long for a "
			    "request, which counts as no match; said once",
			    config->name);
	return r > 0;
}

static bool takes(struct matcher *m, const struct search *s, uint32_t route)
{
	const struct config_route *config = &m->config->routes[route];

	return match_conditions_hold(config, s->head, s->source) &&
	       (!config->path_regex || regex_takes(m, route, s->head->path));
}

/* ---- by path ------------------------------------------------------------------------------- */

/* The first route of a run in front of the best one that takes the request. */
static void try_run(struct matcher *m, struct search *s, uint32_t from, uint32_t end)
{
	for (uint32_t i = from; i < end && m->index.order[i] < s->best; i++) {
		uint32_t route = m->index.order[i];

		if (takes(m, s, route))
			s->best = route;
	}
}

static void try_paths(struct matcher *m, struct search *s, struct slice host)
{
	struct slice path = s->head->path;
	const struct path_entry *entry = path_index_find(&m->index, host, path);

	if (!entry)
		return;
	s->best = MIN(s->best, entry->plain);
	if (entry->path_len == path.len)
		try_run(m, s, entry->exact, entry->prefix);
	for (; entry && entry->conditional < s->best; entry = path_index_parent(&m->index, entry))
		try_run(m, s, entry->prefix, entry->end);
}

ssize_t matcher_find(struct matcher *m, const struct http1_head *head,
		     const struct sockaddr *source)
{
	char host[HOST_MAX];
	struct slice named;
	struct search s = {.head = head, .source = source, .best = PATH_INDEX_NONE};

	if (match_has_dot_segment(head->path))
		return -1;
	named = host_of(head, host);
	if (named.len > 0)
		try_paths(m, &s, named);
	try_paths(m, &s, (struct slice){"", 0});
	return s.best == PATH_INDEX_NONE ? -1 : (ssize_t)s.best;
}
