/* SPDX-License-Identifier: Apache-2.0 */
/* The distribution of message sizes: one size, a uniform range, or a weighted mix of both. Pure. */
#pragma once
#include "base/std.h"

#define SIZE_MIX_MAX   16           /* entries */
#define SIZE_BYTES_MAX (1ull << 30) /* of one message */

struct size_mix_entry {
	uint64_t min, max;    /* bytes, inclusive */
	uint64_t weight_upto; /* sum of the weights of this entry and of those before it */
};

struct size_mix {
	struct size_mix_entry entries[SIZE_MIX_MAX];
	size_t n; /* >= 1 */
};

/** size_mix_parse_size() - "64", "1k" or "64-16k". Return: 0, -EINVAL or -ERANGE */
int size_mix_parse_size(const char *text, struct size_mix *ret_mix);
/**
 * size_mix_parse_mix() - "64:70,1k-2k:20,16k:10": sizes with weights, 1..10^6 each
 *
 * Return: 0, -EINVAL (form, or no entry), -ERANGE (a size or weight), -E2BIG (too many entries).
 */
int size_mix_parse_mix(const char *text, struct size_mix *ret_mix);
/** size_mix_pick() - the size that the 64 uniform random bits @random choose */
uint64_t size_mix_pick(const struct size_mix *mix, uint64_t random);
/** size_mix_largest() - bytes */
uint64_t size_mix_largest(const struct size_mix *mix);
