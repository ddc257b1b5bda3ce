/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rate limit: so many tokens a second, and as many at once after a quiet second. Kept as one time,
 * that at which the bucket will be full again (the "theoretical arrival time" of GCRA, ITU-T
 * I.371), so there is nothing to refill and nothing to round. Pure: the caller tells the time.
 */
#pragma once
#include "base/clock.h"
#include "base/std.h"

struct token_bucket {
	uint64_t interval_ns; /* from token to token; 0 = no limit */
	uint64_t size_ns;     /* time to fill an empty bucket */
	uint64_t full_at_ns;
};

/** token_bucket_init() - a full bucket; @per_s tokens a second, 0 = no limit */
static inline void token_bucket_init(struct token_bucket *b, uint32_t per_s)
{
	uint64_t interval_ns = per_s ? NS_PER_S / per_s : 0;

	*b = (struct token_bucket){.interval_ns = interval_ns, .size_ns = interval_ns * per_s};
}

/** token_bucket_take() - take a token at @now_ns (monotonic). Return: whether there was one */
static inline bool token_bucket_take(struct token_bucket *b, uint64_t now_ns)
{
	uint64_t full_at_ns = MAX(b->full_at_ns, now_ns) + b->interval_ns;

	if (full_at_ns - now_ns > b->size_ns)
		return false;
	b->full_at_ns = full_at_ns;
	return true;
}
