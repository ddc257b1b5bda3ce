/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Checks the health of the endpoints of the generation in force, on the main thread's loop. At
 * most HEALTH_PROBES_MAX probes are on their way at a time; what is due beyond waits in line.
 */
#pragma once
#include "base/std.h"

#include <ev.h>

#define HEALTH_PROBES_MAX 256u

struct health_checker;
struct routing;

struct health_checker_stats {
	size_t n_checked;          /* endpoints */
	size_t n_running;          /* probes */
	size_t n_waiting;          /* endpoints whose check is due */
	uint64_t n_good, n_failed; /* probes since the start */
};

/** health_checker_new() - with nothing to check. Return: 0 or -ENOMEM */
int health_checker_new(struct ev_loop *loop, struct health_checker **ret_checker);
/** health_checker_free() - NULL is fine */
void health_checker_free(struct health_checker *checker);

/**
 * health_checker_follow() - from now on check the endpoints of @routing, as it says
 *
 * Checks of endpoints that were there before go on, with what they know; those of others end, and
 * an endpoint that is checked no longer is of unknown health. Without memory for a check that
 * endpoint has none (logged).
 */
void health_checker_follow(struct health_checker *checker, struct routing *routing);

void health_checker_stats(const struct health_checker *checker,
			  struct health_checker_stats *ret_stats);
