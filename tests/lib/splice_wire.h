/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The hook at real interfaces, in a network namespace of its own:
 *
 *      a1 (who sends) ---- a0 [hook] ---- b0 ---- b1 (who receives)
 *
 * all in one namespace, where b1 has no address, so that only packet sockets see what comes there.
 */
#pragma once
#include "lib/splice_frames.h"
#include "sluice/way.h"

#define WIRE_WAIT_MS 10000

struct wire {
	struct splice_programs programs;
	uint32_t a0, a1, b0, b1;
	uint8_t a0_mac[6], a1_mac[6], b0_mac[6], b1_mac[6];
	uint64_t n_conns;
};

/* For cmocka_run_group_tests(). Without the right to, there is no wire, and tests are skipped. */
int wire_set_up(void **state);
int wire_tear_down(void **state);
/** wire_need() - the wire, whose neighbours are known; skips the test if there is none */
struct wire *wire_need(void **state);

/** wire_shell() - run words of a test in the namespace; whether that succeeded */
bool wire_shell(const char *command);
void wire_set_forwarding(bool on);
/** wire_set_offloads() - whether checksums and segments are made by who receives, as between VMs */
void wire_set_offloads(const char *name, bool on);
void wire_attach(const struct splice_programs *programs, uint32_t ifindex);

/** wire_packet_socket() - one for all that comes to an interface; with a virtio header, or not */
int wire_packet_socket(uint32_t ifindex, bool with_header);
/** wire_receive_tcp() - the next TCP packet; what else is on the wire is passed over */
size_t wire_receive_tcp(int fd, uint8_t *buffer, size_t size, size_t header);

/** wire_receive_icmp() - likewise, the next ICMP error */
size_t wire_receive_icmp(int fd, uint8_t *buffer, size_t size);

/** wire_prepare() - a packet of the client, behind a0, for the endpoint behind b0, and its flow */
void wire_prepare(struct wire *wire, bool is_ipv6, struct ref_packet *packet, struct sl_flow *flow);
/** wire_expect() - what of it is to come out at b1 */
void wire_expect(const struct wire *wire, const struct ref_packet *packet,
		 const struct sl_flow *flow, struct frame *ret);
/** wire_transmit() - enter the flow, and send the packet from a1 */
void wire_transmit(struct wire *wire, const struct ref_packet *packet, const struct sl_flow *flow);
/** wire_wait_for_stat() - wait for what a packet that is dropped leaves behind */
void wire_wait_for_stat(const struct splice_programs *programs, enum sl_stat stat, uint64_t value);
/** wire_now_ns() - the clock that the programs read */
uint64_t wire_now_ns(void);
/** wire_put_way() - on all CPUs, as if a lookup for @flow had found it */
void wire_put_way(const struct wire *wire, const struct sl_flow *flow, const struct sl_way *way);
