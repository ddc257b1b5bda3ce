/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Streams of frames through the kernel's walker, as segments of any size, sent again and with holes
 * between them. As long as nothing is missing it must be, after each segment, where the relay's
 * walker is that has the same bytes, with the same counts, and find the same fault. In strict mode
 * nothing that is missing may pass, so that this holds in any order. In observe mode it holds as
 * long as the walker does not say that it is lost.
 */
#include "lib/splice_walker.h"
#include "lib/split_feeder.h"
#include "lib/ws_fuzz.h"

#define RANDOM_WAYS 3 /* the first of them is the whole */
#define SLOW_MAX    (1 << 9)
#define BASE_SEQ    0xffffff80u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void begin(const struct ws_fuzz_input *input, bool is_strict, struct splice_walker *w,
		  struct relay_walker *relay)
{
	splice_walker_init(w, input->is_masked, is_strict, BASE_SEQ);
	w->policy.max_frame = input->limits.max_frame;
	w->policy.max_message = input->limits.max_message;
	relay_walker_init(relay, input->is_masked, &input->limits);
}

/* ---- in order -------------------------------------------------------------------------------- */

/* Return: false at the first fault. */
static bool check_piece(struct splice_walker *w, struct relay_walker *relay, struct slice piece)
{
	const struct splice_walker before = *w;
	const uint8_t *bytes = (const uint8_t *)piece.ptr;
	bool is_strict = sl_walk_is_strict(&w->policy, w->flow.walk.flags);
	int why = splice_walker_send(w, splice_walker_position(w), bytes, piece.len);

	relay_walker_send(relay, bytes, piece.len);
	assert(splice_walker_agrees(w, relay));
	if (w->fault && is_strict) {
		assert(why == SL_STAT_DROP_FRAME && w->flow.walk.flags & SL_W_WRONG);
		assert(w->flow.payload_bytes == before.flow.payload_bytes);
		assert(memcmp(w->flow.frames, before.flow.frames, sizeof(w->flow.frames)) == 0);
		return false;
	}
	assert(why == 0);
	assert(w->flow.payload_bytes == before.flow.payload_bytes + piece.len);
	assert(splice_walker_same_counts(w, relay));
	if (w->fault) {
		assert(w->flow.walk.flags & SL_W_LOST);
		return false;
	}
	assert(splice_walker_same_place(w, relay));
	return true;
}

static void check_way(struct split_feeder *f, const struct ws_fuzz_input *input, bool is_strict)
{
	struct relay_walker relay;
	struct splice_walker w;
	struct slice piece;

	begin(input, is_strict, &w, &relay);
	while (split_feeder_next_piece(f, &piece) && check_piece(&w, &relay, piece))
		;
}

/* ---- in any order ---------------------------------------------------------------------------- */

static uint32_t draw(uint64_t *random)
{
	*random = *random * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(*random >> 33);
}

static void check_disorder(const struct ws_fuzz_input *input, bool is_strict)
{
	struct relay_walker relay;
	struct splice_walker w;
	uint64_t random = input->seed;

	begin(input, is_strict, &w, &relay);
	for (int i = 0; i < 200 && w.flow.payload_bytes < input->len; i++) {
		size_t at = w.flow.payload_bytes, from = at, n = 1 + draw(&random) % 64;
		uint32_t how = draw(&random) % 8;

		if (how == 0)
			from = at - draw(&random) % (at + 1); /* again, and perhaps more */
		else if (how == 1)
			from = at + draw(&random) % (input->len - at); /* a hole */
		n = MIN(n, input->len - from);
		splice_walker_send(&w, BASE_SEQ + (uint32_t)from, input->stream + from, n);
		if (w.flow.walk.flags & (SL_W_LOST | SL_W_WRONG))
			break;
	}
	assert(!is_strict || !(w.flow.walk.flags & SL_W_LOST));
	if (w.flow.walk.flags & SL_W_LOST)
		return;
	relay_walker_send(&relay, input->stream, w.flow.payload_bytes);
	assert(relay.error == 0);
	assert(splice_walker_same_counts(&w, &relay));
	assert(splice_walker_same_place(&w, &relay));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ws_fuzz_input input;
	struct split_feeder f;

	if (!ws_fuzz_parse(data, size, &input))
		return 0;
	for (int is_strict = 0; is_strict < 2; is_strict++) {
		if (input.len <= SLOW_MAX) {
			split_feeder_init_random(&f, input.stream, input.len, 2, 1, 0);
			while (split_feeder_next_way(&f)) {
				check_way(&f, &input, is_strict);
				split_feeder_done(&f);
			}
		}
		split_feeder_init_random(&f, input.stream, input.len, RANDOM_WAYS, input.len | 1,
					 input.seed);
		while (split_feeder_next_way(&f)) {
			check_way(&f, &input, is_strict);
			split_feeder_done(&f);
		}
		check_disorder(&input, is_strict);
	}
	return 0;
}
