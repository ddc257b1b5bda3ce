/* SPDX-License-Identifier: Apache-2.0 */
#include "bpf/splice_rewrite.h"

#include "lib/splice_reference.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define N_RANDOM 150000

/* The network header begins at a multiple of 16, as in the kernel (NET_IP_ALIGN). */
struct frame {
	_Alignas(16) uint8_t room[2 + REF_FRAME_MAX];
};

#define FRAME(f) ((f)->room + 2)

/* ---- in place of bpf/splice_handle.bpf.h ----------------------------------------------------- */

/* Return: 0, or -EPROTO if the options cannot be translated; then nothing has changed. */
static int walk_options(uint8_t *bytes, size_t size, const struct sl_flow *flow, bool has_ack,
			uint64_t *sum)
{
	struct sl_options options = {0};

	memcpy(options.bytes, bytes, size);
	sl_options_begin(&options, flow, (uint32_t)size, has_ack);
	for (int i = 0; i < SL_OPTIONS_MAX && !sl_options_step(&options); i++)
		;
	if (options.is_wrong)
		return -EPROTO;
	memcpy(bytes, options.bytes, size);
	*sum += options.sum;
	return 0;
}

static bool are_plain(const uint8_t *options, size_t size, const struct sl_flow *flow)
{
	static const uint8_t plain[4] = {1, 1, 8, 10};

	return size == SL_PLAIN_OPTIONS_SIZE && memcmp(options, plain, 4) == 0 &&
	       flow->flags & SL_F_TIMESTAMPS;
}

/* @ret_device: what that adds to a sum over all behind the Ethernet header */
static int rewrite(uint8_t *frame, const struct sl_flow *flow, bool is_ipv6, uint64_t *ret_device)
{
	struct tcphdr *tcp = (void *)(frame + 14 + (is_ipv6 ? 40 : 20));
	size_t size = tcp->doff * 4u - 20;
	uint64_t sum = 0;
	__u64 pseudo, first = 0;

	if (are_plain((uint8_t *)(tcp + 1), size, flow))
		sum = sl_rewrite_plain_options((sl_be32 *)(tcp + 1), flow, tcp->ack);
	else if (walk_options((uint8_t *)(tcp + 1), size, flow, tcp->ack, &sum) < 0)
		return -EPROTO;
	pseudo = is_ipv6 ? sl_rewrite_ipv6((void *)(frame + 14), flow, sl_tos_plain(flow), &first)
			 : sl_rewrite_ipv4((void *)(frame + 14), flow, sl_tos_plain(flow));
	sum += sl_rewrite_tcp(tcp, flow) + pseudo;
	tcp->check = (__u16)~sl_sum_fold(sum + (__u16)~tcp->check);
	*ret_device = is_ipv6 ? first : 0xffffu - sl_sum_fold(pseudo);
	return 0;
}

/* ---- whole packets --------------------------------------------------------------------------- */

static void assert_same(const struct frame *got, size_t size, const struct ref_packet *want)
{
	struct frame expected;

	assert_int_equal(ref_write(want, FRAME(&expected)), size);
	assert_memory_equal(FRAME(got), FRAME(&expected), size);
	assert_true(ref_checksum_is_right(FRAME(got), size));
}

static uint64_t sum_behind_ethernet(const struct frame *frame, size_t size)
{
	uint64_t sum = 0;

	for (size_t i = 14; i < size; i += 2) {
		uint16_t word = 0;

		memcpy(&word, FRAME(frame) + i, MIN(size - i, 2u));
		sum += word;
	}
	return sum;
}

static void check_packet(const struct ref_packet *packet, const struct sl_flow *flow)
{
	struct ref_packet want = *packet;
	struct frame frame;
	size_t size = ref_write(packet, FRAME(&frame));
	uint64_t before = sum_behind_ethernet(&frame, size), device = 0;

	ref_translate(&want, flow);
	assert_int_equal(rewrite(FRAME(&frame), flow, packet->is_ipv6, &device), 0);
	assert_same(&frame, size, &want);
	/* Modulo 2^16 - 1: what a device had summed up (CHECKSUM_COMPLETE) can be kept right. */
	assert_int_equal(sum_behind_ethernet(&frame, size) % 65535, (before + device) % 65535);
}

static void check_random(bool is_ipv6, uint64_t seed)
{
	struct ref_packet packet;
	struct sl_flow flow;

	for (int i = 0; i < N_RANDOM; i++) {
		ref_randomize(&packet, is_ipv6, &seed);
		ref_randomize_flow(&flow, is_ipv6, &seed);
		check_packet(&packet, &flow);
	}
}

static void rewrite__of_random_ipv4_packets_is_what_the_reference_says(void **state)
{
	check_random(false, 1);
}

static void rewrite__of_random_ipv6_packets_is_what_the_reference_says(void **state)
{
	check_random(true, 2);
}

/* A checksum of zero and one of all ones are the same number (RFC 1071 s2): never mixed up. */
static void rewrite__meets_every_checksum(void **state)
{
	struct ref_packet packet;
	struct sl_flow flow;
	uint64_t random = 3;

	ref_randomize(&packet, false, &random);
	ref_randomize_flow(&flow, false, &random);
	packet.payload_size = 2;
	for (uint32_t word = 0; word < 65536; word++) {
		packet.payload[0] = (uint8_t)(word >> 8);
		packet.payload[1] = (uint8_t)word;
		check_packet(&packet, &flow);
	}
}

/* RFC 9293 s3.4: numbers are modulo 2^32. */
static void rewrite__wraps_numbers(void **state)
{
	static const uint32_t edges[] = {0, 1, 0x7fffffff, 0x80000000, 0xfffffffe, 0xffffffff};
	struct ref_packet packet;
	struct sl_flow flow;
	uint64_t random = 4;

	for (size_t i = 0; i < ARRAY_SIZE(edges); i++) {
		for (size_t k = 0; k < ARRAY_SIZE(edges); k++) {
			ref_randomize(&packet, false, &random);
			ref_randomize_flow(&flow, false, &random);
			packet.seq = packet.ack = edges[i];
			flow.seq_delta = flow.ack_delta = edges[k];
			packet.n_options = 0;
			ref_options_add_timestamps(&packet, edges[i], edges[i]);
			ref_options_pad(&packet);
			flow.tsval_delta = flow.tsecr_delta = edges[k];
			flow.flags = SL_F_TIMESTAMPS;
			check_packet(&packet, &flow);
		}
	}
}

/* Timestamps and SACK at each place that has room for them, even and odd. */
static void rewrite__finds_options_at_any_place(void **state)
{
	static const uint8_t edges[32] = {0x12, 0x34, 0x56, 0x78, 0xff, 0xff,
					  0xff, 0xff, 0x80, 0,    0};
	static const uint8_t flags[] = {SL_F_TIMESTAMPS, SL_F_TIMESTAMPS | SL_F_STRIP_SACK,
					SL_F_STRIP_TS, SL_F_STRIP_TS | SL_F_STRIP_SACK};
	struct ref_packet packet;
	struct sl_flow flow;
	uint64_t random = 5;

	for (size_t n_before = 0; n_before <= 20; n_before++) {
		for (size_t f = 0; f < ARRAY_SIZE(flags); f++) {
			ref_randomize(&packet, f & 1, &random);
			ref_randomize_flow(&flow, f & 1, &random);
			flow.flags = flags[f];
			packet.n_options = 0;
			for (size_t i = 0; i < n_before; i++)
				ref_options_add(&packet, 1, 1, NULL);
			ref_options_add_timestamps(&packet, 0xfffffffe, 3);
			ref_options_add(&packet, 5, 10, edges);
			ref_options_pad(&packet);
			check_packet(&packet, &flow);
		}
	}
}

/* ---- options that are refused ---------------------------------------------------------------- */

static void options__that_cannot_be_read_are_refused(void **state)
{
	static const struct {
		uint8_t bytes[8];
		size_t size;
	} wrong[] = {
	    {{8, 0, 0, 0}, 4},           /* shorter than kind and length */
	    {{8, 1, 0, 0}, 4},           /* likewise */
	    {{8, 10, 0, 0}, 4},          /* runs over the end of the header */
	    {{1, 1, 1, 8}, 4},           /* no room for a length */
	    {{1, 1, 1, 1, 5, 34, 0}, 8}, /* over the end, though within 40 bytes */
	    {{77, 255, 0, 0}, 4},
	    {{19, 4, 0, 0}, 4}, /* RFC 2385: a signature of what is about to change */
	    {{29, 4, 0, 0}, 4}, /* RFC 5925: likewise */
	};
	const struct sl_flow flow = {.flags = SL_F_TIMESTAMPS};

	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		uint8_t bytes[8];
		uint64_t sum = 0;

		memcpy(bytes, wrong[i].bytes, sizeof(bytes));
		assert_int_equal(walk_options(bytes, wrong[i].size, &flow, true, &sum), -EPROTO);
		assert_memory_equal(bytes, wrong[i].bytes, sizeof(bytes));
		assert_true(sum == 0);
	}
}

/* RFC 9293 s3.1: nothing behind the end is an option. */
static void options__behind_the_end_are_left(void **state)
{
	const struct sl_flow flow = {.flags = SL_F_TIMESTAMPS};
	uint8_t bytes[4] = {1, 0, 19, 200}, same[4] = {1, 0, 19, 200};
	uint64_t sum = 0;

	assert_int_equal(walk_options(bytes, sizeof(bytes), &flow, true, &sum), 0);
	assert_memory_equal(bytes, same, sizeof(bytes));
}

/* Any bytes: the walk ends, stays inside, and keeps its sum equal to what it has changed. */
static void options__of_any_bytes_keep_the_sum(void **state)
{
	uint64_t random = 6;

	for (int i = 0; i < N_RANDOM; i++) {
		uint8_t before[40], bytes[40];
		size_t size = (1 + ref_random(&random) % 10) * 4;
		uint64_t sum = 0, old_sum = 0, new_sum = 0;
		struct sl_flow flow;

		for (size_t k = 0; k < sizeof(before); k++) {
			uint32_t r = ref_random(&random);

			/* Mostly small numbers, so that kinds and lengths mean something. */
			before[k] = (uint8_t)(r & 0x100 ? r % 12 : r);
		}
		memcpy(bytes, before, sizeof(bytes));
		ref_randomize_flow(&flow, false, &random);
		if (walk_options(bytes, size, &flow, true, &sum) < 0)
			assert_memory_equal(bytes, before, size);
		assert_memory_equal(bytes + size, before + size, sizeof(bytes) - size);
		for (size_t k = 0; k < size; k += 2) {
			uint16_t old_word, new_word;

			memcpy(&old_word, before + k, 2);
			memcpy(&new_word, bytes + k, 2);
			old_sum += old_word;
			new_sum += new_word;
		}
		/* Equal modulo 2^16 - 1, in which 0 and 65535 are one. */
		assert_int_equal(sl_sum_fold(old_sum + sum) % 65535, new_sum % 65535);
	}
}

/* ---- windows --------------------------------------------------------------------------------- */

/* RFC 7323 s2.3: what is announced is never more than what there is, but for what 16 bits hold. */
static void window_shift__never_announces_more(void **state)
{
	for (int from = 0; from <= 14; from++) {
		for (int to = 0; to <= 14; to++) {
			for (uint32_t window = 0; window < 65536; window += 5) {
				uint64_t had = (uint64_t)window << from;
				uint64_t got = (uint64_t)sl_window_shift(window, (__s8)(from - to))
					       << to;

				assert_true(got <= had);
				assert_true(got == had || got == 65535ull << to ||
					    had - got < 1ull << to);
			}
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(rewrite__of_random_ipv4_packets_is_what_the_reference_says),
	    cmocka_unit_test(rewrite__of_random_ipv6_packets_is_what_the_reference_says),
	    cmocka_unit_test(rewrite__meets_every_checksum),
	    cmocka_unit_test(rewrite__wraps_numbers),
	    cmocka_unit_test(rewrite__finds_options_at_any_place),
	    cmocka_unit_test(options__that_cannot_be_read_are_refused),
	    cmocka_unit_test(options__behind_the_end_are_left),
	    cmocka_unit_test(options__of_any_bytes_keep_the_sum),
	    cmocka_unit_test(window_shift__never_announces_more),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
