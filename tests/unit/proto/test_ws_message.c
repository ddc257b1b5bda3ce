/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/ws_message.h"

#include "lib/split_feeder.h"
#include "lib/ws_stream.h"
#include "lib/ws_trace.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const struct ws_message_limits no_limits;

/* ---- a stream, fed in every way, and what it must say --------------------------------------- */

struct expectation {
	enum ws_role role;
	struct ws_message_limits limits;
	uint8_t allowed_rsv;
	const char *trace;
};

static void begin(struct ws_trace *t, const struct expectation *e)
{
	ws_trace_reset(t);
	memset(&t->receiver, 0x5a, sizeof(t->receiver));
	ws_receiver_init(&t->receiver, e->role, &e->limits);
	assert_int_equal(t->receiver.allowed_rsv, 0);
	t->receiver.allowed_rsv = e->allowed_rsv;
}

static void expect_from(const struct expectation *e, const void *bytes, size_t len)
{
	struct ws_trace t = {0};
	struct split_feeder f;
	struct slice piece;

	if (len < 3000)
		split_feeder_init(&f, bytes, len);
	else
		split_feeder_init_random(&f, bytes, len, 40, len, len);
	while (split_feeder_next_way(&f)) {
		ssize_t n = 0;

		begin(&t, e);
		while (n >= 0 && split_feeder_next_piece(&f, &piece)) {
			n = ws_trace_feed(&t, (uint8_t *)f.copy, piece.len);
			split_feeder_leave(&f, n < 0 ? 0 : piece.len - (size_t)n);
		}
		if (strcmp(t.text, e->trace) != 0)
			fail_msg("way %zu:\n%s\ninstead of\n%s", f.n_ways, t.text, e->trace);
	}
	ws_trace_reset(&t);
}

static void expect_limited(const struct ws_stream *s, const struct ws_message_limits *limits,
			   const char *expected)
{
	struct expectation e = {
	    .role = s->masked ? WS_ROLE_SERVER : WS_ROLE_CLIENT,
	    .limits = *limits,
	    .trace = expected,
	};

	expect_from(&e, s->bytes, s->len);
}

static void expect(const struct ws_stream *s, const char *expected)
{
	expect_limited(s, &no_limits, expected);
}

/* ---- data frames ---------------------------------------------------------------------------- */

#define EXPECT_BYTES(role_, expected_, ...)                                      \
	do {                                                                     \
		static const uint8_t bytes_[] = {__VA_ARGS__};                   \
		struct expectation e_ = {.role = (role_), .trace = (expected_)}; \
                                                                                 \
		expect_from(&e_, bytes_, sizeof(bytes_));                        \
	} while (0)

/* RFC 6455 s5.7 */
static void next__reads_the_vectors_of_the_rfc(void **state)
{
	_cleanup_stream_ struct ws_stream *s = ws_stream_new(false);
	uint8_t zeroes[65536] = {0};

	EXPECT_BYTES(WS_ROLE_CLIENT, "text(Hello)", 0x81, 0x05, 0x48, 0x65, 0x6c, 0x6c, 0x6f);
	EXPECT_BYTES(WS_ROLE_SERVER, "text(Hello)", 0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f,
		     0x4d, 0x51, 0x58);
	EXPECT_BYTES(WS_ROLE_CLIENT, "text(Hello)", 0x01, 0x03, 0x48, 0x65, 0x6c, 0x80, 0x02, 0x6c,
		     0x6f);
	EXPECT_BYTES(WS_ROLE_CLIENT, "ping(Hello)", 0x89, 0x05, 0x48, 0x65, 0x6c, 0x6c, 0x6f);
	EXPECT_BYTES(WS_ROLE_SERVER, "pong(Hello)", 0x8a, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f,
		     0x4d, 0x51, 0x58);
	/* FNV-1a of zeroes is its offset basis times its prime to the power of the length. */
	ws_stream_frame(s, FIN | WS_OP_BINARY, zeroes, 256);
	ws_stream_frame(s, FIN | WS_OP_BINARY, zeroes, 65536);
	expect(s, "binary(256 bytes, d80ac658736bb725) binary(65536 bytes, eb05052ea5b62325)");
}

/* RFC 6455 s5.4: unfragmented messages, and fragmented ones of any length, empty ones among them */
static void next__joins_fragments(void **state)
{
	for (int masked = 0; masked < 2; masked++) {
		_cleanup_stream_ struct ws_stream *s = ws_stream_new(masked);

		ws_stream_text(s, FIN | WS_OP_TEXT, "");
		ws_stream_text(s, FIN | WS_OP_BINARY, "one");
		ws_stream_text(s, WS_OP_TEXT, "");
		ws_stream_text(s, WS_OP_CONTINUATION, "t");
		ws_stream_text(s, WS_OP_CONTINUATION, "");
		ws_stream_text(s, WS_OP_CONTINUATION, "w");
		ws_stream_text(s, FIN | WS_OP_CONTINUATION, "o");
		ws_stream_text(s, WS_OP_BINARY, "three");
		ws_stream_text(s, FIN | WS_OP_CONTINUATION, "");
		ws_stream_text(s, WS_OP_BINARY, "");
		ws_stream_text(s, WS_OP_CONTINUATION, "");
		ws_stream_text(s, FIN | WS_OP_CONTINUATION, "");
		ws_stream_text(s, FIN | WS_OP_TEXT, "last");
		expect(s, "text() binary(one) text(two) binary(three) binary() text(last)");
	}
}

/* The events one by one; ws_trace.h has checked the rest of what they promise. */
static void next__hands_out_pieces_as_they_come(void **state)
{
	uint8_t stream[] = {0x01, 0x00, 0x00, 0x03, 'a', 'b', 'c', 0x80, 0x00, 0x82, 0x01, 'x'};
	struct ws_receiver r;
	struct ws_event ev;

	ws_receiver_init(&r, WS_ROLE_CLIENT, &no_limits);
	assert_int_equal(ws_receiver_next(&r, stream, 1, &ev), 0);
	assert_int_equal(ev.kind, WS_EVENT_NONE);

	/* An empty first fragment says nothing yet, and what follows is the first piece. */
	assert_int_equal(ws_receiver_next(&r, stream, 2, &ev), 2);
	assert_int_equal(ev.kind, WS_EVENT_NONE);
	assert_int_equal(ws_receiver_next(&r, stream + 2, 3, &ev), 3);
	assert_int_equal(ev.kind, WS_EVENT_DATA);
	assert_true(ev.is_first && !ev.is_last && ev.opcode == WS_OP_TEXT);
	assert_ptr_equal(ev.data, stream + 4);
	assert_int_equal(ev.len, 1);

	/* The end of a frame is not the end of the message. */
	assert_int_equal(ws_receiver_next(&r, stream + 5, sizeof(stream) - 5, &ev), 2);
	assert_true(ev.kind == WS_EVENT_DATA && !ev.is_first && !ev.is_last);
	assert_int_equal(ev.len, 2);

	/* An empty last fragment does end it. */
	assert_int_equal(ws_receiver_next(&r, stream + 7, sizeof(stream) - 7, &ev), 2);
	assert_true(ev.kind == WS_EVENT_DATA && !ev.is_first && ev.is_last && ev.len == 0);
	assert_int_equal(ev.opcode, WS_OP_TEXT);

	/* A header without payload: consumed, nothing to say; then the payload. */
	assert_int_equal(ws_receiver_next(&r, stream + 9, 2, &ev), 2);
	assert_int_equal(ev.kind, WS_EVENT_NONE);
	assert_int_equal(ws_receiver_next(&r, stream + 11, 0, &ev), 0);
	assert_int_equal(ev.kind, WS_EVENT_NONE);
	assert_int_equal(ws_receiver_next(&r, stream + 11, 1, &ev), 1);
	assert_true(ev.is_first && ev.is_last && ev.opcode == WS_OP_BINARY && *ev.data == 'x');

	assert_int_equal(r.frames[WS_KIND_TEXT], 1);
	assert_int_equal(r.frames[WS_KIND_CONTINUATION], 2);
	assert_int_equal(r.frames[WS_KIND_BINARY], 1);
	assert_int_equal(ws_receiver_next(&r, NULL, 0, &ev), 0);
}

/* RFC 6455 s5.2: lengths in all three forms */
static void next__takes_frames_of_every_length_form(void **state)
{
	static const size_t lens[] = {1, 125, 126, 127, 1000, 65535, 65536, 100000};
	static uint8_t payload[100000];

	for (size_t i = 0; i < sizeof(payload); i++)
		payload[i] = (uint8_t)(i ^ i >> 8);
	for (size_t l = 0; l < ARRAY_SIZE(lens); l++) {
		_cleanup_stream_ struct ws_stream *masked = ws_stream_new(true);
		_cleanup_stream_ struct ws_stream *plain = ws_stream_new(false);
		struct ws_trace expected = {0};

		ws_trace_add_event(&expected, "binary", payload, lens[l]);
		ws_stream_frame(masked, FIN | WS_OP_BINARY, payload, lens[l]);
		ws_stream_frame(plain, FIN | WS_OP_BINARY, payload, lens[l]);
		expect(masked, expected.text);
		expect(plain, expected.text);
	}
}

/* RFC 6455 s5.2 allows 2^63-1 bytes; without limits they are not refused, nor does their sum wrap
 */
static void next__takes_the_longest_frames(void **state)
{
	struct ws_receiver r;
	struct ws_event ev;
	uint8_t stream[] = {0x02, 0x7f, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 'x'};
	int accepted = 0;
	ssize_t n;

	ws_receiver_init(&r, WS_ROLE_CLIENT, &no_limits);
	assert_int_equal(ws_receiver_next(&r, stream, sizeof(stream), &ev), sizeof(stream));
	assert_int_equal(ev.kind, WS_EVENT_DATA);
	assert_true(r.frame_left == INT64_MAX - 1);
	/* Nobody can send all of that: jump to the end of it, and again. */
	for (n = 1, stream[0] = 0x00; n > 0; accepted++) {
		r.frame_left = 0;
		r.in_frame = false;
		n = ws_receiver_next(&r, stream, sizeof(stream), &ev);
	}
	assert_int_equal(n, -EWS_MESSAGE_SIZE);
	assert_int_equal(accepted, 2); /* one more fits 64 bits, and the next does not */
}

/* ---- masking -------------------------------------------------------------------------------- */

/* RFC 6455 s5.1: a server MUST close on a frame that is not masked, a client on one that is */
static void next__requires_the_right_masking(void **state)
{
	static const uint8_t firsts[] = {FIN | WS_OP_TEXT, FIN | WS_OP_BINARY, WS_OP_TEXT,
					 FIN | WS_OP_PING, FIN | WS_OP_PONG,   FIN | WS_OP_CLOSE};

	for (size_t i = 0; i < ARRAY_SIZE(firsts); i++) {
		for (int masked = 0; masked < 2; masked++) {
			_cleanup_stream_ struct ws_stream *s = ws_stream_new(masked);
			struct expectation e = {
			    .role = masked ? WS_ROLE_CLIENT : WS_ROLE_SERVER,
			    .trace = "text(good) error(bad_masking)",
			};

			s->masked = !masked;
			ws_stream_text(s, FIN | WS_OP_TEXT, "good");
			s->masked = masked;
			ws_stream_text(s, firsts[i], "");
			expect_from(&e, s->bytes, s->len);
		}
	}
}

/* RFC 6455 s5.3: any mask, also of zeroes, and another for each frame */
static void next__unmasks_with_the_mask_of_each_frame(void **state)
{
	EXPECT_BYTES(WS_ROLE_SERVER, "text(ab) text(ab)", 0x81, 0x82, 0, 0, 0, 0, 'a', 'b', 0x81,
		     0x82, 0xff, 0x01, 0, 0, 'a' ^ 0xff, 'b' ^ 0x01);
}

/* ---- control frames ------------------------------------------------------------------------- */

/* RFC 6455 s5.4, s5.5: control frames may stand between the fragments of a message */
static void next__takes_control_frames_inside_messages(void **state)
{
	for (int masked = 0; masked < 2; masked++) {
		_cleanup_stream_ struct ws_stream *s = ws_stream_new(masked);

		ws_stream_text(s, WS_OP_TEXT, "\xe2");
		ws_stream_text(s, FIN | WS_OP_PING, "p1");
		ws_stream_text(s, WS_OP_CONTINUATION, "\x82");
		ws_stream_text(s, FIN | WS_OP_PONG, "");
		ws_stream_text(s, FIN | WS_OP_PING, "");
		ws_stream_text(s, FIN | WS_OP_CONTINUATION, "\xac");
		ws_stream_text(s, WS_OP_BINARY, "x");
		ws_stream_close(s, 1001, "");
		expect(s, "ping(p1) pong() ping() text(e282ac) close[1001]()");
	}
}

/* RFC 6455 s5.5: up to 125 bytes */
static void next__takes_control_frames_of_every_length(void **state)
{
	char payload[126];

	memset(payload, 'p', sizeof(payload));
	for (size_t len = 0; len <= 125; len += len < 3 || len > 120 ? 1 : 13) {
		_cleanup_stream_ struct ws_stream *s = ws_stream_new(true);
		struct ws_trace expected = {0};

		ws_stream_frame(s, FIN | WS_OP_PING, payload, len);
		ws_stream_frame(s, FIN | WS_OP_PONG, payload, len);
		ws_trace_add_event(&expected, "ping", (const uint8_t *)payload, len);
		ws_trace_add_event(&expected, "pong", (const uint8_t *)payload, len);
		expect(s, expected.text);
	}
}

/* ---- headers that must not come -------------------------------------------------------------- */

/* RFC 6455 s5.2, s5.5: see test_ws_frame.c for all of them */
static void next__refuses_bad_headers(void **state)
{
	EXPECT_BYTES(WS_ROLE_CLIENT, "ping() error(reserved_bits)", 0x89, 0, 0xc1, 0);
	EXPECT_BYTES(WS_ROLE_CLIENT, "ping() error(reserved_opcode)", 0x89, 0, 0x83, 0);
	EXPECT_BYTES(WS_ROLE_CLIENT, "ping() error(bad_length)", 0x89, 0, 0x81, 126, 0, 125);
	EXPECT_BYTES(WS_ROLE_CLIENT, "ping() error(bad_length)", 0x89, 0, 0x81, 127, 0x80, 0, 0, 0,
		     0, 0, 0, 0);
	EXPECT_BYTES(WS_ROLE_CLIENT, "ping() error(bad_control_frame)", 0x89, 0, 0x09, 0);
	EXPECT_BYTES(WS_ROLE_CLIENT, "ping() error(bad_control_frame)", 0x89, 0, 0x8a, 126, 0, 126);
}

/* RFC 6455 s5.4: continuation frames continue something, and messages MUST NOT be interleaved */
static void next__refuses_fragments_out_of_order(void **state)
{
	EXPECT_BYTES(WS_ROLE_CLIENT, "error(bad_fragment)", 0x80, 0);
	EXPECT_BYTES(WS_ROLE_CLIENT, "error(bad_fragment)", 0x00, 0);
	EXPECT_BYTES(WS_ROLE_CLIENT, "text() error(bad_fragment)", 0x81, 0, 0x80, 0);
	EXPECT_BYTES(WS_ROLE_CLIENT, "text() error(bad_fragment)", 0x01, 0, 0x80, 0, 0x00, 0);
	EXPECT_BYTES(WS_ROLE_CLIENT, "error(bad_fragment)", 0x01, 1, 'a', 0x81, 1, 'b');
	EXPECT_BYTES(WS_ROLE_CLIENT, "error(bad_fragment)", 0x01, 1, 'a', 0x01, 1, 'b');
	EXPECT_BYTES(WS_ROLE_CLIENT, "ping() error(bad_fragment)", 0x02, 0, 0x89, 0, 0x82, 0);
	EXPECT_BYTES(WS_ROLE_CLIENT, "ping() error(bad_fragment)", 0x89, 0, 0x80, 0);
}

/* Of several faults the first in the documented order is named, wherever the bytes are cut. */
static void next__reports_faults_in_order(void **state)
{
	static const struct ws_message_limits one_byte = {.max_frame = 1, .max_message = 1};
	static const struct {
		uint8_t bytes[12];
		size_t len;
		const char *expected;
	} table[] = {
	    /* all of: closed, reserved bit, mask, fragment, limits */
	    {{0x88, 0, 0xf0, 0x82}, 4, "close[0]() error(frame_after_close)"},
	    {{0xf0, 0x82, 0, 0, 0, 0, 0, 0}, 8, "error(reserved_bits)"},
	    {{0x83, 0x82, 0, 0, 0, 0, 0, 0}, 8, "error(reserved_opcode)"},
	    {{0x09, 0x82, 0, 0, 0, 0, 0, 0}, 8, "error(bad_control_frame)"},
	    {{0x80, 0xfe, 0, 0, 0, 0, 0, 0}, 8, "error(bad_length)"},
	    {{0x80, 0x82, 0, 0, 0, 0, 0, 0}, 8, "error(bad_masking)"},
	    {{0x80, 0x02, 0xff, 0xff}, 4, "error(bad_fragment)"},
	    {{0x81, 0x02, 0xff, 0xff}, 4, "error(frame_too_large)"},
	    {{0x01, 0x01, 'a', 0x80, 0x01, 0xff}, 6, "error(message_too_large)"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		struct expectation e = {
		    .role = WS_ROLE_CLIENT,
		    .limits = one_byte,
		    .trace = table[i].expected,
		};

		expect_from(&e, table[i].bytes, table[i].len);
	}
}

/* ---- limits ---------------------------------------------------------------------------------- */

static void limits__hold_at_the_header(void **state)
{
	static const struct ws_message_limits frame_10 = {.max_frame = 10};
	static const uint8_t header[] = {0x82, 0x0b};
	struct ws_receiver r;
	struct ws_event ev;
	uint8_t buf[2];

	memcpy(buf, header, sizeof(buf));
	ws_receiver_init(&r, WS_ROLE_CLIENT, &frame_10);
	assert_int_equal(ws_receiver_next(&r, buf, 2, &ev), -EWS_FRAME_SIZE);
}

static void limits__bound_frames_and_messages(void **state)
{
	static const struct ws_message_limits both = {.max_frame = 10, .max_message = 15};
	_cleanup_stream_ struct ws_stream *good = ws_stream_new(true);
	_cleanup_stream_ struct ws_stream *frame = ws_stream_new(true);
	_cleanup_stream_ struct ws_stream *message = ws_stream_new(true);
	_cleanup_stream_ struct ws_stream *ping = ws_stream_new(true);

	/* The sum is of one message only, and control frames do not count in it. */
	ws_stream_text(good, FIN | WS_OP_BINARY, "0123456789");
	ws_stream_text(good, WS_OP_BINARY, "0123456789");
	ws_stream_text(good, FIN | WS_OP_PING, "0123456789");
	ws_stream_text(good, WS_OP_CONTINUATION, "01234");
	ws_stream_text(good, FIN | WS_OP_CONTINUATION, "");
	ws_stream_text(good, WS_OP_TEXT, "01234");
	ws_stream_text(good, FIN | WS_OP_CONTINUATION, "0123456789");
	expect_limited(good, &both,
		       "binary(0123456789) ping(0123456789) binary(012345678901234) "
		       "text(012340123456789)");

	ws_stream_text(frame, FIN | WS_OP_TEXT, "0123456789");
	ws_stream_text(frame, FIN | WS_OP_TEXT, "0123456789a");
	expect_limited(frame, &both, "text(0123456789) error(frame_too_large)");

	ws_stream_text(message, WS_OP_TEXT, "0123456789");
	ws_stream_text(message, FIN | WS_OP_PING, "");
	ws_stream_text(message, FIN | WS_OP_CONTINUATION, "012345");
	expect_limited(message, &both, "ping() error(message_too_large)");

	/* A frame is a frame. */
	ws_stream_text(ping, FIN | WS_OP_PING, "0123456789a");
	expect_limited(ping, &both, "error(frame_too_large)");
}

static void limits__do_not_wrap(void **state)
{
	static const struct ws_message_limits message_only = {.max_message = 100};
	static const struct ws_message_limits huge = {.max_message = UINT64_MAX - 1};

	for (int i = 0; i < 2; i++) {
		struct expectation e = {
		    .role = WS_ROLE_CLIENT,
		    .limits = message_only,
		    .trace = "error(message_too_large)",
		};
		_cleanup_stream_ struct ws_stream *s = ws_stream_new(false);
		uint8_t mask[4];

		if (i == 1)
			ws_stream_text(s, WS_OP_BINARY, "x");
		ws_stream_header(s, i == 1 ? FIN : FIN | WS_OP_BINARY, INT64_MAX, 8, mask);
		expect_from(&e, s->bytes, s->len);
		e.limits = huge;
		e.trace = "";
		expect_from(&e, s->bytes, s->len);
	}
}

/* ---- UTF-8 ----------------------------------------------------------------------------------- */

/* RFC 6455 s8.1, s5.6: a message of text is UTF-8; characters may span fragments */
static void utf8__is_required_of_messages(void **state)
{
	static const struct {
		const char *first, *second;
		const char *expected;
	} table[] = {
	    {"\xce\xba\xe1\xbd\xb9", "\xcf\x83", "text(cebae1bdb9cf83)"},
	    {"\xf0\x9f", "\x98\x80", "text(f09f9880)"},
	    {"\xf0\x9f\x98", "\x80", "text(f09f9880)"},
	    {"", "\xc3\xa9", "text(c3a9)"},
	    {"\xc3\xa9", "", "text(c3a9)"},
	    {"ok", "\xed\xa0\x80", "error(bad_utf8)"},
	    {"\xf4\x90", "\x80\x80", "error(bad_utf8)"},
	    {"\xf4", "\x90\x80\x80", "error(bad_utf8)"},
	    {"\xc0\x80", "", "error(bad_utf8)"},
	    {"\xff", "", "error(bad_utf8)"},
	    {"\x80", "", "error(bad_utf8)"},
	    /* the message ends inside a character */
	    {"ok", "\xe2\x82", "error(bad_utf8)"},
	    {"\xe2\x82", "", "error(bad_utf8)"},
	    {"\xc3", "", "error(bad_utf8)"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		for (int masked = 0; masked < 2; masked++) {
			_cleanup_stream_ struct ws_stream *s = ws_stream_new(masked);

			ws_stream_text(s, WS_OP_TEXT, table[i].first);
			ws_stream_text(s, FIN | WS_OP_CONTINUATION, table[i].second);
			expect(s, table[i].expected);
		}
	}
}

/* Each message begins anew, and what is not text is not looked at. */
static void utf8__is_required_of_text_only(void **state)
{
	_cleanup_stream_ struct ws_stream *s = ws_stream_new(true);

	ws_stream_text(s, FIN | WS_OP_BINARY, "\xff\xfe");
	ws_stream_text(s, WS_OP_BINARY, "\xc3");
	ws_stream_text(s, FIN | WS_OP_CONTINUATION, "\xff");
	ws_stream_text(s, FIN | WS_OP_PING, "\xe2\x82");
	ws_stream_text(s, FIN | WS_OP_TEXT, "ok");
	ws_stream_text(s, FIN | WS_OP_BINARY, "\xe2\x82");
	ws_stream_text(s, FIN | WS_OP_TEXT, "\xc3\xa9");
	expect(s, "binary(fffe) binary(c3ff) ping(e282) text(ok) binary(e282) text(c3a9)");
}

/* s8.1, and Autobahn's case 6.4: at the first bad byte, not at the end of frame or message */
static void utf8__fails_at_the_first_bad_byte(void **state)
{
	uint8_t stream[] = {0x01, 0x0a, 'o', 'k', 0xe2, 0x82, 'x', 'y'}; /* 'x' is bad */
	struct ws_receiver r;
	struct ws_event ev;

	ws_receiver_init(&r, WS_ROLE_CLIENT, &no_limits);
	assert_int_equal(ws_receiver_next(&r, stream, 6, &ev), 6);
	assert_int_equal(ev.kind, WS_EVENT_DATA);
	assert_int_equal(ev.len, 4);
	assert_int_equal(ws_receiver_next(&r, stream + 6, 1, &ev), -EWS_UTF8);
}

/* ---- extensions ------------------------------------------------------------------------------ */

/* RFC 6455 s5.2, s5.8; RFC 7692 s6: the bit is the first fragment's, and the payload is not text */
static void rsv__belongs_to_the_message_of_an_extension(void **state)
{
	static const char *const not_text = "\xff\xc3";
	_cleanup_stream_ struct ws_stream *s = ws_stream_new(true);
	struct expectation e = {
	    .role = WS_ROLE_SERVER,
	    .allowed_rsv = WS_RSV1,
	    .trace = "text(ffc3) text(ffc3ffc3) text(plain) error(bad_utf8)",
	};

	ws_stream_text(s, FIN | WS_RSV1 | WS_OP_TEXT, not_text);
	ws_stream_text(s, WS_RSV1 | WS_OP_TEXT, not_text);
	ws_stream_text(s, FIN | WS_OP_CONTINUATION, not_text);
	ws_stream_text(s, FIN | WS_OP_TEXT, "plain");
	ws_stream_text(s, FIN | WS_OP_TEXT, not_text);
	expect_from(&e, s->bytes, s->len);
}

static void rsv__is_told_with_each_piece(void **state)
{
	uint8_t stream[] = {0x41, 0x01, 'a', 0x80, 0x01, 'b', 0x82, 0x01, 'c'};
	static const uint8_t expected[] = {WS_RSV1, WS_RSV1, 0};
	struct ws_receiver r;
	struct ws_event ev;

	ws_receiver_init(&r, WS_ROLE_CLIENT, &no_limits);
	r.allowed_rsv = WS_RSV1;
	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(ws_receiver_next(&r, stream + 3 * i, 3, &ev), 3);
		assert_int_equal(ev.rsv, expected[i]);
	}
}

/* RFC 7692 s6.1: MUST fail the connection */
static void rsv__is_refused_on_other_frames(void **state)
{
	static const struct {
		uint8_t bytes[6];
		size_t len;
		const char *expected;
	} table[] = {
	    {{0x41, 0x00, 0xc0, 0x00}, 4, "error(reserved_bits)"},
	    {{0xc9, 0x00}, 2, "error(reserved_bits)"},
	    {{0xa1, 0x00}, 2, "error(reserved_bits)"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		struct expectation e = {
		    .role = WS_ROLE_CLIENT,
		    .allowed_rsv = WS_RSV1,
		    .trace = table[i].expected,
		};

		expect_from(&e, table[i].bytes, table[i].len);
	}
}

/* ---- close ----------------------------------------------------------------------------------- */

/* RFC 6455 s5.5.1, s7.1.5, s7.1.6 */
static void close__gives_code_and_reason(void **state)
{
	for (int masked = 0; masked < 2; masked++) {
		_cleanup_stream_ struct ws_stream *bare = ws_stream_new(masked);
		_cleanup_stream_ struct ws_stream *code = ws_stream_new(masked);
		_cleanup_stream_ struct ws_stream *reason = ws_stream_new(masked);

		ws_stream_text(bare, FIN | WS_OP_CLOSE, "");
		expect(bare, "close[0]()");
		ws_stream_close(code, 1000, "");
		expect(code, "close[1000]()");
		ws_stream_close(reason, 4999, "caf\xc3\xa9");
		expect(reason, "close[4999](636166c3a9)");
	}
}

/* RFC 6455 s5.5: the longest */
static void close__takes_a_reason_of_123_bytes(void **state)
{
	_cleanup_stream_ struct ws_stream *s = ws_stream_new(true);
	struct ws_trace expected = {0};
	char reason[124] = {0};

	memset(reason, 'r', 123);
	ws_stream_close(s, 1011, reason);
	ws_trace_add_event(&expected, "close[1011]", (const uint8_t *)reason, 123);
	expect(s, expected.text);
}

/* RFC 6455 s5.5.1: if there is a body, its first two bytes MUST be a code */
static void close__refuses_half_a_code(void **state)
{
	_cleanup_stream_ struct ws_stream *s = ws_stream_new(true);

	/* The second byte of an earlier control frame would make it 1000. */
	ws_stream_text(s, FIN | WS_OP_PING, "\x03\xe8");
	ws_stream_text(s, FIN | WS_OP_CLOSE, "\x03");
	expect(s, "ping(03e8) error(bad_close)");
}

/* RFC 6455 s7.4.1: 1004, 1005, 1006 and 1015 MUST NOT be in a frame; s7.4.2: the ranges */
static void close__refuses_invalid_codes(void **state)
{
	static const uint16_t bad[] = {0,    1,    999,  1004, 1005, 1006, 1015,
				       1016, 1100, 2000, 2999, 5000, 65535};
	static const uint16_t good[] = {1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010,
					1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		_cleanup_stream_ struct ws_stream *s = ws_stream_new(true);

		ws_stream_close(s, bad[i], "");
		expect(s, "error(bad_close)");
	}
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		_cleanup_stream_ struct ws_stream *s = ws_stream_new(true);
		char expected[32];

		ws_stream_close(s, good[i], "x");
		snprintf(expected, sizeof(expected), "close[%u](x)", good[i]);
		expect(s, expected);
	}
}

/* RFC 6455 s5.5.1, s8.1: the reason is UTF-8 */
static void close__refuses_a_reason_that_is_not_utf8(void **state)
{
	static const char *const reasons[] = {"\xff", "ok\xed\xa0\x80", "ends in \xe2\x82"};

	for (size_t i = 0; i < ARRAY_SIZE(reasons); i++) {
		_cleanup_stream_ struct ws_stream *s = ws_stream_new(true);

		ws_stream_close(s, 1000, reasons[i]);
		expect(s, "error(bad_utf8)");
	}
}

/* RFC 6455 s5.5.1, s1.4: nothing follows a Close frame, not even the first byte of a header */
static void close__is_the_last_frame(void **state)
{
	static const char *const more[] = {"\x81", "\x89",          "\x88",          "\x08",
					   "\xff", "\x82\x81mask!", "\x88\x82mask!!"};

	for (size_t i = 0; i < ARRAY_SIZE(more); i++) {
		_cleanup_stream_ struct ws_stream *s = ws_stream_new(true);

		ws_stream_text(s, FIN | WS_OP_TEXT, "last");
		ws_stream_close(s, 1000, "");
		ws_stream_raw(s, more[i], strlen(more[i]));
		expect(s, "text(last) close[1000]() error(frame_after_close)");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(next__reads_the_vectors_of_the_rfc),
	    cmocka_unit_test(next__joins_fragments),
	    cmocka_unit_test(next__hands_out_pieces_as_they_come),
	    cmocka_unit_test(next__takes_frames_of_every_length_form),
	    cmocka_unit_test(next__takes_the_longest_frames),
	    cmocka_unit_test(next__requires_the_right_masking),
	    cmocka_unit_test(next__unmasks_with_the_mask_of_each_frame),
	    cmocka_unit_test(next__takes_control_frames_inside_messages),
	    cmocka_unit_test(next__takes_control_frames_of_every_length),
	    cmocka_unit_test(next__refuses_bad_headers),
	    cmocka_unit_test(next__refuses_fragments_out_of_order),
	    cmocka_unit_test(next__reports_faults_in_order),
	    cmocka_unit_test(limits__hold_at_the_header),
	    cmocka_unit_test(limits__bound_frames_and_messages),
	    cmocka_unit_test(limits__do_not_wrap),
	    cmocka_unit_test(utf8__is_required_of_messages),
	    cmocka_unit_test(utf8__is_required_of_text_only),
	    cmocka_unit_test(utf8__fails_at_the_first_bad_byte),
	    cmocka_unit_test(rsv__belongs_to_the_message_of_an_extension),
	    cmocka_unit_test(rsv__is_told_with_each_piece),
	    cmocka_unit_test(rsv__is_refused_on_other_frames),
	    cmocka_unit_test(close__gives_code_and_reason),
	    cmocka_unit_test(close__takes_a_reason_of_123_bytes),
	    cmocka_unit_test(close__refuses_half_a_code),
	    cmocka_unit_test(close__refuses_invalid_codes),
	    cmocka_unit_test(close__refuses_a_reason_that_is_not_utf8),
	    cmocka_unit_test(close__is_the_last_frame),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
