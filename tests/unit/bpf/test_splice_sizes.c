/* SPDX-License-Identifier: Apache-2.0 */
/* The hook at real interfaces: packets over the MTU, and those that a stack has yet to cut. */
#include "base/std.h"
#include "bpf/splice_way.h"
#include "lib/splice_wire.h"

#include <linux/virtio_net.h>
#include <unistd.h>

/* ---- packets that are not cut yet ---------------------------------------------------------------
 */

#define SEGMENT 600

struct large {
	struct virtio_net_hdr header;
	uint8_t bytes[REF_FRAME_MAX];
} __attribute__((packed));

static void put_pseudo_sum(uint8_t *frame, const struct ref_packet *packet)
{
	size_t at = packet->is_ipv6 ? 54 : 34, n = packet->is_ipv6 ? 16 : 4;
	size_t length = 20 + ref_options_size(packet) + packet->payload_size;
	uint32_t sum = 6 + (uint32_t)length;

	for (size_t i = at - 2 * n; i < at; i += 2)
		sum += (uint32_t)(frame[i] << 8 | frame[i + 1]);
	while (sum > 0xffff)
		sum = (sum & 0xffff) + (sum >> 16);
	frame[at + 16] = (uint8_t)(sum >> 8);
	frame[at + 17] = (uint8_t)sum;
}

/*
 * As a stack with TSO, or GRO, would hand it on, which leaves the checksum to others; and cutting
 * it, too, if @segment is not 0.
 */
static void transmit_large(struct wire *wire, const struct ref_packet *packet,
			   const struct sl_flow *flow, uint16_t segment)
{
	const uint8_t gso[] = {VIRTIO_NET_HDR_GSO_TCPV4, VIRTIO_NET_HDR_GSO_TCPV6};
	_cleanup_close_ int fd = wire_packet_socket(wire->a1, true);
	struct sl_key6 key = splice_programs_key(packet);
	uint16_t l4 = packet->is_ipv6 ? 54 : 34;
	struct large large = {
	    .header = {.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
		       .gso_type = segment ? gso[packet->is_ipv6] : VIRTIO_NET_HDR_GSO_NONE,
		       .hdr_len = (uint16_t)(l4 + 20 + ref_options_size(packet)),
		       .gso_size = segment,
		       .csum_start = l4,
		       .csum_offset = 16},
	};
	size_t size = ref_write(packet, large.bytes);

	put_pseudo_sum(large.bytes, packet);
	splice_programs_put(&wire->programs, &key, packet->is_ipv6, flow);
	assert_int_equal(write(fd, &large, sizeof(large.header) + size),
			 (ssize_t)(sizeof(large.header) + size));
}

static void large_packet__stays_whole(void **state)
{
	struct wire *wire = wire_need(state);

	for (int is_ipv6 = 0; is_ipv6 < 2; is_ipv6++) {
		_cleanup_close_ int fd = wire_packet_socket(wire->b1, true);
		struct ref_packet packet, translated;
		struct sl_flow flow;
		struct large got;
		struct frame want;
		size_t size;

		wire_prepare(wire, is_ipv6, &packet, &flow);
		packet.payload_size = 3 * SEGMENT;
		transmit_large(wire, &packet, &flow, SEGMENT);
		wire_expect(wire, &packet, &flow, &want);
		translated = packet;
		put_pseudo_sum(want.bytes, &translated);
		size = wire_receive_tcp(fd, (uint8_t *)&got, sizeof(got), sizeof(got.header));
		assert_int_equal(size, sizeof(got.header) + want.size);
		assert_int_equal(got.header.gso_size, SEGMENT);
		assert_true(got.header.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM);
		assert_memory_equal(got.bytes, want.bytes, want.size);
	}
}

/* Where the way out has no offloads, the kernel cuts it, and makes the checksums. */
static void large_packet__is_cut_into_right_segments(void **state)
{
	struct wire *wire = wire_need(state);

	wire_set_offloads("b0", false);
	for (int is_ipv6 = 0; is_ipv6 < 2; is_ipv6++) {
		_cleanup_close_ int fd = wire_packet_socket(wire->b1, false);
		struct ref_packet packet;
		struct sl_flow flow;
		size_t payload_at = (is_ipv6 ? 54 : 34) + 32u;

		wire_prepare(wire, is_ipv6, &packet, &flow);
		packet.payload_size = 3 * SEGMENT;
		for (size_t i = 0; i < packet.payload_size; i++)
			packet.payload[i] = (uint8_t)(i * 7);
		transmit_large(wire, &packet, &flow, SEGMENT);
		for (size_t i = 0; i < 3; i++) {
			struct frame got;

			got.size = wire_receive_tcp(fd, got.bytes, sizeof(got.bytes), 0);
			assert_int_equal(got.size, payload_at + SEGMENT);
			assert_true(ref_checksum_is_right(got.bytes, got.size));
			assert_memory_equal(got.bytes + payload_at, packet.payload + i * SEGMENT,
					    SEGMENT);
		}
	}
	wire_set_offloads("b0", true);
}

/* The whole may be larger than the MTU, but not its segments. (Last: IPv6 does not survive it.) */
static void large_packet__of_too_large_segments_is_dropped(void **state)
{
	struct wire *wire = wire_need(state);

	assert_true(wire_shell("ip link set b0 mtu 640"));
	for (int i = 0; i < 2; i++) {
		uint64_t before = splice_programs_stat(&wire->programs, SL_STAT_DROP_MTU);
		struct ref_packet packet;
		struct sl_flow flow;

		wire_prepare(wire, false, &packet, &flow);
		packet.payload_size = 3 * SEGMENT;
		if (i == 1)
			flow.marks |= SL_M_NO_LOOKUP;
		transmit_large(wire, &packet, &flow, SEGMENT);
		wire_wait_for_stat(&wire->programs, SL_STAT_DROP_MTU, before + 1);
	}
}

/* ---- answers to what does not fit -------------------------------------------------------------
 */

#define MTU 1300

enum kind {
	WHOLE,
	WITHOUT_CHECKSUM,
	TO_BE_CUT
};

static void transmit_as(struct wire *wire, enum kind kind, struct ref_packet *packet,
			const struct sl_flow *flow)
{
	packet->payload_size = kind == TO_BE_CUT ? 1990 : 1301;
	if (kind == WHOLE)
		wire_transmit(wire, packet, flow);
	else
		transmit_large(wire, packet, flow, kind == TO_BE_CUT ? 1400 : 0);
}

/* RFC 1191 s4, RFC 4443 s3.2: as much of the packet as such an error may have. */
static void make_answer(const struct wire *wire, const struct ref_packet *packet, uint32_t mtu,
			struct frame *ret)
{
	struct ref_error error = {
	    .type = packet->is_ipv6 ? 2 : 3,
	    .code = packet->is_ipv6 ? 0 : 4,
	    .rest = mtu,
	    .about = packet,
	    .quoted_size = packet->is_ipv6 ? 1280 - 48 : 576 - 28,
	};

	memcpy(error.saddr, packet->daddr, 16);
	memcpy(error.daddr, packet->saddr, 16);
	memcpy(error.dmac, wire->a1_mac, 6);
	memcpy(error.smac, wire->a0_mac, 6);
	ret->size = ref_write_error(&error, ret->bytes);
}

/* All but the checksum that was quoted, if that was not made yet, and so that of the whole. */
static void assert_is_answer(struct frame *got, struct frame *want, bool is_ipv6, enum kind kind)
{
	size_t icmp_at = is_ipv6 ? 54 : 34, tcp_at = icmp_at + 8 + (is_ipv6 ? 40 : 20);

	assert_true(ref_error_is_right(got->bytes, got->size));
	assert_int_equal(got->size, want->size);
	if (kind != WHOLE) {
		memcpy(want->bytes + icmp_at + 2, got->bytes + icmp_at + 2, 2);
		memcpy(want->bytes + tcp_at + 16, got->bytes + tcp_at + 16, 2);
	}
	assert_memory_equal(got->bytes, want->bytes, want->size);
}

static void check_answer(struct wire *wire, bool is_ipv6, uint8_t marks, enum kind kind)
{
	_cleanup_close_ int fd = wire_packet_socket(wire->a1, false);
	uint64_t dropped = splice_programs_stat(&wire->programs, SL_STAT_DROP_MTU);
	uint64_t sent = splice_programs_stat(&wire->programs, SL_STAT_ICMP_SENT);
	struct ref_packet packet;
	struct frame got, want;
	struct sl_flow flow;

	wire_prepare(wire, is_ipv6, &packet, &flow);
	flow.marks |= marks;
	transmit_as(wire, kind, &packet, &flow);
	got.size = wire_receive_icmp(fd, got.bytes, sizeof(got.bytes));
	make_answer(wire, &packet, MTU, &want);
	assert_is_answer(&got, &want, is_ipv6, kind);
	assert_true(splice_programs_stat(&wire->programs, SL_STAT_DROP_MTU) == dropped + 1);
	assert_true(splice_programs_stat(&wire->programs, SL_STAT_ICMP_SENT) == sent + 1);
}

static void packet__that_is_too_large_is_answered(void **state)
{
	struct wire *wire = wire_need(state);

	assert_true(wire_shell("ip link set b0 mtu 1300"));
	wire_set_offloads("a0", false); /* a checksum that is still to be made is made there */
	for (int is_ipv6 = 0; is_ipv6 < 2; is_ipv6++) {
		for (int kind = WHOLE; kind <= TO_BE_CUT; kind++) {
			check_answer(wire, is_ipv6, 0, (enum kind)kind);
			check_answer(wire, is_ipv6, SL_M_NO_LOOKUP, (enum kind)kind);
		}
	}
	wire_set_offloads("a0", true);
	assert_true(wire_shell("ip link set b0 mtu 1500"));
}

/* What the route says, and the MTU is not the interface's. */
static void packet__too_large_for_the_route_is_answered(void **state)
{
	struct wire *wire = wire_need(state);

	assert_true(wire_shell("ip route add 192.0.2.9 dev b0 mtu lock 1300 && "
			       "ip route add 2001:db8:2::9 dev b0 mtu lock 1300"));
	for (int is_ipv6 = 0; is_ipv6 < 2; is_ipv6++)
		check_answer(wire, is_ipv6, 0, WHOLE);
	assert_true(wire_shell("ip route del 192.0.2.9 && ip route del 2001:db8:2::9"));
}

/* Again and again, whatever is said to its sender: the daemon is told, but not of each. */
static void packet__that_is_too_large_for_long_is_told(void **state)
{
	struct wire *wire = wire_need(state);
	_cleanup_close_ int fd = wire_packet_socket(wire->a1, false);
	const uint8_t tick = sl_way_tick(wire_now_ns());
	struct sl_way way = {.last_refused = tick, .first_refused = (uint8_t)(tick - 6)};
	struct ref_packet packet;
	struct sl_flow flow;
	struct frame got;

	assert_true(wire_shell("ip link set b0 mtu 1300"));
	wire_prepare(wire, false, &packet, &flow);
	way.conn_id = flow.conn_id;
	wire_put_way(wire, &flow, &way);
	splice_programs_events(&wire->programs);
	for (int i = 0; i < 3; i++) {
		transmit_as(wire, WHOLE, &packet, &flow);
		got.size = wire_receive_icmp(fd, got.bytes, sizeof(got.bytes));
		assert_true(splice_programs_events(&wire->programs) <= 1);
		if (wire->programs.n_got == 1)
			assert_int_equal(wire->programs.got[0].type, SL_EVENT_DEAF);
		else
			assert_true(i > 0);
	}
	assert_true(wire_shell("ip link set b0 mtu 1500"));
}

/* Outside of the window, it may be anybody's, with somebody else's address: RFC 5927 */
static void packet__that_is_not_believed_is_not_answered(void **state)
{
	struct wire *wire = wire_need(state);

	assert_true(wire_shell("ip link set b0 mtu 1300"));
	for (int is_ipv6 = 0; is_ipv6 < 2; is_ipv6++) {
		uint64_t before = splice_programs_stat(&wire->programs, SL_STAT_DROP_MTU);
		uint64_t sent = splice_programs_stat(&wire->programs, SL_STAT_ICMP_SENT);
		struct ref_packet packet;
		struct sl_flow flow;

		wire_prepare(wire, is_ipv6, &packet, &flow);
		packet.seq += 1u << 30;
		transmit_as(wire, WHOLE, &packet, &flow);
		wire_wait_for_stat(&wire->programs, SL_STAT_DROP_MTU, before + 1);
		assert_true(splice_programs_stat(&wire->programs, SL_STAT_ICMP_SENT) == sent);
	}
	assert_true(wire_shell("ip link set b0 mtu 1500"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(packet__that_is_too_large_is_answered),
	    cmocka_unit_test(packet__too_large_for_the_route_is_answered),
	    cmocka_unit_test(packet__that_is_too_large_for_long_is_told),
	    cmocka_unit_test(packet__that_is_not_believed_is_not_answered),
	    cmocka_unit_test(large_packet__stays_whole),
	    cmocka_unit_test(large_packet__is_cut_into_right_segments),
	    cmocka_unit_test(large_packet__of_too_large_segments_is_dropped),
	};

	return cmocka_run_group_tests(tests, wire_set_up, wire_tear_down);
}
