/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a translated packet must be, by the long way: a packet is taken apart into fields, the
 * fields are changed as flow.h says, and the packet is put together again with new checksums. It
 * shares nothing with bpf/ but struct sl_flow.
 */
#pragma once
#include "base/std.h"
#include "sluice/flow.h"

#define REF_OPTIONS_MAX 40
#define REF_PAYLOAD_MAX 2000
#define REF_FRAME_MAX   (14 + 40 + 64 + 60 + REF_PAYLOAD_MAX)

#define REF_FIN 0x01
#define REF_SYN 0x02
#define REF_RST 0x04
#define REF_ACK 0x10
#define REF_ECE 0x40
#define REF_CWR 0x80

/* One option of TCP; size 1 for NOP and END. */
struct ref_option {
	uint8_t kind, size;
	uint8_t data[38];
};

struct ref_packet {
	bool is_ipv6;
	uint8_t saddr[16], daddr[16]; /* IPv4: the first four bytes */
	uint8_t hop_limit, traffic_class;
	uint16_t sport, dport;
	uint32_t seq, ack;
	uint8_t flags;
	uint16_t window, urgent;
	struct ref_option options[REF_OPTIONS_MAX];
	size_t n_options; /* their sizes add up to a multiple of 4 */
	uint8_t dmac[6], smac[6];
	/* what makes it untranslatable */
	size_t extra_size; /* bytes of IPv4 options, or of an IPv6 destination option header */
	bool is_first_fragment;
	size_t payload_size;
	uint8_t payload[REF_PAYLOAD_MAX];
};

/** ref_options_size() - of all, in bytes */
size_t ref_options_size(const struct ref_packet *packet);
/** ref_options_add() - an option with @size - 2 bytes of @data; or NOP or END, of size 1 */
void ref_options_add(struct ref_packet *packet, uint8_t kind, uint8_t size, const void *data);
void ref_options_add_timestamps(struct ref_packet *packet, uint32_t tsval, uint32_t tsecr);
/** ref_options_pad() - with NOPs, up to a multiple of 4 */
void ref_options_pad(struct ref_packet *packet);

/** ref_write() - an Ethernet frame, with right checksums. Return: its size */
size_t ref_write(const struct ref_packet *packet, uint8_t *ret_frame);
/* An ICMP error about a packet. */
struct ref_error {
	uint8_t type, code;
	uint32_t rest; /* the word behind the checksum */
	uint8_t saddr[16], daddr[16];
	uint8_t dmac[6], smac[6];
	const struct ref_packet *about;
	size_t quoted_size; /* bytes of it, network layer and up; at most all */
};

/** ref_write_error() - likewise, as this host's kernel would write it. Return: its size */
size_t ref_write_error(const struct ref_error *error, uint8_t *ret_frame);
/** ref_translate() - what @packet becomes in @flow; link layer addresses excepted */
void ref_translate(struct ref_packet *packet, const struct sl_flow *flow);
/** ref_checksum_is_right() - of a TCP segment in a frame without IP options */
bool ref_checksum_is_right(const uint8_t *frame, size_t size);

/** ref_error_is_right() - the checksums of an ICMP error without IP options */
bool ref_error_is_right(const uint8_t *frame, size_t size);

/** ref_random() - the next number of a reproducible sequence */
uint32_t ref_random(uint64_t *state);
/** ref_randomize() - any packet with any options that fit */
void ref_randomize(struct ref_packet *packet, bool is_ipv6, uint64_t *random);
/** ref_randomize_flow() - any translation, for packets of that family */
void ref_randomize_flow(struct sl_flow *flow, bool is_ipv6, uint64_t *random);
