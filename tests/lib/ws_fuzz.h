/* SPDX-License-Identifier: Apache-2.0 */
/* The input of the fuzz targets for streams of frames: two bytes of settings, then the stream. */
#pragma once
#include "proto/ws_message.h"

struct ws_fuzz_input {
	bool is_masked; /* from a client */
	uint8_t allowed_rsv;
	struct ws_message_limits limits;
	uint8_t seed; /* of the pieces */
	const uint8_t *stream;
	size_t len;
};

/**
 * ws_fuzz_parse() - first byte: 0x01 not masked, 0x02 max_frame, 0x04 max_message, 0x08 large
 * limits, 0x70 RSV bits; second byte: seed
 */
static inline bool ws_fuzz_parse(const uint8_t *data, size_t size, struct ws_fuzz_input *ret_input)
{
	unsigned int scale;

	if (size < 2)
		return false;
	scale = data[0] & 0x08 ? 1000 : 1;
	*ret_input = (struct ws_fuzz_input){
	    .is_masked = !(data[0] & 0x01),
	    .allowed_rsv = data[0] & WS_RSV_MASK,
	    .limits.max_frame = data[0] & 0x02 ? 7 * scale : 0,
	    .limits.max_message = data[0] & 0x04 ? 16 * scale : 0,
	    .seed = data[1],
	    .stream = data + 2,
	    .len = size - 2,
	};
	return true;
}
