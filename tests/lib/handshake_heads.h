/* SPDX-License-Identifier: Apache-2.0 */
/* Opening handshakes around the sample of RFC 6455 s1.3, and checking heads that are text. */
#pragma once
#include "lib/assert_slice.h"
#include "proto/ws_handshake.h"

/* RFC 6455 s1.3 */
#define SAMPLE_KEY    "dGhlIHNhbXBsZSBub25jZQ=="
#define SAMPLE_ACCEPT "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

#define KEY_LINE     "Sec-WebSocket-Key: " SAMPLE_KEY "\r\n"
#define VERSION_LINE "Sec-WebSocket-Version: 13\r\n"
#define UPGRADE_LINE "Upgrade: websocket\r\n"
#define CONN_LINE    "Connection: Upgrade\r\n"
#define ACCEPT_LINE  "Sec-WebSocket-Accept: " SAMPLE_ACCEPT "\r\n"

/* A request that has what RFC 6455 s4.2.1 asks for, and more. */
#define REQUEST(fields)                                                                         \
	"GET /chat HTTP/1.1\r\nHost: h\r\n" UPGRADE_LINE CONN_LINE KEY_LINE VERSION_LINE fields \
	"\r\n"
#define RESPONSE(fields) \
	"HTTP/1.1 101 Switching Protocols\r\n" UPGRADE_LINE CONN_LINE ACCEPT_LINE fields "\r\n"

static const struct http1_limits limits = {
    .head_bytes = 65536,
    .target_bytes = 4096,
    .fields = HTTP1_FIELDS_MAX,
};

static inline void assert_text(const struct text_writer *w, const char *want)
{
	assert_false(w->is_truncated);
	assert_slice((struct slice){w->buf, w->len}, want);
}

static inline int check(const char *request, struct ws_upgrade *ret_upgrade)
{
	struct http1_head head;

	assert_int_equal(http1_request_parse(request, strlen(request), &limits, &head), 0);
	return ws_handshake_check_request(&head, ret_upgrade);
}

static inline int check_answer(const char *response, struct ws_upgraded *ret_upgraded)
{
	static const char request[] = REQUEST(
	    "Sec-WebSocket-Protocol: chat, superchat\r\n"
	    "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits, foo, bar\r\n");
	struct ws_upgrade offered;
	struct http1_head head;

	assert_int_equal(check(request, &offered), 0);
	assert_int_equal(http1_response_parse(response, strlen(response), &limits, &head), 0);
	return ws_handshake_check_response(&head, SAMPLE_KEY, &offered, ret_upgraded);
}
