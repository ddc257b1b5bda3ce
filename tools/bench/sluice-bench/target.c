/* SPDX-License-Identifier: Apache-2.0 */
#include "target.h"

#include <netdb.h>
#include <stdio.h>

#define WS_SCHEME    "ws://"
#define UNIX_SCHEME  "unix:"
#define DEFAULT_PORT "80" /* RFC 6455 s3 */

static int parse_unix(const char *text, struct target *target, const char **ret_error)
{
	if (address_parse(text, &target->address) < 0) {
		*ret_error = "expected unix:/path, at most 107 bytes of it";
		return -EINVAL;
	}
	strcpy(target->host, "localhost");
	strcpy(target->path, "/");
	return 0;
}

static int resolve(const char *host, const char *port, struct address *ret_address,
		   const char **ret_error)
{
	const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
	struct addrinfo *list = NULL;
	int r = getaddrinfo(host, port, &hints, &list);

	if (r != 0) {
		*ret_error = gai_strerror(r);
		return -EINVAL;
	}
	*ret_address = (struct address){.len = list->ai_addrlen};
	memcpy(&ret_address->sa, list->ai_addr, list->ai_addrlen);
	freeaddrinfo(list);
	return 0;
}

/* Splits "host:port", "host" and "[v6]:port" in place; the host loses its brackets. */
static int split_authority(char *authority, char **ret_host, const char **ret_port)
{
	char *host = authority, *end, *rest;

	if (*host == '[') {
		host++;
		end = strchr(host, ']');
		if (!end)
			return -EINVAL;
		rest = end + 1;
		*end = '\0';
	} else {
		rest = host + strcspn(host, ":");
	}
	*ret_port = DEFAULT_PORT;
	if (*rest == ':') {
		*rest = '\0';
		*ret_port = rest + 1;
	} else if (*rest != '\0') {
		return -EINVAL;
	}
	if (*host == '\0' || **ret_port == '\0')
		return -EINVAL;
	*ret_host = host;
	return 0;
}

static bool is_plain_text(const char *s)
{
	for (; *s; s++) {
		if (*s <= ' ' || *s >= 0x7f)
			return false;
	}
	return true;
}

int target_parse(const char *text, struct target *ret_target, const char **ret_error)
{
	struct target target = {0};
	char authority[TARGET_HOST_MAX + 1], *host;
	const char *rest, *port;
	size_t len;
	int r;

	if (strncmp(text, "wss://", 6) == 0) {
		*ret_error = "TLS is not supported; expected ws:// or unix:";
		return -EINVAL;
	}
	if (strncmp(text, UNIX_SCHEME, strlen(UNIX_SCHEME)) == 0) {
		r = parse_unix(text, &target, ret_error);
		if (r == 0)
			*ret_target = target;
		return r;
	}
	*ret_error = "expected ws://HOST[:PORT][/PATH] or unix:/path";
	if (strncmp(text, WS_SCHEME, strlen(WS_SCHEME)) != 0 || !is_plain_text(text))
		return -EINVAL;
	text += strlen(WS_SCHEME);
	len = strcspn(text, "/?#");
	rest = text + len;
	/* A URL of RFC 6455 s3 has no fragment. */
	if (len > TARGET_HOST_MAX || strlen(rest) >= TARGET_PATH_MAX || strchr(text, '#'))
		return -EINVAL;
	snprintf(target.host, sizeof(target.host), "%.*s", (int)len, text);
	snprintf(target.path, sizeof(target.path), "%s%s", *rest == '/' ? "" : "/", rest);
	memcpy(authority, target.host, sizeof(authority));
	if (split_authority(authority, &host, &port) < 0)
		return -EINVAL;
	r = resolve(host, port, &target.address, ret_error);
	if (r == 0)
		*ret_target = target;
	return r;
}
