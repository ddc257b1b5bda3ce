/* SPDX-License-Identifier: Apache-2.0 */
/* What sl_activate and sl_hold do with the two flows of a connection. */
#include "bpf/splice_control.h"

#include "base/std.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

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

int main(void)
{
	const struct CMUnitTest tests[] = {
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
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
