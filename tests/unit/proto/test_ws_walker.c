/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/ws_walker.h"

#include "base/random.h"
#include "lib/split_feeder.h"
#include "lib/ws_stream.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const struct ws_message_limits no_limits;

/* ---- a stream, fed in every way, and where the walk must be at each point ---------------------
 */

struct walk {
	struct ws_walker walker;
	const struct ws_stream *stream;
	struct ws_message_limits limits;
	uint8_t allowed_rsv;
	uint64_t frames[WS_KIND_COUNT]; /* expected at the end */
	uint16_t close_code;            /* expected at the end */
	int error;                      /* expected, -EWS_… or 0 */
	size_t pass;                    /* expected in all */
	size_t passed;
	int seen_error;
	uint8_t copy[WS_STREAM_MAX];
};

/* Return: how many of the first @len bytes may pass: all but an incomplete header at the end. */
static size_t may_pass(const struct walk *walk, size_t len)
{
	const struct ws_stream *s = walk->stream;

	for (size_t i = 0; i < s->n_frames; i++) {
		if (len >= s->frame_at[i] && len < s->payload_at[i])
			return MIN(s->frame_at[i], walk->pass);
	}
	return MIN(len, walk->pass);
}

/* Whether @at is where a frame ends, or the stream begins. */
static bool is_boundary(const struct ws_stream *s, size_t at)
{
	for (size_t i = 0; i <= s->n_frames; i++) {
		if (s->frame_at[i] == at)
			return true;
	}
	return false;
}

static void begin(struct walk *walk)
{
	memset(&walk->walker, 0x5a, sizeof(walk->walker));
	ws_walker_init(&walk->walker, walk->stream->masked, &walk->limits, walk->allowed_rsv);
	walk->passed = 0;
	walk->seen_error = 0;
}

/* Return: bytes that passed, or the error */
static ssize_t feed(struct walk *walk, const uint8_t *data, size_t len)
{
	size_t received = walk->passed + len;
	size_t n;

	memcpy(walk->copy, data, len);
	n = ws_walker_feed(&walk->walker, data, len, &walk->seen_error);
	assert_memory_equal(walk->copy, data, len);
	assert_true(n <= len);
	walk->passed += n;
	assert_int_equal(ws_walker_at_boundary(&walk->walker),
			 is_boundary(walk->stream, walk->passed));
	if (walk->seen_error < 0) {
		int again = 0;

		assert_int_equal(ws_walker_feed(&walk->walker, data + n, len - n, &again), 0);
		assert_int_equal(again, walk->seen_error);
		return walk->seen_error;
	}
	assert_int_equal(walk->passed, may_pass(walk, received));
	assert_true(len - n < WS_FRAME_HEADER_MAX);
	return (ssize_t)n;
}

static uint64_t payload_bytes(const struct ws_stream *s, size_t passed)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < s->n_frames; i++) {
		size_t end = MIN(s->frame_at[i + 1], passed);

		if (end > s->payload_at[i])
			sum += end - s->payload_at[i];
	}
	return sum;
}

static void end(const struct walk *walk, size_t way)
{
	const struct ws_walker *w = &walk->walker;
	uint64_t sum = 0;

	if (walk->seen_error != walk->error || walk->passed != walk->pass)
		fail_msg("way %zu: %zu passed, error %d; expected %zu, %d", way, walk->passed,
			 walk->seen_error, walk->pass, walk->error);
	for (size_t kind = 0; kind < WS_KIND_COUNT; kind++) {
		if (w->frames[kind] != walk->frames[kind])
			fail_msg("way %zu: %llu of %s", way, (unsigned long long)w->frames[kind],
				 ws_frame_kind_name(kind));
		sum += walk->frames[kind];
	}
	assert_int_equal(ws_walker_frame_count(w), sum);
	assert_int_equal(w->close_code, walk->close_code);
	assert_int_equal(w->payload_bytes, payload_bytes(walk->stream, walk->passed));
}

static struct walk *walk_new(const struct ws_stream *s)
{
	struct walk *walk = calloc(1, sizeof(*walk));

	if (!walk)
		abort();
	walk->stream = s;
	walk->pass = s->len;
	return walk;
}

static void free_walk(struct walk *walk)
{
	free(walk);
}

DEFINE_CLEANUP(struct walk, free_walk)
#define _cleanup_walk_ _cleanup_(cleanup_free_walk)

static void walk_all(struct walk *walk)
{
	const struct ws_stream *s = walk->stream;
	struct split_feeder f;
	struct slice piece;

	if (s->len < 3000)
		split_feeder_init(&f, s->bytes, s->len);
	else
		split_feeder_init_random(&f, s->bytes, s->len, 40, s->len, 6455);
	while (split_feeder_next_way(&f)) {
		ssize_t n = 0;

		begin(walk);
		while (n >= 0 && split_feeder_next_piece(&f, &piece)) {
			n = feed(walk, (const uint8_t *)piece.ptr, piece.len);
			split_feeder_leave(&f, n < 0 ? 0 : piece.len - (size_t)n);
		}
		end(walk, f.n_ways);
	}
}

/* ---- what passes ------------------------------------------------------------------------------
 */

/* RFC 6455 s5.2, s5.4, s5.5: all kinds of frames, of all forms of length, nested as is allowed */
static void feed__counts_frames_of_every_kind(void **state)
{
	static uint8_t big[70000];

	for (int masked = 0; masked < 2; masked++) {
		_cleanup_stream_ struct ws_stream *s = ws_stream_new(masked);
		_cleanup_walk_ struct walk *walk = walk_new(s);

		ws_stream_text(s, FIN | WS_OP_TEXT, "");
		ws_stream_text(s, FIN | WS_OP_TEXT, "Hello");
		ws_stream_text(s, FIN | WS_OP_PING, "p");
		ws_stream_text(s, WS_OP_BINARY, "a");
		ws_stream_text(s, FIN | WS_OP_PONG, "");
		ws_stream_text(s, WS_OP_CONTINUATION, "");
		ws_stream_text(s, FIN | WS_OP_PING, "");
		ws_stream_text(s, FIN | WS_OP_CONTINUATION, "b");
		ws_stream_frame(s, FIN | WS_OP_BINARY, big, 125);
		ws_stream_frame(s, FIN | WS_OP_BINARY, big, 126);
		ws_stream_frame(s, FIN | WS_OP_BINARY, big, 300);
		memcpy(walk->frames, (uint64_t[WS_KIND_COUNT]){2, 4, 2, 0, 2, 1},
		       sizeof(walk->frames));
		walk->pass = s->len;
		walk_all(walk);

		ws_stream_frame(s, FIN | WS_OP_BINARY, big, 65535);
		ws_stream_frame(s, FIN | WS_OP_TEXT, big, 65536);
		ws_stream_frame(s, WS_OP_TEXT, big, sizeof(big));
		ws_stream_text(s, FIN | WS_OP_CONTINUATION, "end");
		walk->frames[WS_KIND_BINARY] += 1;
		walk->frames[WS_KIND_TEXT] += 2;
		walk->frames[WS_KIND_CONTINUATION] += 1;
		walk->pass = s->len;
		walk_all(walk);
	}
}

/* What only payload can show passes: it is for the endpoints to judge. */
static void feed__does_not_look_at_payload(void **state)
{
	_cleanup_stream_ struct ws_stream *s = ws_stream_new(true);
	_cleanup_walk_ struct walk *walk = walk_new(s);

	ws_stream_text(s, FIN | WS_OP_TEXT, "\xff\xfe");
	ws_stream_close(s, 999, "\xff");
	walk->frames[WS_KIND_TEXT] = walk->frames[WS_KIND_CLOSE] = 1;
	walk->close_code = 999;
	walk->pass = s->len;
	walk_all(walk);
}

/* A header in pieces waits; its frame's payload does not. */
static void feed__holds_back_incomplete_headers_only(void **state)
{
	static const uint8_t stream[] = {0x81, 0xfe, 0x00, 0x80, 1, 2, 3, 4, 'a', 'b'};
	struct ws_walker w;
	int error = 1;

	ws_walker_init(&w, true, &no_limits, 0);
	for (size_t n = 0; n < 8; n++) {
		assert_int_equal(ws_walker_feed(&w, stream, n, &error), 0);
		assert_int_equal(error, 0);
		assert_true(ws_walker_at_boundary(&w));
		assert_int_equal(ws_walker_frame_count(&w), 0);
	}
	assert_int_equal(ws_walker_feed(&w, stream, 8, &error), 8);
	assert_false(ws_walker_at_boundary(&w));
	assert_int_equal(ws_walker_frame_count(&w), 1);
	assert_int_equal(ws_walker_feed(&w, stream + 8, 2, &error), 2);
	assert_int_equal(w.payload_bytes, 2);
	assert_int_equal(w.frame_left, 126);
}

/* RFC 6455 s5.2: up to 2^63-1 bytes */
static void feed__follows_the_longest_frames(void **state)
{
	static const uint64_t lens[] = {INT64_MAX, UINT64_C(0x0080000000000000),
					UINT64_C(0x100000000)};

	for (size_t l = 0; l < ARRAY_SIZE(lens); l++) {
		_cleanup_stream_ struct ws_stream *s = ws_stream_new(l % 2);
		size_t header_len;
		struct ws_walker w;
		uint8_t mask[4];
		int error;

		ws_stream_header(s, WS_OP_BINARY, lens[l], 8, mask);
		header_len = s->len;
		for (int i = 0; i < 4096; i++)
			ws_stream_byte(s, 0);
		ws_walker_init(&w, s->masked, &no_limits, 0);
		assert_int_equal(ws_walker_feed(&w, s->bytes, s->len, &error), s->len);
		assert_int_equal(error, 0);
		assert_true(w.frame_left == lens[l] - 4096);
		assert_int_equal(w.payload_bytes, 4096);
		assert_int_equal(w.message_bytes, lens[l]);
		assert_int_equal(ws_walker_feed(&w, s->bytes + header_len, 4096, &error), 4096);
		assert_true(w.frame_left == lens[l] - 8192);
		assert_int_equal(ws_walker_frame_count(&w), 1);
	}
}

/* ---- what does not ----------------------------------------------------------------------------
 */

#define BYTES(...) (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__})

/* A fault, as bytes behind a good frame, inside a message or not. */
struct fault {
	const uint8_t *bytes;
	size_t len;
	int error;
	bool is_masked, in_message;
};

static const struct fault faults[] = {
    /* RFC 6455 s5.2 */
    {BYTES(0xc1, 0x00), EWS_RSV, false, false},
    {BYTES(0xa0), EWS_RSV, false, true},
    {BYTES(0x93, 0x00), EWS_RSV, false, false},
    {BYTES(0x83, 0x00), EWS_OPCODE, false, false},
    {BYTES(0x8b), EWS_OPCODE, false, true},
    {BYTES(0x82, 0x7e, 0x00, 0x7d), EWS_LENGTH, false, false},
    {BYTES(0x82, 0xfe, 0x00, 0x00, 1, 2, 3, 4), EWS_LENGTH, true, false},
    {BYTES(0x82, 0x7f, 0, 0, 0, 0, 0, 0, 0xff, 0xff), EWS_LENGTH, false, false},
    {BYTES(0x82, 0x7f, 0x80, 0, 0, 0, 0, 0, 0, 0), EWS_LENGTH, false, false},
    /* RFC 6455 s5.5 */
    {BYTES(0x09, 0x00), EWS_CONTROL, false, false},
    {BYTES(0x89, 0x7e, 0x00, 0x7e), EWS_CONTROL, false, true},
    {BYTES(0x88, 0x7f), EWS_CONTROL, false, false},
    /* RFC 6455 s5.1 */
    {BYTES(0x81, 0x00), EWS_MASK, true, false},
    {BYTES(0x81, 0x7e, 0x01, 0x00), EWS_MASK, true, false},
    {BYTES(0x89, 0x00), EWS_MASK, true, true},
    {BYTES(0x81, 0x80, 1, 2, 3, 4), EWS_MASK, false, false},
    {BYTES(0x80, 0x81, 1, 2, 3, 4, 'x'), EWS_MASK, false, true},
    {BYTES(0x88, 0x80, 1, 2, 3, 4), EWS_MASK, false, false},
    /* RFC 6455 s5.4 */
    {BYTES(0x80, 0x00), EWS_FRAGMENT, false, false},
    {BYTES(0x00, 0x81, 1, 2, 3, 4, 'x'), EWS_FRAGMENT, true, false},
    {BYTES(0x81, 0x00), EWS_FRAGMENT, false, true},
    {BYTES(0x02, 0x80, 1, 2, 3, 4), EWS_FRAGMENT, true, true},
};

/* RFC 6455 s5.1, s5.2, s5.4, s5.5: the walk stops in front of the frame that breaks a rule */
static void feed__stops_in_front_of_a_fault(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(faults); i++) {
		const struct fault *fault = &faults[i];

		for (int before = 0; before < 3; before++) {
			_cleanup_stream_ struct ws_stream *s = ws_stream_new(fault->is_masked);
			_cleanup_walk_ struct walk *walk = walk_new(s);

			for (int n = 0; n < before; n++)
				ws_stream_text(s, FIN | WS_OP_BINARY, "before");
			if (fault->in_message)
				ws_stream_text(s, WS_OP_TEXT, "open");
			walk->frames[WS_KIND_BINARY] = (uint64_t)before;
			walk->frames[WS_KIND_TEXT] = fault->in_message;
			walk->error = -fault->error;
			walk->pass = s->len;
			ws_stream_raw(s, fault->bytes, fault->len);
			s->frame_at[s->n_frames] = walk->pass; /* what follows is no frame */
			walk_all(walk);
		}
	}
}

static void feed__applies_limits_to_headers(void **state)
{
	for (int masked = 0; masked < 2; masked++) {
		_cleanup_stream_ struct ws_stream *s = ws_stream_new(masked);
		_cleanup_walk_ struct walk *walk = walk_new(s);

		walk->limits = (struct ws_message_limits){.max_frame = 10, .max_message = 15};
		ws_stream_text(s, FIN | WS_OP_BINARY, "0123456789");
		ws_stream_text(s, WS_OP_BINARY, "0123456789");
		ws_stream_text(s, FIN | WS_OP_PING, "0123456789");
		ws_stream_text(s, WS_OP_CONTINUATION, "01234");
		ws_stream_text(s, FIN | WS_OP_CONTINUATION, "");
		ws_stream_text(s, WS_OP_TEXT, "01234");
		ws_stream_text(s, FIN | WS_OP_CONTINUATION, "0123456789");
		memcpy(walk->frames, (uint64_t[WS_KIND_COUNT]){1, 2, 3, 0, 1, 0},
		       sizeof(walk->frames));
		walk->pass = s->len;
		walk_all(walk);

		/* Both limits, in the fast loop's forms of frames and in those of the other. */
		walk->error = -EWS_FRAME_SIZE;
		ws_stream_text(s, FIN | WS_OP_BINARY, "0123456789a");
		walk_all(walk);
		ws_stream_drop(s);
		ws_stream_text(s, FIN | WS_OP_PING, "0123456789a");
		walk_all(walk);
		ws_stream_drop(s);

		ws_stream_text(s, WS_OP_BINARY, "0123456789");
		walk->frames[WS_KIND_BINARY]++;
		walk->pass = s->len;
		walk->error = -EWS_MESSAGE_SIZE;
		ws_stream_text(s, FIN | WS_OP_CONTINUATION, "012345");
		walk_all(walk);
	}
}

static void feed__limits_do_not_wrap(void **state)
{
	static const struct ws_message_limits limits = {.max_message = 100};
	static const uint8_t stream[] = {0x02, 0x01, 'x',  0x80, 0x7f, 0x7f, 0xff,
					 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
	struct ws_walker w;
	int error;

	ws_walker_init(&w, false, &limits, 0);
	assert_int_equal(ws_walker_feed(&w, stream, sizeof(stream), &error), 3);
	assert_int_equal(error, -EWS_MESSAGE_SIZE);
	ws_walker_init(&w, false, &no_limits, 0);
	assert_int_equal(ws_walker_feed(&w, stream, sizeof(stream), &error), sizeof(stream));
	assert_int_equal(error, 0);
}

/* A message whose announced length would leave 64 bits is over every limit. */
static void feed__refuses_a_sum_above_64_bits(void **state)
{
	static const uint8_t small[] = {0x00, 0x05, 'a', 'b', 'c', 'd', 'e'};
	static const uint8_t big[] = {0x00, 0x7f, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
	struct ws_walker w;
	int error;

	ws_walker_init(&w, false, &no_limits, 0);
	w.in_message = true;
	w.message_bytes = UINT64_MAX - 4;
	assert_int_equal(ws_walker_feed(&w, small, sizeof(small), &error), 0);
	assert_int_equal(error, -EWS_MESSAGE_SIZE);
	assert_int_equal(ws_walker_feed(&w, big, sizeof(big), &error), 0);
	assert_int_equal(error, -EWS_MESSAGE_SIZE);
	w.message_bytes--;
	assert_int_equal(ws_walker_feed(&w, small, sizeof(small), &error), sizeof(small));
	assert_int_equal(error, 0);
}

/* RFC 6455 s5.2, s5.8; RFC 7692 s6.1: bits of extensions, where they may be */
static void feed__allows_the_bits_of_extensions(void **state)
{
	_cleanup_stream_ struct ws_stream *s = ws_stream_new(true);
	_cleanup_walk_ struct walk *walk = walk_new(s);

	walk->allowed_rsv = WS_RSV1;
	ws_stream_text(s, FIN | WS_RSV1 | WS_OP_TEXT, "deflated");
	ws_stream_text(s, FIN | WS_OP_TEXT, "plain");
	ws_stream_text(s, WS_RSV1 | WS_OP_BINARY, "deflated");
	ws_stream_text(s, FIN | WS_OP_PING, "");
	ws_stream_text(s, WS_OP_CONTINUATION, "");
	walk->frames[WS_KIND_TEXT] = 2;
	walk->frames[WS_KIND_BINARY] = walk->frames[WS_KIND_CONTINUATION] = 1;
	walk->frames[WS_KIND_PING] = 1;
	walk->pass = s->len;
	walk->error = -EWS_RSV;
	ws_stream_text(s, FIN | WS_RSV1 | WS_OP_CONTINUATION, "");
	walk_all(walk);

	ws_stream_drop(s);
	ws_stream_text(s, FIN | WS_RSV1 | WS_OP_PING, "");
	walk_all(walk);

	ws_stream_drop(s);
	ws_stream_text(s, FIN | 0x10 | WS_OP_CONTINUATION, "");
	walk_all(walk);
}

/* Rules of permessage-deflate are not those of extensions that we do not know. */
static void feed__knows_no_rules_of_unknown_extensions(void **state)
{
	_cleanup_stream_ struct ws_stream *s = ws_stream_new(true);
	_cleanup_walk_ struct walk *walk = walk_new(s);

	walk->allowed_rsv = WS_RSV_MASK;
	ws_stream_text(s, WS_RSV1 | WS_OP_TEXT, "first");
	ws_stream_text(s, WS_RSV1 | WS_OP_CONTINUATION, "middle");
	ws_stream_text(s, FIN | WS_RSV_MASK | WS_OP_CONTINUATION, "last");
	walk->frames[WS_KIND_TEXT] = 1;
	walk->frames[WS_KIND_CONTINUATION] = 2;
	walk->pass = s->len;
	walk_all(walk);
}

/* ---- close ------------------------------------------------------------------------------------
 */

/* RFC 6455 s5.5.1, s7.1.5 */
static void close__code_is_read_from_any_pieces(void **state)
{
	static const uint16_t codes[] = {1000, 1001, 3456, 4999, 0x0100, 0x00ff};

	for (size_t c = 0; c < ARRAY_SIZE(codes); c++) {
		for (int masked = 0; masked < 2; masked++) {
			_cleanup_stream_ struct ws_stream *s = ws_stream_new(masked);
			_cleanup_walk_ struct walk *walk = walk_new(s);

			ws_stream_text(s, FIN | WS_OP_TEXT, "bye");
			ws_stream_close(s, codes[c], c % 2 ? "reason" : "");
			walk->frames[WS_KIND_TEXT] = walk->frames[WS_KIND_CLOSE] = 1;
			walk->close_code = codes[c];
			walk->pass = s->len;
			walk_all(walk);
			assert_true(walk->walker.is_closed);
		}
	}
}

static void close__may_have_no_code(void **state)
{
	for (int masked = 0; masked < 2; masked++) {
		for (size_t len = 0; len < 2; len++) {
			_cleanup_stream_ struct ws_stream *s = ws_stream_new(masked);
			_cleanup_walk_ struct walk *walk = walk_new(s);

			ws_stream_frame(s, FIN | WS_OP_CLOSE, "\x03", len);
			walk->frames[WS_KIND_CLOSE] = 1;
			walk->pass = s->len;
			walk_all(walk);
			assert_true(walk->walker.is_closed);
		}
	}
}

static void close__is_over_with_its_last_byte(void **state)
{
	static const uint8_t stream[] = {0x88, 0x03, 0x03, 0xe8, 'x'};
	struct ws_walker w;
	int error;

	ws_walker_init(&w, false, &no_limits, 0);
	for (size_t n = 2; n <= sizeof(stream); n++) {
		assert_int_equal(ws_walker_feed(&w, stream + (n == 2 ? 0 : n - 1), n == 2 ? 2 : 1,
						&error),
				 n == 2 ? 2 : 1);
		assert_int_equal(w.is_closed, n == sizeof(stream));
		assert_int_equal(w.close_code, n >= 4 ? 1000 : 0);
	}
}

/* RFC 6455 s5.5.1, s1.4: nothing follows, not even the first byte of a header */
static void close__lets_nothing_pass_behind_it(void **state)
{
	static const char *const more[] = {"\x81", "\x89",          "\x88",          "\x08",
					   "\xff", "\x82\x81mask!", "\x88\x82mask!!"};

	for (size_t i = 0; i < ARRAY_SIZE(more); i++) {
		for (size_t reason_len = 0; reason_len < 3; reason_len++) {
			_cleanup_stream_ struct ws_stream *s = ws_stream_new(true);
			_cleanup_walk_ struct walk *walk = walk_new(s);

			ws_stream_text(s, FIN | WS_OP_TEXT, "last");
			ws_stream_close(s, 1000, &"ab"[2 - reason_len]);
			walk->frames[WS_KIND_TEXT] = walk->frames[WS_KIND_CLOSE] = 1;
			walk->close_code = 1000;
			walk->pass = s->len;
			walk->error = -EWS_AFTER_CLOSE;
			ws_stream_raw(s, more[i], strlen(more[i]));
			s->frame_at[s->n_frames] = walk->pass;
			walk_all(walk);
			assert_int_equal(ws_walker_feed(&walk->walker, NULL, 0, &walk->error), 0);
			assert_int_equal(walk->error, 0);
		}
	}
}

/* ---- many frames ------------------------------------------------------------------------------
 */

static void put_random_frame(struct random_fast *r, struct ws_stream *s, struct walk *walk,
			     bool *in_message)
{
	static const uint8_t payload[400];
	bool is_control = random_fast_below(r, 12) == 0;
	bool fin = is_control || random_fast_below(r, 4) != 0;
	size_t len = random_fast_below(r, random_fast_below(r, 10) || is_control ? 30 : 400);
	uint8_t opcode;

	if (is_control)
		opcode = random_fast_below(r, 2) ? WS_OP_PING : WS_OP_PONG;
	else if (*in_message)
		opcode = WS_OP_CONTINUATION;
	else
		opcode = random_fast_below(r, 2) ? WS_OP_TEXT : WS_OP_BINARY;
	if (!is_control)
		*in_message = !fin;
	ws_stream_frame(s, (fin ? FIN : 0) | opcode, payload, len);
	walk->frames[ws_frame_kind(opcode)]++;
}

static void feed__counts_many_random_frames(void **state)
{
	struct random_fast r;

	random_fast_seed(&r, 6455);
	for (int round = 0; round < 12; round++) {
		_cleanup_stream_ struct ws_stream *s = ws_stream_new(round % 2);
		_cleanup_walk_ struct walk *walk = walk_new(s);
		bool in_message = false;

		for (int n = 0; n < (round < 6 ? 40 : 1000); n++)
			put_random_frame(&r, s, walk, &in_message);
		walk->pass = s->len;
		walk_all(walk);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(feed__counts_frames_of_every_kind),
	    cmocka_unit_test(feed__does_not_look_at_payload),
	    cmocka_unit_test(feed__holds_back_incomplete_headers_only),
	    cmocka_unit_test(feed__follows_the_longest_frames),
	    cmocka_unit_test(feed__stops_in_front_of_a_fault),
	    cmocka_unit_test(feed__applies_limits_to_headers),
	    cmocka_unit_test(feed__limits_do_not_wrap),
	    cmocka_unit_test(feed__refuses_a_sum_above_64_bits),
	    cmocka_unit_test(feed__allows_the_bits_of_extensions),
	    cmocka_unit_test(feed__knows_no_rules_of_unknown_extensions),
	    cmocka_unit_test(close__code_is_read_from_any_pieces),
	    cmocka_unit_test(close__may_have_no_code),
	    cmocka_unit_test(close__is_over_with_its_last_byte),
	    cmocka_unit_test(close__lets_nothing_pass_behind_it),
	    cmocka_unit_test(feed__counts_many_random_frames),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
