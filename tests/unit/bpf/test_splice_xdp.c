/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What XDP does alone: which packets it finishes, and which it leaves to sl_splice; tags of VLANs.
 * (That what it finishes is right, the other tests of the hook find out: they run with it, too.)
 */
#include "lib/splice_frames.h"
#include "sluice/xdp_port.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#define N_RANDOM 1000
#define LO       1
#define VLAN     900 /* index of an interface of a VLAN over lo: nobody asks the kernel for it */

static const uint8_t tag_7[4] = {0x81, 0, 0xa0, 7}, tag_9[4] = {0x81, 0, 0x60, 9};

/* ---- which packets --------------------------------------------------------------------------- */

/* Return: whether XDP has finished @frame, of a flow like @flow. */
static bool finishes(struct splice_programs *programs, const struct ref_packet *packet,
		     const struct sl_flow *flow, struct frame *frame)
{
	struct sl_key6 key = splice_programs_key(packet);
	uint64_t before = programs->n_finished;

	splice_programs_put(programs, &key, packet->is_ipv6, flow);
	(void)run(programs, frame);
	splice_programs_remove(programs, &key, packet->is_ipv6);
	return programs->n_finished > before;
}

static bool finishes_packet(struct splice_programs *programs, const struct ref_packet *packet,
			    const struct sl_flow *flow)
{
	struct frame frame;

	make_frame(packet, &frame);
	return finishes(programs, packet, flow, &frame);
}

/* All that is translated is so by XDP: also options in any layout. */
static void translation__is_finished(void **state)
{
	struct splice_programs *programs = need(state);
	uint64_t random = 5;

	for (int i = 0; i < N_RANDOM; i++) {
		struct ref_packet packet;
		struct sl_flow flow;
		bool is_ipv6 = i & 1;

		ref_randomize(&packet, is_ipv6, &random);
		packet.flags = REF_ACK;
		packet.seq = 1000;
		packet.ack = 5000;
		packet.hop_limit = MAX(packet.hop_limit, 2);
		make_flow(&flow, is_ipv6, i & 2 ? SL_ACTIVE : SL_CLOSED, &random);
		assert_true(finishes_packet(programs, &packet, &flow));
	}
}

static void state__of_others_is_left(void **state)
{
	static const uint32_t states[] = {SL_LEARN, SL_HOLD_WORD(SL_LEARN, 3),
					  SL_HOLD_WORD(SL_ACTIVE, 3)};
	struct splice_programs *programs = need(state);
	uint64_t random = 5;

	for (size_t i = 0; i < ARRAY_SIZE(states); i++) {
		struct ref_packet packet;
		struct sl_flow flow;

		make_packet(&packet, i & 1);
		make_flow(&flow, i & 1, states[i], &random);
		assert_false(finishes_packet(programs, &packet, &flow));
	}
}

static void packet__that_is_dropped_is_left(void **state)
{
	struct splice_programs *programs = need(state);
	struct ref_packet packet;
	struct sl_flow flow;
	uint64_t random = 5;

	for (int is_ipv6 = 0; is_ipv6 < 2; is_ipv6++) {
		make_flow(&flow, is_ipv6, SL_ACTIVE, &random);
		make_packet(&packet, is_ipv6);
		packet.hop_limit = 1;
		assert_false(finishes_packet(programs, &packet, &flow));
		make_packet(&packet, is_ipv6);
		packet.extra_size = 8;
		assert_false(finishes_packet(programs, &packet, &flow));
		make_packet(&packet, is_ipv6);
		packet.is_first_fragment = true;
		assert_false(finishes_packet(programs, &packet, &flow));
		make_packet(&packet, is_ipv6);
		packet.flags = REF_SYN;
		assert_false(finishes_packet(programs, &packet, &flow));
	}
}

/* At every length, and with each byte wrong: sums are made in blocks. */
static void checksum__that_is_wrong_is_left(void **state)
{
	struct splice_programs *programs = need(state);
	struct ref_packet packet;
	struct sl_flow flow;
	uint64_t random = 5;

	for (size_t size = 0; size <= 1460; size += size < 80 ? 1 : 23) {
		bool is_ipv6 = size & 1;
		size_t l4 = is_ipv6 ? 54 : 34;
		struct frame frame;

		make_packet(&packet, is_ipv6);
		packet.payload_size = size;
		make_flow(&flow, is_ipv6, SL_ACTIVE, &random);
		assert_true(finishes_packet(programs, &packet, &flow));
		/* Behind the ports; the header's length makes it unreadable, which is no sum. */
		for (size_t at = l4 + 14; at < l4 + 32 + size; at += 1 + random % 97) {
			make_frame(&packet, &frame);
			frame.bytes[at] ^= (uint8_t)(1 + random % 255);
			assert_false(finishes(programs, &packet, &flow, &frame));
			random = random * 6364136223846793005u + 1442695040888963407u;
		}
	}
}

/* The peer's offload on veth: there is the pseudo header's sum, and sl_splice knows why. */
static void checksum__that_is_still_to_be_made_is_left(void **state)
{
	struct splice_programs *programs = need(state);
	struct ref_packet packet;
	struct frame frame;
	struct sl_flow flow;
	uint64_t random = 5;
	uint32_t sum = 0;

	make_packet(&packet, false);
	make_frame(&packet, &frame);
	for (size_t i = 26; i < 34; i += 2)
		sum += (uint32_t)(frame.bytes[i] << 8 | frame.bytes[i + 1]);
	sum += 6 + (uint32_t)(frame.size - 34);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	frame.bytes[50] = (uint8_t)(sum >> 8);
	frame.bytes[51] = (uint8_t)sum;
	make_flow(&flow, false, SL_ACTIVE, &random);
	assert_false(finishes(programs, &packet, &flow, &frame));
}

static void port__that_is_not_known_is_left(void **state)
{
	struct splice_programs *programs = need(state);
	const struct sl_xdp_port_key key = {.ifindex = LO};
	struct sl_xdp_port lo = {.ifindex = LO, .out = LO};
	struct ref_packet packet;
	struct sl_flow flow;
	uint64_t random = 5;

	make_packet(&packet, false);
	make_flow(&flow, false, SL_ACTIVE, &random);
	assert_int_equal(bpf_map_delete_elem(programs->ports_fd, &key), 0);
	assert_false(finishes_packet(programs, &packet, &flow));
	lo.out = 0; /* in, but not out */
	assert_int_equal(bpf_map_update_elem(programs->ports_fd, &key, &lo, BPF_ANY), 0);
	assert_false(finishes_packet(programs, &packet, &flow));
	lo.out = LO;
	lo.mac[5] = 1; /* another station's */
	assert_int_equal(bpf_map_update_elem(programs->ports_fd, &key, &lo, BPF_ANY), 0);
	assert_false(finishes_packet(programs, &packet, &flow));
	splice_programs_set_xdp(programs, true);
	assert_true(finishes_packet(programs, &packet, &flow));
}

/* ---- tags ------------------------------------------------------------------------------------ */

static void put_port(const struct splice_programs *programs, uint32_t ifindex, const uint8_t *tag,
		     const struct sl_xdp_port *port)
{
	struct sl_xdp_port_key key = {.ifindex = ifindex};

	if (tag) {
		memcpy(&key.vlan_protocol, tag, 2);
		memcpy(&key.vlan_id, (const uint8_t[2]){tag[2] & 0xf, tag[3]}, 2);
	}
	assert_int_equal(bpf_map_update_elem(programs->ports_fd, &key, port, BPF_ANY), 0);
}

/* VLANs 7 and 9 over lo; what goes out by VLAN has the tag @out. */
static void put_vlans(const struct splice_programs *programs, const uint8_t *out)
{
	struct sl_xdp_port port = {.ifindex = VLAN};

	put_port(programs, LO, tag_7, &port);
	port = (struct sl_xdp_port){.ifindex = VLAN, .out = LO};
	if (out) {
		memcpy(&port.vlan_protocol, out, 2);
		memcpy(&port.vlan_id, (const uint8_t[2]){0, out[3]}, 2);
	}
	put_port(programs, VLAN, NULL, &port);
}

static void insert_tag(struct frame *frame, const uint8_t *tag)
{
	if (!tag)
		return;
	memmove(frame->bytes + 16, frame->bytes + 12, frame->size - 12);
	memcpy(frame->bytes + 12, tag, 4);
	frame->size += 4;
}

/* Not by splice_programs_run(): sl_splice has no part in it, and sizes change. */
static uint32_t run_tagged(struct splice_programs *programs, struct frame *frame)
{
	struct splice_run how = {.repeat = 1};
	uint8_t bytes[REF_FRAME_MAX + 2 * SPLICE_PROGRAMS_TAG];
	uint32_t verdict;

	memcpy(bytes, frame->bytes, frame->size);
	verdict = splice_programs_run_xdp(programs, bytes, frame->size, &how);
	memcpy(frame->bytes, bytes, how.size);
	frame->size = how.size;
	return verdict;
}

static const uint8_t *const tags[] = {NULL, tag_7, tag_9};

/* IEEE 802.1Q. The priority is kept where there is a tag before and behind. */
static void tag__is_rewritten_put_in_or_taken_out(void **state)
{
	struct splice_programs *programs = need(state);
	uint64_t random = 5;

	for (int i = 0; i < 2 * 2 * 3; i++) {
		const uint8_t *in = tags[i >> 1 & 1], *out = tags[i >> 2];
		uint8_t wanted_tag[4] = {0x81, 0, in ? in[2] & 0xf0 : 0, out ? out[3] : 0};
		struct ref_packet packet;
		struct sl_flow flow;
		struct sl_key6 key;
		struct frame frame, want;

		put_vlans(programs, out);
		make_packet(&packet, i & 1);
		key = splice_programs_key(&packet);
		make_flow(&flow, i & 1, SL_ACTIVE, &random);
		flow.oif = VLAN;
		splice_programs_put(programs, &key, packet.is_ipv6, &flow);
		make_frame(&packet, &frame);
		insert_tag(&frame, in);
		ref_translate(&packet, &flow);
		memset(packet.smac, 0, 6);
		make_frame(&packet, &want);
		insert_tag(&want, out ? wanted_tag : NULL);
		assert_int_equal(run_tagged(programs, &frame), XDP_REDIRECT);
		assert_int_equal(frame.size, want.size);
		assert_memory_equal(frame.bytes, want.bytes, want.size);
		splice_programs_remove(programs, &key, packet.is_ipv6);
	}
}

static void tag__of_another_vlan_is_left(void **state)
{
	static const uint8_t twice[4] = {0x81, 0, 0, 7}, service[4] = {0x88, 0xa8, 0, 7};
	struct splice_programs *programs = need(state);
	struct ref_packet packet;
	struct frame frame, before;
	struct sl_flow flow;
	struct sl_key6 key;
	uint64_t random = 5;

	put_vlans(programs, NULL);
	make_packet(&packet, false);
	key = splice_programs_key(&packet);
	make_flow(&flow, false, SL_ACTIVE, &random);
	splice_programs_put(programs, &key, false, &flow);
	for (int i = 0; i < 3; i++) {
		make_frame(&packet, &frame);
		insert_tag(&frame, i == 0 ? tag_9 : i == 1 ? service : tag_7);
		if (i == 2)
			insert_tag(&frame, twice);
		before = frame;
		assert_int_equal(run_tagged(programs, &frame), XDP_PASS);
		assert_int_equal(frame.size, before.size);
		assert_memory_equal(frame.bytes, before.bytes, before.size);
	}
	splice_programs_remove(programs, &key, false);
}

int main(void)
{
	struct CMUnitTest tests[] = {
	    cmocka_unit_test(translation__is_finished),
	    cmocka_unit_test(state__of_others_is_left),
	    cmocka_unit_test(packet__that_is_dropped_is_left),
	    cmocka_unit_test(checksum__that_is_wrong_is_left),
	    cmocka_unit_test(checksum__that_is_still_to_be_made_is_left),
	    cmocka_unit_test(port__that_is_not_known_is_left),
	    cmocka_unit_test(tag__is_rewritten_put_in_or_taken_out),
	    cmocka_unit_test(tag__of_another_vlan_is_left),
	};

	return run_meeting(tests, ARRAY_SIZE(tests), MEETS_XDP);
}
