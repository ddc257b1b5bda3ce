/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/utf8.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

#define CONTINUATION_LOW  0x80
#define CONTINUATION_HIGH 0xbf

/*
 * What a lead byte asks for (Unicode 15 table 3-7, the same as RFC 3629 s4): the number of
 * continuation bytes and the range of the first of them. The narrowed ranges shut out overlong
 * forms (E0, F0), surrogates (ED) and what lies above U+10FFFF (F4); need 0 is no lead byte.
 */
static struct utf8_state after_lead(uint8_t lead)
{
	struct utf8_state s = {.low = CONTINUATION_LOW, .high = CONTINUATION_HIGH};

	if (lead < 0xc2 || lead > 0xf4)
		return s;
	if (lead < 0xe0) {
		s.need = 1;
	} else if (lead < 0xf0) {
		s.need = 2;
		if (lead == 0xe0)
			s.low = 0xa0;
		else if (lead == 0xed)
			s.high = 0x9f;
	} else {
		s.need = 3;
		if (lead == 0xf0)
			s.low = 0x90;
		else if (lead == 0xf4)
			s.high = 0x8f;
	}
	return s;
}

/* Return: how many bytes at the front are ASCII. */
static size_t ascii_prefix(const uint8_t *data, size_t len)
{
	size_t i = 0;

#if defined(__SSE2__)
	for (; len - i >= 32; i += 32) {
		__m128i a = _mm_loadu_si128((const __m128i *)(const void *)(data + i));
		__m128i b = _mm_loadu_si128((const __m128i *)(const void *)(data + i + 16));
		uint32_t high;

		if (likely(_mm_movemask_epi8(_mm_or_si128(a, b)) == 0))
			continue;
		high = (uint32_t)_mm_movemask_epi8(a) | (uint32_t)_mm_movemask_epi8(b) << 16;
		return i + (size_t)__builtin_ctz(high);
	}
#elif defined(__aarch64__)
	for (; len - i >= 32; i += 32) {
		uint8x16_t either = vorrq_u8(vld1q_u8(data + i), vld1q_u8(data + i + 16));

		if (vmaxvq_u8(either) & 0x80)
			break;
	}
#endif
	for (; len - i >= sizeof(uint64_t); i += sizeof(uint64_t)) {
		uint64_t word;

		memcpy(&word, data + i, sizeof(word));
		if (word & UINT64_C(0x8080808080808080))
			break;
	}
	while (i < len && data[i] < 0x80)
		i++;
	return i;
}

/* Return: how many of the @n bytes at @data continue @s; @s is left after the last of them. */
static size_t continue_character(struct utf8_state *s, const uint8_t *data, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++) {
		if (data[i] < s->low || data[i] > s->high)
			break;
		s->need--;
		s->low = CONTINUATION_LOW;
		s->high = CONTINUATION_HIGH;
	}
	return i;
}

static int fail_at(size_t offset, size_t *ret_bad)
{
	if (ret_bad)
		*ret_bad = offset;
	return -EILSEQ;
}

void utf8_init(struct utf8_state *s)
{
	*s = (struct utf8_state){0};
}

int utf8_feed(struct utf8_state *s, const uint8_t *data, size_t len, size_t *ret_bad)
{
	size_t i = 0;

	while (i < len) {
		size_t n, good;

		if (s->need == 0) {
			if (data[i] < 0x80) {
				i += ascii_prefix(data + i, len - i);
				continue;
			}
			*s = after_lead(data[i]);
			if (s->need == 0)
				return fail_at(i, ret_bad);
			i++;
		}
		n = MIN(s->need, len - i);
		good = continue_character(s, data + i, n);
		i += good;
		if (good < n)
			return fail_at(i, ret_bad);
	}
	return 0;
}

bool utf8_is_complete(const struct utf8_state *s)
{
	return s->need == 0;
}
