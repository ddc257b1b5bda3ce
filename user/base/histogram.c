/* SPDX-License-Identifier: Apache-2.0 */
#include "base/histogram.h"

#include <float.h>

#define SUB_COUNT (1u << HISTOGRAM_SUB_BITS)

/*
 * Values below SUB_COUNT have a bucket each. Above, the leading one selects a group of SUB_COUNT
 * buckets and the SUB_BITS bits behind it the bucket.
 */
static size_t bucket_of(uint64_t value)
{
	unsigned int shift;

	if (value < SUB_COUNT)
		return (size_t)value;
	shift = 63u - (unsigned int)__builtin_clzll(value) - HISTOGRAM_SUB_BITS;
	return ((size_t)shift << HISTOGRAM_SUB_BITS) + (size_t)(value >> shift);
}

static uint64_t bucket_upper_bound(size_t bucket)
{
	unsigned int shift;

	if (bucket < 2 * SUB_COUNT)
		return bucket;
	shift = (unsigned int)(bucket >> HISTOGRAM_SUB_BITS) - 1;
	return (((uint64_t)(bucket & (SUB_COUNT - 1)) + SUB_COUNT) << shift) +
	       ((UINT64_C(1) << shift) - 1);
}

void histogram_init(struct histogram *h)
{
	memset(h, 0, sizeof(*h));
	h->min = UINT64_MAX;
}

void histogram_record(struct histogram *h, uint64_t value)
{
	h->count++;
	h->sum += value;
	h->min = MIN(h->min, value);
	h->max = MAX(h->max, value);
	h->buckets[bucket_of(value)]++;
}

void histogram_merge(struct histogram *h, const struct histogram *from)
{
	h->count += from->count;
	h->sum += from->sum;
	h->min = MIN(h->min, from->min);
	h->max = MAX(h->max, from->max);
	for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++)
		h->buckets[i] += from->buckets[i];
}

/*
 * ceil(q * count), the rank of the value asked for. The product is first taken down by more than
 * its rounding error: 0.07 * 100 is a little above 7, but asks for the 7th value and not for the
 * 8th.
 */
static uint64_t rank_of(double q, uint64_t count)
{
	double product = q * (double)count * (1 - 2 * DBL_EPSILON);
	uint64_t rank = (uint64_t)product;

	rank += (double)rank < product;
	return MIN(MAX(rank, 1), count);
}

uint64_t histogram_quantile(const struct histogram *h, double q)
{
	uint64_t rank, seen = 0;
	size_t bucket = 0;

	assert(q > 0 && q <= 1);
	if (h->count == 0)
		return 0;
	rank = rank_of(q, h->count);
	while ((seen += h->buckets[bucket]) < rank)
		bucket++;
	return MIN(bucket_upper_bound(bucket), h->max);
}
