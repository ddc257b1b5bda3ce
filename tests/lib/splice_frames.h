/* SPDX-License-Identifier: Apache-2.0 */
/* Packets and flows for tests of the hook. */
#pragma once
#include "lib/splice_programs.h"

#include <linux/pkt_cls.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define PASS     TC_ACT_UNSPEC
#define DROP     TC_ACT_SHOT
#define REDIRECT TC_ACT_REDIRECT

struct frame {
	uint8_t bytes[REF_FRAME_MAX];
	size_t size;
};

static inline struct splice_programs *need(void **state)
{
	struct splice_programs *programs = *state;

	if (!programs) {
		printf("skipped: kernel programs: %s (they need CAP_BPF)\n", strerror(EPERM));
		skip();
	}
	return programs;
}

/* ---- packets and flows ----------------------------------------------------------------------- */

/* One that a client might send: 100 bytes behind 1000, acknowledging 5000. */
static inline void make_packet(struct ref_packet *packet, bool is_ipv6)
{
	uint64_t random = 9;

	ref_randomize(packet, is_ipv6, &random);
	packet->seq = 1000;
	packet->ack = 5000;
	packet->flags = REF_ACK;
	packet->window = 500;
	packet->payload_size = 100;
	packet->n_options = 0;
	ref_options_add(packet, 1, 1, NULL);
	ref_options_add(packet, 1, 1, NULL);
	ref_options_add_timestamps(packet, 70, 80);
}

static inline void make_frame(const struct ref_packet *packet, struct frame *ret)
{
	ret->size = ref_write(packet, ret->bytes);
}

/* A translation that leads to lo's stack, so that there is no question of routes. */
static inline void make_flow(struct sl_flow *flow, bool is_ipv6, uint32_t state, uint64_t *random)
{
	ref_randomize_flow(flow, is_ipv6, random);
	flow->flags |= SL_F_TO_LOCAL;
	flow->oif = 1;
	flow->state = state;
	flow->conn_id = 4711;
	flow->marks = SL_M_SEEN | SL_M_TSVAL;
	flow->end_seq = flow->base_seq = 1000;
	flow->right_edge = 1000 + 65535;
	flow->ack = 5000;
	flow->tsval = 60;
}

static inline int run(struct splice_programs *programs, struct frame *frame)
{
	struct splice_run how = {.repeat = 1};
	int verdict = splice_programs_run(programs, frame->bytes, frame->size, &how);

	assert_int_equal(how.size, frame->size);
	return verdict;
}

static inline void assert_untouched(const struct frame *frame, const struct ref_packet *packet)
{
	struct frame same;

	make_frame(packet, &same);
	assert_int_equal(frame->size, same.size);
	assert_memory_equal(frame->bytes, same.bytes, same.size);
}

/* Which of the programs a frame meets. */
#define MEETS_TC  1
#define MEETS_XDP 2 /* before tc */

/* The tests of one program share the kernel programs; without the rights they are skipped. */
static inline int run_meeting(struct CMUnitTest *tests, size_t n, int which)
{
	struct splice_programs programs;
	int r = splice_programs_load(&programs);

	if (r < 0 && r != -EPERM) {
		printf("cannot load the programs: %s\n", strerror(-r));
		return 1;
	}
	for (size_t i = 0; i < n; i++)
		tests[i].initial_state = r < 0 ? NULL : &programs;
	if (r < 0)
		return _cmocka_run_group_tests("tests", tests, n, NULL, NULL);
	if (which & MEETS_TC)
		r += _cmocka_run_group_tests("tc", tests, n, NULL, NULL);
	splice_programs_set_xdp(&programs, which & MEETS_XDP);
	if (which & MEETS_XDP)
		r += _cmocka_run_group_tests("XDP before tc", tests, n, NULL, NULL);
	splice_programs_close(&programs);
	return r;
}

/* What is true of the hook is true with XDP before it. */
static inline int run_with_programs(struct CMUnitTest *tests, size_t n)
{
	return run_meeting(tests, n, MEETS_TC | MEETS_XDP);
}
