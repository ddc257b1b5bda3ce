/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Message contents. Every message of a run has an identity, a hash of (seed, connection,
 * sequence), from which its size and each byte of its payload follow: what must come back is
 * generated again while it arrives, not remembered. Pure.
 */
#pragma once
#include "base/random.h"
#include "base/std.h"

/* Unverified runs cut their payloads from one block of this size (a power of two). */
#define PAYLOAD_POOL_BYTES (256u << 10)

/** payload_identity() - 64 uniform bits for message @sequence of @connection */
uint64_t payload_identity(uint64_t seed, uint64_t connection, uint64_t sequence);

/* The bytes of one message, in order. */
struct payload_stream {
	struct random_fast random;
	uint64_t left;  /* bytes of the message not handed out yet */
	uint64_t word;  /* generated, not handed out: its low bytes come first */
	uint8_t n_word; /* bytes in word */
	bool is_text;   /* printable ASCII with two-byte characters among it; always whole UTF-8 */
};

void payload_stream_init(struct payload_stream *s, uint64_t identity, uint64_t message_bytes,
			 bool is_text);
/** payload_stream_fill() - the next @len (<= s->left) bytes */
void payload_stream_fill(struct payload_stream *s, uint8_t *ret_bytes, size_t len);

struct payload_difference {
	size_t offset; /* into the bytes that were compared */
	uint8_t expected, actual;
};

/**
 * payload_stream_compare() - whether @data is the next @len (<= s->left) bytes
 *
 * Return: 0, or -EBADMSG with the first difference.
 */
int payload_stream_compare(struct payload_stream *s, const uint8_t *data, size_t len,
			   struct payload_difference *ret_difference);

/** payload_pool_new() - PAYLOAD_POOL_BYTES bytes, ASCII if @is_text; owned, NULL without memory */
uint8_t *payload_pool_new(uint64_t seed, bool is_text);
