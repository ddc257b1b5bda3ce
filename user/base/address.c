/* SPDX-License-Identifier: Apache-2.0 */
#include "base/address.h"

#include "base/parse.h"
#include "base/text_writer.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <stdio.h>

#define UNIX_PREFIX "unix:"
#define PATH_OFFSET offsetof(struct sockaddr_un, sun_path)

/* ---- text to address ------------------------------------------------------------------------- */

static int parse_port(const char *text, in_port_t *ret_port)
{
	uint64_t port;
	int error = parse_u64(text, &port);

	if (error < 0)
		return error;
	if (port > UINT16_MAX)
		return -ERANGE;
	*ret_port = htons((uint16_t)port);
	return 0;
}

/* @text up to @end, as a string in @ret_copy. Return: 0, or -EINVAL if it is longer than that. */
static int copy_part(const char *text, const char *end, char *ret_copy, size_t size)
{
	size_t len = (size_t)(end - text);

	if (len >= size)
		return -EINVAL;
	memcpy(ret_copy, text, len);
	ret_copy[len] = '\0';
	return 0;
}

static int parse_v4(const char *text, struct address *ret_address)
{
	struct address a = {.len = sizeof(a.in4)};
	const char *colon = strchr(text, ':');
	char host[INET_ADDRSTRLEN];
	int error;

	a.in4.sin_family = AF_INET;
	if (!colon || copy_part(text, colon, host, sizeof(host)) < 0 ||
	    inet_pton(AF_INET, host, &a.in4.sin_addr) != 1)
		return -EINVAL;
	error = parse_port(colon + 1, &a.in4.sin_port);
	if (error == 0)
		*ret_address = a;
	return error;
}

/* RFC 4007 s11.2: a zone is a number, or an interface's name. */
static int parse_scope(const char *text, uint32_t *ret_scope)
{
	uint64_t number;
	int error = parse_u64(text, &number);

	if (error == -EINVAL) {
		if (text[0] == '\0' || strlen(text) >= IF_NAMESIZE)
			return -EINVAL;
		number = if_nametoindex(text);
		if (number == 0)
			return -errno;
	}
	/* 0 would be "no zone". */
	if (error == -ERANGE || number == 0 || number > UINT32_MAX)
		return -EINVAL;
	*ret_scope = (uint32_t)number;
	return 0;
}

/* "[host%scope]:port"; the scope is optional. */
static int parse_v6(const char *text, struct address *ret_address)
{
	struct address a = {.len = sizeof(a.in6)};
	const char *bracket = strchr(text, ']');
	char host[INET6_ADDRSTRLEN + IF_NAMESIZE], *percent;
	int error;

	a.in6.sin6_family = AF_INET6;
	if (!bracket || bracket[1] != ':' || copy_part(text + 1, bracket, host, sizeof(host)) < 0)
		return -EINVAL;
	percent = strchr(host, '%');
	if (percent)
		*percent = '\0';
	if (inet_pton(AF_INET6, host, &a.in6.sin6_addr) != 1)
		return -EINVAL;
	error = parse_port(bracket + 2, &a.in6.sin6_port);
	if (error == 0 && percent) {
		/* The kernel would ignore it on any other address. */
		if (!IN6_IS_ADDR_LINKLOCAL(&a.in6.sin6_addr))
			return -EINVAL;
		error = parse_scope(percent + 1, &a.in6.sin6_scope_id);
	}
	if (error == 0)
		*ret_address = a;
	return error;
}

/* "unix:@name" is an abstract socket (unix(7)): a NUL, then the name, and no NUL behind it. */
static int parse_unix(const char *path, struct address *ret_address)
{
	struct address a = {0};
	size_t len = strlen(path);
	bool is_abstract = path[0] == '@';

	if (len == 0 || (is_abstract && len == 1))
		return -EINVAL;
	if (len >= sizeof(a.un.sun_path))
		return -ENAMETOOLONG;
	a.un.sun_family = AF_UNIX;
	memcpy(a.un.sun_path, path, len);
	if (is_abstract)
		a.un.sun_path[0] = '\0';
	a.len = (socklen_t)(PATH_OFFSET + len + !is_abstract);
	*ret_address = a;
	return 0;
}

int address_parse(const char *text, struct address *ret_address)
{
	if (strncmp(text, UNIX_PREFIX, strlen(UNIX_PREFIX)) == 0)
		return parse_unix(text + strlen(UNIX_PREFIX), ret_address);
	if (text[0] == '[')
		return parse_v6(text, ret_address);
	return parse_v4(text, ret_address);
}

int address_parse_ip(const char *text, struct address *ret_address)
{
	char with_port[INET6_ADDRSTRLEN + IF_NAMESIZE + sizeof("[]:0")];
	bool is_v6 = strchr(text, ':') != NULL;

	if (text[0] == '[' || strlen(text) > INET6_ADDRSTRLEN + IF_NAMESIZE)
		return -EINVAL;
	snprintf(with_port, sizeof(with_port), "%s%s%s:0", is_v6 ? "[" : "", text,
		 is_v6 ? "]" : "");
	return address_parse(with_port, ret_address);
}

/* ---- names ----------------------------------------------------------------------------------- */

#define NAME_LEN_MAX  253
#define LABEL_LEN_MAX 63

static bool is_name(struct slice host)
{
	size_t label_len = 0;
	bool is_number = true; /* the label */

	for (size_t i = 0; i < host.len; i++) {
		char c = ascii_lower(host.ptr[i]);

		if (c == '.') {
			if (label_len == 0)
				return false;
			if (i + 1 == host.len)
				break;
			label_len = 0;
			is_number = true;
			continue;
		}
		if (++label_len > LABEL_LEN_MAX)
			return false;
		if (c >= '0' && c <= '9')
			continue;
		if (!(c >= 'a' && c <= 'z') && c != '-' && c != '_')
			return false;
		is_number = false;
	}
	return host.len > 0 && host.len <= NAME_LEN_MAX && !is_number;
}

int address_split_name(const char *text, struct slice *ret_host, uint16_t *ret_port)
{
	const char *colon = strchr(text, ':');
	in_port_t port;
	int error;

	if (!colon || !is_name((struct slice){text, (size_t)(colon - text)}))
		return -EINVAL;
	error = parse_port(colon + 1, &port);
	if (error == 0 && port == 0)
		error = -ERANGE;
	if (error < 0)
		return error;
	*ret_host = (struct slice){text, (size_t)(colon - text)};
	*ret_port = ntohs(port);
	return 0;
}

void address_set_port(struct address *address, uint16_t port)
{
	if (address->sa.sa_family == AF_INET6)
		address->in6.sin6_port = htons(port);
	else
		address->in4.sin_port = htons(port);
}

/* ---- address to text ------------------------------------------------------------------------- */

static size_t path_len(const struct address *address)
{
	/* getsockname(2) and the like tell a length beyond what they were given room for. */
	size_t len = MIN((size_t)address->len, sizeof(address->un));

	return len > PATH_OFFSET ? len - PATH_OFFSET : 0;
}

static void format_unix(const struct address *address, char ret_text[ADDRESS_TEXT_MAX + 1])
{
	const char *path = address->un.sun_path;
	size_t len = path_len(address);
	char *to = ret_text + strlen(UNIX_PREFIX);

	memcpy(ret_text, UNIX_PREFIX, sizeof(UNIX_PREFIX));
	if (len > 0 && path[0] != '\0')
		len = strnlen(path, len);
	/* An abstract name may hold NULs; as ss(8) we show every one as the first. */
	for (size_t i = 0; i < len; i++)
		to[i] = (char)(path[i] ? path[i] : '@');
	to[len] = '\0';
}

static void format_v6_host(const struct address *address, char ret_text[ADDRESS_TEXT_MAX + 1])
{
	size_t len;

	(void)inet_ntop(AF_INET6, &address->in6.sin6_addr, ret_text, INET6_ADDRSTRLEN);
	/* As a number: a name would cost system calls, and an interface may have got another. */
	len = strlen(ret_text);
	if (address->in6.sin6_scope_id)
		snprintf(ret_text + len, ADDRESS_TEXT_MAX + 1 - len, "%%%u",
			 address->in6.sin6_scope_id);
}

void address_format_ip(const struct address *address, char ret_text[ADDRESS_TEXT_MAX + 1])
{
	switch (address->sa.sa_family) {
	case AF_INET:
		(void)inet_ntop(AF_INET, &address->in4.sin_addr, ret_text, INET_ADDRSTRLEN);
		break;
	case AF_INET6:
		format_v6_host(address, ret_text);
		break;
	case AF_UNIX:
		snprintf(ret_text, ADDRESS_TEXT_MAX + 1, "unix");
		break;
	default:
		snprintf(ret_text, ADDRESS_TEXT_MAX + 1, "unknown");
	}
}

void address_format(const struct address *address, char ret_text[ADDRESS_TEXT_MAX + 1])
{
	char host[ADDRESS_TEXT_MAX + 1];
	struct text_writer w;

	if (address->sa.sa_family == AF_UNIX) {
		format_unix(address, ret_text);
		return;
	}
	address_format_ip(address, host);
	text_writer_init(&w, ret_text, ADDRESS_TEXT_MAX);
	text_put_str(&w, address->sa.sa_family == AF_INET6 ? "[" : "");
	text_put_str(&w, host);
	text_put_str(&w, address->sa.sa_family == AF_INET6 ? "]:" : ":");
	text_put_u64(&w, address_port(address));
	ret_text[w.len] = '\0';
}

bool address_equal(const struct address *a, const struct address *b)
{
	if (a->sa.sa_family != b->sa.sa_family)
		return false;
	switch (a->sa.sa_family) {
	case AF_INET:
		return a->in4.sin_port == b->in4.sin_port &&
		       a->in4.sin_addr.s_addr == b->in4.sin_addr.s_addr;
	case AF_INET6:
		return a->in6.sin6_port == b->in6.sin6_port &&
		       a->in6.sin6_scope_id == b->in6.sin6_scope_id &&
		       IN6_ARE_ADDR_EQUAL(&a->in6.sin6_addr, &b->in6.sin6_addr);
	default:
		return a->len == b->len &&
		       memcmp(&a->un, &b->un, MIN((size_t)a->len, sizeof(a->un))) == 0;
	}
}

uint16_t address_port(const struct address *address)
{
	if (address->sa.sa_family == AF_INET)
		return ntohs(address->in4.sin_port);
	return address->sa.sa_family == AF_INET6 ? ntohs(address->in6.sin6_port) : 0;
}
