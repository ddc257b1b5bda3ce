/* SPDX-License-Identifier: Apache-2.0 */
#include "base/histogram.h"

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

uint64_t histogram_quantile(const struct histogram *h, double q)
{
	double wanted = q * (double)h->count;
	uint64_t seen = 0;

	if (h->count == 0)
		return 0;
	for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
		seen += h->buckets[i];
		if (seen > 0 && (double)seen >= wanted)
			return MIN(bucket_upper_bound(i), h->max);
	}
	return h->max;
}
