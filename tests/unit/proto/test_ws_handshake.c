/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/ws_handshake.h"

#include "lib/handshake_heads.h"
#include "proto/ws_frame.h"

#include <stdio.h>

struct vector {
	const char *text;
	int error;
};

static void run(const struct vector *vectors, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct ws_upgrade upgrade;
		int error = check(vectors[i].text, &upgrade);

		if (error != vectors[i].error)
			fail_msg("\"%s\": %d instead of %d", vectors[i].text, error,
				 vectors[i].error);
	}
}

#define RUN(vectors) run(vectors, ARRAY_SIZE(vectors))

/* ---- key and accept ------------------------------------------------------------------------ */

/* RFC 6455 s4.2.2 item 5.4 */
static void accept__of_the_sample(void **state)
{
	char accept[WS_ACCEPT_LEN + 1];

	ws_handshake_accept(SAMPLE_KEY, accept);
	assert_string_equal(accept, SAMPLE_ACCEPT);
}

/* RFC 6455 s4.1 item 7: a nonce that passes our own check, chosen anew for each connection */
static void new_key__is_valid_and_new(void **state)
{
	char keys[64][WS_KEY_LEN + 1];

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		struct ws_upgrade upgrade;
		char request[256];

		ws_handshake_new_key(keys[i]);
		assert_int_equal(strlen(keys[i]), WS_KEY_LEN);
		snprintf(request, sizeof(request),
			 "GET / HTTP/1.1\r\nHost: h\r\n" UPGRADE_LINE CONN_LINE VERSION_LINE
			 "Sec-WebSocket-Key: %s\r\n\r\n",
			 keys[i]);
		assert_int_equal(check(request, &upgrade), 0);
		assert_slice(upgrade.key, keys[i]);
		for (size_t k = 0; k < i; k++)
			assert_string_not_equal(keys[i], keys[k]);
	}
}

/* ---- s4.2.1: the request ------------------------------------------------------------------- */

/* RFC 6455 s1.2's */
static void request__sample(void **state)
{
	static const char sample[] = "GET /chat HTTP/1.1\r\n"
				     "Host: server.example.com\r\n"
				     "Upgrade: websocket\r\n"
				     "Connection: Upgrade\r\n"
				     "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
				     "Origin: http://example.com\r\n"
				     "Sec-WebSocket-Protocol: chat, superchat\r\n"
				     "Sec-WebSocket-Version: 13\r\n"
				     "\r\n";
	struct ws_upgrade upgrade;

	assert_int_equal(check(sample, &upgrade), 0);
	assert_slice(upgrade.key, SAMPLE_KEY);
	assert_int_equal(upgrade.n_protocols, 2);
	assert_slice(upgrade.protocols[0], "chat");
	assert_slice(upgrade.protocols[1], "superchat");
	assert_int_equal(upgrade.n_extensions, 0);
}

/* Item 1: a GET of at least HTTP/1.1 */
static void request__is_a_get(void **state)
{
	static const struct vector vectors[] = {
	    {"POST / HTTP/1.1\r\nHost: h\r\n" UPGRADE_LINE CONN_LINE KEY_LINE VERSION_LINE "\r\n",
	     -EHTTP_METHOD},
	    {"get / HTTP/1.1\r\nHost: h\r\n" UPGRADE_LINE CONN_LINE KEY_LINE VERSION_LINE "\r\n",
	     -EHTTP_METHOD},
	    {"HEAD / HTTP/1.1\r\nHost: h\r\n\r\n", -EHTTP_METHOD},
	    {"GET / HTTP/1.0\r\nHost: h\r\n" UPGRADE_LINE CONN_LINE KEY_LINE VERSION_LINE "\r\n",
	     -EHTTP_VERSION},
	};

	RUN(vectors);
}

static void request__has_no_body(void **state)
{
	static const struct vector vectors[] = {
	    {REQUEST("Content-Length: 0\r\n"), 0},
	    {REQUEST("Content-Length: 00\r\n"), 0},
	    {REQUEST("Content-Length: 1\r\n"), -EHTTP_BODY},
	    {REQUEST("Transfer-Encoding: chunked\r\n"), -EHTTP_BODY},
	};

	RUN(vectors);
}

/* Item 3: Upgrade contains "websocket", in any case */
static void request__names_websocket(void **state)
{
#define WITH(upgrade) "GET / HTTP/1.1\r\nHost: h\r\n" upgrade CONN_LINE KEY_LINE VERSION_LINE "\r\n"
	static const struct vector vectors[] = {
	    {WITH("Upgrade: WebSocket\r\n"), 0},
	    {WITH("UPGRADE:WEBSOCKET\r\n"), 0},
	    {WITH("Upgrade: h2c, websocket\r\n"), 0},
	    {WITH("Upgrade: h2c\r\nUpgrade: websocket\r\n"), 0},
	    {WITH(""), -EWS_UPGRADE},
	    {WITH("Upgrade:\r\n"), -EWS_UPGRADE},
	    {WITH("Upgrade: h2c\r\n"), -EWS_UPGRADE},
	    {WITH("Upgrade: websockets\r\n"), -EWS_UPGRADE},
	    {WITH("Upgrade: web socket\r\n"), -EWS_UPGRADE},
	    {WITH("Upgrade: \"websocket\"\r\n"), -EWS_UPGRADE},
	    {WITH("Upgrade: \"x, websocket\"\r\n"), -EWS_UPGRADE},
	};
#undef WITH

	RUN(vectors);
}

/* Item 4: Connection includes "Upgrade", in any case */
static void request__connection_names_upgrade(void **state)
{
#define WITH(connection) \
	"GET / HTTP/1.1\r\nHost: h\r\n" UPGRADE_LINE connection KEY_LINE VERSION_LINE "\r\n"
	static const struct vector vectors[] = {
	    {WITH("Connection: upgrade\r\n"), 0},
	    {WITH("Connection: keep-alive, Upgrade\r\n"), 0},
	    {WITH("Connection: keep-alive\r\nConnection: UPGRADE\r\n"), 0},
	    {WITH("Connection: ,Upgrade,\r\n"), 0},
	    {WITH(""), -EWS_CONNECTION},
	    {WITH("Connection: close\r\n"), -EWS_CONNECTION},
	    {WITH("Connection: Upgraded\r\n"), -EWS_CONNECTION},
	    {WITH("Connection: keep-alive Upgrade\r\n"), -EWS_CONNECTION},
	};
#undef WITH

	RUN(vectors);
}

/* Item 5 and s11.3.1: one key of 16 bytes in base64 */
static void request__key(void **state)
{
#define WITH(key) "GET / HTTP/1.1\r\nHost: h\r\n" UPGRADE_LINE CONN_LINE VERSION_LINE key "\r\n"
#define KEY(key)  WITH("Sec-WebSocket-Key: " key "\r\n")
	static const struct vector vectors[] = {
	    {KEY("AAAAAAAAAAAAAAAAAAAAAA=="), 0},
	    {KEY("abcdefghijklmnopqrstuw=="), 0},
	    {KEY("ABCXYZabcxyz0189+/+/+g=="), 0},
	    /* 4 bits more than 16 bytes, which RFC 4648 s3.5 lets a decoder ignore */
	    {KEY("AAAAAAAAAAAAAAAAAAAAAB=="), 0},
	    {KEY("/////////////////////w=="), 0},
	    {KEY("//////////////////////=="), 0},
	    {WITH(""), -EWS_KEY},
	    {KEY(""), -EWS_KEY},
	    {KEY("AAAAAAAAAAAAAAAAAAAAAA"), -EWS_KEY},
	    {KEY("AAAAAAAAAAAAAAAAAAAAAA=A"), -EWS_KEY},
	    {KEY("AAAAAAAAAAAAAAAAAAAAAA="), -EWS_KEY},
	    {KEY("AAAAAAAAAAAAAAAAAAAAAA==="), -EWS_KEY},
	    {KEY("AAAAAAAAAAAAAAAAAAAAA==="), -EWS_KEY},     /* 15 bytes and a bit */
	    {KEY("AAAAAAAAAAAAAAAAAAAAAAA="), -EWS_KEY},     /* 17 bytes */
	    {KEY("AAAAAAAAAAAAAAAAAAAAAAAA"), -EWS_KEY},     /* 18 bytes */
	    {KEY("AAAAAAAAAAAAAAAAAAAA"), -EWS_KEY},         /* 15 bytes */
	    {KEY("AAAAAAAAAAAAAAAAAAAAAAAAAAAA"), -EWS_KEY}, /* 21 bytes */
	    {KEY("AAAAAAAAAA-AAAAAAAAAAA=="), -EWS_KEY},     /* base64url */
	    {KEY("AAAAAAAAAA_AAAAAAAAAAA=="), -EWS_KEY},
	    {KEY("AAAAAAAAAA AAAAAAAAAAA=="), -EWS_KEY},
	    {KEY("AAAAAAAAAA=AAAAAAAAAAA=="), -EWS_KEY},
	    {KEY("AAAAAAAAAA\xc3\xa9"
		 "AAAAAAAAAA=="),
	     -EWS_KEY},
	    {WITH(KEY_LINE KEY_LINE), -EWS_KEY},
	    {WITH("Sec-WebSocket-Key1: x\r\nSec-WebSocket-Key2: y\r\n"), -EWS_KEY},
	};
#undef KEY
#undef WITH

	RUN(vectors);
}

/* Item 6 and s11.3.5: the version is 13, once */
static void request__version(void **state)
{
#define WITH(version) "GET / HTTP/1.1\r\nHost: h\r\n" UPGRADE_LINE CONN_LINE KEY_LINE version "\r\n"
	static const struct vector vectors[] = {
	    {WITH("Sec-WebSocket-Version: \t13 \r\n"), 0},
	    {WITH(""), -EWS_VERSION},
	    {WITH("Sec-WebSocket-Version:\r\n"), -EWS_VERSION},
	    {WITH("Sec-WebSocket-Version: 8\r\n"), -EWS_VERSION},
	    {WITH("Sec-WebSocket-Version: 12\r\n"), -EWS_VERSION},
	    {WITH("Sec-WebSocket-Version: 013\r\n"), -EWS_VERSION},
	    {WITH("Sec-WebSocket-Version: 13, 8\r\n"), -EWS_VERSION},
	    {WITH("Sec-WebSocket-Version: 130\r\n"), -EWS_VERSION},
	    {WITH(VERSION_LINE VERSION_LINE), -EWS_VERSION},
	};
#undef WITH

	RUN(vectors);
}

/* A browser that opens the page, or a client of a draft, hears what is most useful. */
static void request__reports_the_first_cause(void **state)
{
	static const struct vector vectors[] = {
	    {"GET / HTTP/1.1\r\nHost: h\r\n\r\n", -EWS_UPGRADE},
	    {"GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\n", -EWS_UPGRADE},
	    {"GET / HTTP/1.1\r\nHost: h\r\n" KEY_LINE "\r\n", -EWS_UPGRADE},
	    {"GET / HTTP/1.1\r\nHost: h\r\n" UPGRADE_LINE "\r\n", -EWS_CONNECTION},
	    {"GET / HTTP/1.1\r\nHost: h\r\n" UPGRADE_LINE CONN_LINE "\r\n", -EWS_VERSION},
	};

	RUN(vectors);
}

/* s4.1 item 10, s11.3.4: unique tokens, in one field or several */
static void request__protocols(void **state)
{
	static const struct vector vectors[] = {
	    {REQUEST("Sec-WebSocket-Protocol: a\r\n"), 0},
	    {REQUEST("Sec-WebSocket-Protocol: a,,b,\r\n"), 0},
	    {REQUEST("Sec-WebSocket-Protocol: a, A\r\n"), 0}, /* case-sensitive */
	    {REQUEST("Sec-WebSocket-Protocol: v1.json!#$%&'*+-.^_`|~\r\n"), 0},
	    {REQUEST("Sec-WebSocket-Protocol:\r\n"), -EWS_PROTOCOL},
	    {REQUEST("Sec-WebSocket-Protocol: ,\r\n"), -EWS_PROTOCOL},
	    {REQUEST("Sec-WebSocket-Protocol: a, a\r\n"), -EWS_PROTOCOL},
	    {REQUEST("Sec-WebSocket-Protocol: a\r\nSec-WebSocket-Protocol: b, a\r\n"),
	     -EWS_PROTOCOL},
	    {REQUEST("Sec-WebSocket-Protocol: a b\r\n"), -EWS_PROTOCOL},
	    {REQUEST("Sec-WebSocket-Protocol: a;q=1\r\n"), -EWS_PROTOCOL},
	    {REQUEST("Sec-WebSocket-Protocol: \"a\"\r\n"), -EWS_PROTOCOL},
	    {REQUEST("Sec-WebSocket-Protocol: a/b\r\n"), -EWS_PROTOCOL},
	    {REQUEST("Sec-WebSocket-Protocol: \xc3\xa9\r\n"), -EWS_PROTOCOL},
	};
	struct ws_upgrade upgrade;

	RUN(vectors);
	assert_int_equal(check(REQUEST("Sec-WebSocket-Protocol: a ,b\r\n"
				       "X: y\r\nsec-websocket-protocol: c\r\n"),
			       &upgrade),
			 0);
	assert_int_equal(upgrade.n_protocols, 3);
	assert_slice(upgrade.protocols[0], "a");
	assert_slice(upgrade.protocols[1], "b");
	assert_slice(upgrade.protocols[2], "c");
}

/* "Sec-WebSocket-…: x0, x1, …" with @n elements, in a request. */
static int check_list(const char *name, size_t n, struct ws_upgrade *ret_upgrade)
{
	static char text[4096]; /* outlives the slices */
	size_t len = (size_t)snprintf(text, sizeof(text),
				      "GET / HTTP/1.1\r\nHost: h\r\n" UPGRADE_LINE CONN_LINE
					  KEY_LINE VERSION_LINE "%s: ",
				      name);

	for (size_t i = 0; i < n; i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len, "%sx%zu", i ? ", " : "", i);
	snprintf(text + len, sizeof(text) - len, "\r\n\r\n");
	return check(text, ret_upgrade);
}

static void request__lists_are_bounded(void **state)
{
	struct ws_upgrade upgrade;

	/* One of them in a field of its own. */
	assert_int_equal(check_list("Connection", WS_CONNECTION_MAX - 1, &upgrade), 0);
	assert_int_equal(check_list("Connection", WS_CONNECTION_MAX, &upgrade), -EWS_CONNECTION);

	assert_int_equal(check_list("Sec-WebSocket-Protocol", WS_PROTOCOLS_MAX, &upgrade), 0);
	assert_int_equal(upgrade.n_protocols, WS_PROTOCOLS_MAX);
	assert_slice(upgrade.protocols[WS_PROTOCOLS_MAX - 1], "x31");
	assert_int_equal(check_list("Sec-WebSocket-Protocol", WS_PROTOCOLS_MAX + 1, &upgrade),
			 -EWS_PROTOCOL);
	assert_int_equal(check_list("Sec-WebSocket-Extensions", WS_EXTENSIONS_MAX, &upgrade), 0);
	assert_int_equal(upgrade.n_extensions, WS_EXTENSIONS_MAX);
	assert_int_equal(check_list("Sec-WebSocket-Extensions", WS_EXTENSIONS_MAX + 1, &upgrade),
			 -EWS_EXTENSION);
}

/* s9.1: the grammar, and that what breaks it MUST fail */
static void request__extensions(void **state)
{
#define EXT(value) REQUEST("Sec-WebSocket-Extensions: " value "\r\n")
	static const struct vector vectors[] = {
	    {EXT("foo"), 0},
	    {EXT("foo, bar; baz=2"), 0},
	    {EXT("foo,,bar,"), 0},
	    {EXT("foo; a; b=1; c=\"x\""), 0},
	    {EXT("foo;a;b=1"), 0},
	    {EXT("foo ; a = 1 ;\tb"), 0},
	    {EXT("foo; a=\"x\\y\""), 0}, /* a token once unescaped */
	    {EXT("foo; a=\"x\" , bar"), 0},
	    {EXT("foo, foo; a"), 0},
	    {EXT(""), -EWS_EXTENSION},
	    {EXT(","), -EWS_EXTENSION},
	    {EXT("foo;"), -EWS_EXTENSION},
	    {EXT("foo; ;a"), -EWS_EXTENSION},
	    {EXT(";a"), -EWS_EXTENSION},
	    {EXT("foo bar"), -EWS_EXTENSION},
	    {EXT("foo; a b"), -EWS_EXTENSION},
	    {EXT("foo=1"), -EWS_EXTENSION},
	    {EXT("foo; a="), -EWS_EXTENSION},
	    {EXT("foo; =1"), -EWS_EXTENSION},
	    {EXT("foo; a=1=2"), -EWS_EXTENSION},
	    {EXT("foo; a=1/2"), -EWS_EXTENSION},
	    {EXT("foo/bar"), -EWS_EXTENSION},
	    {EXT("\"foo\""), -EWS_EXTENSION},
	    {EXT("foo; a=\"\""), -EWS_EXTENSION}, /* empty is no token */
	    {EXT("foo; a=\"x y\""), -EWS_EXTENSION},
	    {EXT("foo; a=\"x,y\""), -EWS_EXTENSION},
	    {EXT("foo; a=\"x\\,y\""), -EWS_EXTENSION},
	    {EXT("foo; a=\"x"), -EWS_EXTENSION},
	    {EXT("foo; a=\"x\\"), -EWS_EXTENSION},
	    {EXT("foo; a=\"x\\\""), -EWS_EXTENSION},
	    {EXT("foo; a=\"x\"y"), -EWS_EXTENSION},
	    {EXT("foo; \xc3\xa9"), -EWS_EXTENSION},
	};
	struct ws_upgrade upgrade;

	RUN(vectors);
	assert_int_equal(check(EXT("permessage-deflate; client_max_window_bits, x; a=\"b\", x\r\n"
				   "sec-websocket-extensions: y"),
			       &upgrade),
			 0);
	assert_int_equal(upgrade.n_extensions, 4);
	assert_slice(upgrade.extensions[0], "permessage-deflate");
	assert_slice(upgrade.extensions[1], "x");
	assert_slice(upgrade.extensions[2], "x");
	assert_slice(upgrade.extensions[3], "y");
#undef EXT
}

/* ---- s4.1: the response -------------------------------------------------------------------- */

static void run_answers(const struct vector *vectors, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct ws_upgraded upgraded;
		int error = check_answer(vectors[i].text, &upgraded);

		if (error != vectors[i].error)
			fail_msg("\"%s\": %d instead of %d", vectors[i].text, error,
				 vectors[i].error);
	}
}

#define RUN_ANSWERS(vectors) run_answers(vectors, ARRAY_SIZE(vectors))

static void response__sample(void **state)
{
	struct ws_upgraded upgraded;

	assert_int_equal(check_answer(RESPONSE(""), &upgraded), 0);
	assert_int_equal(upgraded.protocol.len, 0);
	assert_int_equal(upgraded.allowed_rsv, 0);
}

/* Step 1 */
static void response__is_101(void **state)
{
	static const struct vector vectors[] = {
	    {"HTTP/1.1 200 OK\r\n" UPGRADE_LINE CONN_LINE ACCEPT_LINE "\r\n", -EUP_STATUS},
	    {"HTTP/1.1 100 Continue\r\n\r\n", -EUP_STATUS},
	    {"HTTP/1.1 401 Unauthorized\r\n\r\n", -EUP_STATUS},
	    {"HTTP/1.0 101 Switching Protocols\r\n" UPGRADE_LINE CONN_LINE ACCEPT_LINE "\r\n",
	     -EUP_UPGRADE},
	};

	RUN_ANSWERS(vectors);
}

/* Steps 2 and 3 */
static void response__upgrades_to_websocket(void **state)
{
#define WITH(lines) "HTTP/1.1 101 x\r\n" ACCEPT_LINE lines "\r\n"
	static const struct vector vectors[] = {
	    {WITH("upgrade: WebSocket\r\nconnection: UPGRADE\r\n"), 0},
	    {WITH(UPGRADE_LINE "Connection: keep-alive, Upgrade\r\n"), 0},
	    {WITH(CONN_LINE), -EUP_UPGRADE},
	    {WITH(CONN_LINE "Upgrade: h2c\r\n"), -EUP_UPGRADE},
	    {WITH(CONN_LINE "Upgrade: h2c, websocket\r\n"), -EUP_UPGRADE},
	    {WITH(CONN_LINE UPGRADE_LINE UPGRADE_LINE), -EUP_UPGRADE},
	    {WITH(UPGRADE_LINE), -EUP_UPGRADE},
	    {WITH(UPGRADE_LINE "Connection: close\r\n"), -EUP_UPGRADE},
	};
#undef WITH

	RUN_ANSWERS(vectors);
}

/* Step 4 and s11.3.3 */
static void response__accepts_our_key(void **state)
{
#define WITH(lines) "HTTP/1.1 101 x\r\n" UPGRADE_LINE CONN_LINE lines "\r\n"
	static const struct vector vectors[] = {
	    {WITH("sec-websocket-accept: \t" SAMPLE_ACCEPT " \r\n"), 0},
	    {WITH(""), -EUP_ACCEPT},
	    {WITH("Sec-WebSocket-Accept:\r\n"), -EUP_ACCEPT},
	    {WITH("Sec-WebSocket-Accept: S3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"), -EUP_ACCEPT},
	    {WITH("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo\r\n"), -EUP_ACCEPT},
	    {WITH("Sec-WebSocket-Accept: " SAMPLE_KEY "\r\n"), -EUP_ACCEPT},
	    {WITH(ACCEPT_LINE ACCEPT_LINE), -EUP_ACCEPT},
	};
#undef WITH

	RUN_ANSWERS(vectors);
}

/* Step 5, s9.1, s11.3.2 */
static void response__extensions_were_offered(void **state)
{
#define EXT(value) RESPONSE("Sec-WebSocket-Extensions: " value "\r\n")
	static const struct vector vectors[] = {
	    {EXT("baz"), -EUP_EXTENSION},
	    {EXT("foo, baz"), -EUP_EXTENSION},
	    {EXT("Foo"), -EUP_EXTENSION},
	    {EXT("chat"), -EUP_EXTENSION},
	    {EXT(""), -EUP_EXTENSION},
	    {EXT("foo;"), -EUP_EXTENSION},
	    {EXT("foo\r\nSec-WebSocket-Extensions: bar"), -EUP_EXTENSION},
	};
	static const struct {
		const char *text;
		uint8_t allowed_rsv;
	} good[] = {
	    {EXT("permessage-deflate"), WS_RSV1},
	    {EXT("permessage-deflate; client_max_window_bits=15; server_no_context_takeover"),
	     WS_RSV1},
	    {EXT("foo"), WS_RSV_MASK},
	    {EXT("foo; a=\"b\", permessage-deflate"), WS_RSV_MASK},
	};
#undef EXT

	RUN_ANSWERS(vectors);
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		struct ws_upgraded upgraded;

		assert_int_equal(check_answer(good[i].text, &upgraded), 0);
		assert_int_equal(upgraded.allowed_rsv, good[i].allowed_rsv);
	}
}

/* Step 6, s11.3.4 */
static void response__protocol_was_offered(void **state)
{
#define PROTO(value) RESPONSE("Sec-WebSocket-Protocol: " value "\r\n")
	static const struct vector vectors[] = {
	    {PROTO("chat"), 0},
	    {PROTO("Chat"), -EUP_PROTOCOL},
	    {PROTO("other"), -EUP_PROTOCOL},
	    {PROTO(""), -EUP_PROTOCOL},
	    {PROTO("chat, superchat"), -EUP_PROTOCOL},
	    {PROTO("chat\r\nSec-WebSocket-Protocol: chat"), -EUP_PROTOCOL},
	};
	struct ws_upgraded upgraded;

	RUN_ANSWERS(vectors);
	assert_int_equal(check_answer(PROTO("superchat"), &upgraded), 0);
	assert_slice(upgraded.protocol, "superchat");
#undef PROTO
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
	    cmocka_unit_test(accept__of_the_sample),
	    cmocka_unit_test(new_key__is_valid_and_new),
	    cmocka_unit_test(request__sample),
	    cmocka_unit_test(request__is_a_get),
	    cmocka_unit_test(request__has_no_body),
	    cmocka_unit_test(request__names_websocket),
	    cmocka_unit_test(request__connection_names_upgrade),
	    cmocka_unit_test(request__key),
	    cmocka_unit_test(request__version),
	    cmocka_unit_test(request__reports_the_first_cause),
	    cmocka_unit_test(request__protocols),
	    cmocka_unit_test(request__lists_are_bounded),
	    cmocka_unit_test(request__extensions),
	    cmocka_unit_test(response__sample),
	    cmocka_unit_test(response__is_101),
	    cmocka_unit_test(response__upgrades_to_websocket),
	    cmocka_unit_test(response__accepts_our_key),
	    cmocka_unit_test(response__extensions_were_offered),
	    cmocka_unit_test(response__protocol_was_offered),
	};

	return cmocka_run_group_tests_name("ws_handshake", tests, NULL, NULL);
}
