/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/splice_wire.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fcntl.h>
#include <linux/ethtool.h>
#include <linux/if_packet.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* ---- the namespace --------------------------------------------------------------------------- */

bool wire_shell(const char *command)
{
	return system(command) == 0; // NOLINT(cert-env33-c): words of this file
}

static void write_sysctl(const char *path, const char *value)
{
	_cleanup_close_ int fd = open(path, O_WRONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_true(write(fd, value, strlen(value)) > 0);
}

void wire_set_forwarding(bool on)
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

void wire_set_offloads(const char *name, bool on)
{
	_cleanup_close_ int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ethtool_value value = {.cmd = ETHTOOL_STXCSUM, .data = on};
	struct ifreq request = {.ifr_data = (void *)&value};

	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", name);
	assert_int_equal(ioctl(fd, SIOCETHTOOL, &request), 0);
	value = (struct ethtool_value){.cmd = ETHTOOL_STSO, .data = on};
	assert_int_equal(ioctl(fd, SIOCETHTOOL, &request), 0);
}

void wire_attach(const struct splice_programs *programs, uint32_t ifindex)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = (int)ifindex, .attach_point = BPF_TC_INGRESS);
	LIBBPF_OPTS(bpf_tc_opts, opts, .prog_fd = programs->hook_fd);

	assert_int_equal(bpf_tc_hook_create(&hook), 0);
	assert_int_equal(bpf_tc_attach(&hook, &opts), 0);
}

static void tell_neighbour(const char *address, const uint8_t *mac, const char *interface)
{
	char command[128];

	snprintf(command, sizeof(command),
		 "ip neigh replace %s lladdr %02x:%02x:%02x:%02x:%02x:%02x dev %s", address, mac[0],
		 mac[1], mac[2], mac[3], mac[4], mac[5], interface);
	assert_true(wire_shell(command));
}

static void tell_neighbours(const struct wire *wire)
{
	tell_neighbour("198.51.100.9", wire->a1_mac, "a0");
	tell_neighbour("2001:db8:1::9", wire->a1_mac, "a0");
	tell_neighbour("192.0.2.9", wire->b1_mac, "b0");
	tell_neighbour("2001:db8:2::9", wire->b1_mac, "b0");
}

int wire_set_up(void **state)
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
	if (r < 0 || !wire_shell(commands))
		return -1;
	wire.a0 = if_nametoindex("a0");
	wire.a1 = if_nametoindex("a1");
	wire.b0 = if_nametoindex("b0");
	wire.b1 = if_nametoindex("b1");
	read_mac("a0", wire.a0_mac);
	read_mac("a1", wire.a1_mac);
	read_mac("b0", wire.b0_mac);
	read_mac("b1", wire.b1_mac);
	wire_attach(&wire.programs, wire.a0);
	wire_set_forwarding(true);
	*state = &wire;
	return 0;
}

int wire_tear_down(void **state)
{
	struct wire *wire = *state;

	if (wire)
		splice_programs_close(&wire->programs);
	return 0;
}

struct wire *wire_need(void **state)
{
	struct wire *wire = *state;

	if (wire)
		tell_neighbours(wire);
	else
		skip();
	return wire;
}

/* ---- packets --------------------------------------------------------------------------------- */

int wire_packet_socket(uint32_t ifindex, bool with_header)
{
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, htons(ETH_P_ALL));
	const struct sockaddr_ll address = {.sll_family = AF_PACKET,
					    .sll_protocol = htons(ETH_P_ALL),
					    .sll_ifindex = (int)ifindex};
	const int on = with_header;

	assert_true(fd >= 0 && setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &on, sizeof(on)) == 0 &&
		    bind(fd, (const struct sockaddr *)&address, sizeof(address)) == 0);
	return fd;
}

typedef bool wanted_fn(const uint8_t *frame, size_t n);

/* The next such that comes in; what else is on the wire is passed over. */
static size_t receive(int fd, uint8_t *buffer, size_t size, size_t header, wanted_fn *is_wanted)
{
	struct pollfd poll_fd = {.fd = fd, .events = POLLIN};

	for (;;) {
		struct sockaddr_ll from = {0};
		socklen_t from_size = sizeof(from);
		ssize_t n;

		assert_int_equal(poll(&poll_fd, 1, WIRE_WAIT_MS), 1);
		n = recvfrom(fd, buffer, size, 0, (struct sockaddr *)&from, &from_size);
		if (n >= (ssize_t)header + 54 && from.sll_pkttype != PACKET_OUTGOING &&
		    is_wanted(buffer + header, (size_t)n - header))
			return (size_t)n;
	}
}

static bool is_tcp(const uint8_t *frame, size_t n)
{
	return frame[12] == 8 && frame[13] == 0 ? frame[23] == 6
						: frame[12] == 0x86 && frame[20] == 6;
}

size_t wire_receive_tcp(int fd, uint8_t *buffer, size_t size, size_t header)
{
	return receive(fd, buffer, size, header, is_tcp);
}

/* RFC 4443 s2.1: of ICMPv6, errors have the numbers below 128. */
static bool is_icmp_error(const uint8_t *frame, size_t n)
{
	return frame[12] == 8 && frame[13] == 0
		   ? frame[23] == 1 && frame[34] != 8 && frame[34] != 0
		   : frame[12] == 0x86 && n > 54 && frame[20] == 58 && frame[54] < 128;
}

size_t wire_receive_icmp(int fd, uint8_t *buffer, size_t size)
{
	return receive(fd, buffer, size, 0, is_icmp_error);
}

void wire_prepare(struct wire *wire, bool is_ipv6, struct ref_packet *packet, struct sl_flow *flow)
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

void wire_expect(const struct wire *wire, const struct ref_packet *packet,
		 const struct sl_flow *flow, struct frame *ret)
{
	struct ref_packet want = *packet;

	ref_translate(&want, flow);
	memcpy(want.dmac, wire->b1_mac, 6);
	memcpy(want.smac, wire->b0_mac, 6);
	make_frame(&want, ret);
}

void wire_transmit(struct wire *wire, const struct ref_packet *packet, const struct sl_flow *flow)
{
	_cleanup_close_ int fd = wire_packet_socket(wire->a1, false);
	struct sl_key6 key = splice_programs_key(packet);
	struct frame frame;

	splice_programs_put(&wire->programs, &key, packet->is_ipv6, flow);
	make_frame(packet, &frame);
	assert_int_equal(write(fd, frame.bytes, frame.size), (ssize_t)frame.size);
}

void wire_wait_for_stat(const struct splice_programs *programs, enum sl_stat stat, uint64_t value)
{
	for (int i = 0; i < WIRE_WAIT_MS && splice_programs_stat(programs, stat) < value; i++)
		poll(NULL, 0, 1);
	assert_int_equal(splice_programs_stat(programs, stat), value);
}

uint64_t wire_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

void wire_put_way(const struct wire *wire, const struct sl_flow *flow, const struct sl_way *way)
{
	uint32_t place = sl_way_place(flow->conn_id, flow->direction);
	_cleanup_free_ struct sl_way *each =
	    calloc((size_t)libbpf_num_possible_cpus(), sizeof(*each));

	assert_non_null(each);
	for (int cpu = 0; cpu < libbpf_num_possible_cpus(); cpu++)
		each[cpu] = *way;
	assert_int_equal(bpf_map_update_elem(wire->programs.ways_fd, &place, each, 0), 0);
}
