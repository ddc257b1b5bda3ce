/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The hook at real interfaces, in a network namespace of its own:
 *
 *      a1 (who sends) ---- a0 [hook] ---- b0 ---- b1 (who receives)
 *
 * all in one namespace, where b1 has no address, so that only packet sockets see what comes there.
 */
#include "base/std.h"
#include "lib/splice_frames.h"
#include "sluice/way.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fcntl.h>
#include <linux/ethtool.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <linux/sockios.h>
#include <linux/virtio_net.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define WAIT_MS 10000

struct wire {
	struct splice_programs programs;
	uint32_t a0, a1, b0, b1;
	uint8_t a0_mac[6], b0_mac[6], b1_mac[6];
	uint64_t n_conns;
};

/* ---- the namespace --------------------------------------------------------------------------- */

static bool shell(const char *command)
{
	return system(command) == 0; // NOLINT(cert-env33-c): words of this file
}

static void write_sysctl(const char *path, const char *value)
{
	_cleanup_close_ int fd = open(path, O_WRONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_true(write(fd, value, strlen(value)) > 0);
}

static void set_forwarding(bool on)
{
	static const char *const paths[] = {"/proc/sys/net/ipv4/conf/a0/forwarding",
					    "/proc/sys/net/ipv6/conf/a0/forwarding"};

	for (size_t i = 0; i < ARRAY_SIZE(paths); i++)
		write_sysctl(paths[i], on ? "1" : "0");
}

static void read_mac(const char *name, uint8_t *ret_mac)
{
	_cleanup_close_ int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq request = {0};

	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", name);
	assert_int_equal(ioctl(fd, SIOCGIFHWADDR, &request), 0);
	memcpy(ret_mac, request.ifr_hwaddr.sa_data, 6);
}

/* Whether checksums and segments are made by who receives, as between virtual machines. */
static void set_offloads(const char *name, bool on)
{
	_cleanup_close_ int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ethtool_value value = {.cmd = ETHTOOL_STXCSUM, .data = on};
	struct ifreq request = {.ifr_data = (void *)&value};

	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", name);
	assert_int_equal(ioctl(fd, SIOCETHTOOL, &request), 0);
	value = (struct ethtool_value){.cmd = ETHTOOL_STSO, .data = on};
	assert_int_equal(ioctl(fd, SIOCETHTOOL, &request), 0);
}

static void attach(const struct splice_programs *programs, uint32_t ifindex)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = (int)ifindex, .attach_point = BPF_TC_INGRESS);
	LIBBPF_OPTS(bpf_tc_opts, opts, .prog_fd = programs->hook_fd);

	assert_int_equal(bpf_tc_hook_create(&hook), 0);
	assert_int_equal(bpf_tc_attach(&hook, &opts), 0);
}

static void tell_neighbours(const struct wire *wire)
{
	const uint8_t *mac = wire->b1_mac;
	char command[256];

	snprintf(command, sizeof(command),
		 "ip neigh replace 192.0.2.9 lladdr %02x:%02x:%02x:%02x:%02x:%02x dev b0 && "
		 "ip neigh replace 2001:db8:2::9 lladdr %02x:%02x:%02x:%02x:%02x:%02x dev b0",
		 mac[0], mac[1], mac[2], mac[3], mac[4], mac[5], mac[0], mac[1], mac[2], mac[3],
		 mac[4], mac[5]);
	assert_true(shell(command));
}

static int set_up(void **state)
{
	static const char commands[] =
	    "ip link set lo up && "
	    "ip link add a0 type veth peer name a1 && ip link add b0 type veth peer name b1 && "
	    "ip addr add 198.51.100.1/24 dev a0 && ip addr add 192.0.2.1/24 dev b0 && "
	    "ip addr add 2001:db8:1::1/64 dev a0 nodad && "
	    "ip addr add 2001:db8:2::1/64 dev b0 nodad && "
	    "for i in a0 a1 b0 b1; do ip link set $i up || exit; done";
	static struct wire wire;
	int r = splice_programs_load(&wire.programs);

	if (r == -EPERM || (r == 0 && unshare(CLONE_NEWNET) < 0)) {
		printf("skipped: a network namespace with kernel programs: %s "
		       "(it needs CAP_SYS_ADMIN)\n",
		       strerror(EPERM));
		return 0;
	}
	if (r < 0 || !shell(commands))
		return -1;
	wire.a0 = if_nametoindex("a0");
	wire.a1 = if_nametoindex("a1");
	wire.b0 = if_nametoindex("b0");
	wire.b1 = if_nametoindex("b1");
	read_mac("a0", wire.a0_mac);
	read_mac("b0", wire.b0_mac);
	read_mac("b1", wire.b1_mac);
	attach(&wire.programs, wire.a0);
	set_forwarding(true);
	*state = &wire;
	return 0;
}

static int tear_down(void **state)
{
	struct wire *wire = *state;

	if (wire)
		splice_programs_close(&wire->programs);
	return 0;
}

static struct wire *need_wire(void **state)
{
	if (!*state)
		skip();
	tell_neighbours(*state);
	return *state;
}

/* ---- packets --------------------------------------------------------------------------------- */

static int open_packet_socket(uint32_t ifindex, bool with_header)
{
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, htons(ETH_P_ALL));
	const struct sockaddr_ll address = {.sll_family = AF_PACKET,
					    .sll_protocol = htons(ETH_P_ALL),
					    .sll_ifindex = (int)ifindex};
	const int on = with_header;

	assert_true(fd >= 0);
	assert_int_equal(setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &on, sizeof(on)), 0);
	assert_int_equal(bind(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

/* The next TCP packet that comes in; what else is on the wire is passed over. */
static size_t receive_tcp(int fd, uint8_t *buffer, size_t size, size_t header)
{
	struct pollfd poll_fd = {.fd = fd, .events = POLLIN};

	for (;;) {
		struct sockaddr_ll from;
		socklen_t from_size = sizeof(from);
		ssize_t n;

		assert_int_equal(poll(&poll_fd, 1, WAIT_MS), 1);
		n = recvfrom(fd, buffer, size, 0, (struct sockaddr *)&from, &from_size);
		if (n < (ssize_t)header + 54 || from.sll_pkttype == PACKET_OUTGOING)
			continue;
		if (buffer[header + 12] == 8 && buffer[header + 13] == 0 &&
		    buffer[header + 23] == 6)
			return (size_t)n;
		if (buffer[header + 12] == 0x86 && buffer[header + 20] == 6)
			return (size_t)n;
	}
}

/* From the client, whose leg is behind a0, to the endpoint behind b0. */
static void prepare(struct wire *wire, bool is_ipv6, struct ref_packet *packet,
		    struct sl_flow *flow)
{
	struct sl_peer *peer = &flow->peer;
	uint64_t random = 31;

	make_packet(packet, is_ipv6);
	ref_randomize_flow(flow, is_ipv6, &random);
	flow->flags = SL_F_TIMESTAMPS | (is_ipv6 ? SL_F_IPV6_OUT : 0);
	flow->state = SL_ACTIVE;
	flow->conn_id = ++wire->n_conns; /* no way is remembered for it */
	flow->direction = SL_TO_ENDPOINT;
	flow->oif = wire->b0;
	flow->marks = SL_M_SEEN | SL_M_TSVAL;
	flow->end_seq = 1000;
	flow->right_edge = 1000 + 65535;
	flow->ack = packet->ack;
	memset(peer->saddr, 0, 16);
	memset(peer->daddr, 0, 16);
	inet_pton(is_ipv6 ? AF_INET6 : AF_INET, is_ipv6 ? "2001:db8:1::9" : "198.51.100.9",
		  packet->saddr);
	inet_pton(is_ipv6 ? AF_INET6 : AF_INET, is_ipv6 ? "2001:db8:1::1" : "198.51.100.1",
		  packet->daddr);
	inet_pton(is_ipv6 ? AF_INET6 : AF_INET, is_ipv6 ? "2001:db8:2::1" : "192.0.2.1",
		  peer->saddr);
	inet_pton(is_ipv6 ? AF_INET6 : AF_INET, is_ipv6 ? "2001:db8:2::9" : "192.0.2.9",
		  peer->daddr);
	memcpy(packet->dmac, wire->a0_mac, 6);
}

/* What is to come out at b1. */
static void expect(const struct wire *wire, const struct ref_packet *packet,
		   const struct sl_flow *flow, struct frame *ret)
{
	struct ref_packet want = *packet;

	ref_translate(&want, flow);
	memcpy(want.dmac, wire->b1_mac, 6);
	memcpy(want.smac, wire->b0_mac, 6);
	make_frame(&want, ret);
}

static void transmit(struct wire *wire, const struct ref_packet *packet, const struct sl_flow *flow)
{
	_cleanup_close_ int fd = open_packet_socket(wire->a1, false);
	struct sl_key6 key = splice_programs_key(packet);
	struct frame frame;

	splice_programs_put(&wire->programs, &key, packet->is_ipv6, flow);
	make_frame(packet, &frame);
	assert_int_equal(write(fd, frame.bytes, frame.size), (ssize_t)frame.size);
}

/* Return: the flow's marks. */
static uint8_t check_way(struct wire *wire, bool is_ipv6, uint8_t marks, uint64_t last_ns)
{
	_cleanup_close_ int fd = open_packet_socket(wire->b1, false);
	struct frame got, want;
	struct ref_packet packet;
	struct sl_flow flow;
	struct sl_key6 key;

	prepare(wire, is_ipv6, &packet, &flow);
	flow.marks |= marks;
	flow.last_ns = last_ns;
	transmit(wire, &packet, &flow);
	expect(wire, &packet, &flow, &want);
	got.size = receive_tcp(fd, got.bytes, sizeof(got.bytes), 0);
	assert_int_equal(got.size, want.size);
	assert_memory_equal(got.bytes, want.bytes, want.size);
	key = splice_programs_key(&packet);
	return splice_programs_get(&wire->programs, &key, is_ipv6).marks;
}

static uint64_t monotonic_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* ---- ways out -------------------------------------------------------------------------------- */

static void packet__leaves_by_the_way_of_the_lookup(void **state)
{
	struct wire *wire = need_wire(state);

	for (int is_ipv6 = 0; is_ipv6 < 2; is_ipv6++)
		assert_false(check_way(wire, is_ipv6, 0, monotonic_ns()) & SL_M_NO_LOOKUP);
}

static void put_way(const struct wire *wire, const struct sl_flow *flow, const struct sl_way *way)
{
	uint32_t place = sl_way_place(flow->conn_id, flow->direction);
	_cleanup_free_ struct sl_way *each =
	    calloc((size_t)libbpf_num_possible_cpus(), sizeof(*each));

	assert_non_null(each);
	for (int cpu = 0; cpu < libbpf_num_possible_cpus(); cpu++)
		each[cpu] = *way;
	assert_int_equal(bpf_map_update_elem(wire->programs.ways_fd, &place, each, 0), 0);
}

/* Return: whether it went to @way->dmac, and not where the neighbour really is. */
static bool leaves_by(struct wire *wire, bool is_ipv6, const struct sl_way *way, int64_t conn_off,
		      int64_t age_off)
{
	_cleanup_close_ int fd = open_packet_socket(wire->b1, false);
	struct ref_packet packet;
	struct sl_flow flow;
	struct frame got;
	uint32_t age;

	do {
		struct sl_way known = *way;

		prepare(wire, is_ipv6, &packet, &flow);
		age = sl_way_age(monotonic_ns());
		flow.last_ns = monotonic_ns();
		known.conn_id = flow.conn_id + (uint64_t)conn_off;
		known.age = age + (uint32_t)age_off;
		put_way(wire, &flow, &known);
		transmit(wire, &packet, &flow);
		got.size = receive_tcp(fd, got.bytes, sizeof(got.bytes), 0);
	} while (age != sl_way_age(monotonic_ns())); /* it may have become too old meanwhile */
	if (memcmp(got.bytes, way->dmac, 6) == 0)
		return true;
	assert_memory_equal(got.bytes, wire->b1_mac, 6);
	return false;
}

static void packet__leaves_by_the_way_that_was_found_before(void **state)
{
	struct wire *wire = need_wire(state);
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
	struct wire *wire = need_wire(state);

	for (int is_ipv6 = 0; is_ipv6 < 2; is_ipv6++) {
		struct sl_way *each = calloc((size_t)libbpf_num_possible_cpus(), sizeof(*each));
		bool is_found = false;
		uint32_t place;

		assert_non_null(each);
		(void)check_way(wire, is_ipv6, 0, monotonic_ns());
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
	struct wire *wire = need_wire(state);

	for (int is_ipv6 = 0; is_ipv6 < 2; is_ipv6++)
		check_way(wire, is_ipv6, 0, 0);
}

static void packet__leaves_without_a_lookup_that_was_refused(void **state)
{
	struct wire *wire = need_wire(state);

	for (int is_ipv6 = 0; is_ipv6 < 2; is_ipv6++)
		check_way(wire, is_ipv6, SL_M_NO_LOOKUP, monotonic_ns());
}

static void packet__leaves_without_forwarding(void **state)
{
	struct wire *wire = need_wire(state);

	set_forwarding(false);
	for (int is_ipv6 = 0; is_ipv6 < 2; is_ipv6++) {
		uint8_t marks = check_way(wire, is_ipv6, 0, monotonic_ns());

		assert_true(marks & SL_M_NO_LOOKUP); /* it need not be asked again */
	}
	set_forwarding(true);
}

/* The stack of this host shall have it: it comes in by lo. */
static void packet__to_this_host_comes_in_by_lo(void **state)
{
	struct wire *wire = need_wire(state);

	for (int is_ipv6 = 0; is_ipv6 < 2; is_ipv6++) {
		_cleanup_close_ int fd = open_packet_socket(1, false);
		struct frame got, want;
		struct ref_packet packet;
		struct sl_flow flow;

		prepare(wire, is_ipv6, &packet, &flow);
		flow.flags |= SL_F_TO_LOCAL;
		flow.oif = 1;
		transmit(wire, &packet, &flow);
		expect(wire, &packet, &flow, &want);
		memset(want.bytes, 0, 12);
		got.size = receive_tcp(fd, got.bytes, sizeof(got.bytes), 0);
		assert_int_equal(got.size, want.size);
		assert_memory_equal(got.bytes, want.bytes, want.size);
	}
}

/* Waits for what a packet that is dropped leaves behind. */
static void wait_for_stat(const struct splice_programs *programs, enum sl_stat stat, uint64_t value)
{
	for (int i = 0; i < WAIT_MS && splice_programs_stat(programs, stat) < value; i++)
		poll(NULL, 0, 1);
	assert_int_equal(splice_programs_stat(programs, stat), value);
}

static void packet__without_a_route_is_dropped(void **state)
{
	struct wire *wire = need_wire(state);

	for (int is_ipv6 = 0; is_ipv6 < 2; is_ipv6++) {
		uint64_t before = splice_programs_stat(&wire->programs, SL_STAT_DROP_ROUTE);
		struct ref_packet packet;
		struct sl_flow flow;

		prepare(wire, is_ipv6, &packet, &flow);
		flow.peer.daddr[0] ^= 0x0f;
		transmit(wire, &packet, &flow);
		wait_for_stat(&wire->programs, SL_STAT_DROP_ROUTE, before + 1);
	}
}

static void packet__that_is_too_large_is_dropped(void **state)
{
	struct wire *wire = need_wire(state);

	assert_true(shell("ip link set b0 mtu 1300"));
	for (int i = 0; i < 4; i++) {
		uint64_t before = splice_programs_stat(&wire->programs, SL_STAT_DROP_MTU);
		struct ref_packet packet;
		struct sl_flow flow;

		prepare(wire, i & 1, &packet, &flow);
		packet.payload_size = 1400;
		if (i & 2)
			flow.marks |= SL_M_NO_LOOKUP;
		transmit(wire, &packet, &flow);
		wait_for_stat(&wire->programs, SL_STAT_DROP_MTU, before + 1);
	}
	assert_true(shell("ip link set b0 mtu 1500"));
}

/* Nobody knows the neighbour: the kernel asks for it, with a broadcast or multicast. */
static void packet__makes_the_kernel_ask_for_the_neighbour(void **state)
{
	struct wire *wire = need_wire(state);

	for (int is_ipv6 = 0; is_ipv6 < 2; is_ipv6++) {
		_cleanup_close_ int fd = open_packet_socket(wire->b1, false);
		struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
		bool is_asked = false;
		struct ref_packet packet;
		struct sl_flow flow;

		assert_true(shell(is_ipv6 ? "ip neigh del 2001:db8:2::9 dev b0"
					  : "ip neigh del 192.0.2.9 dev b0"));
		prepare(wire, is_ipv6, &packet, &flow);
		transmit(wire, &packet, &flow);
		while (!is_asked) {
			uint8_t bytes[200];
			ssize_t n;

			assert_int_equal(poll(&poll_fd, 1, WAIT_MS), 1);
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

	assert_true(shell("[ -e /dev/net/tun ] || { modprobe tun && mkdir -p /dev/net && "
			  "{ [ -e /dev/net/tun ] || mknod /dev/net/tun c 10 200; }; }"));
	fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(ioctl(fd, TUNSETIFF, &request), 0);
	assert_true(shell("ip link set tn up"));
	return fd;
}

/*
 * Its frames begin with the IP header. This one is such that an IP packet seems to stand where it
 * would behind an Ethernet header; only that header is none.
 */
static void packet__of_a_tunnel_passes(void **state)
{
	struct wire *wire = need_wire(state);
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

	attach(&wire->programs, ifindex);
	prepare(wire, false, &packet, &flow);
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

		assert_int_equal(poll(&poll_fd, 1, WAIT_MS), 1);
		n = recvfrom(fd, got, sizeof(got), 0, (struct sockaddr *)&from, &from_size);
		assert_true(n > 0);
	} while (from.sll_ifindex != (int)ifindex);
	assert_memory_equal(got, frame.bytes, frame.size);
	flow = splice_programs_get(&wire->programs, &key, false);
	assert_true(flow.packets == 0 && !(flow.marks & SL_M_DROPPED));
	assert_true(splice_programs_stat(&wire->programs, SL_STAT_DROP_FRAGMENT) == dropped);
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
	_cleanup_close_ int fd = open_packet_socket(wire->a1, true);
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
	struct wire *wire = need_wire(state);

	for (int is_ipv6 = 0; is_ipv6 < 2; is_ipv6++) {
		_cleanup_close_ int fd = open_packet_socket(wire->b1, true);
		struct ref_packet packet, translated;
		struct sl_flow flow;
		struct large got;
		struct frame want;
		size_t size;

		prepare(wire, is_ipv6, &packet, &flow);
		packet.payload_size = 3 * SEGMENT;
		transmit_large(wire, &packet, &flow);
		expect(wire, &packet, &flow, &want);
		translated = packet;
		put_pseudo_sum(want.bytes, &translated);
		size = receive_tcp(fd, (uint8_t *)&got, sizeof(got), sizeof(got.header));
		assert_int_equal(size, sizeof(got.header) + want.size);
		assert_int_equal(got.header.gso_size, SEGMENT);
		assert_true(got.header.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM);
		assert_memory_equal(got.bytes, want.bytes, want.size);
	}
}

/* Where the way out has no offloads, the kernel cuts it, and makes the checksums. */
static void large_packet__is_cut_into_right_segments(void **state)
{
	struct wire *wire = need_wire(state);

	set_offloads("b0", false);
	for (int is_ipv6 = 0; is_ipv6 < 2; is_ipv6++) {
		_cleanup_close_ int fd = open_packet_socket(wire->b1, false);
		struct ref_packet packet;
		struct sl_flow flow;
		size_t payload_at = (is_ipv6 ? 54 : 34) + 32u;

		prepare(wire, is_ipv6, &packet, &flow);
		packet.payload_size = 3 * SEGMENT;
		for (size_t i = 0; i < packet.payload_size; i++)
			packet.payload[i] = (uint8_t)(i * 7);
		transmit_large(wire, &packet, &flow);
		for (size_t i = 0; i < 3; i++) {
			struct frame got;

			got.size = receive_tcp(fd, got.bytes, sizeof(got.bytes), 0);
			assert_int_equal(got.size, payload_at + SEGMENT);
			assert_true(ref_checksum_is_right(got.bytes, got.size));
			assert_memory_equal(got.bytes + payload_at, packet.payload + i * SEGMENT,
					    SEGMENT);
		}
	}
	set_offloads("b0", true);
}

/* The whole may be larger than the MTU, but not its segments. (Last: IPv6 does not survive it.) */
static void large_packet__of_too_large_segments_is_dropped(void **state)
{
	struct wire *wire = need_wire(state);

	assert_true(shell("ip link set b0 mtu 640"));
	for (int i = 0; i < 2; i++) {
		uint64_t before = splice_programs_stat(&wire->programs, SL_STAT_DROP_MTU);
		struct ref_packet packet;
		struct sl_flow flow;

		prepare(wire, false, &packet, &flow);
		packet.payload_size = 3 * SEGMENT;
		if (i == 1)
			flow.marks |= SL_M_NO_LOOKUP;
		transmit_large(wire, &packet, &flow);
		wait_for_stat(&wire->programs, SL_STAT_DROP_MTU, before + 1);
	}
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
	    cmocka_unit_test(packet__that_is_too_large_is_dropped),
	    cmocka_unit_test(packet__makes_the_kernel_ask_for_the_neighbour),
	    cmocka_unit_test(packet__of_a_tunnel_passes),
	    cmocka_unit_test(large_packet__stays_whole),
	    cmocka_unit_test(large_packet__is_cut_into_right_segments),
	    cmocka_unit_test(large_packet__of_too_large_segments_is_dropped),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
