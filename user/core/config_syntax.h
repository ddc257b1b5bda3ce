/* SPDX-License-Identifier: Apache-2.0 */
/* What texts in a configuration may look like; the table of keys names these. Pure. */
#pragma once
#include "base/std.h"

/** config_is_path() - absolute */
bool config_is_path(const char *text);
/** config_is_log_target() - "-" or an absolute path */
bool config_is_log_target(const char *text);
/** config_is_host() - a name or IPv4 address, or an IPv6 address in brackets; no port */
bool config_is_host(const char *text);
/** config_is_match_path() - as a request target has it before '?' (RFC 9112 s3.2.1), or the
 *  beginning of one with '*' at the end; no "." or ".." segment, which routing refuses. Or '~' and
 *  anything, which is a regular expression's to check */
bool config_is_match_path(const char *text);
/** config_is_request_path() - "/healthz?full=1" */
bool config_is_request_path(const char *text);
/** config_is_health_host() - a host, with a port or without; or nothing */
bool config_is_health_host(const char *text);
/** config_is_token() - as RFC 9110 s5.6.2 has it */
bool config_is_token(const char *text);
/** config_is_match_field() - "Name" or "Name: value" */
bool config_is_match_field(const char *text);
/** config_is_added_field() - "Name: value", not hop-by-hop nor of the handshake */
bool config_is_added_field(const char *text);
/** config_is_removed_field() - a name, likewise */
bool config_is_removed_field(const char *text);
/** config_is_origin() - see origin_is_pattern() */
bool config_is_origin(const char *text);
/** config_is_split() - "CLUSTER WEIGHT" */
bool config_is_split(const char *text);
/** config_is_split_key() - "random", "source" or "header:NAME" */
bool config_is_split_key(const char *text);
/** config_is_network() - an address, or one with the bits of its network behind it */
bool config_is_network(const char *text);
/** config_is_media_type() - "type/subtype" with or without parameters, fit for a header field */
bool config_is_media_type(const char *text);
/** config_is_name() - as sections are named: [A-Za-z0-9_.-] */
bool config_is_name(const char *text);
/** config_is_connectable() - an address, as written, with a port other than 0 */
bool config_is_connectable(const char *text);
/** config_is_target() - that, or a name with a port */
bool config_is_target(const char *text);
/** config_is_name_server() - an IP address with a port, of no interface */
bool config_is_name_server(const char *text);
/** config_is_hash_key() - "source", "host", "path", or "header:", "query:" or "cookie:" with a
 *  name, of a header or a cookie a token (RFC 9110 s5.6.2) */
bool config_is_hash_key(const char *text);
/** config_is_source_ports() - "FIRST-LAST", from 1024 on */
bool config_is_source_ports(const char *text);
/** config_is_dscp() - see dscp_parse() */
bool config_is_dscp(const char *text);
/** config_is_any_text() - always */
bool config_is_any_text(const char *text);
