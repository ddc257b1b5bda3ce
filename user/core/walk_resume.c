/* SPDX-License-Identifier: Apache-2.0 */
#include "core/walk_resume.h"

#define OPCODE_MASK 0x0fu
#define MASK_BIT    0x80u

/* Bytes of the extended length that have passed, of which @value is the number. Whether there are 2
 * or 8 in all follows from it: a length of 8 bytes that is minimal (RFC 6455 s5.2) has shown a
 * number by then that 2 bytes could not have. */
static size_t length_bytes(uint64_t value, uint8_t left)
{
	bool is_short = left == 2 ? value == 0 : left == 1 && value <= UINT8_MAX;

	return (is_short ? 2u : 8u) - left;
}

static void put_number(struct walk_header *header, uint64_t value, size_t n_bytes)
{
	for (size_t i = n_bytes; i > 0; i--)
		header->bytes[header->len++] = (uint8_t)(value >> 8 * (i - 1));
}

static void put_whole_length(struct walk_header *header, uint64_t value, uint8_t mask_bit)
{
	bool is_long = value > UINT16_MAX;

	if (value < 126) {
		header->bytes[header->len++] = (uint8_t)(mask_bit | value);
		return;
	}
	header->bytes[header->len++] = (uint8_t)(mask_bit | (is_long ? 127 : 126));
	put_number(header, value, is_long ? 8 : 2);
}

static void rebuild(const struct sl_walk *walk, uint8_t mask_bit, struct walk_header *header)
{
	size_t n;

	header->bytes[header->len++] = walk->opcode;
	switch ((enum sl_walk_stage)walk->stage) {
	case SL_WALK_LENGTH:
		n = length_bytes(walk->payload_left, walk->length_left);
		header->bytes[header->len++] =
		    (uint8_t)(mask_bit | (n + walk->length_left == 2 ? 126 : 127));
		put_number(header, walk->payload_left, n);
		break;
	case SL_WALK_MASK:
		put_whole_length(header, walk->payload_left, mask_bit);
		header->len = (uint8_t)(header->len + 4 - walk->length_left);
		break;
	default:
		break;
	}
}

static void resume_close(const struct sl_walk *walk, struct ws_walker *w)
{
	bool is_inside =
	    walk->stage == SL_WALK_PAYLOAD && (walk->opcode & OPCODE_MASK) == WS_OP_CLOSE;

	w->in_close = is_inside;
	w->is_closed = !is_inside && (walk->flags & SL_W_CLOSE) != 0;
	/* Its code is masked by a key that has passed, or has passed itself. */
	if (is_inside)
		w->close_bytes = 2;
}

static bool is_known(const struct sl_walk *walk)
{
	bool is_length = walk->stage == SL_WALK_LENGTH, is_mask = walk->stage == SL_WALK_MASK;

	if (!(walk->flags & SL_W_ON) || walk->flags & SL_W_LOST || walk->stage > SL_WALK_PAYLOAD)
		return false;
	return (!is_length || (walk->length_left >= 1 && walk->length_left <= 8)) &&
	       (!is_mask || (walk->length_left >= 1 && walk->length_left <= 4));
}

bool walk_resume(const struct sl_walk *walk, struct ws_walker *w, struct walk_header *ret_header)
{
	struct walk_header header = {0};

	if (!is_known(walk))
		return false;
	w->frame_left = walk->stage == SL_WALK_PAYLOAD ? walk->payload_left : 0;
	w->in_message = (walk->flags & SL_W_MESSAGE) != 0;
	w->message_bytes = w->in_message ? walk->message_len : 0;
	resume_close(walk, w);
	if (walk->stage != SL_WALK_FIRST && walk->stage != SL_WALK_PAYLOAD)
		rebuild(walk, w->is_masked_expected ? MASK_BIT : 0, &header);
	*ret_header = header;
	return true;
}
