/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one table of what can be wrong with a peer's bytes, and what a peer is told.
 *
 * Protocol code returns -errno. Where <errno.h> has no word precise enough, it returns the
 * negative of one of the codes below, which lie above every system errno (the kernel keeps
 * ERESTARTSYS and its kin apart in the same way). Each code has a stable name, used as the JSON
 * "error" of a refusal, as the `reason` of the access log, and as the label of
 * sluice_refused_total and sluice_closed_total.
 */
#pragma once
#include "base/std.h"

#define PROTO_ERROR_BASE 1000

/*
 * X(symbol, name, HTTP status before the upgrade or 0, close code after it or 0, text)
 * A status is what the client is told; a close code is RFC 6455 s7.4.1's.
 */
#define PROTO_ERRORS(X)                                                                            \
	/* HTTP/1.1 head, RFC 9112 and RFC 9110 */                                                 \
	X(EHTTP_SYNTAX, "bad_syntax", 400, 0, "malformed request line or header")                  \
	X(EHTTP_CONTROL_CHAR, "bad_character", 400, 0,                                             \
	  "control character, bare CR or bare LF in the head")                                     \
	X(EHTTP_OBS_FOLD, "obs_fold", 400, 0, "folded header line")                                \
	X(EHTTP_FIELD_SPACE, "space_before_colon", 400, 0,                                         \
	  "white space between header name and ':'")                                               \
	X(EHTTP_HOST, "bad_host", 400, 0, "exactly one valid Host header is required")             \
	X(EHTTP_TARGET, "bad_target", 400, 0, "request target must be an origin or absolute form") \
	X(EHTTP_FRAMING, "bad_framing", 400, 0,                                                    \
	  "conflicting, repeated or malformed Content-Length or Transfer-Encoding")                \
	X(EHTTP_BODY, "body_not_allowed", 400, 0, "a WebSocket handshake carries no body")         \
	X(EHTTP_VERSION, "http_version", 505, 0, "HTTP/1.1 is required")                           \
	X(EHTTP_METHOD, "method_not_allowed", 405, 0, "a WebSocket handshake is a GET request")    \
	X(EHTTP_TARGET_LONG, "target_too_long", 414, 0, "request target over the limit")           \
	X(EHTTP_HEAD_LARGE, "head_too_large", 431, 0, "request head over the limit")               \
	X(EHTTP_FIELDS_MANY, "too_many_headers", 431, 0, "more headers than the limit")            \
	/* WebSocket handshake, RFC 6455 s4 */                                                     \
	X(EWS_UPGRADE, "upgrade_required", 426, 0, "this resource speaks only WebSocket")          \
	X(EWS_CONNECTION, "bad_connection_header", 400, 0,                                         \
	  "Connection must name upgrade, and at most 32 options")                                  \
	X(EWS_KEY, "bad_key", 400, 0,                                                              \
	  "exactly one Sec-WebSocket-Key of 16 bytes in base64 is required")                       \
	X(EWS_VERSION, "bad_version", 426, 0, "Sec-WebSocket-Version must be 13")                  \
	X(EWS_PROTOCOL, "bad_subprotocol", 400, 0, "malformed or repeated Sec-WebSocket-Protocol") \
	X(EWS_EXTENSION, "bad_extension", 400, 0, "malformed Sec-WebSocket-Extensions")            \
	/* what an endpoint answered, RFC 6455 s4.1; told to the client as 502 */                  \
	X(EUP_SYNTAX, "endpoint_bad_response", 502, 0, "endpoint sent a malformed HTTP response")  \
	X(EUP_LARGE, "endpoint_response_too_large", 502, 0,                                        \
	  "endpoint's response head over the limit")                                               \
	X(EUP_STATUS, "endpoint_refused_upgrade", 502, 0, "endpoint did not answer 101")           \
	X(EUP_UPGRADE, "endpoint_bad_upgrade", 502, 0,                                             \
	  "endpoint's 101 lacks a valid Upgrade or Connection header")                             \
	X(EUP_ACCEPT, "endpoint_bad_accept", 502, 0, "endpoint's Sec-WebSocket-Accept is wrong")   \
	X(EUP_PROTOCOL, "endpoint_bad_subprotocol", 502, 0,                                        \
	  "endpoint chose a subprotocol that was not offered")                                     \
	X(EUP_EXTENSION, "endpoint_bad_extension", 502, 0,                                         \
	  "endpoint chose an extension that was not offered")                                      \
	X(EUP_CONNECT, "endpoint_connect_failed", 502, 0, "no endpoint accepted the connection")   \
	X(EUP_CLOSED, "endpoint_closed", 502, 1014, "endpoint closed the connection early")        \
	X(EUP_TIMEOUT, "endpoint_timeout", 504, 1014, "endpoint did not answer in time")           \
	X(EUP_RESOLVE, "endpoint_unresolved", 503, 0, "endpoint's name is not resolved")           \
	X(EUP_NONE, "no_endpoint", 503, 1013, "no endpoint is available")                          \
	/* frames, RFC 6455 s5 */                                                                  \
	X(EWS_RSV, "reserved_bits", 0, 1002,                                                       \
	  "reserved bit set without an extension (RFC 6455 s5.2)")                                 \
	X(EWS_OPCODE, "reserved_opcode", 0, 1002, "reserved opcode (RFC 6455 s5.2)")               \
	X(EWS_LENGTH, "bad_length", 0, 1002,                                                       \
	  "payload length not minimal or over 2^63-1 (RFC 6455 s5.2)")                             \
	X(EWS_MASK, "bad_masking", 0, 1002,                                                        \
	  "client frame not masked or server frame masked (RFC 6455 s5.1)")                        \
	X(EWS_CONTROL, "bad_control_frame", 0, 1002,                                               \
	  "control frame fragmented or over 125 bytes (RFC 6455 s5.5)")                            \
	X(EWS_FRAGMENT, "bad_fragment", 0, 1002,                                                   \
	  "continuation without a message, or a new message inside one (RFC 6455 s5.4)")           \
	X(EWS_CLOSE_CODE, "bad_close", 0, 1002,                                                    \
	  "invalid close code or close payload (RFC 6455 s7.4)")                                   \
	X(EWS_AFTER_CLOSE, "frame_after_close", 0, 1002,                                           \
	  "frame after a Close frame (RFC 6455 s5.5.1)")                                           \
	X(EWS_UTF8, "bad_utf8", 0, 1007, "text is not UTF-8 (RFC 6455 s8.1)")                      \
	X(EWS_FRAME_SIZE, "frame_too_large", 0, 1009, "frame over max_frame")                      \
	X(EWS_MESSAGE_SIZE, "message_too_large", 0, 1009, "message over max_message")              \
	/* what the gateway decides */                                                             \
	X(EGW_NO_ROUTE, "no_route", 404, 0, "no route matches")                                    \
	X(EGW_ORIGIN, "origin", 403, 0, "the page's origin is not allowed here")                   \
	X(EGW_HANDSHAKE_TIMEOUT, "handshake_timeout", 408, 0, "handshake not finished in time")    \
	X(EGW_IDLE, "tunnel_timeout", 0, 1001, "no traffic for tunnel_timeout")                    \
	X(EGW_DURATION, "max_connection_duration", 0, 1001,                                        \
	  "connection open for max_connection_duration")                                           \
	X(EGW_KEEPALIVE, "keepalive_timeout", 0, 1011, "a peer did not answer a Ping in time")     \
	X(EGW_CLOSE_TIMEOUT, "close_timeout", 0, 0, "peer did not finish closing in time")         \
	X(EGW_CONNECTIONS, "too_many_connections", 503, 1013, "connection limit reached")          \
	X(EGW_MEMORY, "out_of_memory", 503, 1013, "out of memory or over a memory limit")          \
	X(EGW_BREAKER, "breaker_open", 503, 1013, "the endpoints fail and are left alone")         \
	X(EGW_PORTS, "no_source_port", 503, 1013, "no local port or address to connect from")      \
	X(EGW_SHUTDOWN, "shutdown", 503, 1001, "the gateway is stopping")                          \
	X(EGW_DRAINING, "draining", 503, 1001, "being drained by the operator")                    \
	X(EGW_ADMIN, "closed_by_operator", 503, 1001, "closed by the operator")                    \
	X(EGW_INTERNAL, "internal_error", 500, 1011, "internal error")                             \
	/* not errors: how a connection ended by itself */                                         \
	X(EEND_CLOSE, "close_frame", 0, 0, "closing handshake")                                    \
	X(EEND_EOF, "eof", 0, 0, "peer closed without a Close frame")                              \
	X(EEND_RESET, "reset", 0, 0, "peer reset the connection")                                  \
	X(EEND_RESPONSE, "response", 0, 0, "answered by a respond route")

enum proto_error {
	PROTO_ERROR_FIRST = PROTO_ERROR_BASE - 1,
#define X(symbol, name, status, close_code, text) symbol,
	PROTO_ERRORS(X)
#undef X
	PROTO_ERROR_END, /* one past the last */
};

#define PROTO_ERROR_COUNT (PROTO_ERROR_END - PROTO_ERROR_BASE)

struct proto_error_info {
	const char *name;     /* stable, lower_snake_case */
	const char *text;     /* for people */
	uint16_t http_status; /* 0 where no HTTP answer is possible */
	uint16_t close_code;  /* 0 where no Close frame applies */
};

/**
 * proto_error_info() - what is known about @error, given with either sign
 *
 * Return: never NULL. A system errno or an unknown number gives EGW_INTERNAL's entry, except
 * ENOMEM and ENOBUFS (EGW_MEMORY), ECONNRESET and EPIPE (EEND_RESET), ETIMEDOUT (EEND_RESET).
 */
const struct proto_error_info *proto_error_info(int error);
/** proto_error_index() - 0..PROTO_ERROR_COUNT-1 for counters, by the same rule */
size_t proto_error_index(int error);
/** proto_error_at() - the entry with index @index, for listing counters */
const struct proto_error_info *proto_error_at(size_t index);
