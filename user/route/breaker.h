/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A circuit breaker (Nygard, Release It!): a cluster that mostly fails is left alone for a time, so
 * that requests fail at once instead of after their timeouts, and the cluster can recover.
 *
 *            enough requests ended in the window,
 *            and enough of them failed
 *   CLOSED ---------------------------------------> OPEN <----------.
 *      ^                                             |              | one trial failed
 *      |                              open_ns passed |              |
 *      |                                             v              |
 *      '---------------------------------------- HALF_OPEN ---------'
 *                  all trials succeeded
 *
 * Any thread may use it; its lock is held for a few dozen instructions, once or twice a request.
 */
#pragma once
#include "base/std.h"

#include <pthread.h>
#include <stdatomic.h>

#define BREAKER_BUCKETS 10u

enum breaker_state {
	BREAKER_CLOSED,
	BREAKER_OPEN,
	BREAKER_HALF_OPEN,
	BREAKER_STATES,
};

/* How a request ended. */
enum breaker_outcome {
	BREAKER_NEITHER, /* the cluster has nothing to do with it: the client left */
	BREAKER_OK,
	BREAKER_FAILED,
};

/* From the configuration, which may change while the breaker lives. */
struct breaker_rules {
	uint16_t failure_ratio; /* percent; 0 = off */
	uint32_t min_requests;  /* 1.. */
	uint32_t probes;        /* 1.. */
	uint64_t window_ns, open_ns;
};

struct breaker_bucket {
	uint64_t number; /* of its tenth of a window */
	uint32_t n_ok, n_failed;
};

struct breaker {
	pthread_mutex_t lock;
	_Atomic uint8_t state; /* enum breaker_state; written under the lock, likewise all below */
	uint64_t phase;        /* grows with each transition; results of earlier phases are void */
	uint64_t open_until_ns;
	uint64_t window_ns;             /* of the buckets' numbers */
	uint32_t n_trials, n_succeeded; /* HALF_OPEN: let through and not ended badly; ended well */
	struct breaker_bucket buckets[BREAKER_BUCKETS]; /* CLOSED */
};

struct breaker_admission {
	bool is_admitted;
	int entered;       /* enum breaker_state if this call changed it, or -1 */
	uint64_t phase;    /* admitted: for breaker_report() */
	uint64_t retry_ns; /* refused: how long to wait */
};

void breaker_init(struct breaker *breaker);
void breaker_done(struct breaker *breaker);
/** breaker_admit() - whether a request may go on; each that may is reported once */
struct breaker_admission breaker_admit(struct breaker *breaker, const struct breaker_rules *rules,
				       uint64_t now_ns);
/**
 * breaker_report() - how a request ended that was admitted in @phase
 *
 * Return: enum breaker_state if this changed it, or -1.
 */
int breaker_report(struct breaker *breaker, const struct breaker_rules *rules, uint64_t phase,
		   enum breaker_outcome outcome, uint64_t now_ns);
enum breaker_state breaker_state(const struct breaker *breaker);
/** breaker_state_name() - "closed", "open" or "half_open" */
const char *breaker_state_name(enum breaker_state state);
