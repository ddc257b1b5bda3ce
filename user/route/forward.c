/* SPDX-License-Identifier: Apache-2.0 */
#include "route/forward.h"

#include "base/regex.h"
#include "proto/ws_handshake.h"
#include "route/match.h"

#include <arpa/inet.h>

static const struct slice x_for = SLICE_LITERAL("X-Forwarded-For");
static const struct slice x_proto = SLICE_LITERAL("X-Forwarded-Proto");
static const struct slice x_host = SLICE_LITERAL("X-Forwarded-Host");
static const struct slice rfc7239 = SLICE_LITERAL("Forwarded");

#define OWN_FIELDS 6 /* at most: the four above, Connection, Upgrade */

/* ---- path ---------------------------------------------------------------------------------- */

static void put_references(struct text_writer *w, const char *to,
			   const struct slice groups[REGEX_GROUPS])
{
	while (*to) {
		size_t plain = strcspn(to, "$");

		text_put(w, to, plain);
		to += plain;
		if (!*to)
			break;
		if (to[1] == '$')
			text_put_str(w, "$");
		else
			text_put_slice(w, groups[to[1] - '0']);
		to += 2;
	}
}

/* @len bytes of @path from @from on become what @to says. */
static void put_replaced(struct text_writer *w, struct slice path, size_t from, size_t len,
			 const char *to, const struct slice *groups)
{
	text_put(w, path.ptr, from);
	if (groups)
		put_references(w, to, groups);
	else
		text_put_str(w, to);
	text_put(w, path.ptr + from + len, path.len - from - len);
}

/* Return: 1 and the new path in @w, 0 if it stays as it is, or -EHTTP_TARGET. */
static int put_rewritten(const struct config_route *route, struct slice path, struct text_writer *w)
{
	struct slice from = slice_from_str(route->rewrite[0]), groups[REGEX_GROUPS];
	int r;

	if (!route->rewrite_regex) {
		if (path.len < from.len || memcmp(path.ptr, from.ptr, from.len) != 0)
			return 0;
		put_replaced(w, path, 0, from.len, route->rewrite[1], NULL);
		return 1;
	}
	r = regex_match(route->rewrite_regex, path, groups);
	/* Unchanged it might be a path that the rewrite is there to keep from the endpoint. */
	if (r < 0 || (r > 0 && !groups[0].ptr))
		return -EHTTP_TARGET;
	if (r > 0)
		put_replaced(w, path, (size_t)(groups[0].ptr - path.ptr), groups[0].len,
			     route->rewrite[1], groups);
	return r;
}

/* The path for the endpoint into @ret_path, which is empty if it stays, or is @buf. */
static int rewrite(const struct config_route *route, struct slice path, char *buf, size_t size,
		   struct slice *ret_path)
{
	struct text_writer w;
	int r;

	text_writer_init(&w, buf, size);
	text_put_str(&w, "/");
	r = put_rewritten(route, path, &w);
	if (r <= 0)
		return r;
	if (w.is_truncated)
		return -EHTTP_TARGET_LONG;
	/* RFC 9112 s3.2.1: an origin form begins with a slash, so ours is for what lacks it. */
	*ret_path = (struct slice){buf, w.len};
	if (w.len > 1 && buf[1] == '/')
		*ret_path = (struct slice){buf + 1, w.len - 1};
	/* "/api" to "/": "/api../x" would become "/../x". */
	return match_has_dot_segment(*ret_path) ? -EHTTP_TARGET : 0;
}

/* ---- who the client is --------------------------------------------------------------------- */

/* "192.0.2.1", "2001:db8::1"; empty on a unix socket. */
static void format_source(const struct sockaddr *source, char ret_text[INET6_ADDRSTRLEN])
{
	ret_text[0] = '\0';
	if (source->sa_family == AF_INET)
		inet_ntop(AF_INET, &((const struct sockaddr_in *)source)->sin_addr, ret_text,
			  INET6_ADDRSTRLEN);
	else if (source->sa_family == AF_INET6)
		inet_ntop(AF_INET6, &((const struct sockaddr_in6 *)source)->sin6_addr, ret_text,
			  INET6_ADDRSTRLEN);
}

static bool is_removed(const struct config_route *route, struct slice name)
{
	for (size_t i = 0; i < route->n_remove_headers; i++) {
		if (slice_equal_nocase(slice_from_str(route->remove_headers[i]), name))
			return true;
	}
	return false;
}

/* "Name: " and all that came under that name, as one list. Return: whether there was anything. */
static bool begin_list(struct text_writer *w, const struct config_route *route,
		       const struct http1_head *head, struct slice name)
{
	const struct http1_field *field = is_removed(route, name) ? NULL : http1_find(head, name);
	bool has_any = false;

	text_put_slice(w, name);
	text_put_str(w, ": ");
	for (; field; field = http1_find_next(head, field)) {
		if (field->value.len == 0)
			continue;
		if (has_any)
			text_put_str(w, ", ");
		text_put_slice(w, field->value);
		has_any = true;
	}
	return has_any;
}

static void put_x(struct text_writer *w, const struct config_route *route,
		  const struct http1_head *head, const char *source)
{
	size_t start = w->len;
	bool has_any = begin_list(w, route, head, x_for);

	if (has_any && source[0])
		text_put_str(w, ", ");
	text_put_str(w, source);
	if (!has_any && !source[0] && !w->is_truncated)
		w->len = start; /* nothing to say */
	else
		text_put_str(w, "\r\n");
	text_put_slice(w, x_proto);
	text_put_str(w, ": http\r\n");
	if (head->host.len == 0)
		return;
	text_put_slice(w, x_host);
	text_put_str(w, ": ");
	text_put_slice(w, head->host);
	text_put_str(w, "\r\n");
}

/* RFC 7239 s4: a token as it is, anything else as a quoted string. */
static void put_value(struct text_writer *w, struct slice value)
{
	if (http1_is_token(value)) {
		text_put_slice(w, value);
		return;
	}
	text_put_str(w, "\"");
	for (size_t i = 0; i < value.len; i++) {
		if (value.ptr[i] == '"' || value.ptr[i] == '\\')
			text_put_str(w, "\\");
		text_put(w, &value.ptr[i], 1);
	}
	text_put_str(w, "\"");
}

/* RFC 7239 s6: an IPv6 address stands in brackets, and so in quotes. */
static void put_node(struct text_writer *w, const char *source)
{
	if (!source[0])
		text_put_str(w, "unknown");
	else if (strchr(source, ':'))
		text_printf(w, "\"[%s]\"", source);
	else
		text_put_str(w, source);
}

static void put_rfc7239(struct text_writer *w, const struct config_route *route,
			const struct http1_head *head, const char *source)
{
	if (begin_list(w, route, head, rfc7239))
		text_put_str(w, ", ");
	text_put_str(w, "for=");
	put_node(w, source);
	if (head->host.len > 0) {
		text_put_str(w, ";host=");
		put_value(w, head->host);
	}
	text_put_str(w, ";proto=http\r\n");
}

/* ---- all of it ----------------------------------------------------------------------------- */

static bool has_x(const struct config_route *route)
{
	return route->forwarded == CONFIG_FORWARDED_X || route->forwarded == CONFIG_FORWARDED_BOTH;
}

static bool has_rfc7239(const struct config_route *route)
{
	return route->forwarded == CONFIG_FORWARDED_RFC7239 ||
	       route->forwarded == CONFIG_FORWARDED_BOTH;
}

/* Names of the client's fields that do not go on as they are; room for all. */
static size_t collect_dropped(const struct config_route *route, struct slice *ret_names)
{
	size_t n = 0;

	for (size_t i = 0; i < route->n_remove_headers; i++)
		ret_names[n++] = slice_from_str(route->remove_headers[i]);
	if (has_x(route)) {
		ret_names[n++] = x_for;
		ret_names[n++] = x_proto;
		ret_names[n++] = x_host;
	}
	if (has_rfc7239(route))
		ret_names[n++] = rfc7239;
	return n;
}

static void put_more(const struct config_route *route, const struct sockaddr *source,
		     const struct http1_head *head, struct text_writer *w)
{
	char text[INET6_ADDRSTRLEN];

	format_source(source, text);
	if (has_x(route))
		put_x(w, route, head, text);
	if (has_rfc7239(route))
		put_rfc7239(w, route, head, text);
	for (size_t i = 0; i < route->n_add_headers; i++) {
		text_put_slice(w, route->add_fields[i].name);
		text_put_str(w, ": ");
		text_put_slice(w, route->add_fields[i].value);
		text_put_str(w, "\r\n");
	}
	text_put_str(w, "\r\n");
}

/* Only where there may be too many is it worth to count. */
static int check_fields(const struct config_route *route, const struct http1_head *head,
			const struct text_writer *w)
{
	size_t n_lines = 0;

	if (head->n_fields + route->n_add_headers + OWN_FIELDS <= HTTP1_FIELDS_MAX)
		return 0;
	for (size_t i = 0; i < w->len; i++)
		n_lines += w->buf[i] == '\n';
	/* The request line and the empty line are none. */
	return n_lines - 2 > HTTP1_FIELDS_MAX ? -EHTTP_FIELDS_MANY : 0;
}

int forward_write(const struct config_route *route, size_t target_max,
		  const struct sockaddr *source, const struct http1_head *head,
		  struct text_writer *w)
{
	/* One more for the slash in front. */
	_cleanup_free_ char *path = route->n_rewrite ? malloc(target_max + 1) : NULL;
	_cleanup_free_ struct slice *dropped =
	    calloc(route->n_remove_headers + OWN_FIELDS, sizeof(*dropped));
	struct ws_forward changes = {.dropped = dropped};
	int r = 0;

	if (!dropped || (route->n_rewrite && !path))
		return -EGW_MEMORY;
	changes.n_dropped = collect_dropped(route, dropped);
	if (path)
		r = rewrite(route, head->path, path, target_max + 1, &changes.path);
	if (r < 0)
		return r;
	ws_handshake_write_forward(w, head, &changes);
	put_more(route, source, head, w);
	if (w->is_truncated)
		return -EHTTP_HEAD_LARGE;
	return check_fields(route, head, w);
}
