/* SPDX-License-Identifier: Apache-2.0 */
/* ICMP errors about packets that the hook has translated. Those that it makes: test_splice_sizes */
#include "bpf/splice_icmp.h"
#include "bpf/splice_way.h"
#include "lib/splice_frames.h"

#define N_RANDOM 2000

/* ---- an error -------------------------------------------------------------------------------- */

/*
 * A packet of 100 bytes, behind 1000, has come in from its sender and gone out on the other leg,
 * where somebody sends an error about it.
 */
struct scene {
	bool is_ipv6;
	struct ref_packet sent;       /* as it came in */
	struct ref_packet translated; /* as it went out */
	struct sl_flow flows[2];      /* its own, and that of the other direction */
	struct sl_key6 keys[2];
	struct ref_error error;
};

enum {
	SENT,
	BACK
};

static uint16_t swap16(uint16_t value)
{
	return (uint16_t)(value << 8 | value >> 8);
}

static void make_back(struct scene *scene, uint64_t *random)
{
	const struct ref_packet *sent = &scene->sent, *out = &scene->translated;
	const struct sl_flow *flow = &scene->flows[SENT];
	struct sl_flow *back = &scene->flows[BACK];

	make_flow(back, scene->is_ipv6, SL_ACTIVE, random);
	memset(&back->peer, 0, sizeof(back->peer));
	memcpy(back->peer.saddr, sent->daddr, 16);
	memcpy(back->peer.daddr, sent->saddr, 16);
	back->peer.sport = swap16(sent->dport);
	back->peer.dport = swap16(sent->sport);
	back->direction = !flow->direction;
	back->seq_delta = -flow->ack_delta;
	back->ack_delta = -flow->seq_delta;
	back->ack = 1000 + flow->seq_delta; /* nothing of the packet is acknowledged */
	scene->keys[BACK] =
	    (struct sl_key6){.sport = swap16(out->dport), .dport = swap16(out->sport)};
	memcpy(scene->keys[BACK].saddr, out->daddr, 16);
	memcpy(scene->keys[BACK].daddr, out->saddr, 16);
}

static void make_scene(struct scene *scene, bool is_ipv6, uint64_t *random)
{
	size_t n = is_ipv6 ? 16 : 4;

	*scene = (struct scene){.is_ipv6 = is_ipv6};
	make_packet(&scene->sent, is_ipv6);
	make_flow(&scene->flows[SENT], is_ipv6, SL_ACTIVE, random);
	memset(scene->flows[SENT].peer.saddr + n, 0, 16 - n);
	memset(scene->flows[SENT].peer.daddr + n, 0, 16 - n);
	scene->flows[SENT].end_seq = 1100;
	scene->keys[SENT] = splice_programs_key(&scene->sent);
	scene->translated = scene->sent;
	ref_translate(&scene->translated, &scene->flows[SENT]);
	scene->translated.hop_limit -= scene->translated.hop_limit / 2; /* further on */
	make_back(scene, random);
	scene->error = (struct ref_error){
	    .type = is_ipv6 ? 2 : 3,
	    .code = is_ipv6 ? 0 : 4,
	    .rest = 1400,
	    .about = &scene->translated,
	    .quoted_size = (is_ipv6 ? 40 : 20) + 8,
	};
	memset(scene->error.saddr, 0x1b, n);
	memcpy(scene->error.daddr, scene->translated.saddr, n);
	memset(scene->error.smac, 0x02, 6);
}

/* What the sender is to get. */
static void make_wanted(const struct scene *scene, struct frame *ret)
{
	struct ref_packet about = scene->sent;
	struct ref_error error = scene->error;
	bool has_mtu = scene->is_ipv6 ? error.type == 2 : error.type == 3 && error.code == 4;

	about.hop_limit = scene->translated.hop_limit;
	about.traffic_class = scene->translated.traffic_class;
	error.about = &about;
	error.quoted_size = (scene->is_ipv6 ? 40 : 20) + 8;
	error.rest = has_mtu ? error.rest : 0;
	memcpy(error.saddr, scene->sent.daddr, 16);
	memcpy(error.daddr, scene->sent.saddr, 16);
	memset(error.dmac, 0, 6);
	memset(error.smac, 0, 6);
	ret->size = ref_write_error(&error, ret->bytes);
}

static int run_scene(struct splice_programs *programs, const struct scene *scene,
		     struct frame *frame)
{
	struct splice_run how = {.repeat = 1};
	int verdict;

	for (int i = 0; i < 2; i++)
		splice_programs_put(programs, &scene->keys[i], scene->is_ipv6, &scene->flows[i]);
	verdict = splice_programs_run(programs, frame->bytes, frame->size, &how);
	for (int i = 0; i < 2; i++) {
		struct sl_flow after =
		    splice_programs_get(programs, &scene->keys[i], scene->is_ipv6);

		assert_memory_equal(&after, &scene->flows[i], sizeof(after));
		splice_programs_remove(programs, &scene->keys[i], scene->is_ipv6);
	}
	frame->size = how.size;
	return verdict;
}

static void assert_goes_on(struct splice_programs *programs, const struct scene *scene)
{
	uint64_t passed = splice_programs_stat(programs, SL_STAT_ICMP_PASSED);
	struct frame frame, want;

	frame.size = ref_write_error(&scene->error, frame.bytes);
	make_wanted(scene, &want);
	assert_int_equal(run_scene(programs, scene, &frame), REDIRECT);
	assert_int_equal(frame.size, want.size);
	assert_memory_equal(frame.bytes, want.bytes, want.size);
	assert_int_equal(splice_programs_stat(programs, SL_STAT_ICMP_PASSED), passed + 1);
}

/* To the stack, as it is. */
static void assert_frame_passes(struct splice_programs *programs, const struct scene *scene,
				const struct frame *frame)
{
	struct frame same = *frame;

	assert_int_equal(run_scene(programs, scene, &same), PASS);
	assert_int_equal(same.size, frame->size);
	assert_memory_equal(same.bytes, frame->bytes, frame->size);
}

static void assert_passes(struct splice_programs *programs, const struct scene *scene)
{
	struct frame frame;

	frame.size = ref_write_error(&scene->error, frame.bytes);
	assert_frame_passes(programs, scene, &frame);
}

/* A sum of a header that was changed: for IPv4, the header's. */
static void fix_ip_sum(struct frame *frame)
{
	uint32_t sum = 0;

	frame->bytes[24] = frame->bytes[25] = 0;
	for (int i = 14; i < 34; i += 2)
		sum += (uint32_t)(frame->bytes[i] << 8 | frame->bytes[i + 1]);
	while (sum > 0xffff)
		sum = (sum & 0xffff) + (sum >> 16);
	frame->bytes[24] = (uint8_t)(~sum >> 8);
	frame->bytes[25] = (uint8_t)~sum;
}

/* ---- which go on ----------------------------------------------------------------------------- */

/* RFC 1191 s4, RFC 8201 s4: whatever way the packet has taken */
static void too_big__goes_on_to_the_sender(void **state)
{
	struct splice_programs *programs = need(state);
	uint64_t random = 5;

	for (int i = 0; i < N_RANDOM; i++) {
		struct scene scene;
		size_t shortest;

		make_scene(&scene, i & 1, &random);
		scene.flows[SENT].direction = (__u8)(i >> 1 & 1);
		scene.flows[BACK].direction = !scene.flows[SENT].direction;
		shortest = scene.error.quoted_size;
		scene.error.rest = 1280 + ref_random(&random) % 8000;
		scene.error.quoted_size += ref_random(&random) % (132 - 8 + 1);
		assert_true(scene.error.quoted_size >= shortest);
		assert_goes_on(programs, &scene);
	}
}

/* With IP options in the way nothing is spliced; with those of TCP, it may be quoted to the end. */
static void error__may_quote_any_options(void **state)
{
	struct splice_programs *programs = need(state);
	uint64_t random = 6;

	for (int is_ipv6 = 0; is_ipv6 < 2; is_ipv6++) {
		for (uint8_t size = 4; size <= 40; size += 4) {
			uint8_t data[38] = {0};
			struct scene scene;

			make_scene(&scene, is_ipv6, &random);
			scene.sent.n_options = 0;
			ref_options_add(&scene.sent, 254, size, data);
			scene.translated.n_options = 0;
			ref_options_add(&scene.translated, 254, size, data);
			scene.error.quoted_size += 12u + size + 100;
			assert_goes_on(programs, &scene);
		}
	}
}

/* RFC 4884: what some routers write where zeros were once, and behind the quoted packet. */
static void error__leaves_extensions_behind(void **state)
{
	struct splice_programs *programs = need(state);
	uint64_t random = 7;

	for (int is_ipv6 = 0; is_ipv6 < 2; is_ipv6++) {
		struct scene scene;

		make_scene(&scene, is_ipv6, &random);
		scene.error.type = is_ipv6 ? 3 : 11;
		scene.error.code = 0;
		scene.error.rest = is_ipv6 ? 16u << 24 : 32u << 16;
		scene.error.quoted_size += 60;
		assert_goes_on(programs, &scene);
	}
}

/* Destination unreachable, time exceeded and too big; no redirect, and no question or answer. */
static void error__goes_on_by_its_type(void **state)
{
	struct splice_programs *programs = need(state);
	uint64_t random = 8;

	for (int is_ipv6 = 0; is_ipv6 < 2; is_ipv6++) {
		for (int type = 0; type < 256; type++) {
			struct scene scene;

			make_scene(&scene, is_ipv6, &random);
			scene.error.type = (uint8_t)type;
			scene.error.code = (uint8_t)(type % 7);
			if (is_ipv6 ? type >= 1 && type <= 3 : type == 3 || type == 11)
				assert_goes_on(programs, &scene);
			else
				assert_passes(programs, &scene);
		}
	}
}

static void error__goes_on_behind_the_end(void **state)
{
	struct splice_programs *programs = need(state);
	uint64_t random = 9;
	struct scene scene;

	make_scene(&scene, false, &random);
	scene.flows[SENT].state = scene.flows[BACK].state = SL_CLOSED;
	assert_goes_on(programs, &scene);
}

/* ---- which do not ---------------------------------------------------------------------------- */

/* RFC 5927 s4.1: SND.UNA <= SEG.SEQ < SND.NXT */
static void error__has_to_be_about_what_is_under_way(void **state)
{
	struct splice_programs *programs = need(state);
	const struct {
		uint32_t seq, acked, end;
		bool goes_on;
	} cases[] = {
	    {1000, 1000, 1100, true},           {1000, 999, 1001, true},
	    {1000, 1000, 1000, false},          {1000, 1001, 1100, false},
	    {1000, 500, 1000, false},           {1000, 500, 999, false},
	    {0xfffffff0, 0xffffff00, 5, true},  {4, 0xffffff00, 5, true},
	    {5, 0xffffff00, 5, false},          {0x80000000, 1000, 1100, false},
	    {0xfffffeff, 0xffffff00, 5, false},
	};
	uint64_t random = 10;

	for (size_t i = 0; i < 2 * ARRAY_SIZE(cases); i++) {
		size_t at = i / 2;
		struct scene scene;

		make_scene(&scene, i & 1, &random);
		scene.sent.seq = cases[at].seq;
		scene.translated.seq = cases[at].seq + scene.flows[SENT].seq_delta;
		scene.flows[SENT].end_seq = cases[at].end;
		scene.flows[BACK].ack = cases[at].acked + scene.flows[SENT].seq_delta;
		if (cases[at].goes_on)
			assert_goes_on(programs, &scene);
		else
			assert_passes(programs, &scene);
	}
}

/* Who guesses has one chance in 2^32 divided by what is under way. */
static void error__of_random_numbers_passes(void **state)
{
	struct splice_programs *programs = need(state);
	uint64_t random = 11;

	for (int i = 0; i < N_RANDOM; i++) {
		struct scene scene;

		make_scene(&scene, i & 1, &random);
		scene.translated.seq += 100 + ref_random(&random) % (UINT32_MAX - 200);
		assert_passes(programs, &scene);
	}
}

static void error__of_another_connection_passes(void **state)
{
	struct splice_programs *programs = need(state);
	uint64_t random = 12;

	for (int i = 0; i < 8; i++) {
		struct scene scene;

		make_scene(&scene, i & 1, &random);
		if (i / 2 == 0)
			scene.translated.sport ^= 1;
		if (i / 2 == 1)
			scene.translated.dport ^= 1;
		if (i / 2 == 2)
			scene.translated.daddr[3] ^= 1;
		if (i / 2 == 3) /* an entry of an old one, whose other half belongs to a new one */
			scene.flows[SENT].conn_id++;
		assert_passes(programs, &scene);
	}
}

/* It goes to who has sent what it quotes, or somebody has made it up. */
static void error__to_another_than_the_sender_passes(void **state)
{
	struct splice_programs *programs = need(state);
	uint64_t random = 13;

	for (int is_ipv6 = 0; is_ipv6 < 2; is_ipv6++) {
		for (size_t i = 0; i < (is_ipv6 ? 16u : 4u); i++) {
			struct scene scene;

			make_scene(&scene, is_ipv6, &random);
			scene.error.daddr[i] ^= 0x10;
			assert_passes(programs, &scene);
		}
	}
}

static void error__of_a_connection_that_the_kernel_does_not_carry_passes(void **state)
{
	static const uint32_t states[] = {SL_LEARN, SL_HOLD_WORD(SL_LEARN, 1),
					  SL_HOLD_WORD(SL_ACTIVE, 1)};
	struct splice_programs *programs = need(state);
	uint64_t random = 14;

	for (size_t i = 0; i < 2 * ARRAY_SIZE(states); i++) {
		struct scene scene;

		make_scene(&scene, i & 1, &random);
		scene.flows[SENT].state = scene.flows[BACK].state = states[i / 2];
		assert_passes(programs, &scene);
	}
}

static void error__that_is_cut_short_passes(void **state)
{
	struct splice_programs *programs = need(state);
	uint64_t random = 15;

	for (int is_ipv6 = 0; is_ipv6 < 2; is_ipv6++) {
		struct scene scene;
		struct frame frame;
		size_t whole;

		make_scene(&scene, is_ipv6, &random);
		/* The packet is, though its header says how long it was. */
		whole = ref_write_error(&scene.error, frame.bytes);
		for (frame.size = is_ipv6 ? 54 : 34; frame.size < whole; frame.size++)
			assert_frame_passes(programs, &scene, &frame);
		/* Less is quoted than 8 bytes of TCP: RFC 792 */
		for (int i = 1; i <= 8; i++) {
			scene.error.quoted_size--;
			assert_passes(programs, &scene);
		}
	}
}

static void error__that_is_damaged_passes(void **state)
{
	struct splice_programs *programs = need(state);
	uint64_t random = 16;

	for (int is_ipv6 = 0; is_ipv6 < 2; is_ipv6++) {
		struct scene scene;
		struct frame frame;

		make_scene(&scene, is_ipv6, &random);
		scene.error.quoted_size += 51; /* an odd length */
		frame.size = ref_write_error(&scene.error, frame.bytes);
		for (size_t i = is_ipv6 ? 54 : 14; i < frame.size; i++) {
			frame.bytes[i] ^= 0x04;
			assert_frame_passes(programs, &scene, &frame);
			frame.bytes[i] ^= 0x04;
		}
	}
}

/* RFC 1122 s3.2.2: never about a fragment but the first; and pieces of an error are not read. */
static void error__in_fragments_passes(void **state)
{
	struct splice_programs *programs = need(state);
	uint64_t random = 17;
	struct scene scene;

	make_scene(&scene, false, &random);
	for (uint32_t bits = 1; bits <= 0x2000; bits <<= 1) {
		struct frame frame;

		frame.size = ref_write_error(&scene.error, frame.bytes);
		frame.bytes[20] = (uint8_t)(bits >> 8);
		frame.bytes[21] = (uint8_t)bits;
		fix_ip_sum(&frame);
		assert_frame_passes(programs, &scene, &frame);
	}
	/* Quoted of a later fragment; by as much less as its identification, so that sums stay. */
	for (uint32_t at = 1; at < 0x1000; at <<= 1) {
		struct frame frame;
		uint8_t *quoted = frame.bytes + 42;

		frame.size = ref_write_error(&scene.error, frame.bytes);
		quoted[4] = (uint8_t)((0x1234 - at) >> 8);
		quoted[5] = (uint8_t)(0x1234 - at);
		quoted[6] = (uint8_t)((0x4000 + at) >> 8);
		quoted[7] = (uint8_t)(0x4000 + at);
		assert_true(ref_error_is_right(frame.bytes, frame.size));
		assert_frame_passes(programs, &scene, &frame);
	}
}

/* About a later fragment, or with options: no TCP header stands where it would be looked for. */
static void error__about_what_is_never_sent_passes(void **state)
{
	struct splice_programs *programs = need(state);
	uint64_t random = 18;

	for (int is_ipv6 = 0; is_ipv6 < 2; is_ipv6++) {
		struct scene scene;

		make_scene(&scene, is_ipv6, &random);
		scene.translated.extra_size = 8;
		scene.error.quoted_size += 8;
		assert_passes(programs, &scene);
	}
}

/* RFC 8201 s4: less than 1280 MUST be discarded. RFC 791 s3.2: 68; RFC 1191 s5: 0 is "unknown" */
static void too_big__needs_a_possible_mtu(void **state)
{
	static const struct {
		uint32_t mtu;
		bool is_ipv6, goes_on;
	} cases[] = {
	    {0, false, true},    {1, false, false},    {67, false, false}, {68, false, true},
	    {1279, false, true}, {65535, false, true}, {0, true, false},   {1279, true, false},
	    {1280, true, true},  {100000, true, true},
	};
	struct splice_programs *programs = need(state);
	uint64_t random = 19;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct scene scene;

		make_scene(&scene, cases[i].is_ipv6, &random);
		scene.error.rest = cases[i].mtu;
		if (cases[i].goes_on)
			assert_goes_on(programs, &scene);
		else
			assert_passes(programs, &scene);
	}
}

/* ---- how many of our own --------------------------------------------------------------------- */

/* RFC 4443 s2.4 (f) */
static void may_send__allows_a_burst_and_then_a_rate(void **state)
{
	__u64 free_ns = 0, now_ns = 1234567890123;

	for (uint32_t i = 0; i < SL_ICMP_BURST; i++)
		assert_true(sl_icmp_may_send(&free_ns, now_ns));
	assert_false(sl_icmp_may_send(&free_ns, now_ns));
	for (int i = 0; i < 1000; i++) {
		now_ns += SL_ICMP_EVERY_NS;
		assert_true(sl_icmp_may_send(&free_ns, now_ns));
		assert_false(sl_icmp_may_send(&free_ns, now_ns));
		assert_false(sl_icmp_may_send(&free_ns, now_ns + SL_ICMP_EVERY_NS - 1));
	}
	now_ns += 1000ull * SL_ICMP_BURST * SL_ICMP_EVERY_NS; /* not saved up */
	for (uint32_t i = 0; i < SL_ICMP_BURST; i++)
		assert_true(sl_icmp_may_send(&free_ns, now_ns));
	assert_false(sl_icmp_may_send(&free_ns, now_ns));
}

/* ---- who does not heed ----------------------------------------------------------------------- */

#define SECOND 1000000000ull

static struct sl_way make_way(uint64_t conn_id, uint64_t now_ns)
{
	struct sl_way way = {0};

	sl_way_take(&way, conn_id, now_ns);
	return way;
}

/* A window of packets is under way when the first answer comes. */
static void refusals__in_a_burst_mean_nothing(void **state)
{
	for (uint64_t begin = 0; begin < 200 * SECOND; begin += SECOND / 3) {
		struct sl_way way = make_way(7, begin);

		for (uint64_t ns = 0; ns <= 3 * SECOND / 2; ns += SECOND / 100)
			assert_false(sl_way_refuse(&way, 7, begin + ns));
	}
}

/* RFC 6298 s5.5: it comes again after twice the time; by then it would have been smaller. */
static void refusals__of_retransmissions_say_that_nobody_heeds(void **state)
{
	static const unsigned int first_ms[] = {200, 300, 1000};

	for (size_t i = 0; i < ARRAY_SIZE(first_ms); i++) {
		for (uint64_t begin = 0; begin < 200 * SECOND; begin += SECOND / 3) {
			struct sl_way way = make_way(7, begin);
			uint64_t at = begin, pause = first_ms[i] * (SECOND / 1000);
			int n = 0;

			while (!sl_way_refuse(&way, 7, at) && n++ < 10) {
				at += pause;
				pause *= 2;
			}
			assert_true(at - begin >= 3 * SECOND / 2 && at - begin <= 7 * SECOND);
		}
	}
}

/* What was learnt is forgotten after some minutes (RFC 8201 s5.3), and asked again. */
static void refusals__that_are_far_apart_are_of_no_row(void **state)
{
	struct sl_way way = make_way(7, 5);
	uint64_t now_ns = 5;

	for (int i = 0; i < 1000; i++) {
		assert_false(sl_way_refuse(&way, 7, now_ns));
		now_ns += 10 * SECOND;
	}
}

static void refusals__are_of_one_connection(void **state)
{
	uint64_t now_ns = 1000 * SECOND;
	struct sl_way way = make_way(7, now_ns);

	for (int i = 0; i < 100; i++) {
		assert_false(sl_way_refuse(&way, 7, now_ns));
		assert_int_not_equal(way.age, sl_way_age(now_ns));
		now_ns += SECOND;
		assert_false(sl_way_refuse(&way, 8, now_ns));
		assert_int_equal(way.conn_id, 8);
		now_ns += SECOND;
	}
	assert_false(sl_way_refuse(&way, 7, now_ns));
	assert_true(sl_way_refuse(&way, 7, now_ns + 3 * SECOND));
	assert_false(sl_way_refuse(&way, 7, now_ns + 3 * SECOND)); /* that has been said */
	assert_true(sl_way_refuse(&way, 7, now_ns + 6 * SECOND));
}

int main(void)
{
	struct CMUnitTest tests[] = {
	    cmocka_unit_test(too_big__goes_on_to_the_sender),
	    cmocka_unit_test(error__may_quote_any_options),
	    cmocka_unit_test(error__leaves_extensions_behind),
	    cmocka_unit_test(error__goes_on_by_its_type),
	    cmocka_unit_test(error__goes_on_behind_the_end),
	    cmocka_unit_test(error__has_to_be_about_what_is_under_way),
	    cmocka_unit_test(error__of_random_numbers_passes),
	    cmocka_unit_test(error__of_another_connection_passes),
	    cmocka_unit_test(error__to_another_than_the_sender_passes),
	    cmocka_unit_test(error__of_a_connection_that_the_kernel_does_not_carry_passes),
	    cmocka_unit_test(error__that_is_cut_short_passes),
	    cmocka_unit_test(error__that_is_damaged_passes),
	    cmocka_unit_test(error__in_fragments_passes),
	    cmocka_unit_test(error__about_what_is_never_sent_passes),
	    cmocka_unit_test(too_big__needs_a_possible_mtu),
	    cmocka_unit_test(may_send__allows_a_burst_and_then_a_rate),
	    cmocka_unit_test(refusals__in_a_burst_mean_nothing),
	    cmocka_unit_test(refusals__of_retransmissions_say_that_nobody_heeds),
	    cmocka_unit_test(refusals__that_are_far_apart_are_of_no_row),
	    cmocka_unit_test(refusals__are_of_one_connection),
	};

	return run_with_programs(tests, ARRAY_SIZE(tests));
}
