/* SPDX-License-Identifier: Apache-2.0 */
#include "payload.h"

#include <endian.h>

#define COMPARE_CHUNK 256 /* bytes generated at a time to compare with; stays in the L1 cache */

/* The finaliser of splitmix64 (Steele, Lea, Flood 2014): a bijection that spreads every bit. */
static uint64_t mix64(uint64_t x)
{
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
	return x ^ (x >> 31);
}

uint64_t payload_identity(uint64_t seed, uint64_t connection, uint64_t sequence)
{
	const uint64_t golden = 0x9e3779b97f4a7c15ull;
	uint64_t x = mix64(seed + golden);

	x = mix64(x + (connection + 1) * golden);
	return mix64(x + (sequence + 1) * golden);
}

void payload_stream_init(struct payload_stream *s, uint64_t identity, uint64_t message_bytes,
			 bool is_text)
{
	random_fast_seed(&s->random, identity);
	s->left = message_bytes;
	s->word = 0;
	s->n_word = 0;
	s->is_text = is_text;
}

/* 8 characters 0x30..0x6f; in one word of 8, bytes 2 and 3 are one character U+00C0..U+00FF. */
static uint64_t text_word(uint64_t random, uint64_t message_left)
{
	uint64_t word = (random & 0x3f3f3f3f3f3f3f3full) + 0x3030303030303030ull;

	/* Only inside a whole word, so that no message ends within a character. */
	if (random >> 61 == 0 && message_left >= sizeof(word)) {
		word &= ~0xffff0000ull;
		word |= 0xc3ull << 16 | (0x80 | (random >> 24 & 0x3f)) << 24;
	}
	return word;
}

static uint64_t next_word(struct payload_stream *s)
{
	uint64_t random = random_fast_next(&s->random);

	return s->is_text ? text_word(random, s->left) : random;
}

void payload_stream_fill(struct payload_stream *s, uint8_t *ret_bytes, size_t len)
{
	uint8_t *p = ret_bytes, *end = ret_bytes + len;

	while (p < end) {
		if (s->n_word == 0 && (size_t)(end - p) >= sizeof(s->word)) {
			uint64_t le = htole64(next_word(s));

			memcpy(p, &le, sizeof(le));
			p += sizeof(le);
			s->left -= sizeof(le);
			continue;
		}
		if (s->n_word == 0) {
			s->word = next_word(s);
			s->n_word = sizeof(s->word);
		}
		*p++ = (uint8_t)s->word;
		s->word >>= 8;
		s->n_word--;
		s->left--;
	}
}

int payload_stream_compare(struct payload_stream *s, const uint8_t *data, size_t len,
			   struct payload_difference *ret_difference)
{
	uint8_t expected[COMPARE_CHUNK] = {0};
	size_t done = 0;

	while (done < len) {
		size_t n = MIN(len - done, sizeof(expected));

		payload_stream_fill(s, expected, n);
		if (memcmp(expected, data + done, n) != 0) {
			size_t i = 0;

			while (expected[i] == data[done + i])
				i++;
			*ret_difference = (struct payload_difference){
			    .offset = done + i,
			    .expected = expected[i],
			    .actual = data[done + i],
			};
			return -EBADMSG;
		}
		done += n;
	}
	return 0;
}

uint8_t *payload_pool_new(uint64_t seed, bool is_text)
{
	uint8_t *pool = malloc(PAYLOAD_POOL_BYTES);
	struct random_fast random;

	if (!pool)
		return NULL;
	random_fast_seed(&random, seed);
	random_fast_fill(&random, pool, PAYLOAD_POOL_BYTES);
	for (size_t i = 0; is_text && i < PAYLOAD_POOL_BYTES; i++)
		pool[i] = (pool[i] & 0x3f) + 0x30;
	return pool;
}
