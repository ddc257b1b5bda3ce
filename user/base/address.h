/* SPDX-License-Identifier: Apache-2.0 */
/* Socket addresses of the three families that we listen on and connect to. */
#pragma once
#include "base/std.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

/* "unix:" and the longest path; "[v6%scope]:port" is shorter. Without NUL. */
#define ADDRESS_TEXT_MAX (5 + sizeof(((struct sockaddr_un *)0)->sun_path))

struct address {
	union {
		struct sockaddr sa;
		struct sockaddr_in in4; /* port and address in network order */
		struct sockaddr_in6 in6;
		struct sockaddr_un un;
	};
	socklen_t len; /* bytes in use, as bind(2) and connect(2) want it */
};

/**
 * address_parse() - "1.2.3.4:80", "[::1]:80", "[fe80::1%eth0]:80", "unix:/path", "unix:@abstract"
 *
 * Numeric only (names are resolved elsewhere, asynchronously). Port 0..65535. A scope (RFC 4007
 * s11) is the name or the number of an interface, and only link-local addresses may have one.
 * Return: 0, -EINVAL (form), -ERANGE (port), -ENODEV (no such interface) or -ENAMETOOLONG (unix
 * path of more than 107 bytes).
 */
int address_parse(const char *text, struct address *ret_address);
/** address_parse_ip() - "1.2.3.4", "::1", "fe80::1%eth0", all with port 0. Return: as above */
int address_parse_ip(const char *text, struct address *ret_address);
/**
 * address_split_name() - "backend.example:9000"
 *
 * A name is up to 253 letters, digits, '-', '_' and '.' in labels of 1..63 (RFC 1035 s2.3.4), with
 * a dot at its end or without. The last label is not a number: that would be a mistyped IPv4
 * address. Port 1..65535.
 * Return: 0, -EINVAL (form) or -ERANGE (port).
 */
int address_split_name(const char *text, struct slice *ret_host, uint16_t *ret_port);
/** address_set_port() - not for unix sockets */
void address_set_port(struct address *address, uint16_t port);
/**
 * address_format() - the form that address_parse() reads, with NUL
 *
 * An unnamed peer is "unix:", a scope is a number, and a NUL in an abstract name is shown as '@'.
 * Unix paths are bytes that somebody chose: escape them before a terminal or JSON sees them.
 */
void address_format(const struct address *address, char ret_text[ADDRESS_TEXT_MAX + 1]);
/** address_format_ip() - the host part alone, without brackets; "unix" for unix sockets */
void address_format_ip(const struct address *address, char ret_text[ADDRESS_TEXT_MAX + 1]);
bool address_equal(const struct address *a, const struct address *b);
/** address_port() - host order; 0 for unix sockets */
uint16_t address_port(const struct address *address);
