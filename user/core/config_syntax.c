/* SPDX-License-Identifier: Apache-2.0 */
#include "core/config_syntax.h"

#include "base/address.h"
#include "base/dscp.h"
#include "base/ip_prefix.h"
#include "base/parse.h"
#include "proto/http1_head.h"
#include "proto/origin.h"

#include <stdio.h>

#define ALPHANUMERIC "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"

bool config_is_path(const char *text)
{
	return text[0] == '/';
}

bool config_is_log_target(const char *text)
{
	return strcmp(text, "-") == 0 || config_is_path(text);
}

/* "[::1]": what address_parse() takes with a port, without an interface. */
static bool is_bracketed_ipv6(const char *text)
{
	char with_port[64];
	struct address address;

	if (strchr(text, '%') ||
	    (size_t)snprintf(with_port, sizeof(with_port), "%s:1", text) >= sizeof(with_port))
		return false;
	return address_parse(with_port, &address) == 0 && address.sa.sa_family == AF_INET6;
}

bool config_is_host(const char *text)
{
	if (text[0] == '[')
		return is_bracketed_ipv6(text);
	return text[0] != '\0' && text[strspn(text, ALPHANUMERIC "_.-")] == '\0';
}

static bool is_dot_segment(struct slice segment)
{
	return slice_equal(segment, SLICE_LITERAL(".")) ||
	       slice_equal(segment, SLICE_LITERAL(".."));
}

/* The last segment of a prefix goes on in the request: "/.*" is about "/.well-known". */
static bool has_dot_segment(const char *path)
{
	while (*path == '/') {
		size_t len = strcspn(++path, "/*");

		if (path[len] != '*' && is_dot_segment((struct slice){path, len}))
			return true;
		path += len;
	}
	return false;
}

bool config_is_request_path(const char *text)
{
	const char *p = text;

	while (*p > ' ' && *p <= '~' && *p != '#')
		p++;
	return *p == '\0' && text[0] == '/';
}

/* RFC 9110 s7.2: Host = uri-host [ ":" port ] */
bool config_is_health_host(const char *text)
{
	const char *colon = strrchr(text, ':');
	size_t host_len = colon ? (size_t)(colon - text) : 0;
	char host[256];
	uint64_t port;

	if (text[0] == '\0' || config_is_host(text))
		return true;
	if (host_len == 0 || host_len >= sizeof(host) || parse_u64(colon + 1, &port) < 0 ||
	    port > UINT16_MAX)
		return false;
	memcpy(host, text, host_len);
	host[host_len] = '\0';
	return config_is_host(host);
}

bool config_is_match_path(const char *text)
{
	const char *p = text;

	if (text[0] == '~')
		return text[1] != '\0';
	while (*p > ' ' && *p <= '~' && !strchr("*?#", *p))
		p++;
	if (p[0] == '*')
		p++;
	return *p == '\0' && text[0] == '/' && !has_dot_segment(text);
}

bool config_is_token(const char *text)
{
	return http1_is_token(slice_from_str(text));
}

/* RFC 9110 s5.5: nothing that would end the field and begin another one. */
static bool is_field_value(const char *text)
{
	for (; *text; text++) {
		if ((unsigned char)*text < ' ' || *text == 0x7f)
			return false;
	}
	return true;
}

/* What the handshake, the hop and the framing need is the gateway's own. */
static bool is_reserved(struct slice name)
{
	static const struct slice websocket = SLICE_LITERAL("Sec-WebSocket-");
	struct slice front = {name.ptr, MIN(name.len, websocket.len)};

	return http1_is_hop_by_hop(name) || slice_equal_nocase(front, websocket) ||
	       slice_equal_nocase(name, SLICE_LITERAL("Host")) ||
	       slice_equal_nocase(name, SLICE_LITERAL("Content-Length"));
}

bool config_is_match_field(const char *text)
{
	struct slice name = {text, strcspn(text, ":")};

	return http1_is_token(name) && is_field_value(text);
}

bool config_is_added_field(const char *text)
{
	struct slice name = {text, strcspn(text, ":")};

	return text[name.len] == ':' && config_is_match_field(text) && !is_reserved(name);
}

bool config_is_removed_field(const char *text)
{
	return config_is_token(text) && !is_reserved(slice_from_str(text));
}

bool config_is_origin(const char *text)
{
	return origin_is_pattern(slice_from_str(text));
}

bool config_is_split(const char *text)
{
	size_t name = strspn(text, ALPHANUMERIC "_.-"), blanks = strspn(text + name, " ");
	size_t digits = strspn(text + name + blanks, "0123456789");

	return name > 0 && blanks > 0 && digits > 0 && text[name + blanks + digits] == '\0';
}

bool config_is_split_key(const char *text)
{
	static const char header[] = "header:";

	if (strncmp(text, header, sizeof(header) - 1) == 0)
		return config_is_token(text + sizeof(header) - 1);
	return strcmp(text, "random") == 0 || strcmp(text, "source") == 0;
}

bool config_is_network(const char *text)
{
	struct ip_prefix prefix;

	return ip_prefix_parse(text, &prefix) == 0;
}

bool config_is_source_ports(const char *text)
{
	struct port_range range;

	return parse_port_range(text, &range) == 0 && range.first >= 1024;
}

bool config_is_media_type(const char *text)
{
	size_t len = strlen(text), type = strspn(text, ALPHANUMERIC "!#$&^_.+-");

	for (size_t i = 0; i < len; i++) {
		/* Anything else could end the field and begin another one (RFC 9110 s5.5). */
		if (text[i] < ' ' || text[i] > '~')
			return false;
	}
	return type > 0 && text[type] == '/' && text[type + 1] != '\0' && text[len - 1] != ' ';
}

bool config_is_name(const char *text)
{
	return text[0] != '\0' && text[strspn(text, ALPHANUMERIC "_.-")] == '\0';
}

bool config_is_connectable(const char *text)
{
	struct address address;

	return address_parse(text, &address) == 0 &&
	       (address.sa.sa_family == AF_UNIX || address_port(&address) != 0);
}

bool config_is_target(const char *text)
{
	struct slice host;
	uint16_t port;

	return config_is_connectable(text) || address_split_name(text, &host, &port) == 0;
}

bool config_is_name_server(const char *text)
{
	return config_is_connectable(text) && strncmp(text, "unix:", 5) != 0 && !strchr(text, '%');
}

static const char *after(const char *text, const char *prefix)
{
	size_t len = strlen(prefix);

	return strncmp(text, prefix, len) == 0 ? text + len : NULL;
}

static bool is_token(const char *text)
{
	return text[0] != '\0' && text[strspn(text, ALPHANUMERIC "!#$%&'*+-.^_`|~")] == '\0';
}

bool config_is_hash_key(const char *text)
{
	const char *query = after(text, "query:"), *name = after(text, "header:");

	if (strcmp(text, "source") == 0 || strcmp(text, "host") == 0 || strcmp(text, "path") == 0)
		return true;
	if (query) /* as it stands in a query, where these would end it */
		return query[0] != '\0' && !strpbrk(query, "&=#");
	if (!name)
		name = after(text, "cookie:");
	return name && is_token(name);
}

bool config_is_dscp(const char *text)
{
	uint8_t dscp;

	return dscp_parse(text, &dscp) == 0;
}

bool config_is_any_text(const char *text)
{
	return true;
}
