/* SPDX-License-Identifier: Apache-2.0 */
/* The half of ws_handshake.h that writes heads. */
#include "proto/ws_handshake.h"

#include <inttypes.h>

#define ERROR_BODY_MAX 512 /* bytes; the table of errors is ours, and a test measures it */

static const struct slice crlf = {"\r\n", 2};

/* One bit for each field of a head. */
struct field_set {
	uint64_t bits[HTTP1_FIELDS_MAX / 64];
};

static void put_field(struct text_writer *w, struct slice name, struct slice value)
{
	text_put_slice(w, name);
	text_put(w, ": ", 2);
	text_put_slice(w, value);
	text_put_slice(w, crlf);
}

static void put_upgrade(struct text_writer *w)
{
	text_put_str(w, "Connection: Upgrade\r\nUpgrade: websocket\r\n");
}

static void put_protocol(struct text_writer *w, struct slice protocol)
{
	if (protocol.len > 0)
		put_field(w, SLICE_LITERAL("Sec-WebSocket-Protocol"), protocol);
}

/* ---- what a proxy passes on ---------------------------------------------------------------- */

/*
 * Fields that the handshake needs whatever Connection says of them. Any other that the sender has
 * its hops drop is its own loss: it could have left it out.
 */
static bool is_needed(struct slice name)
{
	static const struct slice prefix = SLICE_LITERAL("Sec-WebSocket-");

	if (name.len > prefix.len)
		name.len = prefix.len;
	return slice_equal_nocase(name, prefix) || slice_equal_nocase(name, SLICE_LITERAL("Host"));
}

static void add_named(const struct http1_head *head, struct slice name, struct field_set *set)
{
	for (size_t i = 0; i < head->n_fields; i++) {
		if (slice_equal_nocase(head->fields[i].name, name))
			set->bits[i / 64] |= UINT64_C(1) << i % 64;
	}
}

/* RFC 9110 s7.6.1: what Connection names MUST be removed. (WS_CONNECTION_MAX bounds the work.) */
static struct field_set nominated(const struct http1_head *head)
{
	const struct http1_field *field = http1_find(head, SLICE_LITERAL("Connection"));
	struct field_set set = {0};

	for (; field; field = http1_find_next(head, field)) {
		struct slice rest = field->value, name;

		while (http1_list_next(&rest, &name)) {
			if (!is_needed(name))
				add_named(head, name, &set);
		}
	}
	return set;
}

/* A handshake has no body: the request's length is 0, a 101's means nothing (RFC 9112 s6.3). */
static bool is_passed(const struct http1_head *head, size_t i, const struct field_set *dropped)
{
	struct slice name = head->fields[i].name;

	return !(dropped->bits[i / 64] >> i % 64 & 1) && !http1_is_hop_by_hop(name) &&
	       !slice_equal_nocase(name, SLICE_LITERAL("Content-Length"));
}

static void put_origin_form(struct text_writer *w, const struct http1_head *head, struct slice path)
{
	const char *query = memchr(head->target.ptr, '?', head->target.len);

	text_put_slice(w, path.ptr ? path : head->path);
	if (query)
		text_put(w, query, (size_t)(head->target.ptr + head->target.len - query));
}

void ws_handshake_write_forward(struct text_writer *w, const struct http1_head *head,
				const struct ws_forward *changes)
{
	static const struct ws_forward none;
	struct field_set dropped = nominated(head);

	changes = changes ? changes : &none;
	for (size_t i = 0; i < changes->n_dropped; i++)
		add_named(head, changes->dropped[i], &dropped);

	text_put_slice(w, head->method);
	text_put(w, " ", 1);
	put_origin_form(w, head, changes->path);
	text_put_str(w, " HTTP/1.1\r\n");
	for (size_t i = 0; i < head->n_fields; i++) {
		const struct http1_field *field = &head->fields[i];
		/* RFC 9112 s3.2.2: a proxy MUST replace Host by an absolute target's authority */
		bool is_host = slice_equal_nocase(field->name, SLICE_LITERAL("Host"));

		if (is_passed(head, i, &dropped))
			put_field(w, field->name, is_host ? head->host : field->value);
	}
	put_upgrade(w);
}

void ws_handshake_write_forward_response(struct text_writer *w, const struct http1_head *head)
{
	struct field_set dropped = nominated(head);

	text_put_str(w, "HTTP/1.1 101 ");
	text_put_slice(w, head->reason);
	text_put_slice(w, crlf);
	for (size_t i = 0; i < head->n_fields; i++) {
		if (is_passed(head, i, &dropped))
			put_field(w, head->fields[i].name, head->fields[i].value);
	}
	put_upgrade(w);
	text_put_slice(w, crlf);
}

/* ---- our own ------------------------------------------------------------------------------- */

void ws_handshake_write_accept(struct text_writer *w, const char key[WS_KEY_LEN],
			       struct slice protocol)
{
	char accept[WS_ACCEPT_LEN + 1];

	ws_handshake_accept(key, accept);
	text_put_str(w, "HTTP/1.1 101 Switching Protocols\r\n");
	put_upgrade(w);
	put_field(w, SLICE_LITERAL("Sec-WebSocket-Accept"), (struct slice){accept, WS_ACCEPT_LEN});
	put_protocol(w, protocol);
	text_put_slice(w, crlf);
}

void ws_handshake_write_request(struct text_writer *w, struct slice host, struct slice target,
				const char key[WS_KEY_LEN], struct slice protocol,
				struct slice extra)
{
	text_put_str(w, "GET ");
	text_put_slice(w, target);
	text_put_str(w, " HTTP/1.1\r\n");
	put_field(w, SLICE_LITERAL("Host"), host);
	put_upgrade(w);
	put_field(w, SLICE_LITERAL("Sec-WebSocket-Key"), (struct slice){key, WS_KEY_LEN});
	put_field(w, SLICE_LITERAL("Sec-WebSocket-Version"), SLICE_LITERAL("13"));
	put_protocol(w, protocol);
	text_put_slice(w, extra);
	text_put_slice(w, crlf);
}

/* ---- refusals ------------------------------------------------------------------------------ */

static void put_error_body(struct text_writer *w, const struct proto_error_info *info)
{
	text_put_str(w, "{\"error\":");
	text_put_json_string(w, slice_from_str(info->name));
	text_put_str(w, ",\"detail\":");
	text_put_json_string(w, slice_from_str(info->text));
	text_put_str(w, "}\n");
}

/* What a status obliges the response to say. */
static const char *obligations(unsigned int status)
{
	switch (status) {
	case 405: /* RFC 9110 s15.5.6: MUST name the methods */
		return "Allow: GET\r\nConnection: close\r\n";
	case 426:
		/* RFC 9110 s15.5.22, s7.8: Upgrade, which Connection names too; RFC 6455 s4.4 */
		return "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
		       "Connection: Upgrade, close\r\n";
	default:
		return "Connection: close\r\n";
	}
}

void ws_handshake_write_error(struct text_writer *w, int error)
{
	ws_handshake_write_refusal(w, error, 1);
}

void ws_handshake_write_refusal(struct text_writer *w, int error, uint64_t retry_after_s)
{
	const struct proto_error_info *info = proto_error_info(error);
	char text[ERROR_BODY_MAX];
	struct text_writer body;

	/* An error that HTTP has no status for is not the client's. */
	if (info->http_status == 0)
		info = proto_error_info(EGW_INTERNAL);
	text_writer_init(&body, text, sizeof(text));
	put_error_body(&body, info);
	assert(!body.is_truncated);
	text_printf(w,
		    "HTTP/1.1 %u %s\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n",
		    info->http_status, http1_status_text(info->http_status), body.len);
	if (info->http_status == 503)
		text_printf(w, "Retry-After: %" PRIu64 "\r\n", MAX(retry_after_s, 1));
	text_put_str(w, obligations(info->http_status));
	text_put_slice(w, crlf);
	text_put(w, body.buf, body.len);
}
