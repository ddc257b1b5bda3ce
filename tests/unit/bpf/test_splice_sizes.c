/* SPDX-License-Identifier: Apache-2.0 */
/* The hook at real interfaces: packets over the MTU, and those that a stack has yet to cut. */
#include "base/std.h"
#include "lib/splice_wire.h"

#include <linux/virtio_net.h>
#include <unistd.h>

static void packet__that_is_too_large_is_dropped(void **state)
{
	struct wire *wire = wire_need(state);

	assert_true(wire_shell("ip link set b0 mtu 1300"));
	for (int i = 0; i < 4; i++) {
		uint64_t before = splice_programs_stat(&wire->programs, SL_STAT_DROP_MTU);
		struct ref_packet packet;
		struct sl_flow flow;

		wire_prepare(wire, i & 1, &packet, &flow);
		packet.payload_size = 1400;
		if (i & 2)
			flow.marks |= SL_M_NO_LOOKUP;
		wire_transmit(wire, &packet, &flow);
		wire_wait_for_stat(&wire->programs, SL_STAT_DROP_MTU, before + 1);
	}
	assert_true(wire_shell("ip link set b0 mtu 1500"));
}

/* ---- large packets --------------------------------------------------------------------------- */

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

/* As a stack with TSO, or GRO, would hand it on. */
static void transmit_large(struct wire *wire, const struct ref_packet *packet,
			   const struct sl_flow *flow)
{
	_cleanup_close_ int fd = wire_packet_socket(wire->a1, true);
	struct sl_key6 key = splice_programs_key(packet);
	uint16_t l4 = packet->is_ipv6 ? 54 : 34;
	struct large large = {
	    .header = {.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
		       .gso_type =
			   packet->is_ipv6 ? VIRTIO_NET_HDR_GSO_TCPV6 : VIRTIO_NET_HDR_GSO_TCPV4,
		       .hdr_len = (uint16_t)(l4 + 20 + ref_options_size(packet)),
		       .gso_size = SEGMENT,
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
		transmit_large(wire, &packet, &flow);
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
		transmit_large(wire, &packet, &flow);
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
		transmit_large(wire, &packet, &flow);
		wire_wait_for_stat(&wire->programs, SL_STAT_DROP_MTU, before + 1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(packet__that_is_too_large_is_dropped),
	    cmocka_unit_test(large_packet__stays_whole),
	    cmocka_unit_test(large_packet__is_cut_into_right_segments),
	    cmocka_unit_test(large_packet__of_too_large_segments_is_dropped),
	};

	return cmocka_run_group_tests(tests, wire_set_up, wire_tear_down);
}
