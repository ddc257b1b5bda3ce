/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rate limit: so many tokens a second, and a burst at once after a quiet time. Kept as one time,
 * that at which the bucket will be full again (the "theoretical arrival time" of GCRA, ITU-T
 * I.371), so there is nothing to refill. Pure: the caller tells the time.
 *
 * Who can leave something undone takes a token first. Who has already done it is charged: the
 * bucket may be overdrawn, and nothing further should be done until that is paid.
 */
#pragma once
#include "base/clock.h"
#include "base/std.h"

/* Of tokens that are counted at once: their time must fit in 64 bits. */
#define TOKEN_BUCKET_BURST_MAX (UINT64_C(1) << 33)

struct token_bucket {
	uint64_t per_s; /* 0 = no limit */
	uint64_t burst; /* what a full bucket holds */
	uint64_t full_at_ns;
};

/** token_bucket_init() - a full bucket of @burst (1..TOKEN_BUCKET_BURST_MAX); @per_s: tokens a
 *  second, 0 = no limit */
static inline void token_bucket_init(struct token_bucket *b, uint64_t per_s, uint64_t burst)
{
	assert(burst <= TOKEN_BUCKET_BURST_MAX);
	*b = (struct token_bucket){.per_s = per_s, .burst = burst};
}

static inline uint64_t token_bucket_cost_ns(const struct token_bucket *b, uint64_t n)
{
	return n * NS_PER_S / b->per_s;
}

/** token_bucket_take() - take a token at @now_ns (monotonic). Return: whether there was one */
static inline bool token_bucket_take(struct token_bucket *b, uint64_t now_ns)
{
	uint64_t interval_ns, full_at_ns;

	if (b->per_s == 0)
		return true;
	interval_ns = token_bucket_cost_ns(b, 1);
	full_at_ns = MAX(b->full_at_ns, now_ns) + interval_ns;
	if (full_at_ns - now_ns > b->burst * interval_ns)
		return false;
	b->full_at_ns = full_at_ns;
	return true;
}

/**
 * token_bucket_charge() - take @n tokens (up to TOKEN_BUCKET_BURST_MAX), there or not
 *
 * Return: ns until nothing is owed any more; 0 if nothing is.
 */
static inline uint64_t token_bucket_charge(struct token_bucket *b, uint64_t n, uint64_t now_ns)
{
	uint64_t size_ns;

	assert(n <= TOKEN_BUCKET_BURST_MAX);
	if (b->per_s == 0)
		return 0;
	size_ns = token_bucket_cost_ns(b, b->burst);
	b->full_at_ns = MAX(b->full_at_ns, now_ns) + token_bucket_cost_ns(b, n);
	return b->full_at_ns - now_ns > size_ns ? b->full_at_ns - now_ns - size_ns : 0;
}

/** token_bucket_level() - tokens that are there at @now_ns; UINT64_MAX without a limit */
static inline uint64_t token_bucket_level(const struct token_bucket *b, uint64_t now_ns)
{
	uint64_t missing_ns = b->full_at_ns > now_ns ? b->full_at_ns - now_ns : 0, size_ns;

	if (b->per_s == 0)
		return UINT64_MAX;
	size_ns = token_bucket_cost_ns(b, b->burst);
	/* No more than what its burst made it of: it fits. */
	return missing_ns < size_ns ? (size_ns - missing_ns) * b->per_s / NS_PER_S : 0;
}
