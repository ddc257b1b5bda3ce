/* SPDX-License-Identifier: Apache-2.0 */
/* A stream of three frames, not masked, sent in parts through the kernel's frame walker. */
#pragma once
#include "lib/splice_walker.h"
#include "lib/ws_stream.h"

#define TEXT   (FIN | 0x1)
#define BINARY (FIN | 0x2)

/** three_frames() - of 100 bytes of payload, of 300, and of 10 */
static inline struct ws_stream *three_frames(void)
{
	static const uint8_t payload[300];
	struct ws_stream *s = ws_stream_new(false);

	ws_stream_frame(s, BINARY, payload, 100);
	ws_stream_frame(s, BINARY, payload, 300);
	ws_stream_frame(s, TEXT, payload, 10);
	return s;
}

/** send_part() - bytes @from to @to of the stream, which begins at 1000 */
static inline int send_part(struct splice_walker *w, const struct ws_stream *s, size_t from,
			    size_t to)
{
	return splice_walker_send(w, 1000 + (uint32_t)from, s->bytes + from, to - from);
}
