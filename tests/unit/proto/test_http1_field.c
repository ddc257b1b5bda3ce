/* SPDX-License-Identifier: Apache-2.0 */
/* What fields must and may say, and looking them up. */
#include "proto/http1_head.h"

#include "lib/http1_vectors.h"

#include <stdio.h>

/* ---- fields -------------------------------------------------------------------------------- */

/* RFC 9112 s5.1, RFC 9110 s5.5: white space around a value is no part of it. */
static void field__value_is_trimmed(void **state)
{
	static const struct {
		const char *input, *value;
	} vectors[] = {
	    {GET("/", "X:v\r\n"), "v"},
	    {GET("/", "X: v\r\n"), "v"},
	    {GET("/", "X: \t v \t \r\n"), "v"},
	    {GET("/", "X:a b\tc\r\n"), "a b\tc"},
	    {GET("/", "X:\r\n"), ""},
	    {GET("/", "X: \t \r\n"), ""},
	    {GET("/", "X: :\r\n"), ":"},
	    {GET("/", "X: \x80\xff\r\n"), "\x80\xff"},
	    {GET("/", "X: 1234567\t9abcdef\t\t\r\n"), "1234567\t9abcdef"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(vectors); i++) {
		struct http1_head head;

		parse_good(vectors[i].input, &head);
		assert_slice(head.fields[1].value, vectors[i].value);
	}
}

/* RFC 9110 s5.6.2: which characters are a name. */
static void field__name_is_a_token(void **state)
{
	static const char others[] = "!#$%&'*+-.^_`|~";

	for (int c = 0x21; c < 256; c++) {
		bool is_token = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
				(c >= 'A' && c <= 'Z') || strchr(others, c);
		char head[] = GET("/", "aXb: v\r\n");
		char name[] = {'a', (char)c, 'b'};
		int want = is_token || c == ':' ? 0 : -EHTTP_SYNTAX;

		if (c == 0x7f)
			want = -EHTTP_CONTROL_CHAR;
		*strchr(head, 'X') = (char)c;
		assert_int_equal(feed(http1_request_parse, head), want);
		assert_int_equal(http1_is_token((struct slice){name, 3}), is_token);
	}
	assert_false(http1_is_token((struct slice){"", 0}));
	assert_false(http1_is_token(SLICE_LITERAL("a b")));
}

static void field__refuses_malformed_lines(void **state)
{
	static const struct vector vectors[] = {
	    {GET("/", ": v\r\n"), -EHTTP_SYNTAX},
	    {GET("/", "X\r\n"), -EHTTP_SYNTAX},
	    {GET("/", "X v\r\n"), -EHTTP_SYNTAX},
	    {GET("/", "X\t\r\n"), -EHTTP_SYNTAX},
	    {"GET / HTTP/1.1\r\nHost\r\n\r\n", -EHTTP_SYNTAX},
	};

	RUN(http1_request_parse, vectors);
}

/* RFC 9112 s5.1: MUST be rejected with 400. */
static void field__refuses_space_before_colon(void **state)
{
	static const struct vector vectors[] = {
	    {GET("/", "X : v\r\n"), -EHTTP_FIELD_SPACE},
	    {GET("/", "X\t: v\r\n"), -EHTTP_FIELD_SPACE},
	    {GET("/", "X \t :\r\n"), -EHTTP_FIELD_SPACE},
	    {GET("/", "Content-Length : 5\r\n"), -EHTTP_FIELD_SPACE},
	};

	RUN(http1_request_parse, vectors);
}

/* RFC 9112 s5.2, and s2.2 for one behind the start line: MUST be rejected. */
static void field__refuses_folded_lines(void **state)
{
	static const struct vector vectors[] = {
	    {GET("/", "X: a\r\n b\r\n"), -EHTTP_OBS_FOLD},
	    {GET("/", "X: a\r\n\tb\r\n"), -EHTTP_OBS_FOLD},
	    {GET("/", " X: a\r\n"), -EHTTP_OBS_FOLD},
	    {GET("/", "X: a\r\n \r\n"), -EHTTP_OBS_FOLD},
	    {"GET / HTTP/1.1\r\n Host: h\r\n\r\n", -EHTTP_OBS_FOLD},
	};

	RUN(http1_request_parse, vectors);
}

/* RFC 9112 s3.2: 400 without Host, with several, with an invalid one. */
static void host__is_required_once(void **state)
{
	static const struct vector vectors[] = {
	    {"GET / HTTP/1.1\r\n\r\n", -EHTTP_HOST},
	    {"GET / HTTP/1.1\r\nX: y\r\n\r\n", -EHTTP_HOST},
	    {"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", -EHTTP_HOST},
	    {"GET / HTTP/1.1\r\nHost: a\r\nX: y\r\nhOST: a\r\n\r\n", -EHTTP_HOST},
	    {"GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n", -EHTTP_HOST},
	    {"GET / HTTP/1.0\r\n\r\n", 0},
	};
	struct http1_head head;

	RUN(http1_request_parse, vectors);
	parse_good("GET / HTTP/1.0\r\n\r\n", &head);
	assert_int_equal(head.host.len, 0);
}

static void host__is_a_host_and_port(void **state)
{
	static const struct {
		const char *value;
		bool is_good;
	} vectors[] = {
	    {"a", true},
	    {"A-b_c~.example.", true},
	    {"10.0.0.1", true},
	    {"a:80", true},
	    {"a:", true}, /* RFC 3986 s3.2.3: *DIGIT */
	    {"a:0065535", true},
	    {"[::1]", true},
	    {"[::1]:8080", true},
	    {"[2001:db8:1:2:3:4:192.168.100.200]", true},
	    {"[0000:0000:0000:0000:0000:ffff:192.168.100.200]", true}, /* the longest */
	    {"", false},
	    {":80", false},
	    {"a:65536", false},
	    {"a:99999999999999999999", false},
	    {"a:+80", false},
	    {"a:80:80", false},
	    {"a:b", false},
	    {"a b", false},
	    {"a/b", false},
	    {"a,b", false},
	    {"u@a", false},
	    {"a%41", false},
	    {"a\xc3\xa9", false},
	    {"http://a", false},
	    {"[::1", false},
	    {"::1", false},
	    {"[]", false},
	    {"[::1]x", false},
	    {"[::1]80", false},
	    {"[1.2.3.4]", false},
	    {"[fe80::1%25eth0]", false},
	    {"[v1.x]", false},
	    {"[0000:0000:0000:0000:0000:0000:192.168.100.2000]", false},
	};

	for (size_t i = 0; i < ARRAY_SIZE(vectors); i++) {
		char head[256];

		snprintf(head, sizeof(head), "GET / HTTP/1.1\r\nHost: %s\r\n\r\n",
			 vectors[i].value);
		assert_int_equal(feed(http1_request_parse, head),
				 vectors[i].is_good ? 0 : -EHTTP_HOST);
		/* The authority of an absolute target follows the same rule. */
		if (strpbrk(vectors[i].value, " /\xc3"))
			continue;
		snprintf(head, sizeof(head), "GET ws://%s HTTP/1.1\r\nHost: h\r\n\r\n",
			 vectors[i].value);
		assert_int_equal(feed(http1_request_parse, head),
				 vectors[i].is_good ? 0 : -EHTTP_TARGET);
	}
}

/* ---- framing ------------------------------------------------------------------------------- */

/* RFC 9112 s6.3 item 5, RFC 9110 s8.6 */
static void framing__content_length(void **state)
{
	static const struct {
		const char *value;
		int64_t length; /* -1 = refused */
	} vectors[] = {
	    {"0", 0},
	    {"5", 5},
	    {"0010", 10},
	    {"9223372036854775807", INT64_MAX},
	    {"18446744073709551616", -1},
	    {"99999999999999999999", -1},
	    {"340282366920938463463374607431768211456", -1},
	    {"", -1},
	    {"+5", -1},
	    {"-5", -1},
	    {"-0", -1},
	    {"5 5", -1},
	    {"5,5", -1},
	    {"5, 6", -1},
	    {"0x5", -1},
	    {"5;", -1},
	    {"\xd9\xa5", -1},
	};
	struct http1_head head;

	for (size_t i = 0; i < ARRAY_SIZE(vectors); i++) {
		char text[128];

		snprintf(text, sizeof(text), GET("/", "Content-Length: %s\r\n"), vectors[i].value);
		if (vectors[i].length < 0) {
			assert_int_equal(feed(http1_request_parse, text), -EHTTP_FRAMING);
			continue;
		}
		parse_good(text, &head);
		assert_true(head.has_content_length);
		assert_int_equal(head.content_length, vectors[i].length);
	}
	parse_good(GET("/", "Content-Length: 18446744073709551615\r\n"), &head);
	assert_true(head.content_length == UINT64_MAX);
}

/* RFC 9112 s6.1 and s6.3 items 3, 4, 5 */
static void framing__refuses_whatever_is_ambiguous(void **state)
{
	static const struct vector vectors[] = {
	    {GET("/", "Content-Length: 5\r\nContent-Length: 5\r\n"), -EHTTP_FRAMING},
	    {GET("/", "Content-Length: 5\r\ncontent-length: 6\r\n"), -EHTTP_FRAMING},
	    {GET("/", "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"), -EHTTP_FRAMING},
	    {GET("/", "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n"), -EHTTP_FRAMING},
	    {GET("/", "Transfer-Encoding: identity\r\n"), -EHTTP_FRAMING},
	    {GET("/", "Transfer-Encoding: gzip, chunked\r\n"), -EHTTP_FRAMING},
	    {GET("/", "Transfer-Encoding: chunked, chunked\r\n"), -EHTTP_FRAMING},
	    {GET("/", "Transfer-Encoding: chunked,\r\n"), -EHTTP_FRAMING},
	    {GET("/", "Transfer-Encoding: \"chunked\"\r\n"), -EHTTP_FRAMING},
	    {GET("/", "Transfer-Encoding: xchunked\r\n"), -EHTTP_FRAMING},
	    {GET("/", "Transfer-Encoding:\r\n"), -EHTTP_FRAMING},
	    {GET("/", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"),
	     -EHTTP_FRAMING},
	    {GET("/", "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n"),
	     -EHTTP_FRAMING},
	    {"POST / HTTP/1.0\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n", -EHTTP_FRAMING},
	    {GET("/", "Transfer-Encoding : chunked\r\n"), -EHTTP_FIELD_SPACE},
	    {GET("/", "Transfer-Encoding: \x0b"
		      "chunked\r\n"),
	     -EHTTP_CONTROL_CHAR},
	    {GET("/", "Transfer-Encoding: chunked\r\n"), 0},
	    {GET("/", "transfer-encoding: Chunked \r\n"), 0},
	};
	struct http1_head head;

	RUN(http1_request_parse, vectors);
	parse_good(GET("/", "Transfer-Encoding: chunked\r\n"), &head);
	assert_true(head.is_chunked);
	assert_false(head.has_content_length);
}

/* ---- looking things up --------------------------------------------------------------------- */

static void find__goes_by_name_in_any_case(void **state)
{
	static const char text[] =
	    GET("/", "Accept: 1\r\nACCEPT: 2\r\nAccept-X: 3\r\naccept: 4\r\n");
	const struct http1_field *field;
	struct http1_head head;

	parse_good(text, &head);
	field = http1_find(&head, SLICE_LITERAL("aCCept"));
	assert_slice(field->value, "1");
	field = http1_find_next(&head, field);
	assert_slice(field->value, "2");
	field = http1_find_next(&head, field);
	assert_slice(field->value, "4");
	assert_null(http1_find_next(&head, field));
	assert_null(http1_find(&head, SLICE_LITERAL("Accep")));
}

/* RFC 9110 s5.6.1 */
static void list__elements(void **state)
{
	static const struct {
		const char *value, *joined; /* elements, each with a '|' behind it */
	} vectors[] = {
	    {"a", "a|"},
	    {"a,b", "a|b|"},
	    {" a \t,\t b ", "a|b|"},
	    {"", ""},
	    {" \t", ""},
	    {",, ,", ""},
	    {",a,, b,", "a|b|"}, /* s5.6.1.2: empty elements MUST be ignored */
	    {"a b, c", "a b|c|"},
	    {"a; x=\"1,2\", b", "a; x=\"1,2\"|b|"},
	    {"\"a\\\",b\",c", "\"a\\\",b\"|c|"},
	    {"\"open, b", "\"open, b|"},
	    {"\"open\\", "\"open\\|"},
	    {"a\"b,c\"d,e", "a\"b,c\"d|e|"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(vectors); i++) {
		struct slice rest = slice_from_str(vectors[i].value), element;
		const char *end = rest.ptr + rest.len;
		struct text_writer w;
		char joined[64];

		text_writer_init(&w, joined, sizeof(joined));
		while (http1_list_next(&rest, &element)) {
			text_put_slice(&w, element);
			text_put_str(&w, "|");
		}
		assert_slice((struct slice){joined, w.len}, vectors[i].joined);
		assert_ptr_equal(rest.ptr, end);
		assert_int_equal(rest.len, 0);
		assert_false(http1_list_next(&rest, &element));
	}
}

static void list__has_over_several_fields(void **state)
{
	static const struct slice connection = SLICE_LITERAL("connection");
	struct http1_head head;

	parse_good(GET("/", "Connection: keep-alive, x\r\nConnection: \"q, y\", UPGRADE\r\n"),
		   &head);
	assert_true(http1_list_has(&head, connection, SLICE_LITERAL("Keep-Alive")));
	assert_true(http1_list_has(&head, connection, SLICE_LITERAL("upgrade")));
	assert_true(http1_list_has(&head, connection, SLICE_LITERAL("x")));
	assert_false(http1_list_has(&head, connection, SLICE_LITERAL("y")));
	assert_false(http1_list_has(&head, connection, SLICE_LITERAL("keep")));
	assert_false(http1_list_has(&head, SLICE_LITERAL("Upgrade"), SLICE_LITERAL("x")));
}

/* RFC 9110 s7.6.1 */
static void hop_by_hop__knows_the_names(void **state)
{
	static const char *const dropped[] = {
	    "Connection", "keep-alive", "PROXY-CONNECTION",  "TE",
	    "Trailer",    "Upgrade",    "transfer-encoding",
	};
	static const char *const passed[] = {
	    "Host", "Sec-WebSocket-Key", "Cookie", "Proxy-Authorization", "T", "Upgrades",
	};

	for (size_t i = 0; i < ARRAY_SIZE(dropped); i++)
		assert_true(http1_is_hop_by_hop(slice_from_str(dropped[i])));
	for (size_t i = 0; i < ARRAY_SIZE(passed); i++)
		assert_false(http1_is_hop_by_hop(slice_from_str(passed[i])));
}

static void status_text__knows_what_is_usual(void **state)
{
	assert_string_equal(http1_status_text(101), "Switching Protocols");
	assert_string_equal(http1_status_text(404), "Not Found");
	assert_string_equal(http1_status_text(426), "Upgrade Required");
	assert_string_equal(http1_status_text(299), "");
	assert_string_equal(http1_status_text(0), "");
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
	    cmocka_unit_test(field__value_is_trimmed),
	    cmocka_unit_test(field__name_is_a_token),
	    cmocka_unit_test(field__refuses_malformed_lines),
	    cmocka_unit_test(field__refuses_space_before_colon),
	    cmocka_unit_test(field__refuses_folded_lines),
	    cmocka_unit_test(host__is_required_once),
	    cmocka_unit_test(host__is_a_host_and_port),
	    cmocka_unit_test(framing__content_length),
	    cmocka_unit_test(framing__refuses_whatever_is_ambiguous),
	    cmocka_unit_test(find__goes_by_name_in_any_case),
	    cmocka_unit_test(list__elements),
	    cmocka_unit_test(list__has_over_several_fields),
	    cmocka_unit_test(hop_by_hop__knows_the_names),
	    cmocka_unit_test(status_text__knows_what_is_usual),
	};

	return cmocka_run_group_tests_name("http1_field", tests, NULL, NULL);
}
