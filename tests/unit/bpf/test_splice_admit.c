/* SPDX-License-Identifier: Apache-2.0 */
/* The hook, run by the kernel over packets with frames: the walker, STOP, rates and marks. */
#include "lib/splice_frames.h"

#include "bpf/splice_limit.h"
#include "sluice/policy.h"

#include <bpf/bpf.h>

#define ROW 7

struct stream {
	struct ref_packet packet;
	struct sl_key6 key;
	bool is_ipv6;
};

/* Bytes of a client from 1000 on, whose receiver lets 65535 come. */
static void begin(struct splice_programs *programs, struct stream *s, bool is_ipv6, uint8_t flags,
		  const struct sl_policy *policy)
{
	const uint32_t row = ROW;
	struct sl_flow flow = {0};
	uint64_t random = 5;

	*s = (struct stream){.is_ipv6 = is_ipv6};
	make_packet(&s->packet, is_ipv6);
	s->key = splice_programs_key(&s->packet);
	make_flow(&flow, is_ipv6, SL_ACTIVE, &random);
	flow.direction = SL_TO_ENDPOINT;
	flow.walk.flags = flags;
	flow.flags &= (uint8_t)~SL_F_CLEAR_ECN;
	flow.policy = policy ? ROW : 0;
	if (policy)
		assert_int_equal(bpf_map_update_elem(programs->policies_fd, &row, policy, 0), 0);
	splice_programs_put(programs, &s->key, is_ipv6, &flow);
	splice_programs_events(programs);
}

static struct sl_flow get(struct splice_programs *programs, const struct stream *s)
{
	return splice_programs_get(programs, &s->key, s->is_ipv6);
}

/* The other direction, which says that what leaves a hole is in the window. */
static struct sl_key6 key_of_other(struct splice_programs *programs, const struct stream *s)
{
	const struct sl_peer peer = get(programs, s).peer;
	struct sl_key6 key = {.sport = peer.dport, .dport = peer.sport};

	memcpy(key.saddr, peer.daddr, sizeof(key.saddr));
	memcpy(key.daddr, peer.saddr, sizeof(key.daddr));
	return key;
}

static void put_other(struct splice_programs *programs, const struct stream *s)
{
	const struct sl_key6 key = key_of_other(programs, s);
	const struct sl_flow other = {.state = SL_ACTIVE,
				      .conn_id = get(programs, s).conn_id,
				      .direction = SL_TO_CLIENT,
				      .ack = 1000,
				      .window = 60000};

	splice_programs_put(programs, &key, s->is_ipv6, &other);
}

static void end(struct splice_programs *programs, const struct stream *s)
{
	const struct sl_key6 key = key_of_other(programs, s);

	splice_programs_remove(programs, &key, s->is_ipv6);
	splice_programs_remove(programs, &s->key, s->is_ipv6);
}

static int send(struct splice_programs *programs, struct stream *s, uint32_t seq,
		const uint8_t *payload, size_t size)
{
	struct frame frame;

	s->packet.seq = seq;
	s->packet.payload_size = size;
	memcpy(s->packet.payload, payload, size);
	make_frame(&s->packet, &frame);
	return run(programs, &frame);
}

/* A masked frame of @size bytes of payload, below 126. Return: its size */
static size_t put_frame(uint8_t *to, uint8_t first, uint8_t size)
{
	memset(to, 0, 6u + size);
	to[0] = first;
	to[1] = 0x80 | size;
	return 6u + size;
}

static size_t put_frames(uint8_t *to, unsigned int n, uint8_t size)
{
	size_t at = 0;

	for (unsigned int i = 0; i < n; i++)
		at += put_frame(to + at, 0x82, size);
	return at;
}

/* ---- the walker ------------------------------------------------------------------------------ */

static void walk__counts_frames_of_all_kinds(void **state)
{
	static const uint8_t firsts[] = {0x81, 0x82, 0x01, 0x89, 0x80, 0x8a};
	struct splice_programs *programs = need(state);
	uint8_t bytes[1000];
	size_t len = 0;

	for (size_t i = 0; i < ARRAY_SIZE(firsts); i++)
		len += put_frame(bytes + len, firsts[i], (uint8_t)(i * 20));
	for (int is_ipv6 = 0; is_ipv6 < 2; is_ipv6++) {
		/* The whole, cut in two anywhere, and byte by byte. */
		for (size_t cut = 0; cut < len; cut += cut % 30 ? 1 : 7) {
			struct sl_flow flow;
			struct stream s;

			begin(programs, &s, is_ipv6, SL_W_ON, NULL);
			if (cut)
				assert_int_equal(send(programs, &s, 1000, bytes, cut), REDIRECT);
			assert_int_equal(send(programs, &s, 1000 + (uint32_t)cut, bytes + cut,
					      len - cut),
					 REDIRECT);
			/* sent again */
			assert_int_equal(send(programs, &s, 1000, bytes, len), REDIRECT);
			flow = get(programs, &s);
			assert_int_equal(flow.frames[0], 2);
			assert_int_equal(flow.frames[1], 1);
			assert_int_equal(flow.frames[2], 1);
			assert_int_equal(flow.frames[3], 2);
			assert_int_equal(flow.walk.flags, SL_W_ON);
			assert_int_equal(flow.walk.stage, SL_WALK_FIRST);
			assert_true(flow.payload_bytes == len);
			end(programs, &s);
		}
	}
	assert_int_equal(splice_programs_events(programs), 0);
}

/* More than a packet of the wire has: as GRO makes them. */
static void walk__goes_through_a_packet_of_many_frames(void **state)
{
	struct splice_programs *programs = need(state);
	uint8_t bytes[REF_PAYLOAD_MAX];
	size_t len = put_frames(bytes, 300, 0);
	struct stream s;

	begin(programs, &s, false, SL_W_ON, NULL);
	assert_int_equal(send(programs, &s, 1000, bytes, len), REDIRECT);
	assert_int_equal(get(programs, &s).frames[1], 300);
	end(programs, &s);
}

static void close__is_told_once(void **state)
{
	struct splice_programs *programs = need(state);
	uint8_t bytes[100];
	size_t len = put_frame(bytes, 0x88, 2);
	struct stream s;

	begin(programs, &s, false, SL_W_ON, NULL);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(send(programs, &s, 1000, bytes, len), REDIRECT);
		assert_int_equal(splice_programs_events(programs), !i);
	}
	assert_int_equal(programs->got[0].type, SL_EVENT_WALK);
	assert_int_equal(programs->got[0].detail, SL_WALK_EVENT_CLOSE);
	assert_int_equal(get(programs, &s).walk.flags, SL_W_ON | SL_W_CLOSE);
	end(programs, &s);
}

static void wrong__is_dropped_in_strict_and_told(void **state)
{
	struct splice_programs *programs = need(state);

	for (int is_strict = 0; is_strict < 2; is_strict++) {
		const struct sl_policy policy = {.dscp = SL_DSCP_KEEP,
						 .max_frame = is_strict ? 50 : 0};
		uint64_t dropped = splice_programs_stat(programs, SL_STAT_DROP_FRAME);
		uint8_t bytes[300];
		size_t good = put_frame(bytes, 0x82, 50);
		size_t len = good + put_frame(bytes + good, is_strict ? 0x82 : 0x83, 51);
		struct stream s;
		struct sl_flow flow;

		begin(programs, &s, false, SL_W_ON, &policy);
		assert_int_equal(send(programs, &s, 1000, bytes, good), REDIRECT);
		for (int i = 0; i < 2; i++) {
			/* the second one as part of a longer one, from the beginning */
			uint32_t skip = i ? 0 : (uint32_t)good;

			assert_int_equal(send(programs, &s, 1000 + skip, bytes + skip, len - skip),
					 is_strict ? DROP : REDIRECT);
			assert_int_equal(splice_programs_events(programs), !i);
			if (i)
				continue;
			assert_int_equal(programs->got[0].detail & 0xff, SL_WALK_EVENT_WRONG);
			assert_int_equal(programs->got[0].detail >> SL_WALK_FAULT_SHIFT,
					 is_strict ? SL_FAULT_FRAME_SIZE : SL_FAULT_OPCODE);
		}
		flow = get(programs, &s);
		assert_int_equal(flow.walk.flags, SL_W_ON | (is_strict ? SL_W_WRONG : SL_W_LOST));
		assert_true(flow.payload_bytes == (is_strict ? good : len));
		assert_int_equal(flow.frames[1], 1);
		assert_int_equal(splice_programs_stat(programs, SL_STAT_DROP_FRAME) - dropped,
				 is_strict ? 2 : 0);
		end(programs, &s);
	}
}

static void hole__is_dropped_in_strict_and_lost_in_observe(void **state)
{
	struct splice_programs *programs = need(state);

	for (int is_strict = 0; is_strict < 2; is_strict++) {
		uint8_t flags = is_strict ? SL_W_ON | SL_W_STRICT : SL_W_ON;
		uint64_t dropped = splice_programs_stat(programs, SL_STAT_DROP_HOLE);
		uint8_t bytes[600];
		size_t len = put_frames(bytes, 5, 20);
		struct stream s;

		begin(programs, &s, false, flags, NULL);
		put_other(programs, &s);
		assert_int_equal(send(programs, &s, 1026, bytes + 26, len - 26),
				 is_strict ? DROP : REDIRECT);
		assert_int_equal(splice_programs_events(programs), !is_strict);
		assert_int_equal(send(programs, &s, 1000, bytes, 26), REDIRECT);
		assert_int_equal(send(programs, &s, 1026, bytes + 26, len - 26), REDIRECT);
		assert_int_equal(get(programs, &s).walk.flags,
				 is_strict ? flags : SL_W_ON | SL_W_LOST);
		assert_int_equal(get(programs, &s).frames[1], is_strict ? 5 : 0);
		assert_true(get(programs, &s).payload_bytes == len);
		assert_int_equal(splice_programs_stat(programs, SL_STAT_DROP_HOLE) - dropped,
				 is_strict);
		end(programs, &s);
	}
}

/* ---- STOP ------------------------------------------------------------------------------------ */

static void stop__lets_nothing_new_pass(void **state)
{
	struct splice_programs *programs = need(state);
	uint64_t dropped = splice_programs_stat(programs, SL_STAT_DROP_STOP);
	uint8_t bytes[600];
	size_t len = put_frames(bytes, 2, 20);
	struct sl_flow flow;
	struct stream s;

	begin(programs, &s, false, SL_W_ON, NULL);
	assert_int_equal(send(programs, &s, 1000, bytes, 26), REDIRECT);
	flow = get(programs, &s);
	flow.walk.flags |= SL_W_STOP;
	flow.deadline_ns = UINT64_MAX;
	splice_programs_put(programs, &s.key, false, &flow);
	assert_int_equal(send(programs, &s, 1000, bytes, 26), REDIRECT);
	assert_int_equal(send(programs, &s, 1026, bytes, 0), REDIRECT);
	assert_int_equal(send(programs, &s, 1026, bytes + 26, len - 26), DROP);
	assert_int_equal(send(programs, &s, 1000, bytes, len), DROP);
	s.packet.flags |= REF_FIN;
	assert_int_equal(send(programs, &s, 1026, bytes, 0), DROP);
	s.packet.flags = REF_ACK;
	assert_int_equal(get(programs, &s).marks & SL_M_FIN, 0);
	assert_true(get(programs, &s).payload_bytes == 26);
	assert_true(splice_programs_stat(programs, SL_STAT_DROP_STOP) == dropped + 3);
	flow.deadline_ns = 1;
	splice_programs_put(programs, &s.key, false, &flow);
	assert_int_equal(send(programs, &s, 1026, bytes + 26, len - 26), REDIRECT);
	assert_int_equal(get(programs, &s).walk.flags, SL_W_ON);
	assert_int_equal(get(programs, &s).frames[1], 2);
	end(programs, &s);
}

/* ---- rates ----------------------------------------------------------------------------------- */

static void rate__of_bytes_drops_and_moves_nothing(void **state)
{
	const struct sl_policy policy = {.dscp = SL_DSCP_KEEP, .byte_rate = 1, .byte_burst = 100};
	struct splice_programs *programs = need(state);
	uint64_t dropped = splice_programs_stat(programs, SL_STAT_DROP_LIMIT);
	uint8_t bytes[600];
	struct sl_flow flow;
	struct stream s;

	put_frames(bytes, 6, 66); /* 72 each */
	begin(programs, &s, false, SL_W_ON, &policy);
	/* Some credit is left behind the first, and the second overdraws it. */
	assert_int_equal(send(programs, &s, 1000, bytes, 72), REDIRECT);
	assert_int_equal(send(programs, &s, 1072, bytes + 72, 144), REDIRECT);
	assert_int_equal(send(programs, &s, 1216, bytes + 216, 72), DROP);
	assert_int_equal(send(programs, &s, 1000, bytes, 72), DROP);
	/* An acknowledgment passes at any time. */
	assert_int_equal(send(programs, &s, 1216, bytes, 0), REDIRECT);
	flow = get(programs, &s);
	assert_true(flow.payload_bytes == 216);
	assert_int_equal(flow.frames[1], 3);
	assert_int_equal(splice_programs_stat(programs, SL_STAT_DROP_LIMIT) - dropped, 2);
	/* Some minutes later. */
	flow.byte_tokens -= 300;
	splice_programs_put(programs, &s.key, false, &flow);
	assert_int_equal(send(programs, &s, 1216, bytes + 216, 72), REDIRECT);
	end(programs, &s);
}

static void rate__of_frames_drops_and_moves_nothing(void **state)
{
	const struct sl_policy policy = {.dscp = SL_DSCP_KEEP, .frame_rate = 1, .frame_burst = 3};
	struct splice_programs *programs = need(state);
	uint8_t bytes[600];
	struct sl_flow flow;
	struct stream s;

	put_frames(bytes, 10, 20); /* 26 each */
	begin(programs, &s, false, SL_W_ON, &policy);
	assert_int_equal(send(programs, &s, 1000, bytes, 52), REDIRECT);
	assert_int_equal(send(programs, &s, 1052, bytes + 52, 52), REDIRECT);
	assert_int_equal(send(programs, &s, 1104, bytes + 104, 26), DROP);
	/* Of one that has begun, the rest passes, and what is sent again. */
	assert_int_equal(send(programs, &s, 1000, bytes, 104), REDIRECT);
	flow = get(programs, &s);
	assert_true(flow.payload_bytes == 104);
	assert_int_equal(flow.frames[1], 4);
	assert_int_equal(flow.walk.flags, SL_W_ON);
	flow.frame_tokens -= 4;
	splice_programs_put(programs, &s.key, false, &flow);
	assert_int_equal(send(programs, &s, 1104, bytes + 104, 26), REDIRECT);
	assert_int_equal(get(programs, &s).frames[1], 5);
	end(programs, &s);
}

/* How many headers a packet has is not known any more: it counts as one frame. */
static void rate__of_frames_holds_whom_the_walker_has_lost(void **state)
{
	const struct sl_policy policy = {.dscp = SL_DSCP_KEEP, .frame_rate = 1, .frame_burst = 3};
	struct splice_programs *programs = need(state);
	uint8_t bytes[600];
	struct stream s;

	put_frames(bytes, 10, 20);
	begin(programs, &s, false, SL_W_ON | SL_W_LOST, &policy);
	for (uint32_t i = 0; i < 4; i++)
		assert_int_equal(send(programs, &s, 1000 + 52 * i, bytes + (size_t)52 * i, 52),
				 i < 3 ? REDIRECT : DROP);
	assert_int_equal(send(programs, &s, 1000, bytes, 156), REDIRECT); /* sent again */
	assert_int_equal(get(programs, &s).frames[1], 0);
	end(programs, &s);
}

/* ---- marks ----------------------------------------------------------------------------------- */

static uint8_t traffic_class_of(const struct frame *frame, bool is_ipv6)
{
	const uint8_t *l3 = frame->bytes + 14;

	return is_ipv6 ? (uint8_t)(l3[0] << 4 | l3[1] >> 4) : l3[1];
}

static bool has_right_sums(const struct frame *frame, bool is_ipv6)
{
	uint32_t sum = 0;

	for (size_t i = 0; i < 20 && !is_ipv6; i += 2)
		sum += (uint32_t)frame->bytes[14 + i] << 8 | frame->bytes[15 + i];
	sum = (sum & 0xffff) + (sum >> 16);
	return (is_ipv6 || sum == 0xffff) && ref_checksum_is_right(frame->bytes, frame->size);
}

static void dscp__is_that_of_the_policy(void **state)
{
	struct splice_programs *programs = need(state);

	for (unsigned int i = 0; i < 2 * 256; i++) {
		const struct sl_policy policy = {.dscp = i % 3 ? 46 : SL_DSCP_KEEP, .priority = 6};
		uint8_t before = (uint8_t)(i / 2), after;
		bool is_ipv6 = i & 1, is_row_0 = i % 5 == 0;
		struct frame frame;
		struct stream s;

		begin(programs, &s, is_ipv6, SL_W_ON, is_row_0 ? NULL : &policy);
		s.packet.traffic_class = before;
		s.packet.seq = 1000;
		s.packet.payload_size = 0;
		make_frame(&s.packet, &frame);
		assert_int_equal(run(programs, &frame), REDIRECT);
		after = is_row_0 || policy.dscp == SL_DSCP_KEEP ? before : 46 << 2 | (before & 3);
		assert_int_equal(traffic_class_of(&frame, is_ipv6), after);
		assert_true(has_right_sums(&frame, is_ipv6));
		end(programs, &s);
	}
}

/* RFC 3168 s5: over the rate CE, as far as another burst goes; what is not ECN-capable is dropped.
 */
static void ecn__is_marked_instead_of_dropped(void **state)
{
	const struct sl_policy policy = {.dscp = SL_DSCP_KEEP,
					 .byte_rate = 1,
					 .byte_burst = 100,
					 .flags = SL_P_MARK_ECN};
	struct splice_programs *programs = need(state);
	uint8_t bytes[600];

	put_frames(bytes, 6, 94); /* 100 each */
	for (unsigned int i = 0; i < 8; i++) {
		bool is_ipv6 = i & 1;
		uint8_t ecn = (uint8_t)(i / 2);
		uint64_t marked = splice_programs_stat(programs, SL_STAT_MARKED_LIMIT);
		struct stream s;

		begin(programs, &s, is_ipv6, SL_W_ON, &policy);
		for (uint32_t k = 0; k < 3; k++) {
			bool is_marked = k == 1 && ecn;
			struct frame frame;

			s.packet.traffic_class = ecn;
			s.packet.seq = 1000 + k * 100;
			s.packet.payload_size = 100;
			memcpy(s.packet.payload, bytes, 100);
			make_frame(&s.packet, &frame);
			assert_int_equal(run(programs, &frame),
					 k == 0 || is_marked ? REDIRECT : DROP);
			if (k && !is_marked)
				continue;
			assert_int_equal(traffic_class_of(&frame, is_ipv6), is_marked ? 3 : ecn);
			assert_true(has_right_sums(&frame, is_ipv6));
		}
		assert_int_equal(splice_programs_stat(programs, SL_STAT_MARKED_LIMIT) - marked,
				 ecn ? 1 : 0);
		end(programs, &s);
	}
}

/* What waits for too long is dropped; where nothing waits, that makes it a limit. */
static void pacing__is_a_limit_of_its_own(void **state)
{
	const struct sl_policy policy = {.dscp = SL_DSCP_KEEP, .pacing = 500};
	struct splice_programs *programs = need(state);
	uint8_t bytes[600];
	struct stream s;

	put_frames(bytes, 6, 84); /* 90 each */
	begin(programs, &s, false, SL_W_ON, &policy);
	assert_int_equal(send(programs, &s, 1000, bytes, 90), REDIRECT);
	assert_int_equal(send(programs, &s, 1090, bytes + 90, 90), REDIRECT);
	assert_int_equal(send(programs, &s, 1180, bytes + 180, 90), DROP);
	assert_true(get(programs, &s).payload_bytes == 180);
	end(programs, &s);
}

int main(void)
{
	struct CMUnitTest tests[] = {
	    cmocka_unit_test(walk__counts_frames_of_all_kinds),
	    cmocka_unit_test(walk__goes_through_a_packet_of_many_frames),
	    cmocka_unit_test(close__is_told_once),
	    cmocka_unit_test(wrong__is_dropped_in_strict_and_told),
	    cmocka_unit_test(hole__is_dropped_in_strict_and_lost_in_observe),
	    cmocka_unit_test(stop__lets_nothing_new_pass),
	    cmocka_unit_test(rate__of_bytes_drops_and_moves_nothing),
	    cmocka_unit_test(rate__of_frames_drops_and_moves_nothing),
	    cmocka_unit_test(rate__of_frames_holds_whom_the_walker_has_lost),
	    cmocka_unit_test(dscp__is_that_of_the_policy),
	    cmocka_unit_test(ecn__is_marked_instead_of_dropped),
	    cmocka_unit_test(pacing__is_a_limit_of_its_own),
	};

	return run_with_programs(tests, ARRAY_SIZE(tests));
}
