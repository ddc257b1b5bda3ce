/* SPDX-License-Identifier: Apache-2.0 */
/* Two kinds of randomness: the kernel's for what peers must not guess, xoshiro for everything else.
 */
#pragma once
#include "base/std.h"

/**
 * random_secure() - from getrandom(2); aborts if the kernel has none
 *
 * Buffered per thread; a forked child does not inherit the buffer.
 */
void random_secure(void *ret_bytes, size_t len);

/* xoshiro256** (Blackman and Vigna): fast, seedable, repeatable; not for secrets. */
struct random_fast {
	uint64_t s[4];
};

void random_fast_seed(struct random_fast *r, uint64_t seed);
uint64_t random_fast_next(struct random_fast *r);
/** random_fast_below() - uniform in 0..@bound-1, @bound >= 1 */
uint64_t random_fast_below(struct random_fast *r, uint64_t bound);
/** random_fast_fill() - @len bytes */
void random_fast_fill(struct random_fast *r, void *ret_bytes, size_t len);
