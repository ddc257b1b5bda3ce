/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/utf8.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

/*
 * An automaton whose step is one shift. A state is a number of bits; the row of a byte holds, at
 * that number of bits, the state that comes next. The next row does not depend on the state, so
 * the only chain from byte to byte is the shift, and no branch depends on the text. BAD leads to
 * BAD: it is enough to look at the state after many bytes, and to go back for the place.
 */
enum state {
	BETWEEN = 0, /* characters; what zeroing gives */
	BAD = 6,
	ONE_MORE = 12, /* continuation bytes, any */
	TWO_MORE = 18,
	THREE_MORE = 24,
	AFTER_E0 = 30, /* where the next byte is not just any */
	AFTER_ED = 36,
	AFTER_F0 = 42,
	AFTER_F4 = 48,
};

#define STATE_BITS 0x3f

#define ROW(between, one_more, two_more, three_more, after_e0, after_ed, after_f0, after_f4) \
	((uint64_t)(between) << BETWEEN | (uint64_t)BAD << BAD |                             \
	 (uint64_t)(one_more) << ONE_MORE | (uint64_t)(two_more) << TWO_MORE |               \
	 (uint64_t)(three_more) << THREE_MORE | (uint64_t)(after_e0) << AFTER_E0 |           \
	 (uint64_t)(after_ed) << AFTER_ED | (uint64_t)(after_f0) << AFTER_F0 |               \
	 (uint64_t)(after_f4) << AFTER_F4)
#define LEAD(next) ROW(next, BAD, BAD, BAD, BAD, BAD, BAD, BAD)

/*
 * Unicode table 3-7, the same as RFC 3629 s4. E0 and F0 shut out overlong forms, ED surrogates, F4
 * what lies above U+10FFFF.
 */
static const uint64_t rows[256] = {
    [0x00 ... 0x7f] = LEAD(BETWEEN),
    [0x80 ... 0x8f] = ROW(BAD, BETWEEN, ONE_MORE, TWO_MORE, BAD, ONE_MORE, BAD, TWO_MORE),
    [0x90 ... 0x9f] = ROW(BAD, BETWEEN, ONE_MORE, TWO_MORE, BAD, ONE_MORE, TWO_MORE, BAD),
    [0xa0 ... 0xbf] = ROW(BAD, BETWEEN, ONE_MORE, TWO_MORE, ONE_MORE, BAD, TWO_MORE, BAD),
    [0xc0 ... 0xc1] = LEAD(BAD),
    [0xc2 ... 0xdf] = LEAD(ONE_MORE),
    [0xe0] = LEAD(AFTER_E0),
    [0xe1 ... 0xec] = LEAD(TWO_MORE),
    [0xed] = LEAD(AFTER_ED),
    [0xee ... 0xef] = LEAD(TWO_MORE),
    [0xf0] = LEAD(AFTER_F0),
    [0xf1 ... 0xf3] = LEAD(THREE_MORE),
    [0xf4] = LEAD(AFTER_F4),
    [0xf5 ... 0xff] = LEAD(BAD),
};

/* What is above the state's bits in @state is another row's rest and means nothing. */
static inline uint64_t step(uint64_t state, uint8_t byte)
{
	return rows[byte] >> (state & STATE_BITS);
}

#define BLOCK 32u

static inline bool is_ascii_block(const uint8_t *data)
{
#if defined(__SSE2__)
	__m128i a = _mm_loadu_si128((const __m128i *)(const void *)data);
	__m128i b = _mm_loadu_si128((const __m128i *)(const void *)(data + 16));

	return _mm_movemask_epi8(_mm_or_si128(a, b)) == 0;
#elif defined(__aarch64__)
	return vmaxvq_u8(vorrq_u8(vld1q_u8(data), vld1q_u8(data + 16))) < 0x80;
#else
	uint64_t words[BLOCK / sizeof(uint64_t)];

	memcpy(words, data, sizeof(words));
	return ((words[0] | words[1] | words[2] | words[3]) & UINT64_C(0x8080808080808080)) == 0;
#endif
}

/* Return: how many bytes at the front are ASCII, or fewer: only whole words are counted. */
static inline size_t skip_ascii(const uint8_t *data, size_t len)
{
	size_t i = 0;

	while (len - i >= BLOCK && is_ascii_block(data + i))
		i += BLOCK;
	while (len - i >= sizeof(uint64_t)) {
		uint64_t word;

		memcpy(&word, data + i, sizeof(word));
		if (word & UINT64_C(0x8080808080808080))
			break;
		i += sizeof(word);
	}
	return i;
}

static size_t first_bad(uint64_t state, const uint8_t *data)
{
	size_t i = 0;

	while ((state = step(state, data[i]) & STATE_BITS) != BAD)
		i++;
	return i;
}

void utf8_init(struct utf8_state *s)
{
	s->state = BETWEEN;
}

int utf8_feed(struct utf8_state *s, const uint8_t *data, size_t len, size_t *ret_bad)
{
	uint64_t state = s->state;
	size_t i = 0;

	while (i < len) {
		uint64_t before = state;
		size_t start, end;

		if (state == BETWEEN)
			i += skip_ascii(data + i, len - i);
		start = i;
		end = MIN(len, i + BLOCK);
		for (; i < end; i++)
			state = step(state, data[i]);
		state &= STATE_BITS;
		if (unlikely(state == BAD)) {
			if (ret_bad)
				*ret_bad = start + first_bad(before, data + start);
			return -EILSEQ;
		}
	}
	s->state = (uint8_t)state;
	return 0;
}

bool utf8_is_complete(const struct utf8_state *s)
{
	return s->state == BETWEEN;
}
