/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Streams of frames at an endpoint. Wherever the bytes are cut, the receiver says the same and
 * leaves the same bytes over; every message that it hands out as text is UTF-8; and the walker,
 * which sees headers only, counts the same frames and refuses the same ones.
 */
#include "lib/split_feeder.h"
#include "lib/ws_fuzz.h"
#include "lib/ws_trace.h"
#include "proto/ws_walker.h"

#define RANDOM_WAYS 3        /* the first of them is the whole */
#define SLOW_MAX    (1 << 9) /* bytes; more are not fed one by one */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct outcome {
	char text[WS_TRACE_MAX];
	int error;
	size_t left; /* bytes of an incomplete header at the end */
	uint64_t frames[WS_KIND_COUNT];
	bool is_closed;
	uint16_t close_code;
};

static void begin(struct ws_trace *t, const struct ws_fuzz_input *input)
{
	ws_trace_reset(t);
	ws_receiver_init(&t->receiver, input->is_masked ? WS_ROLE_SERVER : WS_ROLE_CLIENT,
			 &input->limits);
	t->receiver.allowed_rsv = input->allowed_rsv;
}

static void run_one_way(struct split_feeder *f, struct ws_trace *t, struct outcome *ret_outcome)
{
	struct slice piece;
	size_t left = 0;
	ssize_t n = 0;

	while (n >= 0 && split_feeder_next_piece(f, &piece)) {
		n = ws_trace_feed(t, (uint8_t *)f->copy, piece.len);
		left = n < 0 ? 0 : piece.len - (size_t)n;
		split_feeder_leave(f, left);
		assert(left < WS_FRAME_HEADER_MAX);
	}
	*ret_outcome = (struct outcome){
	    .error = t->receiver.error,
	    .left = left,
	    .is_closed = t->receiver.is_closed,
	    .close_code = t->close_code,
	};
	memcpy(ret_outcome->text, t->text, sizeof(t->text));
	memcpy(ret_outcome->frames, t->receiver.frames, sizeof(ret_outcome->frames));
	assert((n < 0 ? n : 0) == t->receiver.error);
}

static void check_same(const struct outcome *a, const struct outcome *b)
{
	assert(strcmp(a->text, b->text) == 0);
	assert(a->error == b->error);
	assert(a->left == b->left);
	assert(memcmp(a->frames, b->frames, sizeof(a->frames)) == 0);
	assert(a->is_closed == b->is_closed);
}

static void check_ways(struct split_feeder *f, struct ws_trace *t,
		       const struct ws_fuzz_input *input, const struct outcome *expected)
{
	while (split_feeder_next_way(f)) {
		struct outcome outcome;

		begin(t, input);
		run_one_way(f, t, &outcome);
		check_same(&outcome, expected);
	}
}

static void check_walker(const struct ws_fuzz_input *input, const struct outcome *endpoint)
{
	struct ws_walker w;
	size_t pass;
	int error;

	ws_walker_init(&w, input->is_masked, &input->limits, input->allowed_rsv);
	pass = ws_walker_feed(&w, input->stream, input->len, &error);
	if (endpoint->error == -EWS_UTF8 || endpoint->error == -EWS_CLOSE_CODE) {
		/* What the walker cannot see: it goes on behind the frame. */
		for (size_t kind = 0; kind < WS_KIND_COUNT; kind++)
			assert(w.frames[kind] >= endpoint->frames[kind]);
		return;
	}
	assert(error == endpoint->error);
	assert(memcmp(w.frames, endpoint->frames, sizeof(w.frames)) == 0);
	assert(w.is_closed == endpoint->is_closed);
	if (error == 0)
		assert(input->len - pass == endpoint->left);
	if (endpoint->is_closed)
		assert(w.close_code == endpoint->close_code);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ws_fuzz_input input;
	struct ws_trace t = {0};
	struct split_feeder f;
	struct outcome whole;

	if (!ws_fuzz_parse(data, size, &input))
		return 0;
	split_feeder_init(&f, input.stream, input.len);
	split_feeder_next_way(&f);
	begin(&t, &input);
	run_one_way(&f, &t, &whole);
	split_feeder_done(&f);

	if (input.len <= SLOW_MAX) {
		/* Random pieces of at most one byte. */
		split_feeder_init_random(&f, input.stream, input.len, 2, 1, 0);
		check_ways(&f, &t, &input, &whole);
	}
	split_feeder_init_random(&f, input.stream, input.len, RANDOM_WAYS, input.len | 1,
				 input.seed);
	check_ways(&f, &t, &input, &whole);
	ws_trace_reset(&t);
	check_walker(&input, &whole);
	return 0;
}
