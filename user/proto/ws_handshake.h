/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The opening handshake, both sides (RFC 6455 s4), and the heads that a proxy writes. Pure; SHA-1
 * is OpenSSL's.
 */
#pragma once
#include "base/std.h"
#include "base/text_writer.h"
#include "proto/http1_head.h"

#define WS_KEY_LEN        24 /* base64 of 16 bytes */
#define WS_ACCEPT_LEN     28 /* base64 of a SHA-1 */
#define WS_PROTOCOLS_MAX  32
#define WS_EXTENSIONS_MAX 16
#define WS_CONNECTION_MAX 32 /* names in Connection; a proxy looks for each among the fields */

/* What a valid upgrade request asks for; slices point into the request head. */
struct ws_upgrade {
	struct slice key;                           /* WS_KEY_LEN characters */
	struct slice protocols[WS_PROTOCOLS_MAX];   /* in the client's order, no two equal */
	struct slice extensions[WS_EXTENSIONS_MAX]; /* names only, in order; may repeat */
	uint8_t n_protocols, n_extensions;
};

/**
 * ws_handshake_check_request() - RFC 6455 s4.2.1
 *
 * "Content-Length: 0" is no body. A key whose last 4 bits, which belong to no byte, are not zero is
 * accepted (RFC 4648 s3.5 leaves it open): it is never decoded.
 *
 * Return: 0 and @ret_upgrade, or, in the order in which they are looked for, -EHTTP_METHOD,
 * -EHTTP_VERSION (HTTP/1.0), -EWS_UPGRADE (not an upgrade to websocket), -EHTTP_BODY,
 * -EWS_CONNECTION, -EWS_VERSION, -EWS_KEY, -EWS_PROTOCOL, -EWS_EXTENSION.
 */
int ws_handshake_check_request(const struct http1_head *head, struct ws_upgrade *ret_upgrade);

/** ws_handshake_accept() - Sec-WebSocket-Accept for @key (WS_KEY_LEN characters; s4.2.2) */
void ws_handshake_accept(const char key[WS_KEY_LEN], char ret_accept[WS_ACCEPT_LEN + 1]);

/** ws_handshake_new_key() - a random Sec-WebSocket-Key (s4.1) */
void ws_handshake_new_key(char ret_key[WS_KEY_LEN + 1]);

/* What an accepted upgrade settled; slices point into the response head. */
struct ws_upgraded {
	struct slice protocol; /* empty if none */
	uint8_t allowed_rsv;   /* bits 4..6 of the first frame byte that extensions use:
				* WS_RSV1 with permessage-deflate, 0 without extensions,
				* all three with an extension that we do not know */
};

/**
 * ws_handshake_check_response() - RFC 6455 s4.1, steps 1-6, for a complete response head
 * @key: what was sent
 * @upgrade: what was offered
 *
 * Return: 0, or -EUP_STATUS, -EUP_UPGRADE, -EUP_ACCEPT, -EUP_PROTOCOL, -EUP_EXTENSION.
 */
int ws_handshake_check_response(const struct http1_head *head, const char key[WS_KEY_LEN],
				const struct ws_upgrade *upgrade, struct ws_upgraded *ret_upgraded);

/* What becomes of a request on its way. */
struct ws_forward {
	struct slice path;           /* instead of the target's; ptr is NULL if that stays */
	const struct slice *dropped; /* names of fields that are not passed on */
	size_t n_dropped;
};

/**
 * ws_handshake_write_forward() - the request head that a proxy sends to an endpoint
 *
 * The client's head in its order and spelling, with an origin-form target, that target's
 * authority as Host if it had one, less Content-Length (0) and hop-by-hop fields: those of RFC
 * 9110 s7.6.1 and those that Connection names, never Host nor Sec-WebSocket-*, which the handshake
 * needs. (Cookie or Authorization go if they are named: a client that may name them may as well
 * leave them out, and the RFC says MUST.) At the end "Connection: Upgrade" and "Upgrade:
 * websocket".
 *
 * The empty line is the caller's: behind more fields, if there are any, which no Connection can
 * take away.
 * @changes: may be NULL
 */
void ws_handshake_write_forward(struct text_writer *w, const struct http1_head *head,
				const struct ws_forward *changes);

/**
 * ws_handshake_write_forward_response() - the 101 that a proxy passes to the client, by the same
 * rule, with the endpoint's reason phrase
 */
void ws_handshake_write_forward_response(struct text_writer *w, const struct http1_head *head);

/** ws_handshake_write_accept() - our own 101, for endpoints inside the gateway; @protocol may be
 * empty */
void ws_handshake_write_accept(struct text_writer *w, const char key[WS_KEY_LEN],
			       struct slice protocol);

/** ws_handshake_write_request() - a client's request (load generator, health checks);
 *  @protocol may be empty, @extra as above */
void ws_handshake_write_request(struct text_writer *w, struct slice host, struct slice target,
				const char key[WS_KEY_LEN], struct slice protocol,
				struct slice extra);

/**
 * ws_handshake_write_error() - a complete HTTP error response with a JSON body and Connection:
 * close
 *
 * Body: {"error":"<name>","detail":"<text>"}. 426 carries Upgrade and Sec-WebSocket-Version: 13
 * (RFC 6455 s4.4), 405 carries Allow, 503 Retry-After. An error without an HTTP status is told as
 * EGW_INTERNAL. Fits into 1 kB.
 */
void ws_handshake_write_error(struct text_writer *w, int error);
/** ws_handshake_write_refusal() - likewise, with a 503's Retry-After (RFC 9110 s10.2.3), else 1 */
void ws_handshake_write_refusal(struct text_writer *w, int error, uint64_t retry_after_s);
