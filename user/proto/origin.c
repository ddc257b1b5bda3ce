/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/origin.h"

struct origin {
	struct slice scheme, host, port;
};

static bool is_alphanumeric(char c)
{
	return (c >= '0' && c <= '9') || (ascii_lower(c) >= 'a' && ascii_lower(c) <= 'z');
}

/* Whether all of @s are letters, digits or one of @others; and there is something. */
static bool is_made_of(struct slice s, const char *others)
{
	for (size_t i = 0; i < s.len; i++) {
		if (!is_alphanumeric(s.ptr[i]) && (!s.ptr[i] || !strchr(others, s.ptr[i])))
			return false;
	}
	return s.len > 0;
}

/* Cuts what is in front of the first @mark off @rest. */
static bool cut(struct slice *rest, struct slice mark, struct slice *ret_front)
{
	const char *found = memmem(rest->ptr, rest->len, mark.ptr, mark.len);

	if (!found)
		return false;
	*ret_front = (struct slice){rest->ptr, (size_t)(found - rest->ptr)};
	rest->len -= ret_front->len + mark.len;
	rest->ptr = found + mark.len;
	return true;
}

static struct slice port_of_scheme(struct slice scheme)
{
	if (slice_equal_nocase(scheme, SLICE_LITERAL("https")) ||
	    slice_equal_nocase(scheme, SLICE_LITERAL("wss")))
		return SLICE_LITERAL("443");
	if (slice_equal_nocase(scheme, SLICE_LITERAL("http")) ||
	    slice_equal_nocase(scheme, SLICE_LITERAL("ws")))
		return SLICE_LITERAL("80");
	return (struct slice){"", 0};
}

static bool is_port(struct slice port)
{
	for (size_t i = 0; i < port.len; i++) {
		if (port.ptr[i] < '0' || port.ptr[i] > '9')
			return false;
	}
	return port.len >= 1 && port.len <= 5 && port.ptr[0] != '0';
}

/* "[v6]", or a name of the characters that browsers send. */
static bool take_host(struct slice *rest, struct slice *ret_host)
{
	const char *end = rest->ptr + rest->len, *p;

	if (rest->len > 0 && rest->ptr[0] == '[') {
		p = memchr(rest->ptr, ']', rest->len);
		if (!p ||
		    !is_made_of((struct slice){rest->ptr + 1, (size_t)(p - rest->ptr - 1)}, ":."))
			return false;
		p++;
	} else {
		p = memchr(rest->ptr, ':', rest->len);
		p = p ? p : end;
		if (!is_made_of((struct slice){rest->ptr, (size_t)(p - rest->ptr)}, "-._"))
			return false;
	}
	*ret_host = (struct slice){rest->ptr, (size_t)(p - rest->ptr)};
	*rest = (struct slice){p, (size_t)(end - p)};
	return true;
}

/* RFC 6454 s6.2: scheme "://" host [ ":" port ], in a pattern with "*." in front of the host. */
static bool split(struct slice text, bool may_have_star, struct origin *ret_origin, bool *ret_star)
{
	static const struct slice star = SLICE_LITERAL("*.");
	struct origin o;

	if (!cut(&text, SLICE_LITERAL("://"), &o.scheme) || !is_made_of(o.scheme, "+-."))
		return false;
	*ret_star =
	    may_have_star && text.len > star.len && memcmp(text.ptr, star.ptr, star.len) == 0;
	if (*ret_star) {
		text.ptr += star.len;
		text.len -= star.len;
	}
	if (!take_host(&text, &o.host) || (*ret_star && o.host.ptr[0] == '['))
		return false;
	o.port = port_of_scheme(o.scheme);
	if (text.len > 0) {
		o.port = (struct slice){text.ptr + 1, text.len - 1};
		if (text.ptr[0] != ':' || !is_port(o.port))
			return false;
	}
	*ret_origin = o;
	return true;
}

static bool is_null(struct slice text)
{
	return slice_equal(text, SLICE_LITERAL("null"));
}

bool origin_is_pattern(struct slice pattern)
{
	struct origin o;
	bool has_star;

	return is_null(pattern) || split(pattern, true, &o, &has_star);
}

/* "x.a.example" below "a.example" */
static bool is_below(struct slice host, struct slice parent)
{
	size_t front = host.len - parent.len;

	if (host.len < parent.len + 2)
		return false;
	return host.ptr[front - 1] == '.' && host.ptr[0] != '.' &&
	       slice_equal_nocase((struct slice){host.ptr + front, parent.len}, parent);
}

bool origin_matches(struct slice pattern, struct slice origin)
{
	struct origin want, is;
	bool has_star, ignored;

	if (is_null(pattern) || is_null(origin))
		return is_null(pattern) && is_null(origin);
	if (!split(pattern, true, &want, &has_star) || !split(origin, false, &is, &ignored))
		return false;
	return slice_equal_nocase(want.scheme, is.scheme) && slice_equal(want.port, is.port) &&
	       (has_star ? is_below(is.host, want.host) : slice_equal_nocase(want.host, is.host));
}
