/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The frame walker of the kernel programs beside others: another CPU that walks, flags that the
 * daemon sets, and a HOLD (rule 6 of sluice/flow.h), each at a certain moment. At any moment, and
 * many of them: test_splice_walk_race.c.
 */
#include "lib/three_frames.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void busy__is_dropped_or_lost(void **state)
{
	_cleanup_stream_ struct ws_stream *s = three_frames();

	for (int is_strict = 0; is_strict < 2; is_strict++) {
		const struct sl_segment segment = {.seq = 1000, .payload = 50};
		struct sl_walking walking = {0};
		struct splice_walker w;
		int why;

		splice_walker_init(&w, false, is_strict, 1000);
		assert_int_equal(sl_walk_begin(&w.flow, &w.policy, &segment, &walking), 0);
		assert_true(w.flow.walk.flags & SL_W_BUSY);
		/* Another CPU. */
		why = sl_walk_begin(&w.flow, &w.policy,
				    &(struct sl_segment){.seq = 1050, .payload = 50},
				    &(struct sl_walking){0});
		assert_int_equal(why, is_strict ? SL_STAT_DROP_HOLE : 0);
		assert_int_equal(!!(w.flow.walk.flags & SL_W_LOST), !is_strict);
		splice_walker_steps(&walking, s->bytes, 50, &w.n_steps);
		assert_int_equal(sl_walk_end(&w.flow, &segment, &walking), 0);
		assert_int_equal(w.flow.walk.flags, is_strict ? SL_W_ON : SL_W_ON | SL_W_LOST);
		assert_int_equal(splice_walker_position(&w), 1050);
		assert_int_equal(w.flow.frames[SL_FRAME_BINARY], 1);
	}
}

/* STOP is set by another; walking does not undo that. */
static void flags__of_others_stay(void **state)
{
	_cleanup_stream_ struct ws_stream *s = three_frames();
	const struct sl_segment segment = {.seq = 1000, .payload = 50};
	struct sl_walking walking = {0};
	struct splice_walker w;

	splice_walker_init(&w, false, false, 1000);
	assert_int_equal(sl_walk_begin(&w.flow, &w.policy, &segment, &walking), 0);
	sl_walk_set(&w.flow, SL_W_STOP | SL_W_STRICT);
	splice_walker_steps(&walking, s->bytes, 50, &w.n_steps);
	assert_int_equal(sl_walk_end(&w.flow, &segment, &walking), 0);
	assert_int_equal(w.flow.walk.flags, SL_W_ON | SL_W_STOP | SL_W_STRICT);
	assert_int_equal(w.flow.walk.stage, SL_WALK_PAYLOAD);
	assert_int_equal(w.flow.walk.opcode, BINARY);
}

/* Rule 6: a HOLD that was set meanwhile finds all as it was. */
static void hold__finds_all_as_it_was(void **state)
{
	static const uint32_t states[] = {SL_HOLD_WORD(SL_ACTIVE, 5), SL_LEARN};
	_cleanup_stream_ struct ws_stream *s = three_frames();

	for (unsigned int i = 0; i < 4; i++) {
		struct splice_walker w, before;

		splice_walker_init(&w, false, i & 1, 1000);
		assert_int_equal(send_part(&w, s, 0, 50), 0);
		w.flow.state = states[i / 2 % 2];
		before = w;
		assert_int_equal(send_part(&w, s, 50, s->len), SL_STAT_DROP_HOLD);
		assert_memory_equal(&w.flow, &before.flow, sizeof(w.flow));
		w.flow.state = SL_ACTIVE;
		assert_int_equal(send_part(&w, s, 50, s->len), 0);
		assert_int_equal(splice_walker_position(&w), 1000 + s->len);
		assert_int_equal(w.flow.frames[SL_FRAME_BINARY], 2);
	}
}

/* Unwalked, the position may be ahead of what has passed: that passes when it comes again. */
static void hold__lets_nothing_unwalked_pass(void **state)
{
	static const uint32_t states[] = {SL_HOLD_WORD(SL_ACTIVE, 5), SL_LEARN};
	static const uint8_t flags[] = {0, SL_W_ON | SL_W_LOST};
	_cleanup_stream_ struct ws_stream *s = three_frames();

	for (unsigned int i = 0; i < 4; i++) {
		struct splice_walker w;

		splice_walker_init(&w, false, false, 1000);
		w.flow.walk.flags = flags[i & 1];
		assert_int_equal(send_part(&w, s, 0, 50), 0);
		w.flow.state = states[i / 2];
		assert_int_equal(send_part(&w, s, 50, s->len), SL_STAT_DROP_HOLD);
		/* What is not beyond the position any more. */
		assert_false(sl_may_pass_unmoved(&w.flow));
		w.flow.state = SL_ACTIVE;
		assert_true(sl_may_pass_unmoved(&w.flow));
		assert_int_equal(send_part(&w, s, 50, s->len), 0);
		assert_int_equal(splice_walker_position(&w), 1000 + s->len);
	}
}

/* Whom another CPU keeps from walking finds the HOLD all the same. */
static void hold__is_found_beside_a_walker(void **state)
{
	_cleanup_stream_ struct ws_stream *s = three_frames();

	for (unsigned int is_strict = 0; is_strict < 2; is_strict++) {
		struct splice_walker w, before;

		splice_walker_init(&w, false, is_strict, 1000);
		w.flow.walk.flags |= SL_W_BUSY;
		w.flow.state = SL_HOLD_WORD(SL_ACTIVE, 5);
		before = w;
		assert_int_equal(sl_walk_begin(&w.flow, &w.policy,
					       &(struct sl_segment){.seq = 1000, .payload = 50},
					       &(struct sl_walking){0}),
				 SL_STAT_DROP_HOLD);
		assert_memory_equal(&w.flow, &before.flow, sizeof(w.flow));
	}
}

/* Nor is anything judged that may come again by another way. */
static void hold__finds_nothing_judged(void **state)
{
	static const uint8_t payload[20];
	_cleanup_stream_ struct ws_stream *s = three_frames();

	ws_stream_frame(s, FIN | 0x3, payload, sizeof(payload)); /* a reserved opcode */
	for (unsigned int is_strict = 0; is_strict < 2; is_strict++) {
		struct splice_walker w, before;
		/* strict: the wrong frame; observe: a hole over headers, too */
		size_t from = is_strict ? s->frame_at[3] : s->frame_at[2];

		splice_walker_init(&w, false, is_strict, 1000);
		assert_int_equal(send_part(&w, s, 0, s->frame_at[is_strict ? 3 : 1]), 0);
		w.flow.state = SL_HOLD_WORD(SL_ACTIVE, 5);
		before = w;
		assert_int_equal(send_part(&w, s, from, s->len), SL_STAT_DROP_HOLD);
		assert_memory_equal(&w.flow, &before.flow, sizeof(w.flow));
		w.flow.state = SL_ACTIVE;
		assert_int_equal(send_part(&w, s, from, s->len),
				 is_strict ? SL_STAT_DROP_FRAME : 0);
		assert_int_equal(w.flow.walk.flags, SL_W_ON | (is_strict ? SL_W_WRONG : SL_W_LOST));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(busy__is_dropped_or_lost),
	    cmocka_unit_test(flags__of_others_stay),
	    cmocka_unit_test(hold__finds_all_as_it_was),
	    cmocka_unit_test(hold__lets_nothing_unwalked_pass),
	    cmocka_unit_test(hold__is_found_beside_a_walker),
	    cmocka_unit_test(hold__finds_nothing_judged),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
