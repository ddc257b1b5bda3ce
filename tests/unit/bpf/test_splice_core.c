/* SPDX-License-Identifier: Apache-2.0 */
#include "bpf/splice_control.h"

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

/* ---- the translation ------------------------------------------------------------------------- */

static const struct sl_activate_args sample_args = {
    .keys = {{.saddr = {1, 1, 1, 1}, .daddr = {2, 2, 2, 2}, .sport = 11, .dport = 22},
	     {.saddr = {4, 4, 4, 4}, .daddr = {3, 3, 3, 3}, .sport = 44, .dport = 33}},
    .legs = {{.rcv_nxt = 1000,
	      .snd_nxt = 2000,
	      .ts_clock = 70,
	      .oif = 5,
	      .send_wscale = 7,
	      .recv_wscale = 10,
	      .options = SL_O_TIMESTAMPS | SL_O_SACK},
	     {.rcv_nxt = 3000,
	      .snd_nxt = 4000,
	      .ts_clock = 90,
	      .oif = 6,
	      .send_wscale = 3,
	      .recv_wscale = 2,
	      .options = SL_O_TIMESTAMPS | SL_O_SACK,
	      .flags = SL_F_TO_LOCAL}},
    .walk_flags = {0, SL_W_ON},
};

static void ready_pair(struct sl_flow *flows)
{
	for (int i = 0; i < 2; i++) {
		flows[i] = (struct sl_flow){.end_seq = sample_args.legs[i].rcv_nxt,
					    .tsval = 500 + 1000u * (unsigned)i,
					    .marks = SL_M_SEEN | SL_M_TSVAL,
					    .direction = (__u8)i};
	}
}

static __u32 activate(struct sl_flow *flows, struct sl_activate_args *args)
{
	const struct sl_pair pair = {&flows[0], &flows[1]};
	const struct sl_holding holding = sl_holding_new(SL_LEARN, 1000000, SL_HOLD_NS);
	__u32 result = sl_activate_begin(&pair, args, &holding);

	return result == SL_CTL_DONE ? sl_activate_end(&pair, args, &holding, 1000001) : result;
}

/* The byte that came in last on one leg was written last on the other. */
static void activate__joins_the_numbers_of_both_legs(void **state)
{
	struct sl_activate_args args = sample_args;
	struct sl_flow flows[2], *first = &flows[0], *second = &flows[1];

	ready_pair(flows);
	assert_int_equal(activate(flows, &args), SL_CTL_DONE);
	assert_int_equal(first->state, SL_ACTIVE);
	assert_int_equal(second->state, SL_ACTIVE);
	assert_int_equal(1000 + first->seq_delta, 4000);
	assert_int_equal(2000 + first->ack_delta, 3000);
	assert_int_equal(3000 + second->seq_delta, 2000);
	assert_int_equal((__u32)(4000 + second->ack_delta), 1000);
	/* Each far end goes on with the clock that it has seen from us, and is echoed its own. */
	assert_int_equal((__u32)(500 + first->tsval_delta), 90);
	assert_int_equal(70 + first->tsecr_delta, 1500);
	assert_int_equal((__u32)(1500 + second->tsval_delta), 70);
	assert_int_equal(90 + second->tsecr_delta, 500);
	/* The client's windows are in units of 2^7; the endpoint takes ours for 2^2. */
	assert_int_equal(first->window_shift, 5);
	assert_int_equal(first->wscale, 7);
	assert_int_equal(second->window_shift, 3 - 10);
	assert_int_equal(second->wscale, 3);
	assert_int_equal(first->oif, 6);
	assert_int_equal(second->oif, 5);
	assert_int_equal(first->flags, SL_F_TIMESTAMPS | SL_F_TO_LOCAL);
	assert_int_equal(second->flags, SL_F_TIMESTAMPS);
	assert_int_equal(first->walk.flags, 0);
	assert_int_equal(second->walk.flags, SL_W_ON);
	assert_int_equal(args.got_end[0], 1000);
	assert_int_equal(args.got_end[1], 3000);
}

/* What was recorded in LEARN may be somebody's who guessed; the sockets know. */
static void activate__begins_with_what_the_sockets_know(void **state)
{
	struct sl_activate_args args = sample_args;
	struct sl_flow flows[2];

	ready_pair(flows);
	flows[0].ack = 999999;
	flows[0].payload_bytes = 400; /* of a first time in ACTIVE */
	assert_int_equal(activate(flows, &args), SL_CTL_DONE);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(flows[i].ack, sample_args.legs[i].snd_nxt);
		assert_int_equal(flows[i].right_edge, sample_args.legs[i].rcv_nxt);
	}
	assert_int_equal(flows[0].base_seq, 1000 - 400);
	assert_int_equal(flows[1].base_seq, 3000);
}

static void activate__exchanges_addresses(void **state)
{
	struct sl_activate_args args = sample_args;
	struct sl_flow flows[2] = {{0}, {0}};
	const struct sl_peer *to_endpoint = &flows[0].peer, *to_client = &flows[1].peer;

	ready_pair(flows);
	assert_int_equal(activate(flows, &args), SL_CTL_DONE);
	assert_memory_equal(to_endpoint->saddr, args.keys[1].daddr, 16);
	assert_memory_equal(to_endpoint->daddr, args.keys[1].saddr, 16);
	assert_int_equal(to_endpoint->sport, 33);
	assert_int_equal(to_endpoint->dport, 44);
	assert_memory_equal(to_client->saddr, args.keys[0].daddr, 16);
	assert_memory_equal(to_client->daddr, args.keys[0].saddr, 16);
	assert_int_equal(to_client->sport, 22);
	assert_int_equal(to_client->dport, 11);
}

static void activate__says_what_has_to_be_taken_out(void **state)
{
	static const struct {
		__u8 options[2], flags[2];
	} cases[] = {
	    {{0, 0}, {0, 0}},
	    {{SL_O_TIMESTAMPS, SL_O_TIMESTAMPS}, {SL_F_TIMESTAMPS, SL_F_TIMESTAMPS}},
	    {{SL_O_TIMESTAMPS, 0}, {SL_F_STRIP_TS, 0}},
	    {{0, SL_O_TIMESTAMPS}, {0, SL_F_STRIP_TS}},
	    {{SL_O_SACK, 0}, {SL_F_STRIP_SACK, 0}},
	    {{0, SL_O_SACK}, {0, SL_F_STRIP_SACK}},
	    {{SL_O_ECN, SL_O_ECN}, {0, 0}},
	    {{SL_O_ECN, 0}, {SL_F_CLEAR_ECN, SL_F_CLEAR_ECN}},
	    {{0, SL_O_ECN}, {SL_F_CLEAR_ECN, SL_F_CLEAR_ECN}},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct sl_activate_args args = sample_args;
		struct sl_flow flows[2];

		ready_pair(flows);
		for (int k = 0; k < 2; k++) {
			args.legs[k].options = cases[i].options[k];
			args.legs[k].flags = 0;
		}
		assert_int_equal(activate(flows, &args), SL_CTL_DONE);
		assert_int_equal(flows[0].flags, cases[i].flags[0]);
		assert_int_equal(flows[1].flags, cases[i].flags[1]);
	}
}

/* All or nothing: on any other result than DONE both are in LEARN, as they were. */
static void activate__refuses_for_both(void **state)
{
	for (int which = 0; which < 2; which++) {
		struct sl_activate_args args = sample_args;
		struct sl_flow flows[2];

		ready_pair(flows);
		flows[which].end_seq++;
		assert_int_equal(activate(flows, &args), SL_CTL_DATA);
		assert_int_equal(args.got_end[which], args.legs[which].rcv_nxt + 1);
		assert_int_equal(flows[0].state, SL_LEARN);
		assert_int_equal(flows[1].state, SL_LEARN);

		ready_pair(flows);
		flows[which].marks = SL_M_SEEN;
		assert_int_equal(activate(flows, &args), SL_CTL_UNSEEN);
		assert_int_equal(flows[0].state | flows[1].state, SL_LEARN);

		ready_pair(flows);
		flows[which].state = SL_ACTIVE;
		assert_int_equal(activate(flows, &args), SL_CTL_STATE);
		assert_int_equal(flows[which].state, SL_ACTIVE);
		assert_int_equal(flows[!which].state, SL_LEARN);
	}
}

/* A hook that began when it was ACTIVE, and goes on now. */
static void activate__waits_for_who_walks(void **state)
{
	for (int which = 0; which < 2; which++) {
		struct sl_activate_args args = sample_args;
		struct sl_flow flows[2];

		ready_pair(flows);
		flows[which].walk.flags = SL_W_BUSY;
		assert_int_equal(activate(flows, &args), SL_CTL_DATA);
		assert_int_equal(flows[0].state | flows[1].state, SL_LEARN);
		assert_int_equal(flows[which].walk.flags, SL_W_BUSY);
		assert_int_equal(flows[!which].walk.flags, 0);
		flows[which].walk.flags = 0;
		assert_int_equal(activate(flows, &args), SL_CTL_DONE);
		assert_int_equal(flows[0].walk.flags, 0);
		assert_int_equal(flows[1].walk.flags, SL_W_ON);
	}
}

/* What a peer has no room for is not believed, and the sender would not hear of it. */
static void activate__waits_for_a_window(void **state)
{
	for (int which = 0; which < 2; which++) {
		struct sl_activate_args args = sample_args;
		struct sl_flow flows[2];

		args.legs[which].send_mss = 1 + (5u << args.legs[which].send_wscale);
		ready_pair(flows);
		flows[which].window = 5;
		assert_int_equal(activate(flows, &args), SL_CTL_DATA);
		assert_int_equal(flows[0].state | flows[1].state, SL_LEARN);
		flows[which].window = 6;
		assert_int_equal(activate(flows, &args), SL_CTL_DONE);
	}
}

static void activate__behind_its_deadline_changes_nothing(void **state)
{
	struct sl_activate_args args = sample_args;
	struct sl_flow flows[2];
	const struct sl_pair pair = {&flows[0], &flows[1]};
	const struct sl_holding holding = sl_holding_new(SL_LEARN, 1000000, SL_HOLD_NS);

	ready_pair(flows);
	assert_int_equal(sl_activate_begin(&pair, &args, &holding), SL_CTL_DONE);
	assert_int_equal(SL_STATE(flows[0].state), SL_HOLD);
	assert_int_equal(flows[1].state, flows[0].state);
	assert_int_equal(sl_activate_end(&pair, &args, &holding, 1000000 + SL_HOLD_NS),
			 SL_CTL_LATE);
	assert_int_equal(flows[0].state | flows[1].state, SL_LEARN);
	assert_int_equal(flows[0].seq_delta, 0);
	assert_int_equal(flows[0].walk.flags | flows[1].walk.flags, 0);
}

/* ---- sl_hold --------------------------------------------------------------------------------- */

static void make_active(struct sl_flow *flows)
{
	struct sl_activate_args args = sample_args;

	ready_pair(flows);
	flows[0].ack = args.legs[0].snd_nxt;
	flows[1].ack = args.legs[1].snd_nxt;
	assert_int_equal(activate(flows, &args), SL_CTL_DONE);
}

static const struct sl_ctl_leg *args_of(int which)
{
	return &sample_args.legs[which];
}

static void hold__wants_all_to_be_acknowledged(void **state)
{
	const struct sl_holding holding = sl_holding_new(SL_ACTIVE, 5000000, 1000000);

	for (int which = 0; which < 2; which++) {
		struct sl_flow flows[2];
		const struct sl_pair pair = {&flows[0], &flows[1]};
		struct sl_hold_args args = {0};

		make_active(flows);
		flows[which].payload_bytes += 10; /* on their way */
		flows[which].end_seq += 30;       /* and some that were dropped */
		assert_int_equal(sl_hold_begin(&pair, &args, &holding), SL_CTL_DATA);
		assert_int_equal(flows[0].state, SL_ACTIVE);
		assert_int_equal(flows[1].state, SL_ACTIVE);
		flows[!which].ack += 10;
		/* Somebody claims to have what a hook may be about to send on. */
		flows[which].walk.flags |= SL_W_BUSY;
		assert_int_equal(sl_hold_begin(&pair, &args, &holding), SL_CTL_DATA);
		flows[which].walk.flags = 0;
		assert_int_equal(sl_hold_begin(&pair, &args, &holding), SL_CTL_DONE);
		assert_int_equal(args.got_end[which], args_of(which)->rcv_nxt + 10);
		assert_int_equal(args.got_end[!which], args_of(!which)->rcv_nxt);
		assert_int_equal(flows[0].state, holding.word);
		assert_int_equal(flows[1].state, holding.word);
		assert_int_equal(sl_hold_begin(&pair, &args, &holding), SL_CTL_STATE);
		assert_int_equal(sl_hold_release(&pair, which ? SL_LEARN : SL_ACTIVE), SL_CTL_DONE);
		assert_int_equal(flows[0].state, which ? SL_LEARN : SL_ACTIVE);
		assert_int_equal(flows[1].state, which ? SL_LEARN : SL_ACTIVE);
		assert_int_equal(sl_hold_release(&pair, SL_LEARN), SL_CTL_LATE);
	}
}

/* Sockets that were given back would know nothing of a FIN, or an RST, that has passed. */
static void hold__is_refused_at_the_end(void **state)
{
	static const __u8 marks[] = {SL_M_FIN, SL_M_RST, SL_M_FIN | SL_M_FIN_ACKED};
	const struct sl_holding holding = sl_holding_new(SL_ACTIVE, 5000000, 1000000);

	for (size_t i = 0; i < 2 * ARRAY_SIZE(marks); i++) {
		struct sl_flow flows[2];
		const struct sl_pair pair = {&flows[0], &flows[1]};
		struct sl_hold_args args = {0};

		make_active(flows);
		flows[i & 1].marks |= marks[i / 2];
		assert_int_equal(sl_hold_begin(&pair, &args, &holding), SL_CTL_STATE);
		assert_int_equal(flows[0].state, SL_ACTIVE);
		assert_int_equal(flows[1].state, SL_ACTIVE);
	}
}

static void stop__lasts_until_a_hold(void **state)
{
	const struct sl_holding holding = sl_holding_new(SL_ACTIVE, 5000000, 1000000);

	for (int which = 0; which < 2; which++) {
		struct sl_flow flows[2];
		const struct sl_pair pair = {&flows[0], &flows[1]};
		struct sl_hold_args args = {.hold_ns = 3000000};

		make_active(flows);
		flows[which].payload_bytes += 10;
		assert_int_equal(sl_hold_stop(&pair, &args, 4000000), SL_CTL_DONE);
		assert_int_equal(args.got_end[which], args_of(which)->rcv_nxt + 10);
		/* A HOLD that fails leaves it as it is. */
		assert_int_equal(sl_hold_begin(&pair, &args, &holding), SL_CTL_DATA);
		for (int i = 0; i < 2; i++) {
			assert_true(flows[i].walk.flags & SL_W_STOP);
			assert_true(flows[i].deadline_ns == 7000000);
		}
		flows[!which].ack += 10;
		assert_int_equal(sl_hold_begin(&pair, &args, &holding), SL_CTL_DONE);
		for (int i = 0; i < 2; i++) {
			assert_false(flows[i].walk.flags & SL_W_STOP);
			assert_true(flows[i].deadline_ns == 6000000);
		}
		assert_int_equal(sl_hold_stop(&pair, &args, 5000001), SL_CTL_STATE);
	}
}

static void stop__ends_by_itself(void **state)
{
	struct sl_flow flows[2];
	const struct sl_pair pair = {&flows[0], &flows[1]};
	struct sl_hold_args args = {.hold_ns = 3000000};

	make_active(flows);
	assert_int_equal(sl_hold_stop(&pair, &args, 4000000), SL_CTL_DONE);
	assert_true(sl_is_stopped(&flows[0], 6999999));
	assert_true(flows[0].walk.flags & SL_W_STOP);
	assert_false(sl_is_stopped(&flows[0], 7000000));
	assert_int_equal(flows[0].walk.flags, 0);
	assert_true(flows[1].walk.flags & SL_W_STOP);
}

/* Half-closed connections stay where they are. */
static void stop__is_refused_at_the_end(void **state)
{
	static const __u8 marks[] = {SL_M_FIN, SL_M_RST};

	for (size_t i = 0; i < 2 * ARRAY_SIZE(marks); i++) {
		struct sl_flow flows[2];
		const struct sl_pair pair = {&flows[0], &flows[1]};
		struct sl_hold_args args = {.hold_ns = 3000000};

		make_active(flows);
		flows[i & 1].marks |= marks[i / 2];
		assert_int_equal(sl_hold_stop(&pair, &args, 4000000), SL_CTL_STATE);
		assert_false((flows[0].walk.flags | flows[1].walk.flags) & SL_W_STOP);
	}
}

static void hold__ends_by_itself_in_active(void **state)
{
	const struct sl_holding holding = sl_holding_new(SL_ACTIVE, 5000000, 1000000);
	struct sl_flow flows[2];
	const struct sl_pair pair = {&flows[0], &flows[1]};
	struct sl_hold_args args = {0};
	int expired;

	make_active(flows);
	assert_int_equal(sl_hold_begin(&pair, &args, &holding), SL_CTL_DONE);
	assert_int_equal(sl_state_settle(&flows[1], &flows[0], 5999999, &expired), holding.word);
	assert_false(expired);
	assert_int_equal(sl_state_settle(&flows[1], &flows[0], 6000000, &expired), SL_ACTIVE);
	assert_true(expired);
	assert_int_equal(flows[0].state, SL_ACTIVE);
	assert_int_equal(flows[1].state, SL_ACTIVE);
	assert_int_equal(sl_hold_release(&pair, SL_LEARN), SL_CTL_LATE);
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
	    cmocka_unit_test(activate__joins_the_numbers_of_both_legs),
	    cmocka_unit_test(activate__begins_with_what_the_sockets_know),
	    cmocka_unit_test(activate__exchanges_addresses),
	    cmocka_unit_test(activate__says_what_has_to_be_taken_out),
	    cmocka_unit_test(activate__refuses_for_both),
	    cmocka_unit_test(activate__waits_for_who_walks),
	    cmocka_unit_test(activate__waits_for_a_window),
	    cmocka_unit_test(activate__behind_its_deadline_changes_nothing),
	    cmocka_unit_test(hold__wants_all_to_be_acknowledged),
	    cmocka_unit_test(hold__is_refused_at_the_end),
	    cmocka_unit_test(hold__ends_by_itself_in_active),
	    cmocka_unit_test(stop__lasts_until_a_hold),
	    cmocka_unit_test(stop__ends_by_itself),
	    cmocka_unit_test(stop__is_refused_at_the_end),
	    cmocka_unit_test(settle__follows_what_was_decided),
	    cmocka_unit_test(enter__takes_both_or_none),
	    cmocka_unit_test(close__takes_both_and_only_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
