/* SPDX-License-Identifier: Apache-2.0 */
/* sl_activate and sl_hold in the kernel, a connection from one end to the other, and the costs. */
#include "lib/splice_frames.h"
#include "sluice/conn.h"

#include <bpf/bpf.h>

/* ---- a connection ---------------------------------------------------------------------------- */

/*
 * Client bytes begin at 1000 on their leg and at 7000 on the endpoint's; those of the endpoint at
 * 5000 on theirs and at 3000 on the client's. Both ends are on this host.
 */
struct connection {
	bool is_ipv6;
	struct ref_packet from[2]; /* as they arrive, by enum sl_direction */
	struct sl_key6 keys[2];
	struct sl_activate_args args;
};

static void make_connection(struct connection *c, bool is_ipv6)
{
	*c = (struct connection){.is_ipv6 = is_ipv6};
	make_packet(&c->from[0], is_ipv6);
	c->from[1] = c->from[0];
	memset(c->from[1].saddr, 77, is_ipv6 ? 16 : 4);
	memset(c->from[1].daddr, 78, is_ipv6 ? 16 : 4);
	c->from[0].seq = 900;
	c->from[0].ack = 3000;
	c->from[1].seq = 4900;
	c->from[1].ack = 7000;
	for (int i = 0; i < 2; i++) {
		c->keys[i] = splice_programs_key(&c->from[i]);
		c->args.keys[i] = c->keys[i];
		c->args.legs[i] = (struct sl_ctl_leg){.ts_clock = 90,
						      .oif = 1,
						      .send_wscale = 7,
						      .recv_wscale = 7,
						      .options = SL_O_TIMESTAMPS | SL_O_SACK,
						      .flags = SL_F_TO_LOCAL};
	}
	c->args.legs[0].rcv_nxt = 1000;
	c->args.legs[0].snd_nxt = 3000;
	c->args.legs[1].rcv_nxt = 5000;
	c->args.legs[1].snd_nxt = 7000;
	c->args.is_ipv6 = is_ipv6;
}

static void insert(struct splice_programs *programs, const struct connection *c)
{
	for (int i = 0; i < 2; i++) {
		const struct sl_flow flow = {.direction = (__u8)i, .conn_id = 9};

		splice_programs_put(programs, &c->keys[i], c->is_ipv6, &flow);
	}
}

static void remove_both(struct splice_programs *programs, const struct connection *c)
{
	for (int i = 0; i < 2; i++)
		splice_programs_remove(programs, &c->keys[i], c->is_ipv6);
}

static int send(struct splice_programs *programs, const struct ref_packet *packet)
{
	struct frame frame;

	make_frame(packet, &frame);
	return run(programs, &frame);
}

static struct sl_flow get(struct splice_programs *programs, const struct connection *c, int i)
{
	return splice_programs_get(programs, &c->keys[i], c->is_ipv6);
}

static void assert_states(struct splice_programs *programs, const struct connection *c,
			  uint32_t wanted)
{
	for (int i = 0; i < 2; i++)
		assert_int_equal(SL_STATE(get(programs, c, i).state), wanted);
}

static __u32 activate(struct splice_programs *programs, struct connection *c)
{
	c->args.result = 99;
	splice_programs_call(programs->activate_fd, &c->args, sizeof(c->args));
	return c->args.result;
}

static __u32 hold(struct splice_programs *programs, const struct connection *c, __u32 verb,
		  uint64_t hold_ns)
{
	struct sl_hold_args args = {.is_ipv6 = c->is_ipv6, .verb = verb, .hold_ns = hold_ns};

	memcpy(args.keys, c->keys, sizeof(args.keys));
	args.result = 99;
	splice_programs_call(programs->hold_fd, &args, sizeof(args));
	return args.result;
}

/* Packets of both directions have passed, and bytes up to 1000 and 5000 with them. */
static void learn(struct splice_programs *programs, const struct connection *c)
{
	insert(programs, c);
	for (int i = 0; i < 2; i++)
		assert_int_equal(send(programs, &c->from[i]), PASS);
}

/* ---- results of sl_activate, one by one ------------------------------------------------------ */

static void activate__joins_what_is_quiet(void **state)
{
	struct splice_programs *programs = need(state);

	for (int is_ipv6 = 0; is_ipv6 < 2; is_ipv6++) {
		struct connection c;

		make_connection(&c, is_ipv6);
		learn(programs, &c);
		assert_int_equal(activate(programs, &c), SL_CTL_DONE);
		assert_int_equal(c.args.got_end[0], 1000);
		assert_int_equal(c.args.got_end[1], 5000);
		assert_states(programs, &c, SL_ACTIVE);
		assert_int_equal(activate(programs, &c), SL_CTL_STATE);
		assert_states(programs, &c, SL_ACTIVE);
		remove_both(programs, &c);
	}
}

static void activate__without_an_entry_changes_nothing(void **state)
{
	struct splice_programs *programs = need(state);

	for (int which = 0; which < 2; which++) {
		struct connection c;

		make_connection(&c, false);
		learn(programs, &c);
		splice_programs_remove(programs, &c.keys[which], false);
		assert_int_equal(activate(programs, &c), SL_CTL_NO_FLOW);
		assert_int_equal(get(programs, &c, !which).state, SL_LEARN);
		/* Of the same addresses in the other family there is none either. */
		c.args.is_ipv6 = true;
		assert_int_equal(activate(programs, &c), SL_CTL_NO_FLOW);
		remove_both(programs, &c);
	}
}

static void activate__waits_for_a_packet_of_each_leg(void **state)
{
	struct splice_programs *programs = need(state);

	for (int which = 0; which < 2; which++) {
		struct connection c;

		make_connection(&c, true);
		insert(programs, &c);
		assert_int_equal(send(programs, &c.from[which]), PASS);
		assert_int_equal(activate(programs, &c), SL_CTL_UNSEEN);
		assert_states(programs, &c, SL_LEARN);
		/* One without timestamps, where they are negotiated. */
		c.from[!which].n_options = 0;
		assert_int_equal(send(programs, &c.from[!which]), PASS);
		assert_int_equal(activate(programs, &c), SL_CTL_UNSEEN);
		c.args.legs[!which].options = SL_O_SACK;
		assert_int_equal(activate(programs, &c), SL_CTL_DONE);
		remove_both(programs, &c);
	}
}

static void activate__finds_data_on_its_way(void **state)
{
	struct splice_programs *programs = need(state);

	for (int which = 0; which < 2; which++) {
		struct connection c;

		make_connection(&c, false);
		learn(programs, &c);
		c.from[which].seq += 100;
		assert_int_equal(send(programs, &c.from[which]), PASS);
		assert_int_equal(activate(programs, &c), SL_CTL_DATA);
		assert_int_equal(c.args.got_end[which], c.args.legs[which].rcv_nxt + 100);
		assert_states(programs, &c, SL_LEARN);
		/* Taken, and written to the other leg. */
		c.args.legs[which].rcv_nxt += 100;
		c.args.legs[!which].snd_nxt += 100;
		assert_int_equal(activate(programs, &c), SL_CTL_DONE);
		remove_both(programs, &c);
	}
}

/* Left behind by a call that never came back: the next one ends it. */
static void activate__ends_a_forgotten_hold(void **state)
{
	struct splice_programs *programs = need(state);
	uint64_t expired = splice_programs_stat(programs, SL_STAT_HOLD_EXPIRED);
	struct connection c;

	make_connection(&c, false);
	learn(programs, &c);
	for (int i = 0; i < 2; i++) {
		struct sl_flow flow = get(programs, &c, i);

		flow.state = SL_HOLD_WORD(SL_LEARN, 3);
		flow.deadline_ns = 1;
		splice_programs_put(programs, &c.keys[i], false, &flow);
	}
	assert_int_equal(activate(programs, &c), SL_CTL_DONE);
	assert_int_equal(splice_programs_stat(programs, SL_STAT_HOLD_EXPIRED), expired + 1);
	remove_both(programs, &c);
}

/* ---- a life ---------------------------------------------------------------------------------- */

/* Sends a packet that has to come out as @flow says. */
static void send_through(struct splice_programs *programs, const struct connection *c,
			 int direction)
{
	struct ref_packet want = c->from[direction];
	struct sl_flow flow = get(programs, c, direction);
	struct frame frame, expected;

	make_frame(&want, &frame);
	ref_translate(&want, &flow);
	make_frame(&want, &expected);
	assert_int_equal(run(programs, &frame), REDIRECT);
	assert_memory_equal(frame.bytes, expected.bytes, expected.size);
}

/* LEARN, ACTIVE, back in LEARN with new sockets, and once more; numbers are what ends expect. */
static void connection__goes_in_and_out(void **state)
{
	struct splice_programs *programs = need(state);

	for (int is_ipv6 = 0; is_ipv6 < 2; is_ipv6++) {
		struct connection c;

		make_connection(&c, is_ipv6);
		learn(programs, &c);
		for (int round = 0; round < 3; round++) {
			assert_int_equal(activate(programs, &c), SL_CTL_DONE);
			/* The client's next byte is the endpoint's next one to come. */
			assert_int_equal((__u32)(c.args.legs[0].rcv_nxt +
						 get(programs, &c, 0).seq_delta),
					 c.args.legs[1].snd_nxt);
			for (int i = 0; i < 2; i++) {
				c.from[i].seq = c.args.legs[i].rcv_nxt;
				send_through(programs, &c, i);
				c.args.legs[i].rcv_nxt += 100;
				c.args.legs[!i].snd_nxt += 100;
			}
			assert_int_equal(hold(programs, &c, SL_HOLD_BEGIN, 1000000000),
					 SL_CTL_DATA);
			assert_states(programs, &c, SL_ACTIVE);
			for (int i = 0; i < 2; i++) { /* pure acknowledgments */
				c.from[i].seq += 100;
				c.from[i].ack += 100;
				c.from[i].payload_size = 0;
				send_through(programs, &c, i);
				c.from[i].payload_size = 100;
			}
			assert_int_equal(hold(programs, &c, SL_HOLD_BEGIN, 1000000000000),
					 SL_CTL_DONE);
			assert_states(programs, &c, SL_HOLD);
			assert_int_equal(hold(programs, &c, SL_HOLD_BEGIN, 1000000000),
					 SL_CTL_STATE);
			assert_int_equal(activate(programs, &c), SL_CTL_STATE);
			assert_int_equal(hold(programs, &c, SL_HOLD_TO_LEARN, 0), SL_CTL_DONE);
			assert_states(programs, &c, SL_LEARN);
		}
		remove_both(programs, &c);
	}
}

static void hold__goes_back_to_active(void **state)
{
	struct splice_programs *programs = need(state);
	struct connection c;

	make_connection(&c, false);
	learn(programs, &c);
	assert_int_equal(hold(programs, &c, SL_HOLD_BEGIN, 1000000000), SL_CTL_STATE);
	assert_int_equal(activate(programs, &c), SL_CTL_DONE);
	assert_int_equal(hold(programs, &c, SL_HOLD_TO_ACTIVE, 0), SL_CTL_LATE);
	assert_int_equal(hold(programs, &c, SL_HOLD_BEGIN, 1000000000000), SL_CTL_DONE);
	assert_int_equal(send(programs, &c.from[0]), DROP);
	assert_int_equal(hold(programs, &c, SL_HOLD_TO_ACTIVE, 0), SL_CTL_DONE);
	assert_states(programs, &c, SL_ACTIVE);
	assert_int_equal(hold(programs, &c, SL_HOLD_BEGIN, 0), SL_CTL_DONE);
	assert_int_equal(send(programs, &c.from[0]), REDIRECT); /* it has ended */
	assert_int_equal(hold(programs, &c, SL_HOLD_TO_LEARN, 0), SL_CTL_LATE);
	send(programs, &c.from[1]);
	assert_states(programs, &c, SL_ACTIVE);
	splice_programs_remove(programs, &c.keys[1], false);
	assert_int_equal(hold(programs, &c, SL_HOLD_BEGIN, 0), SL_CTL_NO_FLOW);
	remove_both(programs, &c);
}

/* ---- costs ----------------------------------------------------------------------------------- */

static uint64_t verified_instructions(int fd)
{
	struct bpf_prog_info info = {0};
	uint32_t size = sizeof(info);

	assert_int_equal(bpf_prog_get_info_by_fd(fd, &info, &size), 0);
	return info.verified_insns;
}

static int fd_of(const struct splice_programs *programs, const char *name)
{
	if (strcmp(name, SL_PROG_SPLICE) == 0)
		return programs->hook_fd;
	if (strcmp(name, SL_PROG_XDP) == 0)
		return programs->xdp_fd;
	if (strcmp(name, SL_PROG_ACTIVATE) == 0)
		return programs->activate_fd;
	assert_string_equal(name, SL_PROG_HOLD);
	return programs->hold_fd;
}

/* So that no program grows unnoticed; of the million that kernels allow. */
static void verifier__stays_within_the_budget(void **state)
{
	struct splice_programs *programs = need(state);
	FILE *file = fopen(SLUICE_SOURCE_DIR "/tests/bpf/budget.txt", "re");
	char line[200], name[16];
	unsigned long budget;
	int n = 0;

	assert_non_null(file);
	while (fgets(line, sizeof(line), file)) {
		uint64_t used;

		if (line[0] == '#' || sscanf(line, "%15s %lu", name, &budget) != 2)
			continue;
		used = verified_instructions(fd_of(programs, name));
		print_message("%s: %lu of %lu\n", name, (unsigned long)used, budget);
		assert_true(used > 0 && used <= budget);
		n++;
	}
	fclose(file);
	assert_int_equal(n, 4);
}

/* A flow whose packets, like @packet, become like @other. */
static void put_way(struct splice_programs *programs, const struct ref_packet *packet,
		    const struct ref_packet *other)
{
	const struct sl_key6 key = splice_programs_key(packet), next = splice_programs_key(other);
	struct sl_flow flow = {
	    .state = SL_ACTIVE,
	    .oif = 1,
	    .marks = SL_M_SEEN | SL_M_TSVAL,
	    .flags = SL_F_TIMESTAMPS | SL_F_TO_LOCAL,
	    .end_seq = packet->seq,
	    .right_edge = packet->seq + 65535,
	    .ack = packet->ack,
	};

	memcpy(flow.peer.saddr, next.saddr, 16);
	memcpy(flow.peer.daddr, next.daddr, 16);
	flow.peer.sport = next.sport;
	flow.peer.dport = next.dport;
	splice_programs_put(programs, &key, packet->is_ipv6, &flow);
}

/* Run after run translates it there and back, as long as there are hops left. */
static void report_packet(struct splice_programs *programs, bool is_ipv6, const char *what,
			  size_t payload_size, bool plain)
{
	struct ref_packet packet, back;
	struct splice_run how = {.repeat = 250};
	struct sl_key6 key;
	uint32_t best = UINT32_MAX;

	make_packet(&packet, is_ipv6);
	packet.hop_limit = 255;
	packet.payload_size = payload_size;
	if (!plain) {
		static const uint8_t edges[8] = {1, 2, 3, 4, 5, 6, 7, 8};

		ref_options_add(&packet, 5, 10, edges);
		ref_options_pad(&packet);
	}
	back = packet;
	back.saddr[1] ^= 0x55;
	back.daddr[3] ^= 0xaa;
	back.sport ^= 0x1234;
	put_way(programs, &packet, &back);
	put_way(programs, &back, &packet);
	for (int i = 0; i < 40; i++) {
		struct frame frame;

		make_frame(&packet, &frame);
		assert_int_equal(splice_programs_run(programs, frame.bytes, frame.size, &how),
				 REDIRECT);
		best = MIN(best, how.duration_ns);
	}
	print_message("%s, IPv%d: %u ns\n", what, is_ipv6 ? 6 : 4, best);
	key = splice_programs_key(&packet);
	splice_programs_remove(programs, &key, is_ipv6);
	key = splice_programs_key(&back);
	splice_programs_remove(programs, &key, is_ipv6);
}

/* Figures of this machine, with a checksum that is verified in software. Nothing is asserted. */
static void cost__is_reported(void **state)
{
	struct splice_programs *programs = need(state);

	for (int is_ipv6 = 0; is_ipv6 < 2; is_ipv6++) {
		report_packet(programs, is_ipv6, "an acknowledgment", 0, true);
		report_packet(programs, is_ipv6, "an acknowledgment with SACK", 0, false);
		report_packet(programs, is_ipv6, "1,400 bytes", 1400, true);
	}
}

int main(void)
{
	struct CMUnitTest tests[] = {
	    cmocka_unit_test(activate__joins_what_is_quiet),
	    cmocka_unit_test(activate__without_an_entry_changes_nothing),
	    cmocka_unit_test(activate__waits_for_a_packet_of_each_leg),
	    cmocka_unit_test(activate__finds_data_on_its_way),
	    cmocka_unit_test(activate__ends_a_forgotten_hold),
	    cmocka_unit_test(connection__goes_in_and_out),
	    cmocka_unit_test(hold__goes_back_to_active),
	    cmocka_unit_test(verifier__stays_within_the_budget),
	    cmocka_unit_test(cost__is_reported),
	};

	return run_with_programs(tests, ARRAY_SIZE(tests));
}
