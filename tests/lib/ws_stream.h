/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Builds streams of WebSocket frames for tests, by itself: nothing here calls the code under test,
 * and nothing stops a test from building what RFC 6455 forbids.
 */
#pragma once
#include "base/std.h"

#define WS_STREAM_MAX        (1u << 18)
#define WS_STREAM_FRAMES_MAX 4096

#define FIN 0x80 /* first byte of a frame */

struct ws_stream {
	bool masked; /* frames to come; each gets another mask */
	uint8_t next_mask;
	size_t len, n_frames;
	size_t frame_at[WS_STREAM_FRAMES_MAX + 1];   /* offsets; the last one is the end */
	size_t payload_at[WS_STREAM_FRAMES_MAX + 1]; /* offsets of the payloads */
	uint8_t bytes[WS_STREAM_MAX];
};

static inline struct ws_stream *ws_stream_new(bool masked)
{
	struct ws_stream *s = calloc(1, sizeof(*s));

	if (!s)
		abort();
	s->masked = masked;
	return s;
}

static inline void ws_stream_free(struct ws_stream *s)
{
	free(s);
}

DEFINE_CLEANUP(struct ws_stream, ws_stream_free)
#define _cleanup_stream_ _cleanup_(cleanup_ws_stream_free)

/** ws_stream_raw() - @n bytes that need not be frames */
static inline void ws_stream_raw(struct ws_stream *s, const void *bytes, size_t n)
{
	if (n > sizeof(s->bytes) - s->len)
		abort();
	if (n)
		memcpy(s->bytes + s->len, bytes, n);
	s->len += n;
	s->frame_at[s->n_frames] = s->len;
}

static inline void ws_stream_byte(struct ws_stream *s, uint64_t byte)
{
	uint8_t b = (uint8_t)byte;

	ws_stream_raw(s, &b, 1);
}

/** ws_stream_drop() - take back the last frame and all behind it */
static inline void ws_stream_drop(struct ws_stream *s)
{
	s->len = s->frame_at[--s->n_frames];
}

/**
 * ws_stream_header() - a header whose length field has @length_bytes: 0 (in the second byte), 2, 8
 * @first: FIN, RSV bits and opcode
 * @ret_mask: the mask, or zeroes
 */
static inline void ws_stream_header(struct ws_stream *s, uint8_t first, uint64_t payload_len,
				    int length_bytes, uint8_t ret_mask[4])
{
	uint8_t masked_bit = s->masked ? 0x80 : 0;
	size_t start = s->len;

	if (s->n_frames == WS_STREAM_FRAMES_MAX)
		abort();
	ws_stream_byte(s, first);
	ws_stream_byte(s, masked_bit | (length_bytes == 8   ? 127
					: length_bytes == 2 ? 126
							    : payload_len));
	for (int i = length_bytes - 1; i >= 0; i--)
		ws_stream_byte(s, payload_len >> 8 * i);
	memset(ret_mask, 0, 4);
	if (s->masked) {
		for (uint8_t i = 0; i < 4; i++)
			ret_mask[i] = (uint8_t)(0x5a + 0x3b * (s->next_mask * 4 + i));
		s->next_mask++;
		ws_stream_raw(s, ret_mask, 4);
	}
	s->frame_at[s->n_frames] = start;
	s->payload_at[s->n_frames++] = s->len;
	s->frame_at[s->n_frames] = s->len;
}

/** ws_stream_payload() - payload bytes number @offset and on of the last frame */
static inline void ws_stream_payload(struct ws_stream *s, const void *payload, size_t n,
				     size_t offset, const uint8_t mask[4])
{
	for (size_t i = 0; i < n; i++)
		ws_stream_byte(s, ((const uint8_t *)payload)[i] ^ mask[(offset + i) % 4]);
}

/** ws_stream_frame() - a whole frame, its length in the shortest form */
static inline void ws_stream_frame(struct ws_stream *s, uint8_t first, const void *payload,
				   size_t n)
{
	uint8_t mask[4];

	ws_stream_header(s, first, n, n < 126 ? 0 : n < 65536 ? 2 : 8, mask);
	ws_stream_payload(s, payload, n, 0, mask);
}

/** ws_stream_text() - a whole frame whose payload is @text, of any opcode */
static inline void ws_stream_text(struct ws_stream *s, uint8_t first, const char *text)
{
	ws_stream_frame(s, first, text, strlen(text));
}

/** ws_stream_close() - a Close frame */
static inline void ws_stream_close(struct ws_stream *s, uint16_t code, const char *reason)
{
	uint8_t payload[125];
	size_t n = strlen(reason);

	if (n > sizeof(payload) - 2)
		abort();
	payload[0] = (uint8_t)(code >> 8);
	payload[1] = (uint8_t)code;
	memcpy(payload + 2, reason, n);
	ws_stream_frame(s, FIN | 0x8, payload, 2 + n);
}
