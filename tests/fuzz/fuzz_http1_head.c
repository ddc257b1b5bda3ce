/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Request heads. Whatever arrives: scanning does not depend on the pieces, an accepted head is
 * tiled by its slices, parsing alone refuses what scanning refuses, and what a proxy makes of an
 * accepted upgrade is an upgrade that asks for the same.
 */
#include "lib/http1_invariants.h"
#include "proto/ws_handshake.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_same_slices(const struct slice *a, const struct slice *b, size_t n)
{
	for (size_t i = 0; i < n; i++)
		assert(slice_equal(a[i], b[i]));
}

static bool is_rewritten(struct slice name)
{
	return http1_is_hop_by_hop(name) ||
	       slice_equal_nocase(name, SLICE_LITERAL("Content-Length"));
}

static bool is_protected(struct slice name)
{
	struct slice start = {name.ptr, MIN(name.len, strlen("Sec-WebSocket-"))};

	return slice_equal_nocase(name, SLICE_LITERAL("Host")) ||
	       slice_equal_nocase(start, SLICE_LITERAL("Sec-WebSocket-"));
}

/* Behind the fields that are passed on, in their order, stand ours. */
static void check_passed_fields(const struct http1_head *before, const struct http1_head *after)
{
	size_t n = 0;

	for (size_t i = 0; i < before->n_fields; i++) {
		struct slice name = before->fields[i].name;

		if (is_rewritten(name) ||
		    (!is_protected(name) &&
		     http1_list_has(before, SLICE_LITERAL("Connection"), name)))
			continue;
		assert(n < after->n_fields && slice_equal(after->fields[n].name, name));
		assert(slice_equal(after->fields[n].value,
				   slice_equal_nocase(name, SLICE_LITERAL("Host"))
				       ? before->host
				       : before->fields[i].value));
		n++;
	}
	assert(after->n_fields == n + 3);
	assert(slice_equal(after->fields[n].name, SLICE_LITERAL("Connection")));
	assert(slice_equal(after->fields[n].value, SLICE_LITERAL("Upgrade")));
	assert(slice_equal(after->fields[n + 1].name, SLICE_LITERAL("Upgrade")));
	assert(slice_equal(after->fields[n + 1].value, SLICE_LITERAL("websocket")));
	assert(slice_equal(after->fields[n + 2].name, SLICE_LITERAL("X-Extra")));
}

static void check_forwarded(const struct http1_head *head, const struct ws_upgrade *upgrade,
			    size_t len)
{
	size_t cap = len + 256;
	_cleanup_free_ char *buf = malloc(cap);
	struct http1_limits limits = http1_wide;
	struct http1_scan scan = {0};
	struct http1_head after;
	struct ws_upgrade again;
	struct text_writer w;

	assert(buf);
	/* Ours may be three more than the parser has room for. */
	if (head->n_fields + 3 > HTTP1_FIELDS_MAX)
		return;
	text_writer_init(&w, buf, cap);
	ws_handshake_write_forward(&w, head, NULL);
	text_put_str(&w, "X-Extra: 1\r\n\r\n");
	assert(!w.is_truncated);
	limits.head_bytes = limits.target_bytes = UINT32_MAX;
	assert(http1_head_scan(&scan, buf, w.len, &limits) == (ssize_t)w.len);
	assert(http1_request_parse(buf, w.len, &limits, &after) == 0);
	assert(ws_handshake_check_request(&after, &again) == 0);
	assert(after.target.ptr[0] == '/');
	assert(slice_equal(after.host, head->host));
	assert(slice_equal(after.path, head->path));
	assert(slice_equal(after.query, head->query));
	check_passed_fields(head, &after);
	assert(slice_equal(again.key, upgrade->key));
	assert(again.n_protocols == upgrade->n_protocols);
	assert(again.n_extensions == upgrade->n_extensions);
	check_same_slices(again.protocols, upgrade->protocols, upgrade->n_protocols);
	check_same_slices(again.extensions, upgrade->extensions, upgrade->n_extensions);
}

/* Our own 101 passes the check that a client makes. */
static void check_accepted(const struct ws_upgrade *upgrade)
{
	struct slice protocol = upgrade->n_protocols ? upgrade->protocols[upgrade->n_protocols - 1]
						     : (struct slice){"", 0};
	size_t cap = protocol.len + 256;
	_cleanup_free_ char *buf = malloc(cap);
	struct ws_upgraded upgraded;
	struct http1_head answer;
	struct text_writer w;

	assert(buf);
	text_writer_init(&w, buf, cap);
	ws_handshake_write_accept(&w, upgrade->key.ptr, protocol);
	assert(!w.is_truncated);
	assert(http1_response_parse(buf, w.len, &http1_wide, &answer) == 0 ||
	       w.len > http1_wide.head_bytes);
	if (w.len > http1_wide.head_bytes)
		return;
	assert(ws_handshake_check_response(&answer, upgrade->key.ptr, upgrade, &upgraded) == 0);
	assert(slice_equal(upgraded.protocol, protocol) && upgraded.allowed_rsv == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint64_t hash = http1_hash(data, size);
	struct http1_limits limits = http1_limits_from(hash >> 8);
	const char *text = (const char *)data;
	struct http1_head head;
	struct ws_upgrade upgrade;
	ssize_t n = http1_check_scan(text, size, hash % (size + 1), &limits);
	_cleanup_free_ char *copy = malloc(n > 0 ? (size_t)n : 1);

	assert(copy);
	/* Without a scan, too, parsing accepts no more than it. */
	if (http1_request_parse(text, size, &limits, &head) == 0)
		assert(n == (ssize_t)size);
	if (n <= 0)
		return 0;
	memcpy(copy, data, (size_t)n);
	if (http1_request_parse(copy, (size_t)n, &limits, &head) < 0)
		return 0;
	http1_check_request(&head, copy, (size_t)n);
	http1_check_framing(&head);
	if (ws_handshake_check_request(&head, &upgrade) < 0)
		return 0;
	assert(!head.is_chunked && head.content_length == 0);
	check_forwarded(&head, &upgrade, (size_t)n);
	check_accepted(&upgrade);
	return 0;
}
