/* SPDX-License-Identifier: Apache-2.0 */
/* The hook, run by the kernel over packets of both directions: holes, ends, HOLD. */
#include "lib/splice_frames.h"

#include <time.h>

/* ---- holes ----------------------------------------------------------------------------------- */

/* A pair in ACTIVE; the endpoint has acknowledged all, and lets @window bytes come. */
struct pair {
	struct ref_packet to_endpoint, to_client;
	struct sl_key6 keys[2];
};

static void put_pair(struct splice_programs *programs, struct pair *pair, uint32_t state_word,
		     uint32_t window)
{
	struct sl_flow flows[2] = {{0}, {0}};
	uint64_t random = 7;

	make_packet(&pair->to_endpoint, false);
	pair->to_client = pair->to_endpoint;
	memset(pair->to_client.saddr, 77, 4);
	memset(pair->to_client.daddr, 78, 4);
	pair->keys[0] = splice_programs_key(&pair->to_endpoint);
	pair->keys[1] = splice_programs_key(&pair->to_client);
	for (int i = 0; i < 2; i++) {
		struct sl_peer *peer = &flows[i].peer;
		const struct sl_key6 *other = &pair->keys[!i];

		make_flow(&flows[i], false, state_word, &random);
		flows[i].direction = (__u8)i;
		flows[i].seq_delta = flows[i].ack_delta = 0;
		memcpy(peer->saddr, other->daddr, 16);
		memcpy(peer->daddr, other->saddr, 16);
		peer->sport = other->dport;
		peer->dport = other->sport;
	}
	flows[0].right_edge = 1000; /* as sl_activate leaves it */
	flows[1].end_seq = flows[1].base_seq = flows[1].right_edge = 5000;
	flows[1].ack = 1000;
	flows[1].window = (__u16)window;
	pair->to_client.seq = 5000;
	pair->to_client.ack = 1000;
	for (int i = 0; i < 2; i++)
		splice_programs_put(programs, &pair->keys[i], false, &flows[i]);
	splice_programs_events(programs);
}

static int send(struct splice_programs *programs, const struct ref_packet *packet)
{
	struct frame frame;

	make_frame(packet, &frame);
	return run(programs, &frame);
}

static struct sl_flow get(struct splice_programs *programs, const struct pair *pair, int direction)
{
	return splice_programs_get(programs, &pair->keys[direction], false);
}

static void remove_pair(struct splice_programs *programs, const struct pair *pair)
{
	for (int i = 0; i < 2; i++)
		splice_programs_remove(programs, &pair->keys[i], false);
}

/* RFC 9293 s3.10.7.4: what its receiver does not let come does not move the end. */
static void active__believes_a_hole_within_the_window(void **state)
{
	struct splice_programs *programs = need(state);
	struct pair pair;

	for (uint32_t hole = 0; hole <= 1000; hole += 100) {
		put_pair(programs, &pair, SL_ACTIVE, 600);
		pair.to_endpoint.seq = 1000 + hole;
		assert_int_equal(send(programs, &pair.to_endpoint), REDIRECT);
		assert_int_equal(get(programs, &pair, 0).end_seq,
				 hole + 100 <= 601 ? 1100 + hole : 1000);
		remove_pair(programs, &pair);
	}
}

/* Neither does what continues the stream, but beyond the window; nor what acknowledges anything. */
static void active__does_not_believe_who_guesses(void **state)
{
	static const struct {
		uint32_t seq, ack;
		bool is_believed;
	} cases[] = {
	    {1000, 5000, true},
	    {950, 5000, true},
	    {1000, 5000 + 65536, true},
	    {1000, 5000 - 65536u, true},
	    {1000, 5000 + 65537, false},
	    {1000, 5000 - 65537u, false},
	    {1000, 0x80000000, false},
	    {1000, 0, true},
	    {1000 + 0x7fffffffu, 5000, false},
	    {1000 - 0x7fffffffu, 5000, false},
	};
	struct splice_programs *programs = need(state);

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		for (uint32_t window = 0; window <= 200; window += 25) {
			bool is_believed =
			    cases[i].is_believed && cases[i].seq + 100 <= 1000 + window + 1;
			struct pair pair;
			struct sl_flow flow;

			put_pair(programs, &pair, SL_ACTIVE, window);
			pair.to_endpoint.seq = cases[i].seq;
			pair.to_endpoint.ack = cases[i].ack;
			pair.to_endpoint.window = 7;
			assert_int_equal(send(programs, &pair.to_endpoint), REDIRECT);
			flow = get(programs, &pair, 0);
			assert_int_equal(flow.end_seq, is_believed ? cases[i].seq + 100 : 1000);
			assert_int_equal(flow.payload_bytes, flow.end_seq - 1000);
			assert_int_equal(flow.window, is_believed ? 7 : 0);
			assert_int_equal(flow.ack, is_believed && (int32_t)(cases[i].ack - 5000) > 0
						       ? cases[i].ack
						       : 5000);
			assert_int_equal(flow.last_ns != 0, is_believed);
			remove_pair(programs, &pair);
		}
	}
}

/*
 * In another order than they were sent, packets bring acknowledgments that nothing repeats; the
 * other direction's window would be taken for smaller than its sender knows it to be.
 */
static void active__records_what_leaves_a_hole_or_is_sent_again(void **state)
{
	struct splice_programs *programs = need(state);
	struct pair pair;

	put_pair(programs, &pair, SL_ACTIVE, 600);
	pair.to_endpoint.seq = 1100;
	pair.to_endpoint.ack = 5200;
	assert_int_equal(send(programs, &pair.to_endpoint), REDIRECT);
	assert_int_equal(get(programs, &pair, 0).ack, 5200);
	pair.to_endpoint.seq = 1000;
	pair.to_endpoint.ack = 5300;
	assert_int_equal(send(programs, &pair.to_endpoint), REDIRECT);
	assert_int_equal(get(programs, &pair, 0).ack, 5300);
	assert_int_equal(get(programs, &pair, 0).end_seq, 1200);
	assert_true(get(programs, &pair, 0).payload_bytes == 200);
	remove_pair(programs, &pair);
}

/* It brings nothing, wherever it stands; what it acknowledges is another matter. */
static void active__moves_nothing_for_an_acknowledgment(void **state)
{
	struct splice_programs *programs = need(state);
	struct pair pair;

	for (uint32_t hole = 0; hole <= 600; hole += 100) {
		struct sl_flow flow;

		put_pair(programs, &pair, SL_ACTIVE, 600);
		pair.to_endpoint.seq = 1000 + hole;
		pair.to_endpoint.ack = 5100;
		pair.to_endpoint.payload_size = 0;
		assert_int_equal(send(programs, &pair.to_endpoint), REDIRECT);
		flow = get(programs, &pair, 0);
		assert_int_equal(flow.end_seq, 1000);
		assert_int_equal(flow.ack, 5100);
		assert_true(flow.payload_bytes == 0);
		remove_pair(programs, &pair);
	}
}

/* Each byte once, also what was dropped at first, in a HOLD or for want of a way. */
static void payload__is_counted_when_it_is_sent_on(void **state)
{
	struct splice_programs *programs = need(state);

	for (int is_hold = 0; is_hold < 2; is_hold++) {
		struct pair pair;
		struct sl_flow flow;

		put_pair(programs, &pair, is_hold ? SL_HOLD_WORD(SL_ACTIVE, 8) : SL_ACTIVE, 600);
		flow = get(programs, &pair, 0);
		flow.deadline_ns = UINT64_MAX;
		if (!is_hold)
			flow.flags &= ~SL_F_TO_LOCAL; /* and there is no route */
		splice_programs_put(programs, &pair.keys[0], false, &flow);
		assert_int_equal(send(programs, &pair.to_endpoint), DROP);
		flow = get(programs, &pair, 0);
		assert_int_equal(flow.end_seq, 1100);
		assert_true(flow.packets == 0 && flow.payload_bytes == 0);
		flow.flags |= SL_F_TO_LOCAL;
		flow.state = SL_ACTIVE;
		splice_programs_put(programs, &pair.keys[0], false, &flow);
		for (int i = 0; i < 2; i++) {
			assert_int_equal(send(programs, &pair.to_endpoint), REDIRECT);
			flow = get(programs, &pair, 0);
			assert_true(flow.packets == 1u + (unsigned)i && flow.payload_bytes == 100);
		}
		remove_pair(programs, &pair);
	}
}

/* RFC 5961 s4: a SYN is not of this connection, and not to open another one past the gateway. */
static void spliced__drops_a_syn(void **state)
{
	struct splice_programs *programs = need(state);
	struct pair pair;

	for (uint32_t state_of = SL_ACTIVE; state_of <= SL_CLOSED; state_of++) {
		put_pair(programs, &pair, state_of, 600);
		pair.to_endpoint.flags = REF_SYN;
		pair.to_endpoint.payload_size = 0;
		assert_int_equal(send(programs, &pair.to_endpoint), DROP);
		assert_int_equal(get(programs, &pair, 0).end_seq, 1000);
		remove_pair(programs, &pair);
	}
}

/* ---- ends ------------------------------------------------------------------------------------ */

/* RFC 5961 s3.2 */
static void rst__closes_at_the_exact_number_only(void **state)
{
	struct splice_programs *programs = need(state);
	struct pair pair;

	for (uint32_t seq = 998; seq <= 1002; seq++) {
		uint64_t ignored = splice_programs_stat(programs, SL_STAT_RST_IGNORED);
		bool is_exact = seq == 1000;

		put_pair(programs, &pair, SL_ACTIVE, 600);
		pair.to_endpoint.flags = REF_RST;
		pair.to_endpoint.seq = seq;
		pair.to_endpoint.payload_size = 0;
		assert_int_equal(send(programs, &pair.to_endpoint), REDIRECT);
		for (int i = 0; i < 2; i++)
			assert_int_equal(get(programs, &pair, i).state,
					 is_exact ? SL_CLOSED : SL_ACTIVE);
		assert_int_equal(get(programs, &pair, 0).end_seq, 1000);
		assert_int_equal(splice_programs_stat(programs, SL_STAT_RST_IGNORED),
				 ignored + !is_exact);
		assert_int_equal(splice_programs_events(programs), is_exact);
		if (is_exact) {
			assert_int_equal(programs->got[0].type, SL_EVENT_CLOSED);
			assert_int_equal(programs->got[0].detail, SL_CLOSED_BY_RST);
		}
		remove_pair(programs, &pair);
	}
}

/* It has overtaken the last bytes: these come as news, and it is remembered that it was there. */
static void rst__in_the_window_moves_nothing(void **state)
{
	struct splice_programs *programs = need(state);
	struct pair pair;

	for (uint32_t seq = 999; seq <= 1601; seq += 301) {
		bool is_near = seq == 1300; /* of 1000 to 1600 */

		put_pair(programs, &pair, SL_ACTIVE, 600);
		pair.to_endpoint.flags = REF_RST | REF_ACK;
		pair.to_endpoint.seq = seq;
		pair.to_endpoint.payload_size = 0;
		assert_int_equal(send(programs, &pair.to_endpoint), REDIRECT);
		assert_int_equal(get(programs, &pair, 0).end_seq, 1000);
		assert_int_equal(!!(get(programs, &pair, 0).flags & SL_F_RST_NEAR), is_near);
		assert_false(get(programs, &pair, 1).flags & SL_F_RST_NEAR);
		remove_pair(programs, &pair);
	}
}

/* A RST that meets a HOLD on another CPU leaves its mark; the next packet finds the end. */
static void rst__that_met_a_hold_closes_later(void **state)
{
	struct splice_programs *programs = need(state);
	struct sl_flow flow;
	struct pair pair;

	put_pair(programs, &pair, SL_ACTIVE, 600);
	flow = get(programs, &pair, 0);
	flow.marks |= SL_M_RST;
	splice_programs_put(programs, &pair.keys[0], false, &flow);
	assert_int_equal(send(programs, &pair.to_endpoint), REDIRECT);
	for (int i = 0; i < 2; i++)
		assert_int_equal(get(programs, &pair, i).state, SL_CLOSED);
	assert_int_equal(splice_programs_events(programs), 1);
	assert_int_equal(programs->got[0].detail, SL_CLOSED_BY_RST);
	remove_pair(programs, &pair);
}

static void send_ack(struct splice_programs *programs, struct ref_packet packet, uint32_t seq,
		     uint32_t ack, uint8_t flags)
{
	packet.seq = seq;
	packet.ack = ack;
	packet.flags = REF_ACK | flags;
	packet.payload_size = 0;
	assert_int_equal(send(programs, &packet), REDIRECT);
}

/* RFC 9293 s3.6, figure 12: FIN, its acknowledgment, FIN, and its acknowledgment. */
static void fins__close_when_both_are_acknowledged(void **state)
{
	struct splice_programs *programs = need(state);
	struct pair pair;

	put_pair(programs, &pair, SL_ACTIVE, 600);
	send_ack(programs, pair.to_endpoint, 1000, 5000, REF_FIN);
	assert_true(get(programs, &pair, 0).marks & SL_M_FIN);
	assert_true(get(programs, &pair, 0).flags & SL_F_FIN_FIRST);
	assert_true(get(programs, &pair, 1).marks & SL_M_PEER_FIN);
	assert_int_equal(splice_programs_events(programs), 1);
	assert_int_equal(programs->got[0].type, SL_EVENT_FIN);
	assert_int_equal(programs->got[0].direction, SL_TO_ENDPOINT);

	send_ack(programs, pair.to_client, 5000, 1000, 0); /* not yet of the FIN */
	assert_false(get(programs, &pair, 0).marks & SL_M_FIN_ACKED);
	send_ack(programs, pair.to_client, 5000, 1001, 0);
	assert_true(get(programs, &pair, 0).marks & SL_M_FIN_ACKED);
	assert_int_equal(get(programs, &pair, 0).state, SL_ACTIVE);

	send_ack(programs, pair.to_client, 5000, 1001, REF_FIN);
	send_ack(programs, pair.to_client, 5000, 1001, REF_FIN); /* sent again */
	assert_false(get(programs, &pair, 1).flags & SL_F_FIN_FIRST);
	assert_int_equal(get(programs, &pair, 1).state, SL_ACTIVE);
	assert_int_equal(splice_programs_events(programs), 1);
	send_ack(programs, pair.to_endpoint, 1001, 5001, 0);
	for (int i = 0; i < 2; i++)
		assert_int_equal(get(programs, &pair, i).state, SL_CLOSED);
	assert_int_equal(splice_programs_events(programs), 1);
	assert_int_equal(programs->got[0].type, SL_EVENT_CLOSED);
	assert_int_equal(programs->got[0].detail, SL_CLOSED_BY_FIN);
	assert_int_equal(get(programs, &pair, 0).payload_bytes, 0);
	remove_pair(programs, &pair);
}

/* The client has come again from the same port; the endpoint's last words are of the old one. */
static void end__of_an_old_connection_is_nothing_to_the_next(void **state)
{
	static const uint8_t flags[] = {REF_ACK, REF_ACK | REF_FIN, REF_RST};
	struct splice_programs *programs = need(state);

	for (size_t i = 0; i < ARRAY_SIZE(flags); i++) {
		struct sl_flow old, before, after;
		struct pair pair;

		put_pair(programs, &pair, SL_ACTIVE, 600);
		old = get(programs, &pair, 1);
		old.state = SL_CLOSED;
		old.marks |= SL_M_FIN | SL_M_FIN_ACKED | SL_M_PEER_FIN;
		old.peer_fin_end = old.ack;
		old.conn_id--;
		splice_programs_put(programs, &pair.keys[1], false, &old);
		before = get(programs, &pair, 0);
		pair.to_client.flags = flags[i];
		pair.to_client.payload_size = 0;
		assert_int_equal(send(programs, &pair.to_client), REDIRECT);
		after = get(programs, &pair, 0);
		assert_memory_equal(&after, &before, sizeof(after));
		assert_int_equal(splice_programs_events(programs), 0);
		remove_pair(programs, &pair);
	}
}

static void fin__outside_of_the_window_is_ignored(void **state)
{
	static const uint32_t wrong[] = {1601, 0x80000000, 900};
	struct splice_programs *programs = need(state);
	struct pair pair;

	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		uint64_t before = splice_programs_stat(programs, SL_STAT_FIN_IGNORED);

		put_pair(programs, &pair, SL_ACTIVE, 600);
		send_ack(programs, pair.to_endpoint, wrong[i], 5000, REF_FIN);
		assert_int_equal(get(programs, &pair, 0).marks & SL_M_FIN, 0);
		assert_int_equal(splice_programs_stat(programs, SL_STAT_FIN_IGNORED), before + 1);
		remove_pair(programs, &pair);
	}
}

/* ---- HOLD ------------------------------------------------------------------------------------ */

static uint64_t monotonic_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void set_deadline(struct splice_programs *programs, const struct pair *pair, uint64_t when)
{
	for (int i = 0; i < 2; i++) {
		struct sl_flow flow = get(programs, pair, i);

		flow.deadline_ns = when;
		splice_programs_put(programs, &pair->keys[i], false, &flow);
	}
}

static void hold__drops_and_moves_the_end(void **state)
{
	struct splice_programs *programs = need(state);
	uint64_t before = splice_programs_stat(programs, SL_STAT_DROP_HOLD);
	struct pair pair;

	put_pair(programs, &pair, SL_HOLD_WORD(SL_LEARN, 5), 600);
	set_deadline(programs, &pair, monotonic_ns() + 3600000000000);
	assert_int_equal(send(programs, &pair.to_endpoint), DROP);
	assert_int_equal(send(programs, &pair.to_client), DROP);
	/* Rule 1: who has set HOLD may not have read it yet. */
	assert_int_equal(get(programs, &pair, 0).end_seq, 1100);
	assert_int_equal(get(programs, &pair, 1).end_seq, 5100);
	assert_int_equal(get(programs, &pair, 0).state, SL_HOLD_WORD(SL_LEARN, 5));
	assert_int_equal(splice_programs_stat(programs, SL_STAT_DROP_HOLD), before + 2);
	remove_pair(programs, &pair);
}

/* Rule 3, on whichever direction a packet comes first. */
static void hold__ends_behind_its_deadline(void **state)
{
	struct splice_programs *programs = need(state);

	for (int i = 0; i < 4; i++) {
		uint32_t before = i & 1 ? SL_ACTIVE : SL_LEARN;
		bool client_first = i & 2;
		struct pair pair;
		const struct ref_packet *one, *other;

		put_pair(programs, &pair, SL_HOLD_WORD(before, 6), 600);
		set_deadline(programs, &pair, 1);
		one = client_first ? &pair.to_client : &pair.to_endpoint;
		other = client_first ? &pair.to_endpoint : &pair.to_client;
		assert_int_equal(send(programs, one), before == SL_LEARN ? PASS : REDIRECT);
		assert_int_equal(get(programs, &pair, 0).state, before);
		assert_int_equal(splice_programs_events(programs), 1);
		assert_int_equal(programs->got[0].type, SL_EVENT_HOLD_EXPIRED);
		assert_int_equal(send(programs, other), before == SL_LEARN ? PASS : REDIRECT);
		assert_int_equal(get(programs, &pair, 1).state, before);
		assert_int_equal(splice_programs_events(programs), 0);
		remove_pair(programs, &pair);
	}
}

int main(void)
{
	struct CMUnitTest tests[] = {
	    cmocka_unit_test(active__believes_a_hole_within_the_window),
	    cmocka_unit_test(active__does_not_believe_who_guesses),
	    cmocka_unit_test(active__records_what_leaves_a_hole_or_is_sent_again),
	    cmocka_unit_test(active__moves_nothing_for_an_acknowledgment),
	    cmocka_unit_test(payload__is_counted_when_it_is_sent_on),
	    cmocka_unit_test(spliced__drops_a_syn),
	    cmocka_unit_test(rst__closes_at_the_exact_number_only),
	    cmocka_unit_test(rst__in_the_window_moves_nothing),
	    cmocka_unit_test(rst__that_met_a_hold_closes_later),
	    cmocka_unit_test(fins__close_when_both_are_acknowledged),
	    cmocka_unit_test(end__of_an_old_connection_is_nothing_to_the_next),
	    cmocka_unit_test(fin__outside_of_the_window_is_ignored),
	    cmocka_unit_test(hold__drops_and_moves_the_end),
	    cmocka_unit_test(hold__ends_behind_its_deadline),
	};

	return run_with_programs(tests, ARRAY_SIZE(tests));
}
