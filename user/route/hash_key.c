/* SPDX-License-Identifier: Apache-2.0 */
#include "route/hash_key.h"

#include "route/ring.h"

#include <netinet/in.h>

static const struct slice nothing = {"", 0};

static uint64_t hash_source(const struct sockaddr *source)
{
	switch (source->sa_family) {
	case AF_INET:
		return ring_hash(&((const struct sockaddr_in *)source)->sin_addr, 4);
	case AF_INET6:
		return ring_hash(&((const struct sockaddr_in6 *)source)->sin6_addr, 16);
	default: /* peers on a unix socket have no address */
		return ring_hash("", 0);
	}
}

static uint64_t hash_host(struct slice host)
{
	char text[256];
	size_t len = 0;
	bool is_bracketed = false;

	for (; len < host.len && len < sizeof(text); len++) {
		is_bracketed |= host.ptr[len] == '[';
		if (host.ptr[len] == ':' && !is_bracketed)
			break;
		text[len] = ascii_lower(host.ptr[len]);
		is_bracketed &= host.ptr[len] != ']';
	}
	return ring_hash(text, len);
}

/* Takes what stands before @separator off @rest. */
static bool next_part(struct slice *rest, char separator, struct slice *ret_part)
{
	const char *end;
	size_t len;

	if (rest->len == 0)
		return false;
	end = memchr(rest->ptr, separator, rest->len);
	len = end ? (size_t)(end - rest->ptr) : rest->len;
	*ret_part = (struct slice){rest->ptr, len};
	rest->ptr += end ? len + 1 : len;
	rest->len -= end ? len + 1 : len;
	return true;
}

/* The value of the first "name=value" in @list. */
static struct slice value_in(struct slice list, char separator, struct slice name)
{
	struct slice part;

	while (next_part(&list, separator, &part)) {
		while (separator == ';' && part.len > 0 && part.ptr[0] == ' ') {
			part.ptr++;
			part.len--;
		}
		if (part.len > name.len && part.ptr[name.len] == '=' &&
		    memcmp(part.ptr, name.ptr, name.len) == 0)
			return (struct slice){part.ptr + name.len + 1, part.len - name.len - 1};
	}
	return nothing;
}

/* RFC 6265 s4.2.1: pairs behind "; "; RFC 9113 s8.2.3: there may be several fields. */
static struct slice cookie(const struct http1_head *head, struct slice name)
{
	const struct http1_field *field = http1_find(head, SLICE_LITERAL("Cookie"));
	struct slice value = nothing;

	for (; field && value.len == 0; field = http1_find_next(head, field))
		value = value_in(field->value, ';', name);
	return value;
}

static struct slice header(const struct http1_head *head, struct slice name)
{
	const struct http1_field *field = http1_find(head, name);

	return field ? field->value : nothing;
}

uint64_t hash_key_of(const char *key, const struct http1_head *head, const struct sockaddr *source)
{
	const char *colon = strchr(key, ':');
	struct slice name = colon ? slice_from_str(colon + 1) : nothing, value = nothing;

	if (strcmp(key, "host") == 0 && head->host.len > 0)
		return hash_host(head->host);
	if (strcmp(key, "path") == 0)
		value = head->path;
	else if (colon && key[0] == 'h')
		value = header(head, name);
	else if (colon && key[0] == 'q')
		value = value_in(head->query, '&', name);
	else if (colon && key[0] == 'c')
		value = cookie(head, name);
	return value.len > 0 ? ring_hash(value.ptr, value.len) : hash_source(source);
}
