/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Streams of frames that pass through. After each piece the walker must be exactly where a walk
 * from the beginning, one header after the other, is: in the middle of a payload, in front of an
 * incomplete header or of the frame at fault; with the same counts and the same close code. Nothing
 * is lost on the way, and what passes is what came.
 */
#include "lib/split_feeder.h"
#include "lib/ws_fuzz.h"
#include "proto/ws_walker.h"

#define RANDOM_WAYS 3        /* the first of them is the whole */
#define SLOW_MAX    (1 << 9) /* bytes; more are not fed one by one, which is quadratic here */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* ---- the plain walk -------------------------------------------------------------------------- */

struct slow_walk {
	size_t passed;
	int error;
	uint64_t frames[WS_KIND_COUNT];
	uint64_t payload_bytes, message_bytes;
	uint64_t left; /* of the last frame's payload */
	uint16_t close_code;
	bool in_message, is_closed;
};

static int slow_check(const struct slow_walk *w, const struct ws_frame_header *h,
		      const struct ws_fuzz_input *input)
{
	unsigned __int128 sum = (unsigned __int128)w->message_bytes + h->payload_len;

	if (h->masked != input->is_masked)
		return -EWS_MASK;
	if (h->opcode < WS_OP_CLOSE && w->in_message != (h->opcode == WS_OP_CONTINUATION))
		return -EWS_FRAGMENT;
	if (input->limits.max_frame && h->payload_len > input->limits.max_frame)
		return -EWS_FRAME_SIZE;
	if (h->opcode < WS_OP_CLOSE &&
	    (sum > UINT64_MAX || (input->limits.max_message && sum > input->limits.max_message)))
		return -EWS_MESSAGE_SIZE;
	return 0;
}

static uint16_t slow_close_code(const struct ws_frame_header *h, const uint8_t *payload)
{
	uint8_t high = payload[0] ^ (h->masked ? h->mask[0] : 0);
	uint8_t low = payload[1] ^ (h->masked ? h->mask[1] : 0);

	return (uint16_t)(high << 8 | low);
}

/* Return: bytes of one frame at @at, as far as it is there; 0 if the walk ends there */
static size_t slow_step(struct slow_walk *w, const struct ws_fuzz_input *input, size_t at,
			size_t len)
{
	struct ws_frame_header h;
	size_t payload_at, have;
	ssize_t n;

	w->error = -EWS_AFTER_CLOSE;
	if (w->is_closed)
		return 0;
	n = ws_frame_header_decode(input->stream + at, len - at, input->allowed_rsv, &h);
	w->error = n <= 0 ? (int)n : slow_check(w, &h, input);
	if (n <= 0 || w->error)
		return 0;
	payload_at = at + (size_t)n;
	have = MIN(len - payload_at, h.payload_len);
	w->frames[ws_frame_kind(h.opcode)]++;
	w->payload_bytes += have;
	w->left = h.payload_len - have;
	if (h.opcode < WS_OP_CLOSE) {
		w->in_message = !h.fin;
		w->message_bytes = h.fin ? 0 : w->message_bytes + h.payload_len;
	}
	if (h.opcode == WS_OP_CLOSE) {
		if (have >= 2)
			w->close_code = slow_close_code(&h, input->stream + payload_at);
		w->is_closed = w->left == 0;
	}
	return (size_t)n + have;
}

/* Over the first @len bytes. */
static struct slow_walk slow_walk(const struct ws_fuzz_input *input, size_t len)
{
	struct slow_walk w = {0};
	size_t n;

	while (w.passed < len && w.left == 0 && (n = slow_step(&w, input, w.passed, len)) > 0)
		w.passed += n;
	return w;
}

/* ---- beside the fast one --------------------------------------------------------------------- */

static void check_state(const struct ws_walker *w, int error, size_t passed,
			const struct slow_walk *slow)
{
	uint64_t sum = 0;

	assert(error == slow->error);
	assert(passed == slow->passed);
	for (size_t kind = 0; kind < WS_KIND_COUNT; kind++) {
		assert(w->frames[kind] == slow->frames[kind]);
		sum += slow->frames[kind];
	}
	assert(ws_walker_frame_count(w) == sum);
	assert(w->payload_bytes == slow->payload_bytes);
	assert(w->message_bytes == slow->message_bytes);
	assert(w->in_message == slow->in_message);
	assert(w->is_closed == slow->is_closed);
	assert(w->close_code == slow->close_code);
	assert(w->frame_left == slow->left);
	assert(ws_walker_at_boundary(w) == (slow->left == 0));
}

static void check_way(struct split_feeder *f, const struct ws_fuzz_input *input)
{
	size_t received = 0, passed = 0;
	struct slice piece;
	struct ws_walker w;
	int error = 0;

	ws_walker_init(&w, input->is_masked, &input->limits, input->allowed_rsv);
	while (error == 0 && split_feeder_next_piece(f, &piece)) {
		struct slow_walk slow;
		size_t n = ws_walker_feed(&w, (const uint8_t *)piece.ptr, piece.len, &error);

		assert(n <= piece.len);
		received = passed + piece.len;
		assert(received <= input->len);
		assert(memcmp(piece.ptr, input->stream + passed, piece.len) == 0);
		passed += n;
		assert(error || received - passed < WS_FRAME_HEADER_MAX);
		split_feeder_leave(f, piece.len - n);
		slow = slow_walk(input, received);
		check_state(&w, error, passed, &slow);
	}
	assert(error || received == input->len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ws_fuzz_input input;
	struct split_feeder f;

	if (!ws_fuzz_parse(data, size, &input))
		return 0;
	if (input.len <= SLOW_MAX) {
		split_feeder_init_random(&f, input.stream, input.len, 2, 1, 0);
		while (split_feeder_next_way(&f))
			check_way(&f, &input);
	}
	split_feeder_init_random(&f, input.stream, input.len, RANDOM_WAYS, input.len | 1,
				 input.seed);
	while (split_feeder_next_way(&f))
		check_way(&f, &input);
	return 0;
}
