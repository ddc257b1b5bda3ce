/* SPDX-License-Identifier: Apache-2.0 */
/* The hook, run by the kernel over single packets (BPF_PROG_TEST_RUN). */
#include "lib/splice_frames.h"

#define N_RANDOM 3000

/* ---- what is of no flow ---------------------------------------------------------------------- */

static void other_packets__pass_untouched(void **state)
{
	struct splice_programs *programs = need(state);

	for (int is_ipv6 = 0; is_ipv6 < 2; is_ipv6++) {
		struct ref_packet packet;
		struct frame frame, before;

		make_packet(&packet, is_ipv6);
		/* Of every length; without an IP header the kernel does not run the test. */
		for (size_t size = is_ipv6 ? 54 : 34; size <= 140; size++) {
			make_frame(&packet, &frame);
			frame.size = size;
			before = frame;
			assert_int_equal(run(programs, &frame), PASS);
			assert_memory_equal(frame.bytes, before.bytes, size);
		}
		/* Other protocols than TCP, in IP and in Ethernet. */
		for (int protocol = 0; protocol < 256; protocol++) {
			make_frame(&packet, &frame);
			frame.bytes[is_ipv6 ? 20 : 23] = (uint8_t)protocol;
			assert_int_equal(run(programs, &frame), PASS);
			make_frame(&packet, &frame);
			frame.bytes[12] = (uint8_t)protocol;
			assert_int_equal(run(programs, &frame), PASS);
		}
	}
}

/* Promiscuous mode: the frame is for another station, the flow is ours. */
static void frame_of_another_station__passes(void **state)
{
	struct splice_programs *programs = need(state);
	struct ref_packet packet;
	struct frame frame;
	struct sl_flow flow;
	struct sl_key6 key;
	uint64_t random = 1;

	make_packet(&packet, false);
	packet.dmac[5] = 1;
	key = splice_programs_key(&packet);
	make_flow(&flow, false, SL_ACTIVE, &random);
	splice_programs_put(programs, &key, false, &flow);
	make_frame(&packet, &frame);
	assert_int_equal(run(programs, &frame), PASS);
	assert_untouched(&frame, &packet);
	splice_programs_remove(programs, &key, false);
}

/* ---- one flow -------------------------------------------------------------------------------- */

/* Runs @packet through a flow; gives back the verdict, and the flow as it is then. */
static int run_flow(struct splice_programs *programs, const struct ref_packet *packet,
		    struct sl_flow *flow, struct frame *frame)
{
	struct sl_key6 key = splice_programs_key(packet);
	int verdict;

	splice_programs_put(programs, &key, packet->is_ipv6, flow);
	verdict = run(programs, frame);
	*flow = splice_programs_get(programs, &key, packet->is_ipv6);
	splice_programs_remove(programs, &key, packet->is_ipv6);
	return verdict;
}

static void learn__records_and_passes(void **state)
{
	struct splice_programs *programs = need(state);
	uint64_t learned = splice_programs_stat(programs, SL_STAT_LEARNED);

	for (int is_ipv6 = 0; is_ipv6 < 2; is_ipv6++) {
		struct ref_packet packet;
		struct sl_flow flow = {.state = SL_LEARN};
		struct frame frame;

		make_packet(&packet, is_ipv6);
		make_frame(&packet, &frame);
		assert_int_equal(run_flow(programs, &packet, &flow, &frame), PASS);
		assert_untouched(&frame, &packet);
		assert_int_equal(flow.state, SL_LEARN);
		assert_int_equal(flow.end_seq, 1100);
		assert_int_equal(flow.ack, 5000);
		assert_int_equal(flow.window, 500);
		assert_int_equal(flow.tsval, 70);
		assert_int_equal(flow.marks, SL_M_SEEN | SL_M_TSVAL);
		assert_true(flow.last_ns > 0);
		assert_int_equal(flow.packets, 0);
	}
	assert_int_equal(splice_programs_stat(programs, SL_STAT_LEARNED), learned + 2);
}

/* Wherever numbers are, the first packet says it, though it brings nothing. */
static void learn__begins_with_an_acknowledgment(void **state)
{
	static const uint32_t begins[] = {1,          0x10000000, 0x7fffffff,
					  0x80000000, 0x90000000, 0xffffffff};
	struct splice_programs *programs = need(state);

	for (size_t i = 0; i < ARRAY_SIZE(begins); i++) {
		struct ref_packet packet;
		struct sl_flow flow = {.state = SL_LEARN};
		struct frame frame;

		make_packet(&packet, false);
		packet.seq = begins[i];
		packet.payload_size = 0;
		make_frame(&packet, &frame);
		assert_int_equal(run_flow(programs, &packet, &flow, &frame), PASS);
		assert_int_equal(flow.end_seq, begins[i]);
		assert_int_equal(flow.marks, SL_M_SEEN | SL_M_TSVAL);
	}
}

/* RFC 9293 s3.4: SYN and FIN have a number. */
static void learn__counts_syn_and_fin(void **state)
{
	struct splice_programs *programs = need(state);
	struct ref_packet packet;
	struct frame frame;
	struct sl_flow flow = {.state = SL_LEARN};

	make_packet(&packet, false);
	packet.flags = REF_SYN | REF_ACK;
	packet.payload_size = 0;
	make_frame(&packet, &frame);
	assert_int_equal(run_flow(programs, &packet, &flow, &frame), PASS);
	assert_int_equal(flow.end_seq, 1001);
	packet.seq = 1001;
	packet.flags = REF_FIN | REF_ACK;
	packet.payload_size = 9;
	make_frame(&packet, &frame);
	assert_int_equal(run_flow(programs, &packet, &flow, &frame), PASS);
	assert_int_equal(flow.end_seq, 1011);
}

static void learn__finds_timestamps_in_any_layout(void **state)
{
	static const uint8_t mss[2] = {5, 180}, edges[8] = {1};
	struct splice_programs *programs = need(state);

	for (int layout = 0; layout < 24; layout++) {
		struct ref_packet packet;
		struct sl_flow flow = {.state = SL_LEARN};
		struct frame frame;

		make_packet(&packet, layout & 1);
		packet.n_options = 0;
		if (layout & 2)
			ref_options_add(&packet, 2, 4, mss);
		if (layout & 4)
			ref_options_add(&packet, 5, 10, edges);
		for (int i = 0; i < layout >> 3; i++)
			ref_options_add(&packet, 1, 1, NULL);
		ref_options_add_timestamps(&packet, 0x12345678, 9);
		ref_options_pad(&packet);
		make_frame(&packet, &frame);
		assert_int_equal(run_flow(programs, &packet, &flow, &frame), PASS);
		assert_untouched(&frame, &packet);
		assert_int_equal(flow.tsval, 0x12345678);
		assert_int_equal(flow.marks, SL_M_SEEN | SL_M_TSVAL);
	}
}

/* RFC 9293 s3.10.7.4, fifth: without ACK it is dropped. */
static void learn__does_not_count_what_has_no_ack(void **state)
{
	struct splice_programs *programs = need(state);
	struct ref_packet packet;
	struct sl_flow flow = {.state = SL_LEARN};
	struct frame frame;

	make_packet(&packet, false);
	packet.flags = 0;
	make_frame(&packet, &frame);
	assert_int_equal(run_flow(programs, &packet, &flow, &frame), PASS);
	assert_int_equal(flow.end_seq, 0);
	assert_int_equal(flow.marks, 0);
}

/* Passed, for the stack to judge, but not believed. */
static void learn__does_not_believe_a_wrong_checksum(void **state)
{
	struct splice_programs *programs = need(state);

	for (int is_ipv6 = 0; is_ipv6 < 2; is_ipv6++) {
		struct ref_packet packet;
		uint64_t random = 3;

		make_packet(&packet, is_ipv6);
		for (size_t at = 0; at < 20 + 12 + packet.payload_size; at++) {
			struct sl_flow flow;
			struct frame frame;
			size_t tcp = 14 + (is_ipv6 ? 40 : 20);

			if (at < 4)
				continue; /* ports: another flow */
			make_flow(&flow, is_ipv6, SL_LEARN, &random);
			make_frame(&packet, &frame);
			frame.bytes[tcp + at] ^= 0x10;
			assert_int_equal(run_flow(programs, &packet, &flow, &frame), PASS);
			assert_int_equal(flow.end_seq, 1000);
			assert_int_equal(flow.ack, 5000);
			assert_int_equal(flow.tsval, 60);
		}
	}
}

/* As TSO of this host and GRO leave it: the sum of the pseudo header only (CHECKSUM_PARTIAL). */
static void learn__believes_a_checksum_that_is_still_to_be_made(void **state)
{
	struct splice_programs *programs = need(state);
	struct ref_packet packet;
	struct sl_flow flow;
	struct frame frame;
	uint64_t random = 3;
	uint32_t sum = 0;

	make_packet(&packet, false);
	make_frame(&packet, &frame);
	for (int i = 26; i < 34; i += 2)
		sum += (uint32_t)(frame.bytes[i] << 8 | frame.bytes[i + 1]);
	sum += 6 + 32 + 100;
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	frame.bytes[50] = (uint8_t)(sum >> 8);
	frame.bytes[51] = (uint8_t)sum;
	make_flow(&flow, false, SL_LEARN, &random);
	assert_int_equal(run_flow(programs, &packet, &flow, &frame), PASS);
	assert_int_equal(flow.end_seq, 1100);
}

/* Payloads of all lengths, so that the sum ends at each place of a block. */
static void checksum__is_verified_at_any_length(void **state)
{
	struct splice_programs *programs = need(state);
	uint64_t random = 4;

	for (size_t size = 0; size <= 700; size++) {
		struct ref_packet packet;
		struct sl_flow flow;
		struct frame frame;

		make_packet(&packet, size & 1);
		packet.payload_size = size;
		for (size_t i = 0; i < size; i++)
			packet.payload[i] = (uint8_t)ref_random(&random);
		make_frame(&packet, &frame);
		make_flow(&flow, packet.is_ipv6, SL_LEARN, &random);
		run_flow(programs, &packet, &flow, &frame);
		assert_int_equal(flow.end_seq, 1000 + size);
		frame.bytes[frame.size - 1] ^= 1; /* the last byte */
		make_flow(&flow, packet.is_ipv6, SL_LEARN, &random);
		run_flow(programs, &packet, &flow, &frame);
		assert_int_equal(flow.end_seq, 1000);
	}
}

static void check_random(struct splice_programs *programs, bool is_ipv6, uint32_t in_state,
			 uint64_t seed)
{
	for (int i = 0; i < N_RANDOM; i++) {
		struct ref_packet packet, want;
		struct frame frame, expected;
		struct sl_flow flow;

		ref_randomize(&packet, is_ipv6, &seed);
		packet.flags &= ~REF_SYN; /* never translated */
		make_flow(&flow, is_ipv6, in_state, &seed);
		make_frame(&packet, &frame);
		want = packet;
		ref_translate(&want, &flow);
		make_frame(&want, &expected);
		assert_int_equal(run_flow(programs, &packet, &flow, &frame), REDIRECT);
		assert_memory_equal(frame.bytes, expected.bytes, expected.size);
		assert_true(ref_checksum_is_right(frame.bytes, frame.size));
		assert_int_equal(flow.packets, 1);
	}
}

static void active__translates_ipv4_as_the_reference_does(void **state)
{
	check_random(need(state), false, SL_ACTIVE, 11);
}

static void active__translates_ipv6_as_the_reference_does(void **state)
{
	check_random(need(state), true, SL_ACTIVE, 12);
}

static void closed__translates_late_packets(void **state)
{
	struct splice_programs *programs = need(state);
	uint64_t before = splice_programs_stat(programs, SL_STAT_CLOSED);

	check_random(programs, false, SL_CLOSED, 13);
	assert_int_equal(splice_programs_stat(programs, SL_STAT_CLOSED), before + N_RANDOM);
}

static void active__records_and_counts(void **state)
{
	struct splice_programs *programs = need(state);
	struct ref_packet packet;
	struct sl_flow flow;
	struct frame frame;
	uint64_t random = 5;

	make_flow(&flow, false, SL_ACTIVE, &random);
	for (uint32_t i = 1; i <= 3; i++) {
		for (int again = 0; again < 2; again++) { /* a retransmission counts as a packet */
			make_packet(&packet, false);
			packet.seq = 900 + 100 * i;
			packet.ack = 5000 + i;
			make_frame(&packet, &frame);
			assert_int_equal(run_flow(programs, &packet, &flow, &frame), REDIRECT);
			assert_int_equal(flow.end_seq, 1000 + 100 * i);
			assert_int_equal(flow.ack, 5000 + i);
			assert_int_equal(flow.payload_bytes, 100 * i);
			assert_int_equal(flow.packets, 2 * i - 1 + (uint32_t)again);
		}
	}
}

/* ---- what is dropped ------------------------------------------------------------------------- */

struct refusal {
	const char *what;
	enum sl_stat stat;
	bool tells; /* the daemon is told, once, since the packet is believed */
	void (*spoil)(struct ref_packet *packet);
	void (*spoil_frame)(struct frame *frame, bool is_ipv6);
};

static void spoil_fragment(struct ref_packet *packet)
{
	packet->is_first_fragment = true;
}

/* Somebody else's: believed, they could take anybody off the splice. */
static void spoil_fragment_and_number(struct ref_packet *packet)
{
	packet->is_first_fragment = true;
	packet->seq += 1000000;
}

static void spoil_fragment_and_flags(struct ref_packet *packet)
{
	packet->is_first_fragment = true;
	packet->flags &= ~REF_ACK;
}

static void spoil_options(struct ref_packet *packet)
{
	packet->extra_size = 8;
}

static void spoil_options_of_ipv4(struct ref_packet *packet)
{
	if (!packet->is_ipv6)
		packet->extra_size = 8;
}

static void spoil_ttl(struct ref_packet *packet)
{
	packet->hop_limit = 1;
}

static void spoil_md5(struct ref_packet *packet)
{
	static const uint8_t signature[16];

	packet->n_options = 0;
	ref_options_add(packet, 19, 18, signature);
	ref_options_pad(packet);
}

static void spoil_header(struct frame *frame, bool is_ipv6)
{
	frame->bytes[14 + (is_ipv6 ? 40 : 20) + 12] = 4 << 4;
}

static void spoil_checksum(struct frame *frame, bool is_ipv6)
{
	frame->bytes[frame->size - 1] ^= 0x80;
}

/* What is behind the frame's IP header, of @size bytes, is cut off after @n. */
static void cut(struct frame *frame, bool is_ipv6, size_t size, size_t n)
{
	size_t length = is_ipv6 ? size - 40 + n : size + n;

	frame->size = 14 + size + n;
	frame->bytes[is_ipv6 ? 18 : 16] = (uint8_t)(length >> 8);
	frame->bytes[is_ipv6 ? 19 : 17] = (uint8_t)length;
}

/* RFC 791 s3.2: a fragment may be of 8 bytes (RFC 1858 s3 says what for). */
static void cut_to_tiny(struct frame *frame, bool is_ipv6)
{
	cut(frame, is_ipv6, is_ipv6 ? 48 : 20, 8);
}

/* The checksum is that of the whole packet. */
static void cut_to_half(struct frame *frame, bool is_ipv6)
{
	cut(frame, is_ipv6, is_ipv6 ? 48 : 20, 64);
}

/* Puts @n headers of 8 bytes of options (RFC 8200 s4.6) or of authentication in front of TCP. */
static void put_extensions(struct frame *frame, size_t n, uint8_t kind)
{
	size_t size = frame->size - 54, length = 8 * n + size;

	assert_true(54 + length <= sizeof(frame->bytes));
	memmove(frame->bytes + 54 + 8 * n, frame->bytes + 54, size);
	memset(frame->bytes + 54, 0, 8 * n);
	for (size_t i = 0; i < n; i++)
		frame->bytes[54 + 8 * i] = i + 1 < n ? kind : 6;
	frame->bytes[20] = kind;
	frame->bytes[18] = (uint8_t)(length >> 8);
	frame->bytes[19] = (uint8_t)length;
	frame->size = 54 + length;
}

static void put_seven_extensions(struct frame *frame, bool is_ipv6)
{
	if (is_ipv6)
		put_extensions(frame, 7, 60);
}

static void put_all_extensions(struct frame *frame, bool is_ipv6)
{
	if (is_ipv6)
		put_extensions(frame, 165, 0);
}

/* RFC 4302 s2.2: the length is in words of 4 bytes, less 2. */
static void put_authentication(struct frame *frame, bool is_ipv6)
{
	if (is_ipv6)
		put_extensions(frame, 2, 51);
}

static const struct refusal refusals[] = {
    {"a fragment", SL_STAT_DROP_FRAGMENT, true, spoil_fragment, NULL},
    {"half a packet", SL_STAT_DROP_FRAGMENT, true, spoil_fragment, cut_to_half},
    {"a tiny fragment", SL_STAT_DROP_FRAGMENT, false, spoil_fragment, cut_to_tiny},
    {"IP options", SL_STAT_DROP_IP_OPTIONS, true, spoil_options, NULL},
    {"many headers", SL_STAT_DROP_IP_OPTIONS, true, spoil_options_of_ipv4, put_seven_extensions},
    {"a packet of headers", SL_STAT_DROP_IP_OPTIONS, true, spoil_options_of_ipv4,
     put_all_extensions},
    {"authentication", SL_STAT_DROP_IP_OPTIONS, true, spoil_options_of_ipv4, put_authentication},
    {"a fragment out of the window", SL_STAT_DROP_FRAGMENT, false, spoil_fragment_and_number, NULL},
    {"a fragment without ACK", SL_STAT_DROP_FRAGMENT, false, spoil_fragment_and_flags, NULL},
    {"the last hop", SL_STAT_DROP_TTL, false, spoil_ttl, NULL},
    {"a signature", SL_STAT_DROP_OPTIONS, true, spoil_md5, NULL},
    {"a header of 16 bytes", SL_STAT_DROP_HEADER, false, NULL, spoil_header},
    {"a wrong checksum", SL_STAT_DROP_CHECKSUM, false, NULL, spoil_checksum},
};

static void check_refusal(struct splice_programs *programs, const struct refusal *refusal,
			  bool is_ipv6)
{
	uint64_t before = splice_programs_stat(programs, refusal->stat), random = 6;
	uint64_t forwarded = splice_programs_stat(programs, SL_STAT_FORWARDED);
	uint64_t bytes = splice_programs_stat(programs, SL_STAT_FORWARDED_BYTES);
	struct ref_packet packet;
	struct sl_flow flow;

	make_packet(&packet, is_ipv6);
	if (refusal->spoil)
		refusal->spoil(&packet);
	make_flow(&flow, is_ipv6, SL_ACTIVE, &random);
	splice_programs_events(programs);
	for (int i = 0; i < 2; i++) {
		struct frame frame;

		make_frame(&packet, &frame);
		if (refusal->spoil_frame)
			refusal->spoil_frame(&frame, is_ipv6);
		assert_int_equal(run_flow(programs, &packet, &flow, &frame), DROP);
	}
	assert_int_equal(splice_programs_stat(programs, refusal->stat), before + 2);
	/* It has not been here. (A signature is found last, when the end is told already.) */
	assert_int_equal(flow.end_seq, refusal->stat == SL_STAT_DROP_OPTIONS ? 1100 : 1000);
	assert_true(flow.packets == 0 && flow.payload_bytes == 0);
	assert_int_equal(splice_programs_stat(programs, SL_STAT_FORWARDED), forwarded);
	assert_int_equal(splice_programs_stat(programs, SL_STAT_FORWARDED_BYTES), bytes);
	assert_int_equal(splice_programs_events(programs), refusal->tells ? 1 : 0);
	if (refusal->tells) {
		assert_int_equal(programs->got[0].type, SL_EVENT_UNTRANSLATABLE);
		assert_int_equal(programs->got[0].detail, refusal->stat);
		assert_true(programs->got[0].conn_id == 4711);
	}
}

static void active__drops_what_it_cannot_translate(void **state)
{
	struct splice_programs *programs = need(state);

	for (size_t i = 0; i < ARRAY_SIZE(refusals); i++) {
		print_message("%s\n", refusals[i].what);
		check_refusal(programs, &refusals[i], false);
		check_refusal(programs, &refusals[i], true);
	}
}

/* In LEARN they are the stack's. */
static void learn__passes_what_could_not_be_translated(void **state)
{
	struct splice_programs *programs = need(state);

	for (size_t i = 0; i < 2 * ARRAY_SIZE(refusals); i++) {
		const struct refusal *refusal = &refusals[i / 2];
		bool is_ipv6 = i & 1, is_tiny = refusal->spoil_frame == cut_to_tiny;
		uint32_t end = 1100;
		struct ref_packet packet;
		struct sl_flow flow = {.state = SL_LEARN};
		struct frame frame;

		make_packet(&packet, is_ipv6);
		if (refusal->spoil)
			refusal->spoil(&packet);
		if (packet.seq != 1000 || !(packet.flags & REF_ACK))
			continue; /* see learn__does_not_count_what_has_no_ack */
		make_frame(&packet, &frame);
		if (refusal->spoil_frame)
			refusal->spoil_frame(&frame, is_ipv6);
		/* One that cannot be read might hide what may not be missed. */
		assert_int_equal(run_flow(programs, &packet, &flow, &frame), is_tiny ? DROP : PASS);
		/* What has come in may not be missed, however it was wrapped. */
		if (is_tiny || refusal->spoil_frame == spoil_header ||
		    refusal->spoil_frame == spoil_checksum)
			end = 0;
		else if (refusal->spoil_frame == cut_to_half)
			end = 1000 + 64 - 32;
		assert_int_equal(flow.end_seq, end);
	}
}

int main(void)
{
	struct CMUnitTest tests[] = {
	    cmocka_unit_test(other_packets__pass_untouched),
	    cmocka_unit_test(frame_of_another_station__passes),
	    cmocka_unit_test(learn__records_and_passes),
	    cmocka_unit_test(learn__begins_with_an_acknowledgment),
	    cmocka_unit_test(learn__counts_syn_and_fin),
	    cmocka_unit_test(learn__finds_timestamps_in_any_layout),
	    cmocka_unit_test(learn__does_not_count_what_has_no_ack),
	    cmocka_unit_test(learn__does_not_believe_a_wrong_checksum),
	    cmocka_unit_test(learn__believes_a_checksum_that_is_still_to_be_made),
	    cmocka_unit_test(learn__passes_what_could_not_be_translated),
	    cmocka_unit_test(checksum__is_verified_at_any_length),
	    cmocka_unit_test(active__translates_ipv4_as_the_reference_does),
	    cmocka_unit_test(active__translates_ipv6_as_the_reference_does),
	    cmocka_unit_test(closed__translates_late_packets),
	    cmocka_unit_test(active__records_and_counts),
	    cmocka_unit_test(active__drops_what_it_cannot_translate),
	};

	return run_with_programs(tests, ARRAY_SIZE(tests));
}
