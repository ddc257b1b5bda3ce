/* SPDX-License-Identifier: Apache-2.0 */
/* A stream that the kernel has walked to any byte is walked on by the relay's walker. */
#include "core/walk_resume.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define FROM_CLIENT true

struct stream {
	uint8_t bytes[300000];
	size_t len;
	bool is_from_client;
};

static void add_frame(struct stream *s, uint8_t first, uint64_t payload_len)
{
	const struct ws_frame_header header = {
	    .fin = first & 0x80,
	    .rsv = first & WS_RSV_MASK,
	    .opcode = first & 0x0f,
	    .masked = s->is_from_client,
	    .mask = {1, 2, 3, 4},
	    .payload_len = payload_len,
	};

	s->len += ws_frame_header_encode(&header, s->bytes + s->len);
	memset(s->bytes + s->len, 0x55, payload_len);
	s->len += payload_len;
	assert_true(s->len <= sizeof(s->bytes));
}

/* Every form of a length, with fragments and a control frame between them, and a Close. */
static void make_stream(struct stream *s, bool is_from_client)
{
	*s = (struct stream){.is_from_client = is_from_client};
	add_frame(s, 0x80 | WS_OP_TEXT, 5);
	add_frame(s, WS_OP_BINARY, 126);
	add_frame(s, 0x80 | WS_OP_PING, 0);
	add_frame(s, WS_OP_CONTINUATION, 255);
	add_frame(s, WS_OP_CONTINUATION, 256);
	add_frame(s, 0x80 | WS_OP_CONTINUATION, 65535);
	add_frame(s, 0x80 | WS_OP_BINARY, 65536);
	add_frame(s, WS_RSV1 | WS_OP_TEXT, 0);
	add_frame(s, 0x80 | WS_OP_CONTINUATION, 70000);
	add_frame(s, 0x80 | WS_OP_CLOSE, 2);
}

/* Where the kernel's walker stands behind the first @n bytes: by the letter of sluice/flow.h. */
static struct sl_walk walk_to(const struct stream *s, size_t n)
{
	struct sl_walk walk = {.flags = SL_W_ON};

	for (size_t i = 0; i < n; i++) {
		uint8_t byte = s->bytes[i], length = byte & 0x7f;

		switch (walk.stage) {
		case SL_WALK_FIRST:
			walk.opcode = byte;
			walk.stage = SL_WALK_SECOND;
			continue;
		case SL_WALK_SECOND:
			walk.length_left = length == 127 ? 8 : length == 126 ? 2 : 0;
			walk.payload_left = length < 126 ? length : 0;
			walk.stage = SL_WALK_LENGTH;
			break;
		case SL_WALK_LENGTH:
			walk.payload_left = walk.payload_left << 8 | byte;
			walk.length_left--;
			break;
		case SL_WALK_MASK:
			walk.length_left--;
			break;
		default:
			walk.payload_left--;
		}
		if (walk.stage == SL_WALK_LENGTH && walk.length_left == 0) {
			walk.stage = SL_WALK_MASK;
			walk.length_left = s->is_from_client ? 4 : 0;
		}
		if (walk.stage == SL_WALK_MASK && walk.length_left == 0) {
			walk.stage = SL_WALK_PAYLOAD;
			if (!(walk.opcode & 0x08)) {
				walk.flags &= (uint8_t)~SL_W_MESSAGE;
				walk.message_len += (uint32_t)walk.payload_left;
				if (walk.opcode & 0x80)
					walk.message_len = 0;
				else
					walk.flags |= SL_W_MESSAGE;
			}
		}
		if (walk.stage == SL_WALK_PAYLOAD && walk.payload_left == 0) {
			walk.stage = SL_WALK_FIRST;
			if ((walk.opcode & 0x0f) == WS_OP_CLOSE)
				walk.flags |= SL_W_CLOSE;
		}
	}
	return walk;
}

static void init_walker(const struct stream *s, uint64_t max_message, struct ws_walker *w)
{
	const struct ws_message_limits limits = {.max_message = max_message};

	ws_walker_init(w, s->is_from_client, &limits, WS_RSV1);
}

/* Feeds all behind the first @n bytes, in front of it what is left of a header. */
static size_t feed_rest(const struct stream *s, size_t n, const struct walk_header *header,
			struct ws_walker *w, int *ret_error)
{
	static uint8_t rest[WS_FRAME_HEADER_MAX + sizeof(s->bytes)];

	memcpy(rest, header->bytes, header->len);
	memcpy(rest + header->len, s->bytes + n, s->len - n);
	return ws_walker_feed(w, rest, header->len + s->len - n, ret_error);
}

/* So many bytes of make_stream() take to a long payload, all of which are the same. */
#define SHORT_FRAMES 1000

static void resume_everywhere(bool is_from_client)
{
	static struct stream s;
	struct ws_walker whole;
	int error;

	make_stream(&s, is_from_client);
	init_walker(&s, 0, &whole);
	assert_int_equal(ws_walker_feed(&whole, s.bytes, s.len, &error), s.len);
	for (size_t n = 0; n < SHORT_FRAMES; n++) {
		struct sl_walk walk = walk_to(&s, n);
		struct walk_header header;
		struct ws_walker before, w;

		init_walker(&s, 0, &before);
		w = before;
		(void)ws_walker_feed(&before, s.bytes, n, &error);
		assert_true(walk_resume(&walk, &w, &header));
		assert_true(header.len < WS_FRAME_HEADER_MAX);
		assert_int_equal(feed_rest(&s, n, &header, &w, &error), header.len + s.len - n);
		assert_int_equal(error, 0);
		for (size_t kind = 0; kind < WS_KIND_COUNT; kind++)
			assert_int_equal(w.frames[kind], whole.frames[kind] - before.frames[kind]);
		assert_true(w.is_closed && ws_walker_at_boundary(&w) && !w.in_message);
	}
}

static void resume__goes_on_at_every_byte(void **state)
{
	resume_everywhere(FROM_CLIENT);
	resume_everywhere(!FROM_CLIENT);
}

/* Every byte of the header of one frame that is behind @skip bytes of nothing of interest. */
static void resume_inside(uint64_t payload_len, bool is_from_client)
{
	static struct stream s;
	struct ws_walker w;

	s = (struct stream){.is_from_client = is_from_client};
	add_frame(&s, 0x80 | WS_OP_BINARY, payload_len);
	for (size_t n = 1; n < s.len - payload_len; n++) {
		struct sl_walk walk = walk_to(&s, n);
		struct walk_header header;
		int error;

		init_walker(&s, 0, &w);
		assert_true(walk_resume(&walk, &w, &header));
		assert_int_equal(header.len, n);
		/* The mask key is of no use to anybody behind it. */
		assert_memory_equal(header.bytes, s.bytes,
				    MIN(n, s.len - payload_len - (is_from_client ? 4 : 0)));
		assert_int_equal(feed_rest(&s, n, &header, &w, &error), s.len);
		assert_int_equal(w.frames[WS_KIND_BINARY], 1);
	}
}

/* RFC 6455 s5.2: of 7 bits, 16 or 64; 1 or 2 bytes short of each it has to be told which. */
static void resume__knows_every_form_of_a_length(void **state)
{
	static const uint64_t lengths[] = {0, 125, 126, 255, 256, 257, 65535, 65536, 65537, 250000};

	for (size_t i = 0; i < ARRAY_SIZE(lengths); i++) {
		resume_inside(lengths[i], FROM_CLIENT);
		resume_inside(lengths[i], !FROM_CLIENT);
	}
}

static void resume__counts_a_message_on(void **state)
{
	static struct stream s;
	struct walk_header header;
	struct sl_walk walk;
	struct ws_walker w;
	int error;

	s = (struct stream){.is_from_client = true};
	add_frame(&s, WS_OP_TEXT, 600);
	add_frame(&s, 0x80 | WS_OP_CONTINUATION, 401);
	walk = walk_to(&s, 608);
	init_walker(&s, 1000, &w);
	assert_true(walk_resume(&walk, &w, &header));
	assert_int_equal(feed_rest(&s, 608, &header, &w, &error), 0);
	assert_int_equal(error, -EWS_MESSAGE_SIZE);
	init_walker(&s, 1001, &w);
	assert_true(walk_resume(&walk, &w, &header));
	(void)feed_rest(&s, 608, &header, &w, &error);
	assert_int_equal(error, 0);
}

/* RFC 6455 s5.5.1 */
static void resume__lets_nothing_come_behind_a_close(void **state)
{
	static struct stream s;
	struct walk_header header;
	struct sl_walk walk;
	struct ws_walker w;
	int error;

	s = (struct stream){.is_from_client = false};
	add_frame(&s, 0x80 | WS_OP_CLOSE, 2);
	add_frame(&s, 0x80 | WS_OP_TEXT, 1);
	for (size_t n = 2; n <= 4; n++) {
		walk = walk_to(&s, n);
		init_walker(&s, 0, &w);
		assert_true(walk_resume(&walk, &w, &header));
		(void)feed_rest(&s, n, &header, &w, &error);
		assert_int_equal(error, -EWS_AFTER_CLOSE);
		assert_int_equal(w.close_code, 0); /* of a part of it no code is made up */
	}
}

static void resume__says_when_nobody_knows(void **state)
{
	static const struct sl_walk unknown[] = {
	    {.flags = 0},
	    {.flags = SL_W_ON | SL_W_LOST},
	    {.flags = SL_W_ON, .stage = 7},
	    {.flags = SL_W_ON, .stage = SL_WALK_LENGTH, .length_left = 9},
	    {.flags = SL_W_ON, .stage = SL_WALK_LENGTH, .length_left = 0},
	    {.flags = SL_W_ON, .stage = SL_WALK_MASK, .length_left = 5},
	};

	for (size_t i = 0; i < ARRAY_SIZE(unknown); i++) {
		struct ws_walker w = {.frame_left = 7};
		struct walk_header header;

		assert_false(walk_resume(&unknown[i], &w, &header));
		assert_int_equal(w.frame_left, 7);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(resume__goes_on_at_every_byte),
	    cmocka_unit_test(resume__knows_every_form_of_a_length),
	    cmocka_unit_test(resume__counts_a_message_on),
	    cmocka_unit_test(resume__lets_nothing_come_behind_a_close),
	    cmocka_unit_test(resume__says_when_nobody_knows),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
