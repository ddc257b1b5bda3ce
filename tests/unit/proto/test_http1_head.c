/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/http1_head.h"

#include "lib/http1_vectors.h"

#include <stdio.h>

/* A browser's. */
static const char good_request[] = "GET /chat?room=1 HTTP/1.1\r\n"
				   "Host: server.example.com:8080\r\n"
				   "Connection: keep-alive, Upgrade\r\n"
				   "Upgrade: websocket\r\n"
				   "User-Agent: Mozilla/5.0 (X11; \xc3\xa9)\t\"x\"\r\n"
				   "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
				   "Empty:\r\n"
				   "\r\n";

/* ---- scan ---------------------------------------------------------------------------------- */

static void scan__ends_behind_the_empty_line(void **state)
{
	static const char with_frames[] = GET("/", "") "\x81\x00\r\n\r\n";
	struct http1_scan scan = {0};

	assert_int_equal(http1_head_scan(&scan, with_frames, sizeof(with_frames) - 1, &usual),
			 strlen(GET("/", "")));
}

static void scan__waits_for_every_byte(void **state)
{
	for (size_t len = 0; len < sizeof(good_request) - 1; len++) {
		struct http1_scan scan = {0};

		assert_int_equal(http1_head_scan(&scan, good_request, len, &usual), 0);
	}
}

/* What was looked at is not looked at again: it may turn into anything. */
static void scan__looks_at_each_byte_once(void **state)
{
	size_t len = sizeof(good_request) - 1;
	_cleanup_free_ char *buf = calloc(1, len);
	struct http1_scan scan = {0};

	for (size_t i = 0; i < len; i++) {
		ssize_t n;

		buf[i] = good_request[i];
		n = http1_head_scan(&scan, buf, i + 1, &usual);
		assert_int_equal(n, i + 1 == len ? len : 0);
		/* One byte may stay open: a CR, which needs its LF. */
		assert_true(scan.pos == i + 1 || (scan.pos == i && buf[i] == '\r') || n > 0);
		memset(buf, 0, scan.pos);
	}
}

/* RFC 9112 s2.2, RFC 9110 s5.5: wherever it stands, and at once. */
static void scan__refuses_control_characters_at_once(void **state)
{
	_cleanup_free_ char *buf = malloc(sizeof(good_request));

	for (size_t i = 0; i < sizeof(good_request) - 1; i++) {
		for (int c = 0; c < 256; c++) {
			bool is_bad = (c < 0x20 && c != '\t' && c != '\r') || c == 0x7f;
			struct http1_scan scan = {0};
			ssize_t n;

			if (c == good_request[i])
				continue;
			memcpy(buf, good_request, i);
			buf[i] = (char)c;
			n = http1_head_scan(&scan, buf, i + 1, &usual);
			/* A '\r' of the head itself is in the way of what replaces its '\n'. */
			if (is_bad || (i > 0 && good_request[i - 1] == '\r'))
				assert_int_equal(n, -EHTTP_CONTROL_CHAR);
			else
				assert_int_equal(n, 0);
		}
	}
}

static void scan__refuses_bare_cr_and_lf(void **state)
{
	static const struct vector vectors[] = {
	    {"GET / HTTP/1.1\nHost: h\n\n", -EHTTP_CONTROL_CHAR},
	    {"GET / HTTP/1.1\r\nHost: h\n\r\n", -EHTTP_CONTROL_CHAR},
	    {"GET / HTTP/1.1\r\nHost: h\r\r\n\r\n", -EHTTP_CONTROL_CHAR},
	    {"GET / HTTP/1.1\r\nA: b\rc\r\n", -EHTTP_CONTROL_CHAR},
	    {"GET / HTTP/1.1\r\n\n", -EHTTP_CONTROL_CHAR},
	    {"GET / HTTP/1.1\r\nHost: h\r\n\r\r\n", -EHTTP_CONTROL_CHAR},
	    {"\n", -EHTTP_CONTROL_CHAR},
	    {"GET / HTTP/1.1\r", MORE},
	};

	RUN(http1_request_parse, vectors);
}

static void scan__refuses_an_empty_line_first(void **state)
{
	static const struct vector vectors[] = {
	    {"\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n", -EHTTP_SYNTAX},
	    {"\r\n\r\n", -EHTTP_SYNTAX},
	};

	struct http1_scan scan = {0};

	RUN(http1_request_parse, vectors);
	assert_int_equal(http1_head_scan(&scan, "\r\n", 2, &usual), -EHTTP_SYNTAX);
}

static void scan__refuses_other_protocols_early(void **state)
{
	/* TLS records begin with 22, 3; PROXY protocol version 2 with CR LF CR LF. */
	static const char hello[] = "\x16\x03\x01\x02\x00\x01";
	static const char proxy2[] = "\r\n\r\n\0\r\nQUIT\n";
	static const struct vector vectors[] = {
	    {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", -EHTTP_VERSION},
	    {"PROXY TCP4 10.0.0.1 10.0.0.2 1 2\r\nGET / HTTP/1.1\r\n\r\n", -EHTTP_SYNTAX},
	    {"SSH-2.0-OpenSSH_9.2\r\n\r\n", -EHTTP_SYNTAX},
	    {"HTTP/1.1 200 OK\r\n\r\n", -EHTTP_SYNTAX},
	};
	struct http1_scan scan = {0};

	assert_int_equal(http1_head_scan(&scan, hello, 1, &usual), -EHTTP_CONTROL_CHAR);
	assert_int_equal(feed_limited(http1_request_parse, hello, sizeof(hello) - 1, &usual),
			 -EHTTP_CONTROL_CHAR);
	assert_int_equal(feed_limited(http1_request_parse, proxy2, sizeof(proxy2) - 1, &usual),
			 -EHTTP_SYNTAX);
	RUN(http1_request_parse, vectors);
}

static void limits__head_bytes(void **state)
{
	static const char head[] = GET("/", "A: b\r\n");
	struct http1_limits limits = usual;

	limits.head_bytes = sizeof(head) - 1;
	assert_int_equal(feed_limited(http1_request_parse, head, sizeof(head) - 1, &limits), 0);
	for (limits.head_bytes = 1; limits.head_bytes < sizeof(head) - 1; limits.head_bytes++) {
		assert_int_equal(feed_limited(http1_request_parse, head, sizeof(head) - 1, &limits),
				 -EHTTP_HEAD_LARGE);
		/* As soon as it is known. */
		assert_int_equal(feed_limited(http1_request_parse, head, limits.head_bytes,
					      &limits),
				 -EHTTP_HEAD_LARGE);
		assert_int_equal(feed_limited(http1_request_parse, head, limits.head_bytes - 1,
					      &limits),
				 MORE);
	}
}

static void limits__target_bytes(void **state)
{
	struct http1_limits limits = usual;

	limits.target_bytes = 5;
	assert_int_equal(feed_limited(http1_request_parse, GET("/1234", ""),
				      strlen(GET("/1234", "")), &limits),
			 0);
	assert_int_equal(feed_limited(http1_request_parse, GET("/12345", ""),
				      strlen(GET("/12345", "")), &limits),
			 -EHTTP_TARGET_LONG);
}

static void limits__request_line(void **state)
{
	static const char long_method[] = "A-METHOD-OF-A-LENGTH-UNHEARD-OF / HTTP/1.1\r\n\r\n";
	static const char long_reason[] = "HTTP/1.1 200 25 characters of a reason\r\n\r\n";
	struct http1_limits limits = usual;
	struct http1_head head;
	char line[64];

	/* Not even complete. */
	limits.target_bytes = 5;
	memset(line, 'A', sizeof(line));
	assert_int_equal(feed_limited(http1_request_parse, line, 5 + 32, &limits), MORE);
	assert_int_equal(feed_limited(http1_request_parse, line, 5 + 33, &limits),
			 -EHTTP_TARGET_LONG);
	line[5 + 32] = '\r';
	assert_int_equal(feed_limited(http1_request_parse, line, 5 + 33, &limits), MORE);
	/* The limit is for the first line alone. */
	memcpy(line, "GET / HTTP/1.1\r\n", 16);
	line[37] = 'A';
	assert_int_equal(feed_limited(http1_request_parse, line, sizeof(line), &limits), MORE);
	/* For parsing alone, too, whatever makes it long. */
	assert_int_equal(http1_request_parse(long_method, sizeof(long_method) - 1, &limits, &head),
			 -EHTTP_TARGET_LONG);
	assert_int_equal(http1_response_parse(long_reason, sizeof(long_reason) - 1, &limits, &head),
			 -EHTTP_TARGET_LONG);
	limits.target_bytes++;
	assert_int_equal(http1_response_parse(long_reason, sizeof(long_reason) - 1, &limits, &head),
			 0);
	/* No limit at all. */
	limits.target_bytes = UINT32_MAX;
	limits.head_bytes = UINT32_MAX;
	assert_int_equal(feed_limited(http1_request_parse, good_request, sizeof(good_request) - 1,
				      &limits),
			 0);
}

static void limits__fields(void **state)
{
	static const char head[] = GET("/", "A: 1\r\nB: 2\r\nC: 3\r\n");
	struct http1_limits limits = usual;
	struct http1_head parsed;

	limits.fields = 4;
	assert_int_equal(feed_limited(http1_request_parse, head, sizeof(head) - 1, &limits), 0);
	limits.fields = 3;
	assert_int_equal(feed_limited(http1_request_parse, head, sizeof(head) - 1, &limits),
			 -EHTTP_FIELDS_MANY);
	/* Ahead of the empty line. */
	assert_int_equal(feed_limited(http1_request_parse, head, sizeof(head) - 3, &limits),
			 -EHTTP_FIELDS_MANY);
	assert_int_equal(http1_request_parse(head, sizeof(head) - 1, &limits, &parsed),
			 -EHTTP_FIELDS_MANY);
}

/* Whoever sets the limits: the array has its bound. */
static void limits__fields_never_pass_the_array(void **state)
{
	struct http1_limits limits = {.head_bytes = 65536, .target_bytes = 100, .fields = 65535};
	struct http1_head parsed;
	struct text_writer w;
	char head[2048];

	for (size_t n = HTTP1_FIELDS_MAX; n <= HTTP1_FIELDS_MAX + 1; n++) {
		int want = n > HTTP1_FIELDS_MAX ? -EHTTP_FIELDS_MANY : 0;

		text_writer_init(&w, head, sizeof(head));
		text_put_str(&w, "GET / HTTP/1.1\r\nHost: h\r\n");
		for (size_t i = 1; i < n; i++)
			text_put_str(&w, "A: b\r\n");
		text_put_str(&w, "\r\n");
		assert_int_equal(http1_request_parse(head, w.len, &limits, &parsed), want);
		assert_int_equal(parsed.n_fields, HTTP1_FIELDS_MAX);
		assert_int_equal(feed_limited(http1_request_parse, head, w.len, &limits), want);
	}
}

/* ---- request line -------------------------------------------------------------------------- */

static void request__is_taken_apart(void **state)
{
	struct http1_head head;

	parse_good(good_request, &head);
	assert_slice(head.method, "GET");
	assert_slice(head.target, "/chat?room=1");
	assert_slice(head.path, "/chat");
	assert_slice(head.query, "room=1");
	assert_slice(head.host, "server.example.com:8080");
	assert_int_equal(head.minor_version, 1);
	assert_int_equal(head.n_fields, 6);
	assert_slice(head.fields[1].name, "Connection");
	assert_slice(head.fields[1].value, "keep-alive, Upgrade");
	assert_slice(head.fields[3].value, "Mozilla/5.0 (X11; \xc3\xa9)\t\"x\"");
	assert_slice(head.fields[5].name, "Empty");
	assert_slice(head.fields[5].value, "");
	assert_false(head.has_content_length);
	assert_false(head.is_chunked);
	assert_int_equal(head.status, 0);
}

static void request__accepts_any_method(void **state)
{
	static const struct vector vectors[] = {
	    {"POST / HTTP/1.1\r\nHost: h\r\n\r\n", 0},
	    {"get / HTTP/1.1\r\nHost: h\r\n\r\n", 0},
	    {"!#$%&'*+-.^_`|~09azAZ / HTTP/1.1\r\nHost: h\r\n\r\n", 0},
	    {"G(T / HTTP/1.1\r\nHost: h\r\n\r\n", -EHTTP_SYNTAX},
	    {"G\xc3\xa9T / HTTP/1.1\r\nHost: h\r\n\r\n", -EHTTP_SYNTAX},
	    {" GET / HTTP/1.1\r\nHost: h\r\n\r\n", -EHTTP_SYNTAX},
	    {"GET\r\nHost: h\r\n\r\n", -EHTTP_SYNTAX},
	};

	RUN(http1_request_parse, vectors);
}

/* RFC 9112 s3: single spaces, and nothing else, between the three parts. */
static void request__refuses_other_spacing(void **state)
{
	static const struct vector vectors[] = {
	    {"GET  / HTTP/1.1\r\nHost: h\r\n\r\n", -EHTTP_SYNTAX},
	    {"GET /  HTTP/1.1\r\nHost: h\r\n\r\n", -EHTTP_SYNTAX},
	    {"GET / HTTP/1.1 \r\nHost: h\r\n\r\n", -EHTTP_SYNTAX},
	    {"GET\t/ HTTP/1.1\r\nHost: h\r\n\r\n", -EHTTP_SYNTAX},
	    {"GET /\tHTTP/1.1\r\nHost: h\r\n\r\n", -EHTTP_SYNTAX},
	    {"GET /a b HTTP/1.1\r\nHost: h\r\n\r\n", -EHTTP_SYNTAX},
	    {"GET /a\tb HTTP/1.1\r\nHost: h\r\n\r\n", -EHTTP_SYNTAX},
	    {"GET /\r\nHost: h\r\n\r\n", -EHTTP_SYNTAX}, /* HTTP/0.9 */
	    {"GET / \r\nHost: h\r\n\r\n", -EHTTP_SYNTAX},
	};

	RUN(http1_request_parse, vectors);
}

/* RFC 9112 s2.3: HTTP-version is case-sensitive. */
static void request__version(void **state)
{
	static const struct vector vectors[] = {
	    {"GET / HTTP/1.0\r\nHost: h\r\n\r\n", 0},
	    {"GET / HTTP/1.2\r\nHost: h\r\n\r\n", -EHTTP_VERSION},
	    {"GET / HTTP/0.9\r\nHost: h\r\n\r\n", -EHTTP_VERSION},
	    {"GET / HTTP/2.0\r\nHost: h\r\n\r\n", -EHTTP_VERSION},
	    {"GET / HTTP/3.1\r\nHost: h\r\n\r\n", -EHTTP_VERSION},
	    {"GET / http/1.1\r\nHost: h\r\n\r\n", -EHTTP_SYNTAX},
	    {"GET / Http/1.1\r\nHost: h\r\n\r\n", -EHTTP_SYNTAX},
	    {"GET / HTTP/1\r\nHost: h\r\n\r\n", -EHTTP_SYNTAX},
	    {"GET / HTTP/1.\r\nHost: h\r\n\r\n", -EHTTP_SYNTAX},
	    {"GET / HTTP/1.10\r\nHost: h\r\n\r\n", -EHTTP_SYNTAX},
	    {"GET / HTTP/11.1\r\nHost: h\r\n\r\n", -EHTTP_SYNTAX},
	    {"GET / HTTP/1,1\r\nHost: h\r\n\r\n", -EHTTP_SYNTAX},
	    {"GET / HTP/1.1\r\nHost: h\r\n\r\n", -EHTTP_SYNTAX},
	};
	struct http1_head head;

	RUN(http1_request_parse, vectors);
	parse_good(vectors[0].input, &head);
	assert_int_equal(head.minor_version, 0);
}

/* RFC 9112 s3.2.1 */
static void target__origin_form(void **state)
{
	static const struct {
		const char *input, *path, *query;
	} vectors[] = {
	    {GET("/", ""), "/", ""},
	    {GET("/?", ""), "/", ""},
	    {GET("/a/b?c?d=/e", ""), "/a/b", "c?d=/e"},
	    {GET("//h/x", ""), "//h/x", ""},
	    {GET("/http://x/", ""), "/http://x/", ""},
	    {GET("/%2e%zz", ""), "/%2e%zz", ""},
	    {GET("/\"<>\\^`{|}[]@:;,!$&'()*+=~", ""), "/\"<>\\^`{|}[]@:;,!$&'()*+=~", ""},
	};

	for (size_t i = 0; i < ARRAY_SIZE(vectors); i++) {
		struct http1_head head;

		parse_good(vectors[i].input, &head);
		assert_slice(head.path, vectors[i].path);
		assert_slice(head.query, vectors[i].query);
		assert_slice(head.host, "h");
	}
}

/* RFC 9112 s3.2.2: the authority of the target counts, not Host. */
static void target__absolute_form(void **state)
{
	static const struct {
		const char *input, *host, *path, *query;
	} vectors[] = {
	    {GET("http://a.example/x?y", ""), "a.example", "/x", "y"},
	    {GET("https://a.example:8443/", ""), "a.example:8443", "/", ""},
	    {GET("ws://[::1]:80/x", ""), "[::1]:80", "/x", ""},
	    {GET("WSS://A/", ""), "A", "/", ""},
	    {GET("ws://a", ""), "a", "/", ""},
	    {GET("ws://a?q", ""), "a", "/", "q"},
	    {GET("ws://a:?q/r", ""), "a:", "/", "q/r"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(vectors); i++) {
		struct http1_head head;

		parse_good(vectors[i].input, &head);
		assert_slice(head.host, vectors[i].host);
		assert_slice(head.path, vectors[i].path);
		assert_slice(head.query, vectors[i].query);
	}
}

static void target__absolute_form_still_needs_a_valid_host(void **state)
{
	static const struct vector vectors[] = {
	    {"GET http://a/ HTTP/1.1\r\n\r\n", -EHTTP_HOST},
	    {"GET http://a/ HTTP/1.1\r\nHost: a@b\r\n\r\n", -EHTTP_HOST},
	    {"GET http://a/ HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", -EHTTP_HOST},
	};

	RUN(http1_request_parse, vectors);
}

static void target__refuses_other_forms(void **state)
{
	static const struct vector vectors[] = {
	    {GET("*", ""), -EHTTP_TARGET},    /* asterisk-form (s3.2.4) */
	    {GET("h:80", ""), -EHTTP_TARGET}, /* authority-form (s3.2.3) */
	    {GET("http", ""), -EHTTP_TARGET},
	    {GET("?q", ""), -EHTTP_TARGET},
	    {GET("a/b", ""), -EHTTP_TARGET},
	    {GET("ftp://h/", ""), -EHTTP_TARGET},
	    {GET("httpx://h/", ""), -EHTTP_TARGET},
	    {GET("://h/", ""), -EHTTP_TARGET},
	    {GET("http:", ""), -EHTTP_TARGET},
	    {GET("http:/", ""), -EHTTP_TARGET},
	    {GET("http:/h", ""), -EHTTP_TARGET},
	    {GET("http:h", ""), -EHTTP_TARGET},
	    {GET("http://", ""), -EHTTP_TARGET}, /* RFC 9110 s4.2.1: empty host */
	    {GET("http:///x", ""), -EHTTP_TARGET},
	    {GET("http://?x", ""), -EHTTP_TARGET},
	    {GET("http://:80/", ""), -EHTTP_TARGET},
	    {GET("http://u@h/", ""), -EHTTP_TARGET}, /* RFC 9110 s4.2.4: userinfo */
	    {GET("http://u:p@h/", ""), -EHTTP_TARGET},
	    {GET("http://h:99999/", ""), -EHTTP_TARGET},
	    {GET("http://h:8a/", ""), -EHTTP_TARGET},
	    {GET("http://h\\x/", ""), -EHTTP_TARGET},
	};

	RUN(http1_request_parse, vectors);
}

static void target__refuses_fragments_and_raw_bytes(void **state)
{
	static const struct vector vectors[] = {
	    {GET("/#f", ""), -EHTTP_TARGET},         {GET("#", ""), -EHTTP_TARGET},
	    {GET("/a?b#f", ""), -EHTTP_TARGET},      {GET("http://h/#", ""), -EHTTP_TARGET},
	    {GET("/\xc3\xa9", ""), -EHTTP_TARGET},   {GET("/\x80", ""), -EHTTP_TARGET},
	    {GET("/\xff", ""), -EHTTP_TARGET},       {GET("/\x7f", ""), -EHTTP_CONTROL_CHAR},
	    {GET("/\x01", ""), -EHTTP_CONTROL_CHAR},
	};

	RUN(http1_request_parse, vectors);
}

/* ---- parse alone --------------------------------------------------------------------------- */

/* Parsing does not lean on a scan before it. */
static void parse__refuses_what_scan_would(void **state)
{
	_cleanup_free_ char *buf = malloc(sizeof(good_request));
	size_t len = sizeof(good_request) - 1;
	struct http1_head head;

	for (size_t i = 0; i < len; i++) {
		for (int c = 0; c < 256; c++) {
			struct http1_scan scan = {0};

			memcpy(buf, good_request, len);
			buf[i] = (char)c;
			if (http1_request_parse(buf, len, &usual, &head) == 0)
				assert_int_equal(http1_head_scan(&scan, buf, len, &usual), len);
		}
	}
}

static void parse__wants_the_whole_head_and_no_more(void **state)
{
	size_t len = sizeof(good_request) - 1;
	struct http1_limits limits = usual;
	struct http1_head head;

	for (size_t i = 0; i < len; i++) {
		_cleanup_free_ char *part = malloc(i); /* so that reading on is seen */

		memcpy(part, good_request, i);
		assert_int_equal(http1_request_parse(part, i, &usual, &head), -EHTTP_SYNTAX);
	}
	/* The NUL behind the head. */
	assert_int_equal(http1_request_parse(good_request, len + 1, &usual, &head), -EHTTP_SYNTAX);
	limits.head_bytes = (uint32_t)len - 1;
	assert_int_equal(http1_request_parse(good_request, len, &limits, &head), -EHTTP_HEAD_LARGE);
}

/* ---- responses ----------------------------------------------------------------------------- */

static void response__is_taken_apart(void **state)
{
	static const char text[] = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n";
	struct http1_head head;

	assert_int_equal(feed(http1_response_parse, text), 0);
	assert_int_equal(http1_response_parse(text, sizeof(text) - 1, &usual, &head), 0);
	assert_int_equal(head.status, 101);
	assert_slice(head.reason, "Switching Protocols");
	assert_int_equal(head.minor_version, 1);
	assert_int_equal(head.n_fields, 1);
	assert_int_equal(head.method.len, 0);
	assert_int_equal(head.target.len, 0);
	assert_int_equal(head.host.len, 0);
}

/* RFC 9112 s4, RFC 9110 s15 */
static void response__status_line(void **state)
{
	static const struct vector vectors[] = {
	    {"HTTP/1.1 200 OK\r\n\r\n", 0},
	    {"HTTP/1.0 200 OK\r\n\r\n", 0},
	    {"HTTP/1.1 100 \r\n\r\n", 0},
	    {"HTTP/1.1 599 \t\x80 x\r\n\r\n", 0},
	    {"HTTP/1.1 200\r\n\r\n", -EHTTP_SYNTAX},
	    {"HTTP/1.1 099 x\r\n\r\n", -EHTTP_SYNTAX},
	    {"HTTP/1.1 600 x\r\n\r\n", -EHTTP_SYNTAX},
	    {"HTTP/1.1 20 x\r\n\r\n", -EHTTP_SYNTAX},
	    {"HTTP/1.1 2000 x\r\n\r\n", -EHTTP_SYNTAX},
	    {"HTTP/1.1 +20 x\r\n\r\n", -EHTTP_SYNTAX},
	    {"HTTP/1.1  200 x\r\n\r\n", -EHTTP_SYNTAX},
	    {"HTTP/1.1 200-x\r\n\r\n", -EHTTP_SYNTAX},
	    {"HTTP/1.1\r\n\r\n", -EHTTP_SYNTAX},
	    {"HTTP/1.1 \r\n\r\n", -EHTTP_SYNTAX},
	    {"http/1.1 200 OK\r\n\r\n", -EHTTP_SYNTAX},
	    {"HTTP/2.0 200 OK\r\n\r\n", -EHTTP_VERSION},
	    {"ICY 200 OK\r\n\r\n", -EHTTP_SYNTAX},
	    {"HTTP/1.1 200 O\x01K\r\n\r\n", -EHTTP_CONTROL_CHAR},
	};

	RUN(http1_response_parse, vectors);
}

static void response__fields_follow_the_same_rules(void **state)
{
	static const struct vector vectors[] = {
	    {"HTTP/1.1 200 OK\r\nX : y\r\n\r\n", -EHTTP_FIELD_SPACE},
	    {"HTTP/1.1 200 OK\r\nX: y\r\n z\r\n\r\n", -EHTTP_OBS_FOLD},
	    {"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n", -EHTTP_FRAMING},
	    {"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
	     -EHTTP_FRAMING},
	    {"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n", 0},
	};

	RUN(http1_response_parse, vectors);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
	    cmocka_unit_test(scan__ends_behind_the_empty_line),
	    cmocka_unit_test(scan__waits_for_every_byte),
	    cmocka_unit_test(scan__looks_at_each_byte_once),
	    cmocka_unit_test(scan__refuses_control_characters_at_once),
	    cmocka_unit_test(scan__refuses_bare_cr_and_lf),
	    cmocka_unit_test(scan__refuses_an_empty_line_first),
	    cmocka_unit_test(scan__refuses_other_protocols_early),
	    cmocka_unit_test(limits__head_bytes),
	    cmocka_unit_test(limits__target_bytes),
	    cmocka_unit_test(limits__request_line),
	    cmocka_unit_test(limits__fields),
	    cmocka_unit_test(limits__fields_never_pass_the_array),
	    cmocka_unit_test(request__is_taken_apart),
	    cmocka_unit_test(request__accepts_any_method),
	    cmocka_unit_test(request__refuses_other_spacing),
	    cmocka_unit_test(request__version),
	    cmocka_unit_test(target__origin_form),
	    cmocka_unit_test(target__absolute_form),
	    cmocka_unit_test(target__absolute_form_still_needs_a_valid_host),
	    cmocka_unit_test(target__refuses_other_forms),
	    cmocka_unit_test(target__refuses_fragments_and_raw_bytes),
	    cmocka_unit_test(parse__refuses_what_scan_would),
	    cmocka_unit_test(parse__wants_the_whole_head_and_no_more),
	    cmocka_unit_test(response__is_taken_apart),
	    cmocka_unit_test(response__status_line),
	    cmocka_unit_test(response__fields_follow_the_same_rules),
	};

	return cmocka_run_group_tests_name("http1_head", tests, NULL, NULL);
}
