/* SPDX-License-Identifier: Apache-2.0 */
#include "app/sluicectl/top_figures.h"

#include "base/clock.h"
#include "core/loop_lag.h"

static uint64_t number(const json_t *object, const char *key)
{
	return (uint64_t)json_integer_value(json_object_get(object, key));
}

static uint64_t grown(const json_t *before, const json_t *now, const char *key)
{
	uint64_t then = number(before, key), value = number(now, key);

	return value > then ? value - then : 0;
}

/* Of the turns since @before, as the daemon would say it of all turns. */
static uint64_t lag_p99_us(const json_t *before, const json_t *now)
{
	const json_t *then = json_object_get(before, "turns_by_lag");
	const json_t *counts = json_object_get(now, "turns_by_lag");
	struct loop_lag lag = {0};
	uint64_t ns;

	for (size_t i = 0; i < ARRAY_SIZE(lag.counts); i++)
		lag.counts[i] = (uint64_t)(json_integer_value(json_array_get(counts, i)) -
					   json_integer_value(json_array_get(then, i)));
	ns = loop_lag_quantile_ns(&lag, 99, 100);
	return ns == UINT64_MAX ? ns : ns / NS_PER_US;
}

/* A daemon that was started in between counts from 0 again. */
static bool is_same_daemon(const json_t *before, const json_t *now)
{
	return before && number(now, "uptime_ms") > number(before, "uptime_ms") &&
	       json_array_size(json_object_get(before, "workers")) ==
		   json_array_size(json_object_get(now, "workers"));
}

static void compare_one(struct top_workers *workers, const json_t *before, const json_t *now,
			double elapsed_us)
{
	double busy = MIN((double)grown(before, now, "busy_us") / elapsed_us, 1.0);
	long long index = json_integer_value(json_object_get(now, "worker"));
	uint64_t lag_us = lag_p99_us(before, now);

	workers->busy += busy / (double)workers->n;
	if (busy >= workers->busy_most) {
		workers->busy_most = busy;
		workers->busiest = index;
	}
	if (lag_us >= workers->lag_p99_us) {
		workers->lag_p99_us = lag_us;
		workers->laggiest = index;
	}
}

void top_workers_compare(const json_t *before, const json_t *now, struct top_workers *ret_workers)
{
	const json_t *list = json_object_get(now, "workers"), *worker;
	uint64_t elapsed_us = grown(before, now, "clock_us");
	size_t i;

	*ret_workers = (struct top_workers){
	    .n = json_array_size(list),
	    .is_known = is_same_daemon(before, now) && elapsed_us > 0,
	};
	json_array_foreach(list, i, worker)
	{
		ret_workers->n_queued += number(worker, "queued");
		if (ret_workers->is_known)
			compare_one(ret_workers,
				    json_array_get(json_object_get(before, "workers"), i), worker,
				    (double)elapsed_us);
	}
}
