/* SPDX-License-Identifier: Apache-2.0 */
#include "route/forward.h"

#include "base/address.h"
#include "lib/config_loading.h"

#include <stdio.h>

static const struct http1_limits limits = {.head_bytes = 65536,
					   .target_bytes = 65536,
					   .fields = HTTP1_FIELDS_MAX};

static char written[65536];

/* What forward_write() makes of @fields, in a route with @keys; its error, or 0. */
static int forward(const char *keys, const char *source, const char *path, const char *fields)
{
	char text[2048], request[32768];
	struct address address;
	struct config *config;
	struct http1_head head;
	struct text_writer w;
	int r;

	snprintf(text, sizeof(text), LISTENER CLUSTER "route r { proxy = c %s }", keys);
	config = load_config(text);
	assert_int_equal(address_parse(source, &address), 0);
	snprintf(request, sizeof(request), "GET %s HTTP/1.1\r\nHost: h.example:81\r\n%s\r\n", path,
		 fields);
	assert_int_equal(http1_request_parse(request, strlen(request), &limits, &head), 0);
	text_writer_init(&w, written, sizeof(written) - 1);
	r = forward_write(&config->routes[0], 64, &address.sa, &head, &w);
	written[w.len] = '\0';
	config_unref(config);
	return r;
}

#define UPGRADE "Connection: Upgrade\r\nUpgrade: websocket\r\n"

/* @want: what stands behind Host, with the fields of the handshake in between. */
static void expect(const char *keys, const char *source, const char *fields, const char *passed,
		   const char *more)
{
	char want[4096];

	assert_int_equal(forward(keys, source, "/", fields), 0);
	snprintf(want, sizeof(want), "GET / HTTP/1.1\r\nHost: h.example:81\r\n%s" UPGRADE "%s\r\n",
		 passed, more);
	assert_string_equal(written, want);
}

/* ---- who the client is --------------------------------------------------------------------- */

static void write__adds_x_forwarded(void **state)
{
	expect("", "192.0.2.1:5", "", "",
	       "X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: http\r\n"
	       "X-Forwarded-Host: h.example:81\r\n");
	expect("", "[2001:db8::1]:5", "", "",
	       "X-Forwarded-For: 2001:db8::1\r\nX-Forwarded-Proto: http\r\n"
	       "X-Forwarded-Host: h.example:81\r\n");
	expect("", "unix:/x", "", "",
	       "X-Forwarded-Proto: http\r\nX-Forwarded-Host: h.example:81\r\n");
	expect("forwarded = off", "192.0.2.1:5", "X-Forwarded-For: a\r\n", "X-Forwarded-For: a\r\n",
	       "");
}

static void write__appends_to_x_forwarded_for_and_replaces_the_others(void **state)
{
	static const char fields[] = "x-forwarded-for: a, b\r\nX-A: 1\r\nX-Forwarded-FOR: c\r\n"
				     "X-Forwarded-For:\r\n"
				     "X-Forwarded-Proto: https\r\nX-Forwarded-Host: evil\r\n";

	expect("", "192.0.2.1:5", fields, "X-A: 1\r\n",
	       "X-Forwarded-For: a, b, c, 192.0.2.1\r\nX-Forwarded-Proto: http\r\n"
	       "X-Forwarded-Host: h.example:81\r\n");
	expect("", "unix:/x", fields, "X-A: 1\r\n",
	       "X-Forwarded-For: a, b, c\r\nX-Forwarded-Proto: http\r\n"
	       "X-Forwarded-Host: h.example:81\r\n");
	expect("headers { remove = {X-Forwarded-For} }", "192.0.2.1:5", fields, "X-A: 1\r\n",
	       "X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: http\r\n"
	       "X-Forwarded-Host: h.example:81\r\n");
}

/* Connection cannot take away what we say (RFC 9110 s7.6.1 is about what was received). */
static void write__keeps_its_own_whatever_connection_names(void **state)
{
	expect("headers { add = {\"X-Env: prod\"} }", "192.0.2.1:5",
	       "Connection: X-Forwarded-For, X-Env\r\nX-Env: dev\r\n", "",
	       "X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: http\r\n"
	       "X-Forwarded-Host: h.example:81\r\nX-Env: prod\r\n");
}

/* RFC 7239 s4 (quoted-string for what is no token), s6 (IPv6 in brackets), s6.2 (unknown) */
static void write__adds_a_forwarded_element(void **state)
{
	expect("forwarded = rfc7239", "192.0.2.1:5", "", "",
	       "Forwarded: for=192.0.2.1;host=\"h.example:81\";proto=http\r\n");
	expect(
	    "forwarded = rfc7239", "[2001:db8::1]:5", "Forwarded: for=a;proto=https\r\n", "",
	    "Forwarded: for=a;proto=https, for=\"[2001:db8::1]\";host=\"h.example:81\";proto=http"
	    "\r\n");
	expect("forwarded = rfc7239", "unix:/x", "", "",
	       "Forwarded: for=unknown;host=\"h.example:81\";proto=http\r\n");
	expect("forwarded = both", "192.0.2.1:5", "", "",
	       "X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: http\r\n"
	       "X-Forwarded-Host: h.example:81\r\n"
	       "Forwarded: for=192.0.2.1;host=\"h.example:81\";proto=http\r\n");
}

/* ---- headers ------------------------------------------------------------------------------- */

static void write__adds_and_removes_headers(void **state)
{
	expect("forwarded = off headers { add = {\"X-A:1\", \"X-B:\", \"X-A:  2 3 \"} "
	       "remove = {cookie, X-C} }",
	       "192.0.2.1:5", "COOKIE: a\r\nX-A: 0\r\nCookie: b\r\nX-D: 4\r\n",
	       "X-A: 0\r\nX-D: 4\r\n", "X-A: 1\r\nX-B: \r\nX-A: 2 3\r\n");
}

static void write__keeps_within_bounds(void **state)
{
	char fields[128 * 16], *p = fields;
	struct http1_head head;

	/* 127, and Host: as many as there may be, without our own */
	for (int i = 0; i < 127; i++)
		p += sprintf(p, "X-%d: 1\r\n", i);
	assert_int_equal(forward("", "192.0.2.1:5", "/", fields), -EHTTP_FIELDS_MANY);
	assert_int_equal(forward("forwarded = off", "192.0.2.1:5", "/", fields),
			 -EHTTP_FIELDS_MANY);
	fields[0] = '\0';
	p = fields;
	for (int i = 0; i < 125; i++)
		p += sprintf(p, "X-%d: 1\r\n", i);
	assert_int_equal(forward("forwarded = off", "192.0.2.1:5", "/", fields), 0);
	assert_int_equal(http1_request_parse(written, strlen(written), &limits, &head), 0);
	assert_int_equal(head.n_fields, 128);
	assert_int_equal(forward("forwarded = off headers { add = {\"X-A: 1\"} }", "192.0.2.1:5",
				 "/", fields),
			 -EHTTP_FIELDS_MANY);
}

/* Every size of buffer but the whole one is refused, and nothing is written behind its end. */
static void write__refuses_what_does_not_fit(void **state)
{
	struct config *config =
	    load_config(LISTENER CLUSTER
			"route r { proxy = c forwarded = both headers { add = {\"X-A: 1\"} } }");
	struct http1_head head = {.method = SLICE_LITERAL("GET"),
				  .target = SLICE_LITERAL("/a"),
				  .path = SLICE_LITERAL("/a"),
				  .host = SLICE_LITERAL("h")};
	struct address address;
	struct text_writer w;
	char buf[512];
	size_t len;

	assert_int_equal(address_parse("192.0.2.1:5", &address), 0);
	text_writer_init(&w, buf, sizeof(buf));
	assert_int_equal(forward_write(&config->routes[0], 64, &address.sa, &head, &w), 0);
	len = w.len;
	for (size_t cap = 0; cap < len; cap++) {
		text_writer_init(&w, buf, cap);
		assert_int_equal(forward_write(&config->routes[0], 64, &address.sa, &head, &w),
				 -EHTTP_HEAD_LARGE);
		assert_true(w.len <= cap);
	}
	config_unref(config);
}

/* ---- path ---------------------------------------------------------------------------------- */

static void expect_path(const char *rewrite, const char *target, const char *want)
{
	char keys[256], line[256];

	snprintf(keys, sizeof(keys), "rewrite = %s", rewrite);
	assert_int_equal(forward(keys, "192.0.2.1:5", target, ""), 0);
	snprintf(line, sizeof(line), "GET %s HTTP/1.1\r\n", want);
	if (strncmp(written, line, strlen(line)) != 0)
		fail_msg("%s: %s became %s", rewrite, target, written);
}

static void write__rewrites_a_prefix(void **state)
{
	expect_path("{\"/api/\", \"/\"}", "/api/x?y=/api/", "/x?y=/api/");
	expect_path("{\"/api/\", \"/\"}", "/other", "/other");
	expect_path("{\"/api/\", \"/\"}", "/api", "/api");
	expect_path("{\"/\", \"/v2/\"}", "/x", "/v2/x");
	expect_path("{\"/api\", \"\"}", "/api/x", "/x");
	expect_path("{\"/api\", \"\"}", "/api", "/");
	expect_path("{\"/api\", \"\"}", "/api?q", "/?q");
	/* An origin form begins with a slash (RFC 9112 s3.2.1). */
	expect_path("{\"/api\", \"\"}", "/apix", "/x");
	expect_path("{\"/api/\", \"\"}", "/api/@evil", "/@evil");
	expect_path("{\"/a\", \"/$1$$\"}", "/a", "/$1$$");
}

static void write__rewrites_by_regular_expression(void **state)
{
	expect_path("{\"~^/room/(\\\\d+)/(.*)$\", \"/$2/$1\"}", "/room/17/a/b", "/a/b/17");
	expect_path("{\"~^/v[0-9]+\", \"\"}", "/v17/x?q", "/x?q");
	expect_path("{\"~b+\", \"[$0]\"}", "/abbc/bb", "/a[bb]c/bb");
	expect_path("{\"~(z)?a\", \"<$1>\"}", "/a", "/<>");
	expect_path("{\"~a\", \"$$\"}", "/a", "/$");
	expect_path("{\"~^/none\", \"/x\"}", "/a", "/a");
	expect_path("{\"~^.*$\", \"\"}", "/a", "/");
}

static void write__refuses_what_a_rewrite_must_not_make(void **state)
{
	static const char prefix[] = "rewrite = {\"/api\", \"/\"}";
	static const char bomb[] = "rewrite = {\"~(a+)+$\", \"/\"}";

	assert_int_equal(forward(prefix, "1.2.3.4:5", "/api../secret", ""), -EHTTP_TARGET);
	assert_int_equal(forward(prefix, "1.2.3.4:5", "/api%2e%2E/secret", ""), -EHTTP_TARGET);
	assert_int_equal(forward("rewrite = {\"/\", \"/0123456789/\"}", "1.2.3.4:5",
				 "/0123456789012345678901234567890123456789012345678901234567", ""),
			 -EHTTP_TARGET_LONG);
	assert_int_equal(forward(bomb, "1.2.3.4:5",
				 "/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!", ""),
			 -EHTTP_TARGET);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
	    cmocka_unit_test(write__adds_x_forwarded),
	    cmocka_unit_test(write__appends_to_x_forwarded_for_and_replaces_the_others),
	    cmocka_unit_test(write__keeps_its_own_whatever_connection_names),
	    cmocka_unit_test(write__adds_a_forwarded_element),
	    cmocka_unit_test(write__adds_and_removes_headers),
	    cmocka_unit_test(write__keeps_within_bounds),
	    cmocka_unit_test(write__refuses_what_does_not_fit),
	    cmocka_unit_test(write__rewrites_a_prefix),
	    cmocka_unit_test(write__rewrites_by_regular_expression),
	    cmocka_unit_test(write__refuses_what_a_rewrite_must_not_make),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
