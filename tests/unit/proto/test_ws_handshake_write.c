/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/ws_handshake.h"

#include "lib/handshake_heads.h"

#include <jansson.h>
#include <stdio.h>

/* ---- heads that a proxy writes ------------------------------------------------------------- */

static void assert_forwarded(const char *request, const char *extra, const char *want)
{
	struct ws_upgrade before, after;
	struct http1_head head;
	struct text_writer w;
	char buf[4096], again[4096];

	assert_int_equal(http1_request_parse(request, strlen(request), &limits, &head), 0);
	assert_int_equal(ws_handshake_check_request(&head, &before), 0);
	text_writer_init(&w, buf, sizeof(buf));
	ws_handshake_write_forward(&w, &head, NULL);
	text_put_str(&w, extra);
	text_put_str(&w, "\r\n");
	assert_text(&w, want);
	/* What we send is what we would accept, and changes nothing when it is sent on once more.
	 */
	assert_int_equal(http1_request_parse(buf, w.len, &limits, &head), 0);
	assert_int_equal(ws_handshake_check_request(&head, &after), 0);
	assert_true(slice_equal(before.key, after.key));
	text_writer_init(&w, again, sizeof(again));
	ws_handshake_write_forward(&w, &head, NULL);
	text_put_str(&w, "\r\n");
	assert_int_equal(w.len, strlen(want));
}

static void forward__keeps_order_and_spelling(void **state)
{
	assert_forwarded("GET /a?b HTTP/1.1\r\n"
			 "user-AGENT:  x\r\n"
			 "Connection: keep-alive, Upgrade\r\n"
			 "hOST: h:80\r\n"
			 "Upgrade: websocket\r\n"
			 "Cookie: a=b\r\n" KEY_LINE VERSION_LINE "Cookie: c=d\r\n"
			 "Sec-WebSocket-Extensions: foo; a=\"b\"\r\n"
			 "Empty:\r\n"
			 "\r\n",
			 "",
			 "GET /a?b HTTP/1.1\r\n"
			 "user-AGENT: x\r\n"
			 "hOST: h:80\r\n"
			 "Cookie: a=b\r\n" KEY_LINE VERSION_LINE "Cookie: c=d\r\n"
			 "Sec-WebSocket-Extensions: foo; a=\"b\"\r\n"
			 "Empty: \r\n" CONN_LINE UPGRADE_LINE "\r\n");
}

static void forward__appends_extra_lines(void **state)
{
	assert_forwarded("GET / HTTP/1.1\r\nHost: h\r\n" UPGRADE_LINE CONN_LINE
			     KEY_LINE VERSION_LINE "\r\n",
			 "X-Forwarded-For: ::1\r\nX: y\r\n",
			 "GET / HTTP/1.1\r\nHost: h\r\n" KEY_LINE VERSION_LINE
			     CONN_LINE UPGRADE_LINE "X-Forwarded-For: ::1\r\nX: y\r\n\r\n");
}

/* RFC 9110 s7.6.1 */
static void forward__drops_what_ends_at_this_hop(void **state)
{
	assert_forwarded("GET / HTTP/1.1\r\nHost: h\r\n" UPGRADE_LINE
			 "Connection: x-mine, Upgrade, \"a, b\"\r\n"
			 "Connection: HTTP2-Settings\r\n"
			 "X-MINE: 1\r\n"
			 "HTTP2-Settings: AAMAAABk\r\n"
			 "X-Mine-Too: 2\r\n"
			 "x-mine: 3\r\n"
			 "Keep-Alive: timeout=5\r\n"
			 "Proxy-Connection: keep-alive\r\n"
			 "TE: trailers\r\n"
			 "Trailer: x\r\n"
			 "Content-Length: 0\r\n"
			 "Proxy-Authorization: Basic eDp5\r\n" KEY_LINE VERSION_LINE "\r\n",
			 "",
			 "GET / HTTP/1.1\r\nHost: h\r\n"
			 "X-Mine-Too: 2\r\n"
			 "Proxy-Authorization: Basic eDp5\r\n" KEY_LINE VERSION_LINE
			     CONN_LINE UPGRADE_LINE "\r\n");
}

static void forward__keeps_what_the_handshake_needs(void **state)
{
	assert_forwarded(
	    "GET / HTTP/1.1\r\nHost: h\r\n" UPGRADE_LINE
	    "Connection: Upgrade, host, sec-websocket-key, Sec-WebSocket-Version, "
	    "sec-websocket-protocol, Sec-WebSocket-Extensions, Cookie\r\n" KEY_LINE VERSION_LINE
	    "Sec-WebSocket-Protocol: a\r\n"
	    "Sec-WebSocket-Extensions: b\r\n"
	    "Cookie: c\r\n\r\n",
	    "",
	    "GET / HTTP/1.1\r\nHost: h\r\n" KEY_LINE VERSION_LINE "Sec-WebSocket-Protocol: a\r\n"
	    "Sec-WebSocket-Extensions: b\r\n" CONN_LINE UPGRADE_LINE "\r\n");
}

/* RFC 9112 s3.2.2: origin form, and the target's authority for Host */
static void forward__turns_absolute_into_origin_form(void **state)
{
	static const struct {
		const char *target, *host, *forwarded;
	} vectors[] = {
	    {"http://a.example:81/x?y=/z", "a.example:81", "/x?y=/z"},
	    {"ws://a/x", "a", "/x"},
	    {"ws://a/x?", "a", "/x?"},
	    {"ws://a", "a", "/"},
	    {"ws://a?", "a", "/?"},
	    {"ws://a?b", "a", "/?b"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(vectors); i++) {
		char request[512], want[512];

		snprintf(request, sizeof(request),
			 "GET %s HTTP/1.1\r\nA: b\r\nHost: other\r\n" UPGRADE_LINE CONN_LINE
			     KEY_LINE VERSION_LINE "\r\n",
			 vectors[i].target);
		snprintf(want, sizeof(want),
			 "GET %s HTTP/1.1\r\nA: b\r\nHost: %s\r\n" KEY_LINE VERSION_LINE
			     CONN_LINE UPGRADE_LINE "\r\n",
			 vectors[i].forwarded, vectors[i].host);
		assert_forwarded(request, "", want);
	}
}

static void forward__says_when_it_does_not_fit(void **state)
{
	static const char request[] = REQUEST("");
	struct http1_head head;
	struct text_writer w;
	char buf[sizeof(request)];
	size_t len;

	assert_int_equal(http1_request_parse(request, sizeof(request) - 1, &limits, &head), 0);
	text_writer_init(&w, buf, sizeof(buf));
	ws_handshake_write_forward(&w, &head, NULL);
	assert_false(w.is_truncated);
	len = w.len;
	text_writer_init(&w, buf, len - 1);
	ws_handshake_write_forward(&w, &head, NULL);
	assert_true(w.is_truncated);
}

static void forward__changes_what_it_is_told_to(void **state)
{
	static const char request[] =
	    "GET http://h/a?b HTTP/1.1\r\nHost: h\r\nX-A: 1\r\nCookie: c\r\n"
	    "x-a: 2\r\nX-B: 3\r\n" CONN_LINE UPGRADE_LINE KEY_LINE VERSION_LINE "\r\n";
	static const struct slice dropped[] = {SLICE_LITERAL("X-A"), SLICE_LITERAL("cookie"),
					       SLICE_LITERAL("X-None")};
	static const struct ws_forward changes = {.path = SLICE_LITERAL("/c/d"),
						  .dropped = dropped,
						  .n_dropped = ARRAY_SIZE(dropped)};
	struct http1_head head;
	struct text_writer w;
	char buf[1024];

	assert_int_equal(http1_request_parse(request, sizeof(request) - 1, &limits, &head), 0);
	text_writer_init(&w, buf, sizeof(buf) - 1);
	ws_handshake_write_forward(&w, &head, &changes);
	assert_text(&w, "GET /c/d?b HTTP/1.1\r\nHost: h\r\nX-B: 3\r\n" KEY_LINE VERSION_LINE
			    CONN_LINE UPGRADE_LINE);
}

static void forward_response__follows_the_same_rules(void **state)
{
	static const char response[] =
	    "HTTP/1.1 101 Web Socket Protocol Handshake\r\n"
	    "server: x\r\n"
	    "Connection: Upgrade, X-Hop, Sec-WebSocket-Accept\r\n"
	    "X-Hop: y\r\n"
	    "UPGRADE: websocket\r\n"
	    "Content-Length: 0\r\n"
	    "Keep-Alive: z\r\n"
	    "Set-Cookie: a\r\nSet-Cookie: b\r\n" ACCEPT_LINE "Sec-WebSocket-Protocol: chat\r\n\r\n";
	static const char want[] = "HTTP/1.1 101 Web Socket Protocol Handshake\r\n"
				   "server: x\r\n"
				   "Set-Cookie: a\r\nSet-Cookie: b\r\n" ACCEPT_LINE
				   "Sec-WebSocket-Protocol: chat\r\n" CONN_LINE UPGRADE_LINE "\r\n";
	struct ws_upgraded upgraded;
	struct http1_head head;
	struct text_writer w;
	char buf[1024];

	assert_int_equal(http1_response_parse(response, sizeof(response) - 1, &limits, &head), 0);
	text_writer_init(&w, buf, sizeof(buf) - 1);
	ws_handshake_write_forward_response(&w, &head);
	assert_text(&w, want);
	buf[w.len] = '\0';
	assert_int_equal(check_answer(buf, &upgraded), 0);
}

/* ---- our own heads ------------------------------------------------------------------------- */

/* RFC 6455 s4.2.2 item 5 */
static void write_accept__is_a_good_answer(void **state)
{
	static const struct slice protocols[] = {{"", 0}, {"superchat", 9}};
	struct ws_upgraded upgraded;
	struct text_writer w;
	char buf[512];

	for (size_t i = 0; i < ARRAY_SIZE(protocols); i++) {
		text_writer_init(&w, buf, sizeof(buf) - 1);
		ws_handshake_write_accept(&w, SAMPLE_KEY, protocols[i]);
		assert_false(w.is_truncated);
		buf[w.len] = '\0';
		assert_int_equal(check_answer(buf, &upgraded), 0);
		assert_true(slice_equal(upgraded.protocol, protocols[i]));
		assert_int_equal(upgraded.allowed_rsv, 0);
	}
	assert_text(&w, "HTTP/1.1 101 Switching Protocols\r\n" CONN_LINE UPGRADE_LINE ACCEPT_LINE
			"Sec-WebSocket-Protocol: superchat\r\n\r\n");
}

static void write_request__is_a_good_request(void **state)
{
	struct ws_upgrade upgrade;
	struct http1_head head;
	struct text_writer w;
	char buf[512];

	text_writer_init(&w, buf, sizeof(buf));
	ws_handshake_write_request(&w, SLICE_LITERAL("[::1]:80"), SLICE_LITERAL("/x?y"), SAMPLE_KEY,
				   SLICE_LITERAL("a, b"),
				   SLICE_LITERAL("Origin: http://o\r\nX: y\r\n"));
	assert_false(w.is_truncated);
	assert_int_equal(http1_request_parse(buf, w.len, &limits, &head), 0);
	assert_int_equal(ws_handshake_check_request(&head, &upgrade), 0);
	assert_slice(head.host, "[::1]:80");
	assert_slice(head.target, "/x?y");
	assert_slice(upgrade.key, SAMPLE_KEY);
	assert_int_equal(upgrade.n_protocols, 2);
	assert_slice(http1_find(&head, SLICE_LITERAL("Origin"))->value, "http://o");
	assert_slice(http1_find(&head, SLICE_LITERAL("X"))->value, "y");

	text_writer_init(&w, buf, sizeof(buf));
	ws_handshake_write_request(&w, SLICE_LITERAL("h"), SLICE_LITERAL("/"), SAMPLE_KEY,
				   (struct slice){"", 0}, (struct slice){"", 0});
	assert_text(&w, "GET / HTTP/1.1\r\nHost: h\r\n" CONN_LINE UPGRADE_LINE KEY_LINE VERSION_LINE
			"\r\n");
}

/* ---- refusals ------------------------------------------------------------------------------ */

static void parse_error(int error, char *buf, size_t size, struct http1_head *head,
			struct slice *ret_body)
{
	struct http1_scan scan = {0};
	struct text_writer w;
	ssize_t n;

	text_writer_init(&w, buf, size);
	ws_handshake_write_error(&w, error);
	assert_false(w.is_truncated);
	n = http1_head_scan(&scan, buf, w.len, &limits);
	assert_true(n > 0);
	assert_int_equal(http1_response_parse(buf, (size_t)n, &limits, head), 0);
	*ret_body = (struct slice){buf + n, w.len - (size_t)n};
}

/* RFC 9112 s6.3, RFC 8259: framed rightly, and JSON, whatever the error */
static void write_error__is_a_complete_response(void **state)
{
	for (int error = PROTO_ERROR_BASE; error < PROTO_ERROR_END; error++) {
		const struct proto_error_info *info = proto_error_info(error);
		struct http1_head head;
		struct slice body;
		json_t *json;
		char buf[1024]; /* what connection_refuse() has room for */

		parse_error(error % 2 ? error : -error, buf, sizeof(buf), &head, &body);
		if (info->http_status == 0)
			info = proto_error_info(EGW_INTERNAL);
		assert_int_equal(head.status, info->http_status);
		assert_slice(head.reason, http1_status_text(info->http_status));
		assert_true(head.has_content_length);
		assert_int_equal(head.content_length, body.len);
		assert_true(
		    http1_list_has(&head, SLICE_LITERAL("Connection"), SLICE_LITERAL("close")));
		assert_slice(http1_find(&head, SLICE_LITERAL("Content-Type"))->value,
			     "application/json");
		json = json_loadb(body.ptr, body.len, JSON_REJECT_DUPLICATES, NULL);
		assert_int_equal(json_object_size(json), 2);
		assert_string_equal(json_string_value(json_object_get(json, "error")), info->name);
		assert_string_equal(json_string_value(json_object_get(json, "detail")), info->text);
		json_decref(json);
	}
}

static void write_error__says_what_the_status_obliges_to(void **state)
{
	struct http1_head head;
	struct slice body;
	char buf[1024];

	/* RFC 6455 s4.4; RFC 9110 s15.5.22: 426 MUST name the protocol, s7.8: Connection, too */
	parse_error(-EWS_VERSION, buf, sizeof(buf), &head, &body);
	assert_int_equal(head.status, 426);
	assert_slice(http1_find(&head, SLICE_LITERAL("Sec-WebSocket-Version"))->value, "13");
	assert_slice(http1_find(&head, SLICE_LITERAL("Upgrade"))->value, "websocket");
	assert_true(http1_list_has(&head, SLICE_LITERAL("Connection"), SLICE_LITERAL("Upgrade")));
	/* RFC 9110 s15.5.6: 405 MUST name the methods */
	parse_error(-EHTTP_METHOD, buf, sizeof(buf), &head, &body);
	assert_int_equal(head.status, 405);
	assert_slice(http1_find(&head, SLICE_LITERAL("Allow"))->value, "GET");
	parse_error(EGW_SHUTDOWN, buf, sizeof(buf), &head, &body);
	assert_int_equal(head.status, 503);
	assert_slice(http1_find(&head, SLICE_LITERAL("Retry-After"))->value, "1");
	parse_error(-EHTTP_SYNTAX, buf, sizeof(buf), &head, &body);
	assert_int_equal(head.status, 400);
	assert_null(http1_find(&head, SLICE_LITERAL("Upgrade")));
	assert_null(http1_find(&head, SLICE_LITERAL("Allow")));
	assert_null(http1_find(&head, SLICE_LITERAL("Retry-After")));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
	    cmocka_unit_test(forward__keeps_order_and_spelling),
	    cmocka_unit_test(forward__appends_extra_lines),
	    cmocka_unit_test(forward__drops_what_ends_at_this_hop),
	    cmocka_unit_test(forward__keeps_what_the_handshake_needs),
	    cmocka_unit_test(forward__turns_absolute_into_origin_form),
	    cmocka_unit_test(forward__says_when_it_does_not_fit),
	    cmocka_unit_test(forward__changes_what_it_is_told_to),
	    cmocka_unit_test(forward_response__follows_the_same_rules),
	    cmocka_unit_test(write_accept__is_a_good_answer),
	    cmocka_unit_test(write_request__is_a_good_request),
	    cmocka_unit_test(write_error__is_a_complete_response),
	    cmocka_unit_test(write_error__says_what_the_status_obliges_to),
	};

	return cmocka_run_group_tests_name("ws_handshake_write", tests, NULL, NULL);
}
