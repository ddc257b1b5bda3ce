/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP/1.1 message heads, strictly (RFC 9112, RFC 9110 s5). A gateway that repairs what it does
 * not understand is the classic way to request smuggling, so everything doubtful is refused:
 * obs-fold, bare CR or LF, space before the colon, a second Host, conflicting lengths. Pure: no
 * I/O, allocation, logging or clock. All slices point into the caller's buffer.
 */
#pragma once
#include "base/std.h"
#include "proto/errors.h"

#define HTTP1_FIELDS_MAX 128 /* hard bound of struct http1_head; configuration may set less */

struct http1_limits {
	uint32_t head_bytes;   /* request or status line, headers and the empty line */
	uint32_t target_bytes; /* request target */
	uint16_t fields;       /* 1..HTTP1_FIELDS_MAX */
};

struct http1_field {
	struct slice name;  /* a token, as received */
	struct slice value; /* without surrounding white space; may be empty */
};

struct http1_head {
	/* request */
	struct slice method; /* a token, case-sensitive */
	struct slice target; /* as received: origin form, or absolute form */
	struct slice path;   /* of target, without query; starts with '/' */
	struct slice query;  /* after '?', without it; empty if none */
	struct slice
	    host; /* Host header, or the authority of an absolute target (RFC 9112 s3.2.2) */
	/* response */
	uint16_t status; /* 100..599 */
	struct slice reason;
	/* both */
	uint8_t minor_version; /* HTTP/1.minor: 0 or 1 */
	bool has_content_length;
	bool is_chunked; /* Transfer-Encoding is present (only "chunked" is accepted) */
	uint64_t content_length;
	uint16_t n_fields;
	struct http1_field fields[HTTP1_FIELDS_MAX];
};

/* Where an incremental scan stands; zero it for a new head. */
struct http1_scan {
	uint32_t pos; /* bytes already looked at */
	uint32_t line_start;
	uint16_t n_lines; /* complete lines so far */
};

/**
 * http1_head_scan() - find the end of a head that arrives in pieces
 * @scan: state between calls for the same growing buffer
 * @buf: all @len bytes received so far, from the first byte of the head
 *
 * Looks at each byte once over all calls (a CR at the end of a piece twice). Refuses forbidden
 * bytes (RFC 9112 s2.2) and limits as soon as they are seen, so that garbage never waits for a
 * deadline. Empty lines ahead of a request line are refused, too.
 *
 * Return: length of the head with its empty line, 0 if more is needed, or -EHTTP_CONTROL_CHAR,
 * -EHTTP_SYNTAX (empty line first), -EHTTP_TARGET_LONG (first line over target_bytes + 32),
 * -EHTTP_HEAD_LARGE, -EHTTP_FIELDS_MANY.
 */
ssize_t http1_head_scan(struct http1_scan *scan, const char *buf, size_t len,
			const struct http1_limits *limits);

/**
 * http1_request_parse() - take a complete request head apart
 * @buf: @len bytes, exactly what http1_head_scan() returned
 * @ret_head: large (about 4 kB); written also on failure, meaningless then
 *
 * A target may hold any visible ASCII but '#': browsers leave much unencoded that RFC 3986 would
 * not. A host is an IPv6 address in brackets or made of letters, digits and "-._~", without the
 * rest that RFC 3986 allows in a name. HTTP/1.0 needs no Host; .host is then empty.
 *
 * Return: 0, or -EHTTP_…: SYNTAX, CONTROL_CHAR, OBS_FOLD, FIELD_SPACE, HOST, TARGET, FRAMING,
 * VERSION, TARGET_LONG, HEAD_LARGE, FIELDS_MANY. A method other than GET and a body are for the
 * handshake to refuse (ws_handshake.h).
 */
int http1_request_parse(const char *buf, size_t len, const struct http1_limits *limits,
			struct http1_head *ret_head);

/** http1_response_parse() - as http1_request_parse(), for a status line; errors likewise */
int http1_response_parse(const char *buf, size_t len, const struct http1_limits *limits,
			 struct http1_head *ret_head);

/** http1_find() - first field named @name (any case), or NULL. http1_find_next() goes on after it
 */
const struct http1_field *http1_find(const struct http1_head *head, struct slice name);
const struct http1_field *http1_find_next(const struct http1_head *head,
					  const struct http1_field *after);

/*
 * Walks a comma-separated list (RFC 9110 s5.6.1) over one field value; empty elements are
 * skipped. Quoted strings are respected.
 * http1_list_next() returns false at the end; *rest starts as the whole value.
 */
bool http1_list_next(struct slice *rest, struct slice *ret_element);
/** http1_list_has() - whether any field @name lists @token (any case) */
bool http1_list_has(const struct http1_head *head, struct slice name, struct slice token);
/** http1_is_token() - 1*tchar (RFC 9110 s5.6.2) */
bool http1_is_token(struct slice s);
/** http1_is_hop_by_hop() - a field that a proxy must not forward (RFC 9110 s7.6.1), not counting
 *  those that the message's own Connection header names */
bool http1_is_hop_by_hop(struct slice name);

/** http1_status_text() - reason phrase for a status that we send; "" if not known */
const char *http1_status_text(unsigned int status);
