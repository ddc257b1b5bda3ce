/* SPDX-License-Identifier: Apache-2.0 */
#include "sluice-bench/message_writer.h"

#include "proto/ws_message.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define MESSAGE_MAX 70000

static const struct ws_message_limits no_limits;

/* ---- payload -------------------------------------------------------------------------------- */

static void payload__is_the_same_in_any_pieces(void **state)
{
	static const size_t pieces[] = {1, 2, 3, 7, 8, 9, 64, 1000};
	uint8_t whole[1000], cut[1000];
	struct payload_stream s;

	for (int is_text = 0; is_text < 2; is_text++) {
		payload_stream_init(&s, 42, sizeof(whole), is_text);
		payload_stream_fill(&s, whole, sizeof(whole));
		assert_int_equal(s.left, 0);
		for (size_t i = 0; i < ARRAY_SIZE(pieces); i++) {
			payload_stream_init(&s, 42, sizeof(cut), is_text);
			for (size_t at = 0; at < sizeof(cut); at += pieces[i])
				payload_stream_fill(&s, cut + at, MIN(pieces[i], sizeof(cut) - at));
			assert_memory_equal(whole, cut, sizeof(whole));
		}
	}
}

static void payload__differs_between_messages(void **state)
{
	uint64_t a = payload_identity(1, 0, 0);

	assert_int_equal(a, payload_identity(1, 0, 0));
	assert_int_not_equal(a, payload_identity(2, 0, 0));
	assert_int_not_equal(a, payload_identity(1, 1, 0));
	assert_int_not_equal(a, payload_identity(1, 0, 1));
	/* Connection and sequence must not be interchangeable. */
	assert_int_not_equal(payload_identity(1, 2, 3), payload_identity(1, 3, 2));
}

static void compare__finds_every_changed_byte(void **state)
{
	uint8_t data[1500];
	struct payload_difference d;
	struct payload_stream s;

	payload_stream_init(&s, 9, sizeof(data), false);
	payload_stream_fill(&s, data, sizeof(data));
	payload_stream_init(&s, 9, sizeof(data), false);
	assert_int_equal(payload_stream_compare(&s, data, sizeof(data), &d), 0);
	for (size_t i = 0; i < sizeof(data); i++) {
		data[i] ^= 1;
		payload_stream_init(&s, 9, sizeof(data), false);
		assert_int_equal(payload_stream_compare(&s, data, sizeof(data), &d), -EBADMSG);
		assert_int_equal(d.offset, i);
		assert_int_equal(d.actual, data[i]);
		assert_int_equal(d.expected, data[i] ^ 1);
		data[i] ^= 1;
	}
}

static void payload__text_is_utf8_with_longer_characters(void **state)
{
	uint8_t data[300];
	unsigned int longer = 0;

	for (size_t len = 0; len < sizeof(data); len++) {
		struct utf8_state utf8 = {0};
		struct payload_stream s;

		payload_stream_init(&s, len, len, true);
		payload_stream_fill(&s, data, len);
		assert_int_equal(utf8_feed(&utf8, data, len, NULL), 0);
		assert_true(utf8_is_complete(&utf8));
		for (size_t i = 0; i < len; i++)
			longer += data[i] >= 0x80;
	}
	assert_true(longer > 0);
}

/* ---- frames --------------------------------------------------------------------------------- */

struct received {
	uint8_t payload[MESSAGE_MAX];
	size_t len;
	unsigned int messages;
	uint8_t opcode;
};

static struct received received;

static void receive(struct ws_receiver *r, uint8_t *buf, size_t len)
{
	while (len > 0) {
		struct ws_event event;
		ssize_t n = ws_receiver_next(r, buf, len, &event);

		assert_true(n > 0);
		if (event.kind == WS_EVENT_DATA) {
			if (event.is_first)
				received.len = 0;
			received.opcode = event.opcode;
			assert_true(received.len + event.len <= MESSAGE_MAX);
			memcpy(received.payload + received.len, event.data, event.len);
			received.len += event.len;
			received.messages += event.is_last;
		}
		buf += n;
		len -= (size_t)n;
	}
}

/* Writes @plan in pieces of @cap bytes, reads it as the peer would, and compares. */
static void check_message(const struct message_plan *plan, size_t cap, bool is_masked)
{
	static uint8_t buf[2 * MESSAGE_MAX];
	struct mask_source masks = {0};
	struct payload_difference d;
	struct payload_stream s;
	struct message_writer w;
	struct ws_receiver r;
	size_t len = 0, n;

	random_fast_seed(&masks.fast, 5);
	message_writer_init(&w, is_masked);
	ws_receiver_init(&r, is_masked ? WS_ROLE_SERVER : WS_ROLE_CLIENT, &no_limits);
	memset(&received, 0, sizeof(received));
	message_writer_begin(&w, plan);
	while ((n = message_writer_fill(&w, &masks, buf + len, cap)) > 0) {
		assert_true(n <= cap);
		len += n;
		assert_true(len + cap <= sizeof(buf));
	}
	assert_true(message_writer_is_complete(&w));
	receive(&r, buf, len);
	assert_int_equal(received.messages, 1);
	assert_int_equal(received.opcode, plan->is_text ? WS_OP_TEXT : WS_OP_BINARY);
	assert_int_equal(received.len, plan->bytes);
	assert_int_equal(r.frames[WS_KIND_CONTINUATION], plan->fragments - 1);
	if (plan->pool)
		return;
	payload_stream_init(&s, plan->identity, plan->bytes, plan->is_text);
	assert_int_equal(payload_stream_compare(&s, received.payload, received.len, &d), 0);
}

static void fill__gives_the_message_in_any_room(void **state)
{
	static const uint64_t sizes[] = {0, 1, 5, 125, 126, 127, 1000, 65535, 65536};
	static const uint32_t fragments[] = {1, 2, 3, 10};
	static const size_t caps[] = {WS_FRAME_HEADER_MAX + 1, 100, 4096, MESSAGE_MAX};

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		for (size_t j = 0; j < ARRAY_SIZE(fragments); j++) {
			for (size_t k = 0; k < ARRAY_SIZE(caps); k++) {
				struct message_plan plan = {.identity = i * 100 + j,
							    .bytes = sizes[i],
							    .fragments = fragments[j],
							    .is_text = k % 2};

				check_message(&plan, caps[k], true);
				check_message(&plan, caps[k], false);
			}
		}
	}
}

static void fill__takes_payload_from_the_pool(void **state)
{
	uint8_t *pool = payload_pool_new(3, true);
	struct message_plan plan = {
	    /* begins 10 bytes before the end of the pool */
	    .identity = PAYLOAD_POOL_BYTES - 10,
	    .bytes = 100,
	    .fragments = 3,
	    .pool = pool,
	    .is_text = true,
	};

	assert_non_null(pool);
	check_message(&plan, 4096, true);
	assert_memory_equal(received.payload, pool + PAYLOAD_POOL_BYTES - 10, 10);
	assert_memory_equal(received.payload + 10, pool, 90);
	free(pool);
}

static void fill__masks_every_frame_anew(void **state)
{
	/* RFC 6455 s5.3: "a fresh masking key" for each frame. */
	struct message_plan plan = {.identity = 1, .bytes = 8, .fragments = 2};
	struct mask_source masks = {.is_secure = true};
	uint8_t first[64], second[64];
	struct message_writer w;

	message_writer_init(&w, true);
	message_writer_begin(&w, &plan);
	assert_int_equal(message_writer_fill(&w, &masks, first, sizeof(first)), 10);
	assert_true(message_writer_at_boundary(&w));
	assert_false(message_writer_is_complete(&w));
	assert_int_equal(message_writer_fill(&w, &masks, second, sizeof(second)), 10);
	assert_true(message_writer_is_complete(&w));
	assert_memory_not_equal(first + 2, second + 2, 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(payload__is_the_same_in_any_pieces),
	    cmocka_unit_test(payload__differs_between_messages),
	    cmocka_unit_test(compare__finds_every_changed_byte),
	    cmocka_unit_test(payload__text_is_utf8_with_longer_characters),
	    cmocka_unit_test(fill__gives_the_message_in_any_room),
	    cmocka_unit_test(fill__takes_payload_from_the_pool),
	    cmocka_unit_test(fill__masks_every_frame_anew),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
