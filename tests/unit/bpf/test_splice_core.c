/* SPDX-License-Identifier: Apache-2.0 */
#include "bpf/splice_core.h"

#include "base/std.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

/* ---- numbers --------------------------------------------------------------------------------- */

static void segment_end__counts_syn_and_fin(void **state)
{
	assert_int_equal(sl_segment_end(10, 5, SL_S_ACK), 15);
	assert_int_equal(sl_segment_end(10, 5, SL_S_ACK | SL_S_FIN), 16);
	assert_int_equal(sl_segment_end(10, 0, SL_S_SYN), 11);
	assert_int_equal(sl_segment_end(0xffffffff, 1, SL_S_FIN), 1);
}

/* RFC 9293 s3.4: comparisons are modulo 2^32. */
static void end_seq__moves_forward_only(void **state)
{
	static const struct {
		uint32_t now, end, then;
	} cases[] = {
	    {100, 200, 200},
	    {200, 100, 200},
	    {200, 200, 200},
	    {0xfffffff0, 0x10, 0x10}, /* over the end of numbers */
	    {0x10, 0xfffffff0, 0x10}, /* late, from before it */
	    {0x7fffffff, 0x80000000, 0x80000000},
	    {0, 0x7fffffff, 0x7fffffff},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct sl_flow flow = {.end_seq = cases[i].now};
		__u32 before = 1;

		assert_true(sl_end_seq_publish(&flow, cases[i].end, &before));
		assert_int_equal(before, cases[i].now);
		assert_int_equal(flow.end_seq, cases[i].then);
	}
}

static void end_seq__begins_where_the_first_packet_ends(void **state)
{
	const struct sl_segment segment = {.seq = 0xffffff00, .end = 0xffffff64, .ack = 7};
	struct sl_flow flow = {0};

	sl_first_seen(&flow, &segment);
	assert_int_equal(flow.end_seq, 0xffffff64);
	assert_int_equal(flow.ack, 7);
	assert_int_equal(flow.marks, SL_M_SEEN);
}

static void mark__touches_nothing_beside(void **state)
{
	struct sl_flow flow = {.window = 0x1234, .wscale = 7, .marks = SL_M_SEEN};

	sl_mark(&flow, SL_M_FIN | SL_M_RST);
	assert_int_equal(flow.marks, SL_M_SEEN | SL_M_FIN | SL_M_RST);
	assert_int_equal(flow.window, 0x1234);
	assert_int_equal(flow.wscale, 7);
	assert_int_equal(flow.peer_fin_end, 0);
}

/* ---- what is believed ------------------------------------------------------------------------ */

/* Bytes 1000.. of one leg are bytes 5000.. of the other. */
static void make_pair(struct sl_flow *flow, struct sl_flow *other)
{
	*flow = (struct sl_flow){.end_seq = 1500, .seq_delta = 4000, .marks = SL_M_SEEN};
	*other = (struct sl_flow){.ack = 5300,
				  .ack_delta = -4000u,
				  .window = 10,
				  .wscale = 6,
				  .marks = SL_M_SEEN};
}

/* RFC 7323 s2.3: the other side has announced 10 << 6 bytes from 5300 on. */
static void window_end__is_what_the_other_side_announced(void **state)
{
	struct sl_flow flow, other;

	make_pair(&flow, &other);
	assert_int_equal(sl_window_end(&other), 1300 + 640);
}

/* RFC 5961 s3.2 */
static void rst__counts_at_the_exact_number_only(void **state)
{
	struct sl_flow flow, other;

	make_pair(&flow, &other);
	for (uint32_t seq = 900; seq < 2000; seq++)
		assert_int_equal(sl_rst_is_exact(seq, flow.end_seq, &other),
				 seq == 1500 || seq == 1300);
}

static void rst__is_near_in_the_window(void **state)
{
	struct sl_flow flow, other;

	make_pair(&flow, &other);
	for (uint32_t seq = 900; seq < 3000; seq++)
		assert_int_equal(sl_rst_is_near(seq, &other), seq >= 1300 && seq <= 1300 + 640);
	other.ack_delta = -5400u; /* from 2^32 - 100 on */
	assert_true(sl_rst_is_near(0xffffff9c, &other));
	assert_true(sl_rst_is_near(540, &other));
	assert_false(sl_rst_is_near(541, &other));
}

static void fin__counts_at_the_end_only(void **state)
{
	for (uint32_t seq = 900; seq < 2000; seq++) {
		const struct sl_segment segment = {.seq = seq, .end = seq + 1, .flags = SL_S_FIN};

		assert_int_equal(sl_fin_is_last(&segment, 1500), seq >= 1499);
	}
}

static void edge__is_met_by_what_continues_or_touches_the_end(void **state)
{
	static const struct {
		uint32_t seq, end;
		bool on_edge, leaves_hole;
	} cases[] = {
	    {1500, 1500, true, false},  /* an acknowledgment */
	    {1500, 1600, true, false},  /* the next data */
	    {1400, 1500, true, false},  /* the latest data again */
	    {1400, 1600, true, false},  /* and more */
	    {1400, 1499, false, false}, /* older data again */
	    {1499, 1499, false, false}, /* a keepalive probe */
	    {1501, 1501, false, true},  {1501, 1600, false, true},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		/* Also where numbers wrap. */
		for (uint32_t shift = 0; shift <= 1; shift++) {
			uint32_t delta = shift ? -1500u : 0;
			const struct sl_segment segment = {.seq = cases[i].seq + delta,
							   .end = cases[i].end + delta};

			assert_int_equal(sl_is_on_edge(&segment, 1500 + delta), cases[i].on_edge);
			assert_int_equal(sl_leaves_hole(&segment, 1500 + delta),
					 cases[i].leaves_hole);
		}
	}
}

/* A pair in the middle of a stream: 1300 is acknowledged, 1500 has passed, 1940 may come. */
static void make_stream(struct sl_flow *flow, struct sl_flow *other)
{
	make_pair(flow, other);
	flow->right_edge = 1900; /* looked up a while ago */
	flow->ack = 70000;
	flow->wscale = 0;
}

/* RFC 9293 s3.10.7.4, and s3.8.6.1 for the byte more. */
static void segment__has_to_fit_in_the_window(void **state)
{
	static const struct {
		uint32_t seq, end;
		bool is_likely, is_acceptable;
	} cases[] = {
	    {1500, 1500, true, true},
	    {1500, 1900, true, true},
	    {1500, 1901, false, true},
	    {1500, 1940, false, true},
	    {1500, 1941, false, true},
	    {1500, 1942, false, false},
	    {1500, 9999, false, false},
	    {1400, 1942, false, false}, /* it need not leave a hole */
	    {1700, 1800, false, true},
	    {1700, 1942, false, false},
	    {1941, 1941, false, true},
	    {1942, 1942, false, false},
	    {1300, 1400, false, true}, /* sent again */
	    {1200, 1300, false, true},
	    {1200, 1299, false, false}, /* acknowledged: stale */
	    {1500 - 0x80000000u, 1600 - 0x80000000u, false, false},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct sl_segment segment = {.seq = cases[i].seq,
						   .end = cases[i].end,
						   .ack = 70000,
						   .flags = SL_S_ACK};
		struct sl_flow flow, other;

		make_stream(&flow, &other);
		assert_int_equal(sl_is_likely(&segment, &flow, 1500), cases[i].is_likely);
		assert_int_equal(flow.right_edge, 1900);
		assert_int_equal(sl_is_acceptable(&segment, &flow, &other), cases[i].is_acceptable);
		assert_int_equal(flow.right_edge, 1940);
		/* A window is not taken back (RFC 9293 s3.8.6.2.1). */
		other.window = 0;
		assert_int_equal(sl_is_acceptable(&segment, &flow, &other), cases[i].is_acceptable);
		assert_int_equal(flow.right_edge, 1940);
	}
}

/* RFC 5961 s5.2: within the largest window, of the scale, around what was acknowledged last. */
static void segment__has_to_acknowledge_something_likely(void **state)
{
	for (uint8_t wscale = 0; wscale <= 14; wscale++) {
		const uint32_t reach = 65536u << wscale;
		const struct {
			uint32_t ack;
			bool is_possible;
		} cases[] = {
		    {70000, true},
		    {70000 + reach, true},
		    {70000 - reach, true},
		    {70000 + reach + 1, false},
		    {70000 - reach - 1, false},
		    {70000 + 0x80000000u, false},
		};

		for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
			const struct sl_segment segment = {.seq = 1500,
							   .end = 1600,
							   .ack = cases[i].ack,
							   .flags = SL_S_ACK};
			struct sl_flow flow, other;

			make_stream(&flow, &other);
			flow.wscale = wscale;
			assert_int_equal(sl_is_likely(&segment, &flow, 1500), cases[i].is_possible);
			assert_int_equal(sl_is_acceptable(&segment, &flow, &other),
					 cases[i].is_possible);
		}
	}
}

static void record__goes_forward(void **state)
{
	struct sl_flow flow = {.ack = 0xfffffff0};
	struct sl_segment segment = {.ack = 5, .window = 9, .flags = SL_S_ACK};

	sl_record(&flow, &segment);
	assert_int_equal(flow.ack, 5);
	assert_int_equal(flow.window, 9);
	assert_int_equal(flow.marks, 0);
	segment = (struct sl_segment){.ack = 0xfffffff8,
				      .window = 8,
				      .tsval = 0xfffffffe,
				      .flags = SL_S_ACK | SL_S_TSVAL};
	sl_record(&flow, &segment);
	assert_int_equal(flow.ack, 5);
	assert_int_equal(flow.window, 8);
	assert_int_equal(flow.tsval, 0xfffffffe);
	assert_int_equal(flow.marks, SL_M_TSVAL);
	segment.tsval = 1; /* later, over the end of numbers */
	sl_record(&flow, &segment);
	assert_int_equal(flow.tsval, 1);
	segment.tsval = 0xffffffff;
	segment.flags = SL_S_TSVAL; /* RFC 9293 s3.1: without ACK there is no acknowledgment */
	segment.ack = 1000;
	sl_record(&flow, &segment);
	assert_int_equal(flow.tsval, 1);
	assert_int_equal(flow.ack, 5);
}

/* ---- states ---------------------------------------------------------------------------------- */

/* Rule 3: who finds the other direction decided, follows, whatever has come since. */
static void settle__follows_what_was_decided(void **state)
{
	const __u32 word = SL_HOLD_WORD(SL_LEARN, 77);
	const struct {
		__u32 leading, outcome;
	} cases[] = {
	    {SL_ACTIVE, SL_ACTIVE},
	    {SL_LEARN, SL_LEARN},
	    {SL_CLOSED, SL_CLOSED},
	    {SL_HOLD_WORD(SL_ACTIVE, 78), SL_ACTIVE}, /* decided, and held again */
	    {SL_HOLD_WORD(SL_LEARN, 79), SL_LEARN},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct sl_flow first = {.state = cases[i].leading, .deadline_ns = 100};
		struct sl_flow second = {.state = word, .deadline_ns = 100};
		int expired;

		assert_int_equal(sl_state_settle(&second, &first, 50, &expired), cases[i].outcome);
		assert_int_equal(second.state, cases[i].outcome);
		assert_int_equal(first.state, cases[i].leading);
		assert_false(expired);
	}
}

static void enter__takes_both_or_none(void **state)
{
	const __u32 word = SL_HOLD_WORD(SL_LEARN, 1);
	struct sl_flow first = {.state = SL_LEARN}, second = {.state = SL_CLOSED};

	assert_false(sl_hold_enter(&first, &second, SL_LEARN, word));
	assert_int_equal(first.state, SL_LEARN);
	assert_int_equal(second.state, SL_CLOSED);
	second.state = SL_LEARN;
	assert_true(sl_hold_enter(&first, &second, SL_LEARN, word));
	assert_int_equal(first.state, word);
	assert_int_equal(second.state, word);
}

static void close__takes_both_and_only_once(void **state)
{
	struct sl_flow first = {.state = SL_ACTIVE};
	struct sl_flow second = {.state = SL_HOLD_WORD(SL_LEARN, 5)};

	/* Between the exchanges of sl_activate: it must not open the second one again. */
	assert_true(sl_close(&first, &second));
	sl_state_exchange(&second, SL_HOLD_WORD(SL_LEARN, 5), SL_ACTIVE);
	assert_int_equal(first.state, SL_CLOSED);
	assert_int_equal(second.state, SL_CLOSED);
	assert_false(sl_close(&first, &second));
	first.state = second.state = SL_HOLD_WORD(SL_ACTIVE, 6);
	assert_false(sl_close(&first, &second));
	assert_int_equal(first.state, SL_HOLD_WORD(SL_ACTIVE, 6));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(segment_end__counts_syn_and_fin),
	    cmocka_unit_test(end_seq__moves_forward_only),
	    cmocka_unit_test(end_seq__begins_where_the_first_packet_ends),
	    cmocka_unit_test(mark__touches_nothing_beside),
	    cmocka_unit_test(window_end__is_what_the_other_side_announced),
	    cmocka_unit_test(rst__counts_at_the_exact_number_only),
	    cmocka_unit_test(rst__is_near_in_the_window),
	    cmocka_unit_test(fin__counts_at_the_end_only),
	    cmocka_unit_test(edge__is_met_by_what_continues_or_touches_the_end),
	    cmocka_unit_test(segment__has_to_fit_in_the_window),
	    cmocka_unit_test(segment__has_to_acknowledge_something_likely),
	    cmocka_unit_test(record__goes_forward),
	    cmocka_unit_test(settle__follows_what_was_decided),
	    cmocka_unit_test(enter__takes_both_or_none),
	    cmocka_unit_test(close__takes_both_and_only_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
