/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The frame walker of the kernel programs: beside the relay's, over holes, and against peers who
 * send what they should not.
 */
#include "lib/splice_walker.h"

#include "lib/three_frames.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define CLOSE (FIN | 0x8)
#define PING  (FIN | 0x9)

static uint32_t draw(uint64_t *state)
{
	*state = *state * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(*state >> 33);
}

/* ---- beside the relay's ---------------------------------------------------------------------- */

/* A number that two walks of the same stream share. */
struct course {
	bool is_from_client, is_strict;
	struct ws_message_limits limits;
	uint32_t base_seq;
};

static void begin(const struct course *course, struct splice_walker *w, struct relay_walker *relay)
{
	splice_walker_init(w, course->is_from_client, course->is_strict, course->base_seq);
	w->policy.max_frame = course->limits.max_frame;
	w->policy.max_message = course->limits.max_message;
	relay_walker_init(relay, course->is_from_client, &course->limits);
}

static void assert_refused(const struct splice_walker *w, const struct splice_walker *before,
			   int why)
{
	struct splice_walker then = *before;

	then.flow.walk.flags |= SL_W_WRONG;
	assert_int_equal(why, SL_STAT_DROP_FRAME);
	assert_int_equal(w->tells, SL_TELL_WRONG);
	assert_memory_equal(&w->flow, &then.flow, sizeof(then.flow));
}

static void assert_passed_wrong(const struct splice_walker *w, const struct relay_walker *relay,
				int why, uint32_t end)
{
	assert_int_equal(why, 0);
	assert_int_equal(w->tells & SL_TELL_WRONG, SL_TELL_WRONG);
	assert_true(w->flow.walk.flags & SL_W_LOST);
	assert_true(splice_walker_same_counts(w, relay));
	assert_int_equal(splice_walker_position(w), end);
}

/* Return: false at the first fault. */
static bool send_both(struct splice_walker *w, struct relay_walker *relay, const uint8_t *bytes,
		      size_t len)
{
	const struct splice_walker before = *w;
	uint32_t seq = splice_walker_position(w);
	bool is_strict = sl_walk_is_strict(&w->policy, w->flow.walk.flags);
	int why = splice_walker_send(w, seq, bytes, len);

	relay_walker_send(relay, bytes, len);
	assert_true(splice_walker_agrees(w, relay));
	if (w->fault && is_strict) {
		assert_refused(w, &before, why);
		return false;
	}
	if (w->fault) {
		assert_passed_wrong(w, relay, why, seq + (uint32_t)len);
		return false;
	}
	assert_int_equal(why, 0);
	assert_int_equal(splice_walker_position(w), seq + (uint32_t)len);
	assert_true(splice_walker_same_counts(w, relay));
	assert_true(splice_walker_same_place(w, relay));
	assert_int_equal(w->tells & SL_TELL_CLOSE,
			 before.flow.walk.flags & SL_W_CLOSE || !relay->walker.is_closed
			     ? 0
			     : SL_TELL_CLOSE);
	return true;
}

/* @max_piece: 0 = the whole. Return: whether all has passed */
static bool walk_in_pieces(const struct course *course, const uint8_t *bytes, size_t len,
			   size_t max_piece, uint64_t *random)
{
	struct relay_walker relay;
	struct splice_walker w;

	begin(course, &w, &relay);
	for (size_t at = 0, n; at < len; at += n) {
		n = max_piece ? 1 + draw(random) % max_piece : len;
		n = MIN(n, len - at);
		if (!send_both(&w, &relay, bytes + at, n))
			return false;
	}
	return true;
}

/* One that may be wrong: of @n_faults in a hundred. */
static void put_frame(struct ws_stream *s, unsigned int n_faults, uint64_t *random,
		      bool *in_message)
{
	static const uint8_t controls[] = {0x8, 0x9, 0xa, 0x9, 0xa, 0x9, 0xa};
	bool is_wrong = draw(random) % 100 < n_faults, masked = s->masked;
	uint8_t payload[700] = {0}, first, mask[4];
	size_t n = draw(random) % (draw(random) % 4 ? 20 : sizeof(payload));

	if (draw(random) % 5 == 0) {
		first = FIN | controls[draw(random) % ARRAY_SIZE(controls)];
		n %= 126;
	} else {
		first = *in_message ? 0 : 1 + draw(random) % 2;
		*in_message = draw(random) % 3 == 0;
		first |= *in_message ? 0 : FIN;
		first |= draw(random) % 4 ? 0 : 0x40;
	}
	if (is_wrong && draw(random) % 2)
		first = (uint8_t)draw(random);
	s->masked = masked ^ (is_wrong && draw(random) % 3 == 0);
	if (is_wrong && draw(random) % 3 == 0)
		ws_stream_header(s, first, n % 126, draw(random) % 2 ? 2 : 8, mask);
	else
		ws_stream_frame(s, first, payload, n);
	s->masked = masked;
}

static void walk__is_that_of_the_relay(void **state)
{
	unsigned int n_whole = 0, n_wrong = 0;
	uint64_t random = 1;

	for (unsigned int i = 0; i < 3000; i++) {
		_cleanup_stream_ struct ws_stream *s = ws_stream_new(i & 1);
		const struct course course = {
		    .is_from_client = i & 1,
		    .is_strict = i & 2,
		    .limits.max_frame = i % 5 == 0 ? 300 : 0,
		    .limits.max_message = i % 7 == 0 ? 800 : 0,
		    .base_seq = 0xffffff00u + i,
		};
		static const size_t max_pieces[] = {0, 1, 2, 5, 16, 100, 2000};
		bool in_message = false;

		for (unsigned int k = 0; k < 30; k++)
			put_frame(s, i % 3 ? 3 : 0, &random, &in_message);
		for (size_t k = 0; k < ARRAY_SIZE(max_pieces); k++) {
			if (walk_in_pieces(&course, s->bytes, s->len, max_pieces[k], &random))
				n_whole++;
			else
				n_wrong++;
		}
	}
	assert_true(n_whole > 1000 && n_wrong > 1000);
}

/* RFC 6455 s5.2: each form of header, cut in three at any two bytes. */
static void header__may_be_cut_anywhere(void **state)
{
	static const size_t sizes[] = {0, 1, 125, 126, 65535, 65536};

	for (size_t i = 0; i < 2 * ARRAY_SIZE(sizes); i++) {
		_cleanup_stream_ struct ws_stream *s = ws_stream_new(i & 1);
		static const uint8_t payload[65536];
		const struct course course = {.is_from_client = i & 1, .is_strict = true};
		size_t header;

		ws_stream_frame(s, BINARY, payload, sizes[i / 2]);
		header = s->payload_at[0];
		ws_stream_text(s, TEXT, "x");
		for (size_t a = 0; a <= header; a++) {
			for (size_t b = a; b <= header; b++) {
				const size_t cuts[] = {0, a, b, s->len};
				struct relay_walker relay;
				struct splice_walker w;

				begin(&course, &w, &relay);
				for (int k = 0; k < 3; k++)
					assert_true(send_both(&w, &relay, s->bytes + cuts[k],
							      cuts[k + 1] - cuts[k]));
				assert_int_equal(w.flow.frames[SL_FRAME_BINARY], 1);
				assert_int_equal(w.flow.frames[SL_FRAME_TEXT], 1);
			}
		}
	}
}

/* Each byte is taken, at the longest, once; payload is not looked at. */
static void walk__takes_a_step_for_a_frame(void **state)
{
	_cleanup_stream_ struct ws_stream *s = ws_stream_new(true);
	static const uint8_t payload[1000];
	struct splice_walker w;

	for (int i = 0; i < 50; i++)
		ws_stream_frame(s, BINARY, payload, i * 20);
	splice_walker_init(&w, true, false, 5);
	assert_int_equal(splice_walker_send(&w, 5, s->bytes, s->len), 0);
	assert_int_equal(w.n_steps, 50);
	splice_walker_init(&w, true, false, 5);
	for (size_t i = 0; i < s->len; i++)
		assert_int_equal(splice_walker_send(&w, 5 + (uint32_t)i, s->bytes + i, 1), 0);
	assert_int_equal(w.flow.frames[SL_FRAME_BINARY], 50);
	assert_true(w.n_steps <= 50 * 8);
}

/* RFC 6455 s5.2: up to 2^63 - 1; the most significant bit MUST be 0. */
static void length__may_have_63_bits(void **state)
{
	for (int is_over = 0; is_over < 2; is_over++) {
		uint64_t length = UINT64_C(0x7fffffffffffffff) + (uint64_t)is_over;
		_cleanup_stream_ struct ws_stream *s = ws_stream_new(true);
		struct splice_walker w;
		uint8_t mask[4], payload[100] = {0};

		ws_stream_header(s, BINARY, length, 8, mask);
		splice_walker_init(&w, true, true, 0xfffffff0);
		assert_int_equal(splice_walker_send(&w, 0xfffffff0, s->bytes, s->len),
				 is_over ? SL_STAT_DROP_FRAME : 0);
		assert_int_equal(w.fault, is_over ? SL_FAULT_LENGTH : 0);
		if (is_over)
			continue;
		assert_true(w.flow.walk.payload_left == length);
		assert_int_equal(splice_walker_send(&w, splice_walker_position(&w), payload, 100),
				 0);
		assert_true(w.flow.walk.payload_left == length - 100);
	}
}

/* A message whose length does not fit into 32 bits, by fragments that one only hears about. */
static void message__is_counted_up_to_32_bits(void **state)
{
	struct splice_walker w;
	uint8_t mask[4], byte = 0;

	splice_walker_init(&w, false, false, 1);
	for (uint64_t i = 0; i < 3; i++) {
		_cleanup_stream_ struct ws_stream *s = ws_stream_new(false);

		ws_stream_header(s, i == 0 ? 0x2 : 0x0, UINT64_C(3) << 30, 8, mask);
		assert_int_equal(splice_walker_send(&w, splice_walker_position(&w), s->bytes,
						    s->len),
				 0);
		assert_true(w.flow.walk.message_len == MIN((i + 1) * 3 << 30, UINT32_MAX));
		/* All of the payload but one byte, at once. */
		w.flow.payload_bytes += w.flow.walk.payload_left - 1;
		w.flow.walk.payload_left = 1;
		assert_int_equal(splice_walker_send(&w, splice_walker_position(&w), &byte, 1), 0);
		assert_int_equal(w.flow.walk.stage, SL_WALK_FIRST);
	}
}

/* RFC 6455 s5.5.1 */
static void close__is_the_last(void **state)
{
	for (int is_strict = 0; is_strict < 2; is_strict++) {
		_cleanup_stream_ struct ws_stream *s = ws_stream_new(true);
		struct splice_walker w;
		size_t end;

		ws_stream_close(s, 1000, "bye");
		end = s->len;
		ws_stream_text(s, TEXT, "more");
		splice_walker_init(&w, true, is_strict, 0);
		assert_int_equal(splice_walker_send(&w, 0, s->bytes, end - 1), 0);
		assert_int_equal(w.tells, 0);
		assert_int_equal(splice_walker_send(&w, (uint32_t)end - 1, s->bytes + end - 1, 1),
				 0);
		assert_int_equal(w.tells, SL_TELL_CLOSE);
		assert_int_equal(splice_walker_send(&w, (uint32_t)end, s->bytes + end, 1),
				 is_strict ? SL_STAT_DROP_FRAME : 0);
		assert_int_equal(w.fault, SL_FAULT_AFTER_CLOSE);
		assert_int_equal(w.tells, SL_TELL_WRONG);
	}
}

/* ---- holes ----------------------------------------------------------------------------------- */

/* What observe makes of every hole that there can be: it is exact, or it says that it is not. */
static void hole__inside_a_payload_costs_nothing(void **state)
{
	_cleanup_stream_ struct ws_stream *s = three_frames();
	size_t first_end = s->frame_at[1], n_kept = 0, n_lost = 0;

	for (size_t from = 1; from < s->len; from++) {
		for (size_t to = from + 1; to < s->len; to++) {
			bool is_inside = false;
			struct splice_walker w;

			for (size_t i = 0; i < s->n_frames; i++)
				is_inside |= from >= s->payload_at[i] && to <= s->frame_at[i + 1];
			splice_walker_init(&w, false, false, 1000);
			assert_int_equal(send_part(&w, s, 0, from), 0);
			assert_int_equal(send_part(&w, s, to, s->len), 0);
			assert_int_equal(splice_walker_position(&w), 1000 + s->len);
			assert_int_equal(!(w.flow.walk.flags & SL_W_LOST), is_inside);
			assert_int_equal(w.tells, is_inside ? 0 : SL_TELL_LOST);
			/* The hole is filled: nothing new. */
			assert_int_equal(send_part(&w, s, from, to), 0);
			assert_int_equal(splice_walker_position(&w), 1000 + s->len);
			if (is_inside) {
				assert_int_equal(w.flow.frames[SL_FRAME_BINARY], 2);
				assert_int_equal(w.flow.frames[SL_FRAME_TEXT], 1);
				assert_int_equal(w.flow.walk.stage, SL_WALK_FIRST);
			}
			*(is_inside ? &n_kept : &n_lost) += 1;
		}
	}
	assert_true(n_kept > first_end && n_lost > first_end);
}

/* A hole that ends a Close frame. */
static void hole__may_end_a_close_frame(void **state)
{
	_cleanup_stream_ struct ws_stream *s = ws_stream_new(false);
	struct splice_walker w;

	ws_stream_close(s, 1000, "bye");
	ws_stream_text(s, TEXT, "more");
	splice_walker_init(&w, false, false, 1000);
	assert_int_equal(send_part(&w, s, 0, 3), 0);
	assert_int_equal(send_part(&w, s, s->frame_at[1], s->len), 0);
	assert_int_equal(w.fault, SL_FAULT_AFTER_CLOSE);
}

/* What strict makes of them: nothing passes that was not seen, and nothing is missed. */
static void strict__waits_until_a_hole_is_filled(void **state)
{
	_cleanup_stream_ struct ws_stream *s = three_frames();

	for (size_t from = 0; from < s->len; from += 7) {
		for (size_t to = from + 1; to < s->len; to += 3) {
			struct splice_walker w;

			splice_walker_init(&w, false, true, 1000);
			if (from)
				assert_int_equal(send_part(&w, s, 0, from), 0);
			assert_int_equal(send_part(&w, s, to, s->len), SL_STAT_DROP_HOLE);
			assert_int_equal(splice_walker_position(&w), 1000 + from);
			assert_int_equal(send_part(&w, s, from, to), 0);
			assert_int_equal(send_part(&w, s, to, s->len), 0);
			assert_int_equal(w.flow.frames[SL_FRAME_BINARY], 2);
			assert_int_equal(w.flow.frames[SL_FRAME_TEXT], 1);
			assert_int_equal(w.flow.walk.flags, SL_W_ON);
		}
	}
}

/* In any order, with anything sent again, any way cut: exact in strict, exact or lost in observe.
 */
static void order__may_be_any(void **state)
{
	uint64_t random = 3;
	unsigned int n_lost = 0, n_exact = 0;

	for (unsigned int round = 0; round < 4000; round++) {
		_cleanup_stream_ struct ws_stream *s = ws_stream_new(round & 1);
		bool is_strict = round & 2, in_message = false;
		struct relay_walker relay;
		struct splice_walker w;

		for (int i = 0; i < 12; i++)
			put_frame(s, 0, &random, &in_message);
		relay_walker_init(&relay, round & 1, &(struct ws_message_limits){0});
		relay_walker_send(&relay, s->bytes, s->len);
		if (relay.error) /* behind a Close frame */
			continue;
		splice_walker_init(&w, round & 1, is_strict, 1000);
		while (splice_walker_position(&w) != 1000 + s->len) {
			size_t at = splice_walker_position(&w) - 1000;
			size_t n = 1 + draw(&random) % 200, from = at + draw(&random) % 60;

			from = draw(&random) % 8 ? at : from > 30 ? from - 30 : 0;
			from = MIN(from, s->len - 1);
			send_part(&w, s, from, MIN(from + n, s->len));
		}
		if (w.flow.walk.flags & SL_W_LOST) {
			assert_false(is_strict);
			n_lost++;
			continue;
		}
		assert_true(splice_walker_same_counts(&w, &relay));
		assert_true(splice_walker_same_place(&w, &relay));
		n_exact += !is_strict;
	}
	assert_true(n_lost > 100 && n_exact > 100);
}

/* ---- peers who send what they should not ----------------------------------------------------- */

/* The order in which bytes are first sent is what is judged: what stands again at a place that has
 * passed is not looked at, whatever it is, and changes nothing. */
static void again__other_bytes_change_nothing(void **state)
{
	_cleanup_stream_ struct ws_stream *s = three_frames();
	_cleanup_stream_ struct ws_stream *other = three_frames();

	memset(other->bytes, 0xff, s->len);
	for (size_t from = 0; from < 110; from++) {
		struct splice_walker w, before;

		splice_walker_init(&w, false, true, 1000);
		assert_int_equal(send_part(&w, s, 0, 110), 0);
		before = w;
		assert_int_equal(send_part(&w, other, from, 110), 0);
		assert_memory_equal(&w.flow, &before.flow, sizeof(w.flow));
		/* Of what overlaps, the part that is new is walked, from the position on. */
		memcpy(other->bytes + 110, s->bytes + 110, s->len - 110);
		assert_int_equal(send_part(&w, other, from, s->len), 0);
		assert_int_equal(w.flow.frames[SL_FRAME_BINARY], 2);
		assert_int_equal(w.flow.frames[SL_FRAME_TEXT], 1);
		memset(other->bytes, 0xff, s->len);
	}
}

/* Nothing passes behind a frame that was refused, but what has passed before it may come again. */
static void wrong__ends_the_stream(void **state)
{
	_cleanup_stream_ struct ws_stream *s = three_frames();
	struct splice_walker w;
	size_t end = s->frame_at[2];

	splice_walker_init(&w, false, true, 1000);
	w.policy.max_frame = 299;
	assert_int_equal(send_part(&w, s, 0, s->frame_at[1] + 3), 0);
	assert_int_equal(send_part(&w, s, s->frame_at[1] + 3, end), SL_STAT_DROP_FRAME);
	assert_int_equal(w.fault, SL_FAULT_FRAME_SIZE);
	assert_int_equal(w.tells, SL_TELL_WRONG);
	for (size_t to = 1; to < s->len; to++) {
		bool is_old = to <= s->frame_at[1] + 3;

		assert_int_equal(send_part(&w, s, 0, to), is_old ? 0 : SL_STAT_DROP_FRAME);
		assert_int_equal(w.tells, 0);
	}
	assert_int_equal(splice_walker_position(&w), 1000 + s->frame_at[1] + 3);
	assert_int_equal(w.flow.frames[SL_FRAME_BINARY], 1);
}

/* What could be past a limit by a hole is not let make one. */
static void limits__make_it_strict(void **state)
{
	struct sl_policy policies[] = {
	    {0},
	    {.max_frame = 1},
	    {.max_message = 1},
	    {.frame_rate = 1},
	    {.walk = SL_WALK_STRICT},
	    {.walk = SL_WALK_OFF, .max_frame = 1},
	};

	for (size_t i = 0; i < ARRAY_SIZE(policies); i++)
		assert_int_equal(sl_walk_is_strict(&policies[i], SL_W_ON), i > 0);
	assert_true(sl_walk_is_strict(&policies[0], SL_W_ON | SL_W_STRICT));
}

static void strict__drops_what_is_not_believed(void **state)
{
	const struct sl_segment segment = {.seq = 1000, .payload = 10};
	struct splice_walker w;

	splice_walker_init(&w, false, true, 1000);
	assert_int_equal(sl_walk_refuse(&w.flow, &segment, 1, 0), SL_STAT_DROP_HOLE);
	assert_int_equal(sl_walk_refuse(&w.flow, &segment, 1, 1), 0);
	assert_int_equal(sl_walk_refuse(&w.flow, &segment, 0, 0), 0);
}

static void off__counts_bytes_and_is_lost(void **state)
{
	_cleanup_stream_ struct ws_stream *s = three_frames();
	struct splice_walker w;

	splice_walker_init(&w, false, false, 1000);
	w.policy.walk = SL_WALK_OFF;
	assert_int_equal(send_part(&w, s, 0, s->len), 0);
	assert_int_equal(splice_walker_position(&w), 1000 + s->len);
	assert_int_equal(w.flow.frames[SL_FRAME_BINARY], 0);
	assert_true(w.flow.walk.flags & SL_W_LOST);
}

/* ---- the position ---------------------------------------------------------------------------- */

static void position__counts_each_byte_once(void **state)
{
	static const struct {
		uint32_t seq, payload;
		__u8 flags;
		uint64_t then;
	} cases[] = {
	    {1000, 100, SL_S_ACK, 100},
	    {1000, 100, SL_S_ACK, 100},           /* sent again */
	    {1040, 100, SL_S_ACK, 140},           /* with more */
	    {1100, 0, SL_S_ACK, 140},             /* an acknowledgment */
	    {1500, 0, SL_S_ACK, 140},             /* of one that has passed another way */
	    {1240, 100, SL_S_ACK, 340},           /* over a hole, which counts already */
	    {1140, 100, SL_S_ACK, 340},           /* and is filled */
	    {1340, 60, SL_S_ACK | SL_S_FIN, 400}, /* RFC 9293 s3.4: a FIN is no byte */
	    {1400, 0, SL_S_ACK | SL_S_FIN, 400},
	    {1420, 0, SL_S_ACK | SL_S_FIN, 400}, /* nor is what it claims to be behind */
	};

	/* Also where numbers wrap, and behind 4 GiB; nobody walks. */
	for (uint64_t from = 0; from < 0x300000000; from += 0xfffffc00) {
		struct sl_flow flow = {.payload_bytes = from, .state = SL_ACTIVE};
		const struct sl_policy policy = {0};

		flow.base_seq = 1000 - (uint32_t)from;
		for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
			const struct sl_segment segment = {.seq = cases[i].seq,
							   .payload = cases[i].payload,
							   .flags = cases[i].flags};
			struct sl_walking walking = {0};

			if (sl_is_beyond(&flow, &segment)) {
				assert_int_equal(sl_walk_begin(&flow, &policy, &segment, &walking),
						 0);
				assert_int_equal(sl_walk_end(&flow, &segment, &walking), 0);
			}
			assert_true(flow.payload_bytes == from + cases[i].then);
		}
	}
}

static void fin__is_new_once(void **state)
{
	struct sl_flow flow = {.base_seq = 1000};
	const struct sl_segment fin = {.seq = 1000, .flags = SL_S_ACK | SL_S_FIN};
	const struct sl_segment ack = {.seq = 1500, .flags = SL_S_ACK};

	assert_false(sl_is_new(&flow, &ack));
	assert_true(sl_is_new(&flow, &fin));
	flow.marks = SL_M_FIN;
	assert_false(sl_is_new(&flow, &fin));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(walk__is_that_of_the_relay),
	    cmocka_unit_test(header__may_be_cut_anywhere),
	    cmocka_unit_test(walk__takes_a_step_for_a_frame),
	    cmocka_unit_test(length__may_have_63_bits),
	    cmocka_unit_test(message__is_counted_up_to_32_bits),
	    cmocka_unit_test(close__is_the_last),
	    cmocka_unit_test(hole__inside_a_payload_costs_nothing),
	    cmocka_unit_test(hole__may_end_a_close_frame),
	    cmocka_unit_test(strict__waits_until_a_hole_is_filled),
	    cmocka_unit_test(order__may_be_any),
	    cmocka_unit_test(again__other_bytes_change_nothing),
	    cmocka_unit_test(wrong__ends_the_stream),
	    cmocka_unit_test(limits__make_it_strict),
	    cmocka_unit_test(strict__drops_what_is_not_believed),
	    cmocka_unit_test(off__counts_bytes_and_is_lost),
	    cmocka_unit_test(position__counts_each_byte_once),
	    cmocka_unit_test(fin__is_new_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
