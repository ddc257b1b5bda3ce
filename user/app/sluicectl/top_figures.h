/* SPDX-License-Identifier: Apache-2.0 */
/* What two answers to the command top say of the workers between them. Pure. */
#pragma once
#include "base/std.h"

#include <jansson.h>

struct top_workers {
	size_t n;
	bool is_known;          /* there are two answers, of the same daemon */
	double busy, busy_most; /* share of the time: of all, and of the busiest one */
	long long busiest;      /* which that is */
	uint64_t
	    lag_p99_us;     /* of the turns of the loop, in the worst of them: the upper bound of */
	long long laggiest; /* its bucket; UINT64_MAX = above the last one */
	uint64_t n_queued;  /* items of ordinary work that wait, now */
};

/** top_workers_compare() - @before may be NULL */
void top_workers_compare(const json_t *before, const json_t *now, struct top_workers *ret_workers);
