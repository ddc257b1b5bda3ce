/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/splice_reference.h"

/* ---- writing --------------------------------------------------------------------------------- */

static uint8_t *put16(uint8_t *at, uint32_t value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
	return at + 2;
}

static uint8_t *put32(uint8_t *at, uint32_t value)
{
	return put16(put16(at, value >> 16), value & 0xffff);
}

static uint8_t *put(uint8_t *at, const void *bytes, size_t n)
{
	memcpy(at, bytes, n);
	return at + n;
}

static uint32_t get16(const uint8_t *at)
{
	return (uint32_t)(at[0] << 8 | at[1]);
}

static uint32_t get32(const uint8_t *at)
{
	return get16(at) << 16 | get16(at + 2);
}

/* RFC 1071, as its first page says it: words, the carry added at once, an odd byte padded. */
static uint32_t add_words(uint32_t sum, const uint8_t *bytes, size_t n)
{
	for (size_t i = 0; i < n; i += 2) {
		sum += (uint32_t)(bytes[i] << 8) + (i + 1 < n ? bytes[i + 1] : 0);
		if (sum > 0xffff)
			sum -= 0xffff;
	}
	return sum;
}

static uint32_t pseudo_sum(const uint8_t *saddr, const uint8_t *daddr, size_t address_size,
			   size_t length)
{
	uint8_t tail[8];
	uint32_t sum = add_words(add_words(0, saddr, address_size), daddr, address_size);

	put32(put32(tail, (uint32_t)length), 6);
	return add_words(sum, tail, sizeof(tail));
}

size_t ref_options_size(const struct ref_packet *packet)
{
	size_t size = 0;

	for (size_t i = 0; i < packet->n_options; i++)
		size += packet->options[i].size;
	return size;
}

static uint8_t *put_options(uint8_t *at, const struct ref_packet *packet)
{
	for (size_t i = 0; i < packet->n_options; i++) {
		const struct ref_option *option = &packet->options[i];

		*at++ = option->kind;
		if (option->size > 1) {
			*at++ = option->size;
			at = put(at, option->data, option->size - 2u);
		}
	}
	return at;
}

static size_t write_tcp(const struct ref_packet *packet, uint8_t *tcp)
{
	size_t address_size = packet->is_ipv6 ? 16 : 4;
	size_t header = 20 + ref_options_size(packet), length = header + packet->payload_size;
	uint8_t *at = put16(put16(tcp, packet->sport), packet->dport);
	uint32_t sum;

	assert(header % 4 == 0 && header <= 60);
	at = put32(put32(at, packet->seq), packet->ack);
	*at++ = (uint8_t)(header / 4 << 4);
	*at++ = packet->flags;
	at = put16(put16(put16(at, packet->window), 0), packet->urgent);
	put(put_options(at, packet), packet->payload, packet->payload_size);
	sum = pseudo_sum(packet->saddr, packet->daddr, address_size, length);
	put16(tcp + 16, 0xffff - add_words(sum, tcp, length));
	return length;
}

static size_t write_ipv4(const struct ref_packet *packet, uint8_t *ip)
{
	size_t header = 20 + packet->extra_size;
	size_t length = header + write_tcp(packet, ip + header);

	ip[0] = (uint8_t)(0x40 | header / 4);
	ip[1] = packet->traffic_class;
	put16(put16(put16(put16(ip + 2, (uint32_t)length), 0x1234),
		    packet->is_first_fragment ? 0x2000 : 0x4000),
	      (uint32_t)packet->hop_limit << 8 | 6);
	put16(ip + 10, 0);
	put(put(ip + 12, packet->saddr, 4), packet->daddr, 4);
	memset(ip + 20, 1, packet->extra_size); /* NOPs */
	put16(ip + 10, 0xffff - add_words(0, ip, header));
	return length;
}

static size_t write_ipv6(const struct ref_packet *packet, uint8_t *ip)
{
	size_t extra = packet->is_first_fragment ? 8 : packet->extra_size;
	size_t length = extra + write_tcp(packet, ip + 40 + extra);
	uint8_t *at = put32(ip, 0x6000abcd | (uint32_t)packet->traffic_class << 20);

	at = put16(at, (uint32_t)length);
	*at++ = packet->is_first_fragment ? 44 : extra ? 60 : 6;
	*at++ = packet->hop_limit;
	at = put(put(at, packet->saddr, 16), packet->daddr, 16);
	if (!extra)
		return 40 + length;
	memset(at, 0, extra);
	at[0] = 6;
	if (packet->is_first_fragment)
		put16(at + 2, 1); /* offset 0, more to come */
	else
		at[1] = (uint8_t)(extra / 8 - 1);
	return 40 + length;
}

size_t ref_write(const struct ref_packet *packet, uint8_t *ret_frame)
{
	put16(put(put(ret_frame, packet->dmac, 6), packet->smac, 6),
	      packet->is_ipv6 ? 0x86dd : 0x0800);
	return 14 + (packet->is_ipv6 ? write_ipv6(packet, ret_frame + 14)
				     : write_ipv4(packet, ret_frame + 14));
}

static size_t write_error_ipv4(const struct ref_error *error, uint8_t *ip, const uint8_t *quoted,
			       uint32_t length)
{
	uint8_t *icmp = ip + 20;

	put32(put32(put32(ip, 0x45c00000 | (20 + length)), 0x4000), 64u << 24 | 1u << 16);
	put(put(ip + 12, error->saddr, 4), error->daddr, 4);
	put16(ip + 10, 0xffff - add_words(0, ip, 20));
	icmp[0] = error->type;
	icmp[1] = error->code;
	put(put32(put16(icmp + 2, 0), error->rest), quoted, error->quoted_size);
	put16(icmp + 2, 0xffff - add_words(0, icmp, length));
	return 20 + length;
}

static size_t write_error_ipv6(const struct ref_error *error, uint8_t *ip, const uint8_t *quoted,
			       uint32_t length)
{
	uint8_t *icmp = ip + 40;
	uint32_t sum = add_words(add_words(0, error->saddr, 16), error->daddr, 16);
	uint8_t tail[8];

	put32(put32(ip, 6u << 28), length << 16 | 58 << 8 | 64);
	put(put(ip + 8, error->saddr, 16), error->daddr, 16);
	icmp[0] = error->type;
	icmp[1] = error->code;
	put(put32(put16(icmp + 2, 0), error->rest), quoted, error->quoted_size);
	put32(put32(tail, length), 58);
	put16(icmp + 2, 0xffff - add_words(add_words(sum, tail, 8), icmp, length));
	return 40 + length;
}

size_t ref_write_error(const struct ref_error *error, uint8_t *ret_frame)
{
	bool is_ipv6 = error->about->is_ipv6;
	uint8_t quoted[REF_FRAME_MAX];
	uint32_t length = (uint32_t)(8 + error->quoted_size);
	size_t size = ref_write(error->about, quoted);

	assert(error->quoted_size <= size - 14);
	put16(put(put(ret_frame, error->dmac, 6), error->smac, 6), is_ipv6 ? 0x86dd : 0x0800);
	return 14 + (is_ipv6 ? write_error_ipv6(error, ret_frame + 14, quoted + 14, length)
			     : write_error_ipv4(error, ret_frame + 14, quoted + 14, length));
}

bool ref_checksum_is_right(const uint8_t *frame, size_t size)
{
	bool is_ipv6 = get16(frame + 12) == 0x86dd;
	const uint8_t *ip = frame + 14, *tcp = ip + (is_ipv6 ? 40 : 20);
	size_t length = (size_t)(frame + size - tcp), address_size = is_ipv6 ? 16 : 4;
	const uint8_t *saddr = ip + (is_ipv6 ? 8 : 12);
	uint32_t sum = pseudo_sum(saddr, saddr + address_size, address_size, length);

	return add_words(sum, tcp, length) == 0xffff;
}

bool ref_error_is_right(const uint8_t *frame, size_t size)
{
	bool is_ipv6 = get16(frame + 12) == 0x86dd;
	const uint8_t *ip = frame + 14, *icmp = ip + (is_ipv6 ? 40 : 20);
	uint32_t length = (uint32_t)(frame + size - icmp), sum = 0;
	uint8_t tail[8];

	if (!is_ipv6)
		return add_words(0, ip, 20) == 0xffff && add_words(0, icmp, length) == 0xffff;
	put32(put32(tail, length), 58);
	sum = add_words(add_words(sum, ip + 8, 32), tail, 8);
	return add_words(sum, icmp, length) == 0xffff;
}

/* ---- translating ----------------------------------------------------------------------------- */

/* In place of an option, as many NOPs. */
static void blank(struct ref_packet *packet, size_t i)
{
	size_t size = packet->options[i].size;

	memmove(&packet->options[i + size], &packet->options[i + 1],
		(packet->n_options - i - 1) * sizeof(packet->options[0]));
	packet->n_options += size - 1;
	for (size_t k = 0; k < size; k++)
		packet->options[i + k] = (struct ref_option){.kind = 1, .size = 1};
}

static void add_to(uint8_t *field, uint32_t delta)
{
	put32(field, (uint32_t)(((uint64_t)get32(field) + delta) % (1ull << 32)));
}

static void translate_timestamps(struct ref_packet *packet, size_t i, const struct sl_flow *flow)
{
	uint8_t *data = packet->options[i].data;

	if (flow->flags & SL_F_STRIP_TS) {
		blank(packet, i);
		return;
	}
	add_to(data, flow->tsval_delta);
	if ((packet->flags & REF_ACK) && get32(data + 4) != 0)
		add_to(data + 4, flow->tsecr_delta);
}

static void translate_option(struct ref_packet *packet, size_t i, const struct sl_flow *flow)
{
	struct ref_option *option = &packet->options[i];
	bool is_sack = option->kind == 5 && (option->size == 10 || option->size == 18 ||
					     option->size == 26 || option->size == 34);

	if (option->kind == 1)
		return;
	if (option->kind == 8 && option->size == 10) {
		translate_timestamps(packet, i, flow);
	} else if (is_sack && !(flow->flags & SL_F_STRIP_SACK)) {
		for (size_t at = 0; at < option->size - 2u; at += 4)
			add_to(option->data + at, flow->ack_delta);
	} else {
		blank(packet, i);
	}
}

static uint16_t translate_window(uint16_t window, int shift)
{
	uint64_t scaled =
	    shift >= 0 ? (uint64_t)window * (1ull << shift) : (uint64_t)window / (1ull << -shift);

	return (uint16_t)MIN(scaled, 65535u);
}

static uint16_t port(__be16 value)
{
	uint8_t bytes[2];

	memcpy(bytes, &value, sizeof(bytes));
	return (uint16_t)get16(bytes);
}

void ref_translate(struct ref_packet *packet, const struct sl_flow *flow)
{
	size_t address_size = packet->is_ipv6 ? 16 : 4;

	memcpy(packet->saddr, flow->peer.saddr, address_size);
	memcpy(packet->daddr, flow->peer.daddr, address_size);
	packet->sport = port(flow->peer.sport);
	packet->dport = port(flow->peer.dport);
	packet->hop_limit--;
	packet->seq = (uint32_t)(((uint64_t)packet->seq + flow->seq_delta) % (1ull << 32));
	if (packet->flags & REF_ACK)
		packet->ack = (uint32_t)(((uint64_t)packet->ack + flow->ack_delta) % (1ull << 32));
	if (!(packet->flags & REF_SYN))
		packet->window = translate_window(packet->window, flow->window_shift);
	for (size_t i = 0; i < packet->n_options && packet->options[i].kind != 0; i++)
		translate_option(packet, i, flow);
	if (flow->flags & SL_F_CLEAR_ECN) {
		packet->traffic_class &= 0xfc;
		packet->flags &= (uint8_t)~(REF_ECE | REF_CWR);
	}
}

/* ---- making ---------------------------------------------------------------------------------- */

uint32_t ref_random(uint64_t *state)
{
	*state = *state * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(*state >> 32);
}

static void fill(void *bytes, size_t n, uint64_t *random)
{
	for (size_t i = 0; i < n; i++)
		((uint8_t *)bytes)[i] = (uint8_t)(ref_random(random) >> 13);
}

void ref_options_add(struct ref_packet *packet, uint8_t kind, uint8_t size, const void *data)
{
	struct ref_option *option = &packet->options[packet->n_options++];

	assert(packet->n_options <= REF_OPTIONS_MAX && size >= 1 && size <= 40);
	*option = (struct ref_option){.kind = kind, .size = size};
	if (size > 2)
		memcpy(option->data, data, size - 2u);
}

void ref_options_add_timestamps(struct ref_packet *packet, uint32_t tsval, uint32_t tsecr)
{
	uint8_t data[8];

	put32(put32(data, tsval), tsecr);
	ref_options_add(packet, 8, 10, data);
}

void ref_options_pad(struct ref_packet *packet)
{
	while (ref_options_size(packet) % 4 != 0)
		ref_options_add(packet, 1, 1, NULL);
}

static void add_random_option(struct ref_packet *packet, uint64_t *random)
{
	static const struct {
		uint8_t kind, size;
	} kinds[] = {{1, 1},   {1, 1},   {8, 10},  {5, 10}, {5, 18}, {5, 26},
		     {5, 34},  {5, 12},  {8, 9},   {2, 4},  {3, 3},  {4, 2},
		     {253, 7}, {34, 16}, {30, 20}, {8, 10}, {5, 10}};
	size_t i = ref_random(random) % ARRAY_SIZE(kinds), room = 40 - ref_options_size(packet);
	uint8_t data[38];

	fill(data, sizeof(data), random);
	if (ref_random(random) % 8 == 0)
		memset(data + 4, 0, 4); /* no echo, should it be timestamps */
	if (kinds[i].size <= room)
		ref_options_add(packet, kinds[i].kind, kinds[i].size, data);
}

static void randomize_options(struct ref_packet *packet, uint64_t *random)
{
	uint32_t n = ref_random(random) % 6;

	packet->n_options = 0;
	if (ref_random(random) % 4 == 0) { /* the usual ones */
		ref_options_add(packet, 1, 1, NULL);
		ref_options_add(packet, 1, 1, NULL);
		ref_options_add_timestamps(packet, ref_random(random), ref_random(random));
		return;
	}
	for (uint32_t i = 0; i < n; i++)
		add_random_option(packet, random);
	if (ref_options_size(packet) < 40 && ref_random(random) % 4 == 0) {
		ref_options_add(packet, 0, 1, NULL);
		while (ref_options_size(packet) % 4 != 0) /* behind the end, anything */
			ref_options_add(packet, (uint8_t)ref_random(random) | 2, 1, NULL);
	}
	ref_options_pad(packet);
}

void ref_randomize(struct ref_packet *packet, bool is_ipv6, uint64_t *random)
{
	static const uint8_t flags[] = {0x10, 0x10, 0x18, 0x11, 0x14, 0x04, 0x02, 0x12, 0xd0, 0x30};

	memset(packet, 0, offsetof(struct ref_packet, payload));
	packet->is_ipv6 = is_ipv6;
	fill(packet->saddr, is_ipv6 ? 16 : 4, random);
	fill(packet->daddr, is_ipv6 ? 16 : 4, random);
	packet->hop_limit = (uint8_t)(2 + ref_random(random) % 254);
	packet->traffic_class = (uint8_t)ref_random(random);
	packet->sport = (uint16_t)ref_random(random);
	packet->dport = (uint16_t)ref_random(random);
	packet->seq = ref_random(random);
	packet->ack = ref_random(random);
	packet->flags = flags[ref_random(random) % ARRAY_SIZE(flags)];
	packet->window = (uint16_t)ref_random(random);
	packet->urgent = packet->flags & 0x20 ? (uint16_t)ref_random(random) : 0;
	randomize_options(packet, random);
	packet->payload_size = ref_random(random) % 4 == 0 ? 0 : ref_random(random) % 200;
	fill(packet->payload, packet->payload_size, random);
}

void ref_randomize_flow(struct sl_flow *flow, bool is_ipv6, uint64_t *random)
{
	static const uint8_t flags[] = {SL_F_TIMESTAMPS,
					SL_F_TIMESTAMPS,
					SL_F_TIMESTAMPS | SL_F_STRIP_SACK,
					SL_F_STRIP_TS,
					SL_F_STRIP_TS | SL_F_STRIP_SACK,
					SL_F_TIMESTAMPS | SL_F_CLEAR_ECN,
					0};

	*flow = (struct sl_flow){0};
	fill(flow->peer.saddr, is_ipv6 ? 16 : 4, random);
	fill(flow->peer.daddr, is_ipv6 ? 16 : 4, random);
	fill(&flow->peer.sport, 2, random);
	fill(&flow->peer.dport, 2, random);
	flow->seq_delta = ref_random(random);
	flow->ack_delta = ref_random(random);
	flow->tsval_delta = ref_random(random);
	flow->tsecr_delta = ref_random(random);
	flow->window_shift = (__s8)((int)(ref_random(random) % 29) - 14);
	flow->flags = flags[ref_random(random) % ARRAY_SIZE(flags)];
	if (is_ipv6)
		flow->flags |= SL_F_IPV6_OUT;
}
