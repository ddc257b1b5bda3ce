/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an endpoint answers to an upgrade. Nothing is accepted that was not offered, and what the
 * client is sent of an accepted answer says the same.
 */
#include "lib/http1_invariants.h"
#include "proto/ws_frame.h"
#include "proto/ws_handshake.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char key[] = "dGhlIHNhbXBsZSBub25jZQ=="; /* RFC 6455 s1.3 */
static const struct ws_upgrade offered = {
    .key = {key, WS_KEY_LEN},
    .protocols = {{"chat", 4}, {"superchat", 9}},
    .extensions = {{"permessage-deflate", 18}, {"foo", 3}},
    .n_protocols = 2,
    .n_extensions = 2,
};

static void check_upgraded(const struct http1_head *head, const struct ws_upgraded *upgraded)
{
	const struct http1_field *protocol =
	    http1_find(head, SLICE_LITERAL("Sec-WebSocket-Protocol"));
	const struct http1_field *extensions =
	    http1_find(head, SLICE_LITERAL("Sec-WebSocket-Extensions"));

	assert(head->status == 101);
	assert(slice_equal(http1_find(head, SLICE_LITERAL("Sec-WebSocket-Accept"))->value,
			   SLICE_LITERAL("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")));
	assert((upgraded->protocol.len > 0) == (protocol != NULL));
	assert(!protocol || slice_equal(upgraded->protocol, offered.protocols[0]) ||
	       slice_equal(upgraded->protocol, offered.protocols[1]));
	assert((upgraded->allowed_rsv != 0) == (extensions && extensions->value.len > 0));
	assert(upgraded->allowed_rsv == 0 || upgraded->allowed_rsv == WS_RSV1 ||
	       upgraded->allowed_rsv == WS_RSV_MASK);
}

static void check_forwarded(const struct http1_head *head, const struct ws_upgraded *upgraded,
			    size_t len)
{
	size_t cap = len + 256;
	_cleanup_free_ char *buf = malloc(cap);
	struct http1_limits limits = http1_wide;
	struct http1_scan scan = {0};
	struct ws_upgraded again;
	struct http1_head after;
	struct text_writer w;

	assert(buf);
	if (head->n_fields + 2 > HTTP1_FIELDS_MAX)
		return;
	text_writer_init(&w, buf, cap);
	ws_handshake_write_forward_response(&w, head);
	assert(!w.is_truncated);
	limits.head_bytes = limits.target_bytes = UINT32_MAX;
	assert(http1_head_scan(&scan, buf, w.len, &limits) == (ssize_t)w.len);
	assert(http1_response_parse(buf, w.len, &limits, &after) == 0);
	assert(ws_handshake_check_response(&after, key, &offered, &again) == 0);
	assert(slice_equal(again.protocol, upgraded->protocol));
	assert(again.allowed_rsv == upgraded->allowed_rsv);
	assert(slice_equal(after.reason, head->reason));
	assert(!after.has_content_length && !after.is_chunked);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint64_t hash = http1_hash(data, size);
	struct http1_limits limits = http1_limits_from(hash >> 8);
	const char *text = (const char *)data;
	struct ws_upgraded upgraded;
	struct http1_head head;
	ssize_t n = http1_check_scan(text, size, hash % (size + 1), &limits);
	_cleanup_free_ char *copy = malloc(n > 0 ? (size_t)n : 1);
	const char *p;
	int error;

	assert(copy);
	if (http1_response_parse(text, size, &limits, &head) == 0)
		assert(n == (ssize_t)size);
	if (n <= 0)
		return 0;
	memcpy(copy, data, (size_t)n);
	if (http1_response_parse(copy, (size_t)n, &limits, &head) < 0)
		return 0;
	assert(head.status >= 100 && head.status <= 599);
	p = copy + strlen("HTTP/1.1 101 ");
	http1_check_fields(&head, http1_check_part(p, head.reason, "\r\n"), copy + n);
	http1_check_framing(&head);
	error = ws_handshake_check_response(&head, key, &offered, &upgraded);
	if (error < 0) {
		assert(error <= -EUP_STATUS && error >= -EUP_EXTENSION);
		return 0;
	}
	check_upgraded(&head, &upgraded);
	check_forwarded(&head, &upgraded, (size_t)n);
	return 0;
}
