/* SPDX-License-Identifier: Apache-2.0 */
/* The hook at real interfaces: by which way packets leave. */
#include "base/std.h"
#include "lib/splice_wire.h"
#include "sluice/way.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* Return: the flow's marks. */
static uint8_t check_way(struct wire *wire, bool is_ipv6, uint8_t marks, uint64_t last_ns)
{
	_cleanup_close_ int fd = wire_packet_socket(wire->b1, false);
	struct frame got, want;
	struct ref_packet packet;
	struct sl_flow flow;
	struct sl_key6 key;

	wire_prepare(wire, is_ipv6, &packet, &flow);
	flow.marks |= marks;
	flow.last_ns = last_ns;
	wire_transmit(wire, &packet, &flow);
	wire_expect(wire, &packet, &flow, &want);
	got.size = wire_receive_tcp(fd, got.bytes, sizeof(got.bytes), 0);
	assert_int_equal(got.size, want.size);
	assert_memory_equal(got.bytes, want.bytes, want.size);
	key = splice_programs_key(&packet);
	return splice_programs_get(&wire->programs, &key, is_ipv6).marks;
}

/* ---- ways out -------------------------------------------------------------------------------- */

static void packet__leaves_by_the_way_of_the_lookup(void **state)
{
	struct wire *wire = wire_need(state);

	for (int is_ipv6 = 0; is_ipv6 < 2; is_ipv6++)
		assert_false(check_way(wire, is_ipv6, 0, wire_now_ns()) & SL_M_NO_LOOKUP);
}

/* Return: whether it went to @way->dmac, and not where the neighbour really is. */
static bool leaves_by(struct wire *wire, bool is_ipv6, const struct sl_way *way, int64_t conn_off,
		      int64_t age_off)
{
	_cleanup_close_ int fd = wire_packet_socket(wire->b1, false);
	struct ref_packet packet;
	struct sl_flow flow;
	struct frame got;
	uint32_t age;

	do {
		struct sl_way known = *way;

		wire_prepare(wire, is_ipv6, &packet, &flow);
		age = sl_way_age(wire_now_ns());
		flow.last_ns = wire_now_ns();
		known.conn_id = flow.conn_id + (uint64_t)conn_off;
		known.age = age + (uint32_t)age_off;
		wire_put_way(wire, &flow, &known);
		wire_transmit(wire, &packet, &flow);
		got.size = wire_receive_tcp(fd, got.bytes, sizeof(got.bytes), 0);
	} while (age != sl_way_age(wire_now_ns())); /* it may have become too old meanwhile */
	if (memcmp(got.bytes, way->dmac, 6) == 0)
		return true;
	assert_memory_equal(got.bytes, wire->b1_mac, 6);
	return false;
}

static void packet__leaves_by_the_way_that_was_found_before(void **state)
{
	struct wire *wire = wire_need(state);
	struct sl_way way = {.oif = wire->b0, .mtu = 1500, .dmac = {2, 0, 0, 0, 0, 77}};

	memcpy(way.smac, wire->b0_mac, 6);
	for (int is_ipv6 = 0; is_ipv6 < 2; is_ipv6++) {
		way.mtu = 1500;
		assert_true(leaves_by(wire, is_ipv6, &way, 0, 0));
		assert_false(leaves_by(wire, is_ipv6, &way, SL_WAYS / 2, 0)); /* another's */
		assert_false(leaves_by(wire, is_ipv6, &way, 0, -1));
		way.mtu = 60; /* then the routes say what is too large */
		assert_false(leaves_by(wire, is_ipv6, &way, 0, 0));
	}
}

/* And the routes are what is remembered. */
static void packet__remembers_its_way(void **state)
{
	struct wire *wire = wire_need(state);

	for (int is_ipv6 = 0; is_ipv6 < 2; is_ipv6++) {
		struct sl_way *each = calloc((size_t)libbpf_num_possible_cpus(), sizeof(*each));
		bool is_found = false;
		uint32_t place;

		assert_non_null(each);
		(void)check_way(wire, is_ipv6, 0, wire_now_ns());
		place = sl_way_place(wire->n_conns, SL_TO_ENDPOINT);
		assert_int_equal(bpf_map_lookup_elem(wire->programs.ways_fd, &place, each), 0);
		for (int cpu = 0; cpu < libbpf_num_possible_cpus(); cpu++) {
			if (each[cpu].conn_id != wire->n_conns)
				continue;
			is_found = true;
			assert_int_equal(each[cpu].oif, wire->b0);
			assert_int_equal(each[cpu].mtu, 1500);
			assert_memory_equal(each[cpu].dmac, wire->b1_mac, 6);
			assert_memory_equal(each[cpu].smac, wire->b0_mac, 6);
		}
		assert_true(is_found);
		free(each);
	}
}

static void packet__of_a_new_second_leaves_by_the_neighbour(void **state)
{
	struct wire *wire = wire_need(state);

	for (int is_ipv6 = 0; is_ipv6 < 2; is_ipv6++)
		check_way(wire, is_ipv6, 0, 0);
}

static void packet__leaves_without_a_lookup_that_was_refused(void **state)
{
	struct wire *wire = wire_need(state);

	for (int is_ipv6 = 0; is_ipv6 < 2; is_ipv6++)
		check_way(wire, is_ipv6, SL_M_NO_LOOKUP, wire_now_ns());
}

static void packet__leaves_without_forwarding(void **state)
{
	struct wire *wire = wire_need(state);

	wire_set_forwarding(false);
	for (int is_ipv6 = 0; is_ipv6 < 2; is_ipv6++) {
		uint8_t marks = check_way(wire, is_ipv6, 0, wire_now_ns());

		assert_true(marks & SL_M_NO_LOOKUP); /* it need not be asked again */
	}
	wire_set_forwarding(true);
}

/* The stack of this host shall have it: it comes in by lo. */
static void packet__to_this_host_comes_in_by_lo(void **state)
{
	struct wire *wire = wire_need(state);

	for (int is_ipv6 = 0; is_ipv6 < 2; is_ipv6++) {
		_cleanup_close_ int fd = wire_packet_socket(1, false);
		struct frame got, want;
		struct ref_packet packet;
		struct sl_flow flow;

		wire_prepare(wire, is_ipv6, &packet, &flow);
		flow.flags |= SL_F_TO_LOCAL;
		flow.oif = 1;
		memcpy(flow.peer.daddr, flow.peer.saddr, sizeof(flow.peer.daddr));
		wire_transmit(wire, &packet, &flow);
		wire_expect(wire, &packet, &flow, &want);
		memset(want.bytes, 0, 12);
		got.size = wire_receive_tcp(fd, got.bytes, sizeof(got.bytes), 0);
		assert_int_equal(got.size, want.size);
		assert_memory_equal(got.bytes, want.bytes, want.size);
	}
}

static void packet__without_a_route_is_dropped(void **state)
{
	struct wire *wire = wire_need(state);

	for (int is_ipv6 = 0; is_ipv6 < 2; is_ipv6++) {
		uint64_t before = splice_programs_stat(&wire->programs, SL_STAT_DROP_ROUTE);
		struct ref_packet packet;
		struct sl_flow flow;

		wire_prepare(wire, is_ipv6, &packet, &flow);
		flow.peer.daddr[0] ^= 0x0f;
		wire_transmit(wire, &packet, &flow);
		wire_wait_for_stat(&wire->programs, SL_STAT_DROP_ROUTE, before + 1);
	}
}

/* Nobody knows the neighbour: the kernel asks for it, with a broadcast or multicast. */
static void packet__makes_the_kernel_ask_for_the_neighbour(void **state)
{
	struct wire *wire = wire_need(state);

	for (int is_ipv6 = 0; is_ipv6 < 2; is_ipv6++) {
		_cleanup_close_ int fd = wire_packet_socket(wire->b1, false);
		struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
		bool is_asked = false;
		struct ref_packet packet;
		struct sl_flow flow;

		assert_true(wire_shell(is_ipv6 ? "ip neigh del 2001:db8:2::9 dev b0"
					       : "ip neigh del 192.0.2.9 dev b0"));
		wire_prepare(wire, is_ipv6, &packet, &flow);
		wire_transmit(wire, &packet, &flow);
		while (!is_asked) {
			uint8_t bytes[200];
			ssize_t n;

			assert_int_equal(poll(&poll_fd, 1, WIRE_WAIT_MS), 1);
			n = read(fd, bytes, sizeof(bytes));
			if (is_ipv6) /* RFC 4861 s4.3: neighbour solicitation, its target */
				is_asked = n >= 78 && bytes[20] == 58 && bytes[54] == 135 &&
					   memcmp(bytes + 62, flow.peer.daddr, 16) == 0;
			else /* RFC 826: a request, its target */
				is_asked = n >= 42 && bytes[12] == 8 && bytes[13] == 6 &&
					   memcmp(bytes + 38, flow.peer.daddr, 4) == 0;
		}
	}
}

/* ---- tunnels --------------------------------------------------------------------------------- */

static int open_tunnel(void)
{
	struct ifreq request = {.ifr_name = "tn", .ifr_flags = IFF_TUN | IFF_NO_PI};
	int fd;

	assert_true(wire_shell("[ -e /dev/net/tun ] || { modprobe tun && mkdir -p /dev/net && "
			       "{ [ -e /dev/net/tun ] || mknod /dev/net/tun c 10 200; }; }"));
	fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(ioctl(fd, TUNSETIFF, &request), 0);
	assert_true(wire_shell("ip link set tn up"));
	return fd;
}

/*
 * Its frames begin with the IP header. This one is such that an IP packet seems to stand where it
 * would behind an Ethernet header; only that header is none.
 */
static void packet__of_a_tunnel_passes(void **state)
{
	struct wire *wire = wire_need(state);
	_cleanup_close_ int tunnel = open_tunnel(), fd = -1;
	uint64_t dropped = splice_programs_stat(&wire->programs, SL_STAT_DROP_FRAGMENT);
	uint32_t ifindex = if_nametoindex("tn");
	struct sockaddr_ll from;
	socklen_t from_size = sizeof(from);
	struct ref_packet packet;
	struct sl_flow flow;
	struct sl_key6 key;
	uint8_t got[REF_FRAME_MAX];
	struct frame frame;

	wire_attach(&wire->programs, ifindex);
	wire_prepare(wire, false, &packet, &flow);
	packet.is_first_fragment = true;
	key = splice_programs_key(&packet);
	splice_programs_put(&wire->programs, &key, false, &flow);
	make_frame(&packet, &frame);
	/* The outer one: 12 bytes of an IPv4 header, and an address of 10.1/16. */
	memset(frame.bytes, 0, 14);
	frame.bytes[0] = 0x45;
	frame.bytes[2] = (uint8_t)(frame.size >> 8);
	frame.bytes[3] = (uint8_t)frame.size;
	frame.bytes[8] = 64;
	frame.bytes[9] = 253; /* RFC 3692: for experiments */
	frame.bytes[12] = 10;
	frame.bytes[13] = 1;
	fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(ETH_P_ALL));
	assert_true(fd >= 0);
	assert_int_equal(write(tunnel, frame.bytes, frame.size), (ssize_t)frame.size);
	do {
		struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
		ssize_t n;

		assert_int_equal(poll(&poll_fd, 1, WIRE_WAIT_MS), 1);
		n = recvfrom(fd, got, sizeof(got), 0, (struct sockaddr *)&from, &from_size);
		assert_true(n > 0);
	} while (from.sll_ifindex != (int)ifindex);
	assert_memory_equal(got, frame.bytes, frame.size);
	flow = splice_programs_get(&wire->programs, &key, false);
	assert_true(flow.packets == 0 && !(flow.marks & SL_M_DROPPED));
	assert_true(splice_programs_stat(&wire->programs, SL_STAT_DROP_FRAGMENT) == dropped);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(packet__leaves_by_the_way_of_the_lookup),
	    cmocka_unit_test(packet__leaves_by_the_way_that_was_found_before),
	    cmocka_unit_test(packet__remembers_its_way),
	    cmocka_unit_test(packet__of_a_new_second_leaves_by_the_neighbour),
	    cmocka_unit_test(packet__leaves_without_a_lookup_that_was_refused),
	    cmocka_unit_test(packet__leaves_without_forwarding),
	    cmocka_unit_test(packet__to_this_host_comes_in_by_lo),
	    cmocka_unit_test(packet__without_a_route_is_dropped),
	    cmocka_unit_test(packet__makes_the_kernel_ask_for_the_neighbour),
	    cmocka_unit_test(packet__of_a_tunnel_passes),
	};

	return cmocka_run_group_tests(tests, wire_set_up, wire_tear_down);
}
