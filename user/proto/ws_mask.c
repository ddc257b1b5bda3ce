/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/ws_mask.h"

/*
 * The same loop in two widths of the compiler's vector types. 16 bytes are the baseline: SSE2 on
 * x86-64, NEON on arm64, 64-bit words elsewhere. 32 bytes are AVX2, chosen at run time by one load
 * and one predictable branch for each call: cheaper than an indirect call, and unlike an ifunc it
 * asks nothing of the loader (static and sanitized programs). 64 bytes (AVX-512) brought nothing
 * on Zen 4, which stores 32 bytes a cycle; `build/micro-frames` shows the widths side by side.
 */
typedef uint64_t vector_16 __attribute__((vector_size(16), aligned(1), may_alias));
typedef uint64_t vector_32 __attribute__((vector_size(32), aligned(1), may_alias));
typedef uint64_t word __attribute__((aligned(1), may_alias));
typedef uint32_t half_word __attribute__((aligned(1), may_alias));

/* The mask twice, so that the first byte in memory is the one for payload byte @offset. */
static uint64_t mask_word(const uint8_t mask[4], uint64_t offset)
{
	unsigned int bits = 8 * (offset & 3);
	uint32_t m;

	memcpy(&m, mask, sizeof(m));
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	m = m >> bits | m << (-bits & 31);
#else
	m = m << bits | m >> (-bits & 31);
#endif
	return (uint64_t)m << 32 | m;
}

/* Every step but the last is a multiple of the mask's length, so that @m fits each of them. */
static inline void xor_words(uint8_t *data, size_t len, uint64_t m)
{
	for (; len >= sizeof(word); data += sizeof(word), len -= sizeof(word))
		*(word *)data ^= m;
	if (len & sizeof(half_word)) {
		*(half_word *)data ^= (uint32_t)m;
		data += sizeof(half_word);
	}
	for (size_t i = 0; i < (len & 3); i++)
		data[i] ^= ((const uint8_t *)&m)[i];
}

static void apply_16(uint8_t *data, size_t len, const uint8_t mask[4], uint64_t offset)
{
	uint64_t m = mask_word(mask, offset);
	const vector_16 wide = {m, m};

	for (; len >= 4 * sizeof(wide); data += 4 * sizeof(wide), len -= 4 * sizeof(wide)) {
		vector_16 *v = (vector_16 *)data;

		v[0] ^= wide;
		v[1] ^= wide;
		v[2] ^= wide;
		v[3] ^= wide;
	}
	for (; len >= sizeof(wide); data += sizeof(wide), len -= sizeof(wide))
		*(vector_16 *)data ^= wide;
	xor_words(data, len, m);
}

#if defined(__x86_64__)
__attribute__((target("avx2"))) static void apply_32(uint8_t *data, size_t len,
						     const uint8_t mask[4], uint64_t offset)
{
	uint64_t m = mask_word(mask, offset);
	const vector_32 wide = {m, m, m, m};

	for (; len >= 4 * sizeof(wide); data += 4 * sizeof(wide), len -= 4 * sizeof(wide)) {
		vector_32 *v = (vector_32 *)data;

		v[0] ^= wide;
		v[1] ^= wide;
		v[2] ^= wide;
		v[3] ^= wide;
	}
	for (; len >= sizeof(wide); data += sizeof(wide), len -= sizeof(wide))
		*(vector_32 *)data ^= wide;
	xor_words(data, len, m);
}

static bool has_avx2(void)
{
	return __builtin_cpu_supports("avx2");
}
#endif

void ws_mask_apply(uint8_t *data, size_t len, const uint8_t mask[4], uint64_t offset)
{
#if defined(__x86_64__)
	if (likely(has_avx2())) {
		apply_32(data, len, mask, offset);
		return;
	}
#endif
	apply_16(data, len, mask, offset);
}

void ws_mask_apply_scalar(uint8_t *data, size_t len, const uint8_t mask[4], uint64_t offset)
{
	/* RFC 6455 s5.3: octet i is XORed with octet (i modulo 4) of the key. */
	for (size_t i = 0; i < len; i++)
		data[i] ^= mask[(offset + i) & 3];
}

const struct ws_mask_variant *ws_mask_variant_at(size_t index)
{
	static const struct ws_mask_variant variants[] = {
	    {"scalar", ws_mask_apply_scalar},
	    {"16 bytes", apply_16},
#if defined(__x86_64__)
	    {"32 bytes", apply_32},
#endif
	};
	size_t n = ARRAY_SIZE(variants);

#if defined(__x86_64__)
	if (!has_avx2())
		n--;
#endif
	return index < n ? &variants[index] : NULL;
}
