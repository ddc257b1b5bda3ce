/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Log-linear histogram of 64-bit values (durations in ns): 64 sub-buckets for each power of two,
 * hence at most 1/64 (1.6 %) error at any quantile, over the whole range. Fixed size, no
 * allocation; one writer. As HdrHistogram (Tene).
 */
#pragma once
#include "base/std.h"

#define HISTOGRAM_SUB_BITS 6
#define HISTOGRAM_BUCKETS  ((64 - HISTOGRAM_SUB_BITS + 1) << HISTOGRAM_SUB_BITS)

struct histogram {
	uint64_t count, sum, min, max; /* min is UINT64_MAX while count is 0 */
	uint64_t buckets[HISTOGRAM_BUCKETS];
};

void histogram_init(struct histogram *h);
void histogram_record(struct histogram *h, uint64_t value);
/** histogram_merge() - add all of @from to @h */
void histogram_merge(struct histogram *h, const struct histogram *from);
/**
 * histogram_quantile() - smallest recorded value that @q (0..1] of the values do not exceed
 *
 * Return: an upper bound of the bucket, at most max; 0 for an empty histogram.
 */
uint64_t histogram_quantile(const struct histogram *h, double q);
