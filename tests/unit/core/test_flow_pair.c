/* SPDX-License-Identifier: Apache-2.0 */
#include "core/flow_pair.h"

#include "base/clock.h"
#include "proto/errors.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static int end_of(uint8_t to_endpoint, uint8_t to_client)
{
	const struct sl_flow flows[2] = {{.marks = to_endpoint}, {.marks = to_client}};
	int end = flow_pair_end(flows, 0);
	const struct sl_flow turned[2] = {flows[1], flows[0]};

	assert_int_equal(flow_pair_end(turned, 0), end);
	return end;
}

static void end__is_both_fins_acknowledged(void **state)
{
	const uint8_t seen = SL_M_SEEN | SL_M_TSVAL | SL_M_DROPPED, sent = seen | SL_M_FIN,
		      acked = sent | SL_M_FIN_ACKED;

	assert_int_equal(end_of(0, 0), 0);
	assert_int_equal(end_of(seen, seen), 0);
	assert_int_equal(end_of(sent, seen), 0);
	assert_int_equal(end_of(acked, seen | SL_M_PEER_FIN), 0); /* half-closed: it lives */
	assert_int_equal(end_of(sent, sent), 0);                  /* RFC 9293 s3.6: CLOSING */
	assert_int_equal(end_of(acked, sent), 0);                 /* LAST-ACK */
	assert_int_equal(end_of(acked, acked), EEND_EOF);
}

static void end__is_one_rst(void **state)
{
	const uint8_t acked = SL_M_SEEN | SL_M_FIN | SL_M_FIN_ACKED;

	assert_int_equal(end_of(SL_M_RST, 0), EEND_RESET);
	assert_int_equal(end_of(SL_M_RST, acked), EEND_RESET);
	assert_int_equal(end_of(acked | SL_M_RST, acked), EEND_RESET);
}

/* What was sent from 1000 on, acknowledged by the other side up to @acked in its own numbers. */
static int end_behind_near_reset(uint8_t flags, uint32_t end_seq, uint32_t acked, uint64_t now_ns)
{
	const struct sl_flow flows[2] = {
	    {.end_seq = end_seq, .ack = 9000, .flags = flags, .last_ns = NS_PER_S},
	    {.end_seq = 9000, .ack = acked, .ack_delta = -500u, .last_ns = 2 * NS_PER_S},
	};

	return flow_pair_end(flows, now_ns);
}

static void end__is_silence_behind_a_near_rst(void **state)
{
	const uint64_t silent = 12 * NS_PER_S;

	assert_int_equal(end_behind_near_reset(SL_F_RST_NEAR, 1100, 1500, silent), EEND_RESET);
	assert_int_equal(end_behind_near_reset(SL_F_RST_NEAR, 1100, 1500, silent - 1), 0);
	assert_int_equal(end_behind_near_reset(SL_F_RST_NEAR, 1100, 1600, silent), 0);
	assert_int_equal(end_behind_near_reset(0, 1100, 1500, silent), 0);
}

static bool is_closed_by(uint8_t to_endpoint, uint8_t to_client)
{
	const struct sl_flow flows[2] = {{.walk.flags = to_endpoint}, {.walk.flags = to_client}};

	return flow_pair_is_closed(flows);
}

static void closed__is_by_both_sides(void **state)
{
	const uint8_t on = SL_W_ON | SL_W_STRICT, closed = on | SL_W_CLOSE;

	assert_false(is_closed_by(on, on));
	assert_false(is_closed_by(closed, on));
	assert_false(is_closed_by(on, closed));
	assert_true(is_closed_by(closed, closed));
	/* What came behind it was wrong (RFC 6455 s5.5.1): it has passed all the same. */
	assert_true(is_closed_by(closed | SL_W_LOST, closed));
}

static uint64_t idle_of(uint64_t first_ns, uint64_t second_ns, uint64_t now_ns)
{
	const struct sl_flow flows[2] = {{.last_ns = first_ns}, {.last_ns = second_ns}};

	return flow_pair_idle_ms(flows, now_ns);
}

static void idle__is_since_the_latest_packet(void **state)
{
	assert_int_equal(idle_of(5 * NS_PER_S, 7 * NS_PER_S, 10 * NS_PER_S), 3000);
	assert_int_equal(idle_of(7 * NS_PER_S, 5 * NS_PER_S, 10 * NS_PER_S), 3000);
	assert_int_equal(idle_of(1, 1, NS_PER_MS), 0);
	/* one that came behind the clock's reading */
	assert_int_equal(idle_of(5, 7, 6), 0);
	assert_int_equal(idle_of(5, 7, 7), 0);
}

static void expected__is_what_has_been_sent_on_in_its_own_numbers(void **state)
{
	const struct sl_flow flows[2] = {
	    /* 200 bytes have passed, and 30 behind them were dropped */
	    [SL_TO_ENDPOINT] = {.base_seq = 800,
				.payload_bytes = 200,
				.end_seq = 1030,
				.seq_delta = 5},
	    /* a FIN has passed behind the last byte */
	    [SL_TO_CLIENT] = {.base_seq = UINT32_MAX - 11,
			      .payload_bytes = 10,
			      .end_seq = UINT32_MAX,
			      .marks = SL_M_FIN,
			      .seq_delta = 11},
	};

	/* The endpoint is who sends to the client. */
	assert_int_equal(flow_pair_expected(flows, SL_TO_CLIENT), 1005);
	assert_int_equal(flow_pair_expected(flows, SL_TO_ENDPOINT), 10); /* modulo 2^32 */
}

static void frames__are_of_all_kinds(void **state)
{
	const struct sl_flow flow = {.frames = {1, 20, 300, UINT32_MAX}};

	assert_int_equal(flow_pair_frames(&flow), UINT64_C(321) + UINT32_MAX);
}

/* Of 20 bytes that have passed to the client, it has acknowledged so many; and the endpoint, of 30.
 */
static bool is_unheard(uint32_t by_client, uint32_t by_endpoint, const uint32_t before[2])
{
	const uint32_t acks[2] = {7000 + before[0], 1100 + before[1]};
	const struct sl_flow flows[2] = {
	    /* In what the endpoint sees, numbers are higher by 100. */
	    [SL_TO_ENDPOINT] = {.base_seq = 1000,
				.payload_bytes = 30,
				.end_seq = 1040, /* 10 more were dropped */
				.seq_delta = 100,
				.ack = 7000 + by_client},
	    [SL_TO_CLIENT] = {.base_seq = 5000,
			      .payload_bytes = 20,
			      .end_seq = 5020,
			      .seq_delta = 2000,
			      .ack = 1100 + by_endpoint},
	};

	return flow_pair_is_unheard(flows, acks);
}

static void unheard__is_who_owes_an_acknowledgment_and_has_sent_none(void **state)
{
	assert_false(is_unheard(20, 30, (const uint32_t[2]){20, 30}));
	assert_true(is_unheard(19, 30, (const uint32_t[2]){19, 30}));
	assert_true(is_unheard(20, 0, (const uint32_t[2]){20, 0}));
	assert_true(is_unheard(0, 30, (const uint32_t[2]){0, 1})); /* the other one lives */
	assert_false(is_unheard(19, 30, (const uint32_t[2]){18, 30}));
	assert_false(is_unheard(19, 1, (const uint32_t[2]){18, 0}));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(end__is_both_fins_acknowledged),
	    cmocka_unit_test(end__is_one_rst),
	    cmocka_unit_test(end__is_silence_behind_a_near_rst),
	    cmocka_unit_test(closed__is_by_both_sides),
	    cmocka_unit_test(idle__is_since_the_latest_packet),
	    cmocka_unit_test(expected__is_what_has_been_sent_on_in_its_own_numbers),
	    cmocka_unit_test(frames__are_of_all_kinds),
	    cmocka_unit_test(unheard__is_who_owes_an_acknowledgment_and_has_sent_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
