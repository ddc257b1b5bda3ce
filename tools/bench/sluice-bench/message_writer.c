/* SPDX-License-Identifier: Apache-2.0 */
#include "message_writer.h"

#include "proto/ws_mask.h"

void mask_source_next(struct mask_source *m, uint8_t ret_mask[4])
{
	uint64_t random;

	if (m->is_secure) {
		random_secure(ret_mask, 4);
		return;
	}
	random = random_fast_next(&m->fast);
	memcpy(ret_mask, &random, 4);
}

void message_writer_init(struct message_writer *w, bool is_masked)
{
	*w = (struct message_writer){.is_masked = is_masked};
}

void message_writer_begin(struct message_writer *w, const struct message_plan *plan)
{
	assert(message_writer_is_complete(w));
	w->pool = plan->pool;
	/* Different messages start at different places, so that not all are alike. */
	w->pool_at = plan->identity % PAYLOAD_POOL_BYTES;
	if (!w->pool)
		payload_stream_init(&w->stream, plan->identity, plan->bytes, plan->is_text);
	w->message_left = plan->bytes;
	w->frames_left = plan->fragments;
	w->opcode = plan->is_text ? WS_OP_TEXT : WS_OP_BINARY;
}

static size_t write_header(struct message_writer *w, struct mask_source *masks, uint8_t *buf)
{
	/* Frames of equal size but for rounding; the last takes what is left. */
	uint64_t len = w->message_left / w->frames_left;
	struct ws_frame_header header = {
	    .payload_len = len,
	    .opcode = w->opcode,
	    .fin = w->frames_left == 1,
	    .masked = w->is_masked,
	};

	if (w->is_masked) {
		mask_source_next(masks, w->mask);
		memcpy(header.mask, w->mask, sizeof(header.mask));
	}
	w->opcode = WS_OP_CONTINUATION;
	w->frames_left--;
	w->message_left -= len;
	w->frame_left = len;
	w->frame_done = 0;
	return ws_frame_header_encode(&header, buf);
}

static void copy_from_pool(struct message_writer *w, uint8_t *buf, size_t len)
{
	while (len > 0) {
		size_t n = MIN(len, PAYLOAD_POOL_BYTES - w->pool_at);

		memcpy(buf, w->pool + w->pool_at, n);
		w->pool_at = (w->pool_at + n) % PAYLOAD_POOL_BYTES;
		buf += n;
		len -= n;
	}
}

size_t message_writer_fill(struct message_writer *w, struct mask_source *masks, uint8_t *buf,
			   size_t cap)
{
	size_t header = 0, len;

	if (w->frame_left == 0) {
		if (w->frames_left == 0)
			return 0;
		header = write_header(w, masks, buf);
	}
	len = MIN(w->frame_left, cap - header);
	if (w->pool)
		copy_from_pool(w, buf + header, len);
	else
		payload_stream_fill(&w->stream, buf + header, len);
	if (w->is_masked)
		ws_mask_apply(buf + header, len, w->mask, w->frame_done);
	w->frame_left -= len;
	w->frame_done += len;
	return header + len;
}
