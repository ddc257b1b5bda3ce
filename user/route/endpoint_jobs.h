/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is done for every endpoint of the generation in force again and again: checks of health,
 * resolution of names. On the main thread's loop, at intervals with jitter, so that ten thousand
 * endpoints do not beat together; and a bounded number at a time, while what is due beyond waits
 * in line.
 */
#pragma once
#include "base/hash.h"
#include "base/list.h"
#include "base/random.h"
#include "base/std.h"
#include "base/timer.h"
#include "core/config.h"

#include <ev.h>

struct endpoint;
struct endpoint_jobs;
struct generation;
struct routing;

/* For who embeds it, as the first member, zeroed at the start. */
struct endpoint_job {
	struct endpoint *endpoint;           /* one reference */
	const struct config_cluster *config; /* of the generation in force */
	struct endpoint_jobs *jobs;
	/* private to endpoint_jobs.c */
	struct hash_node by_endpoint;
	struct list node, waiting; /* an empty list of its own while it does not wait */
	struct timer timer;        /* to the next run */
	uint64_t interval_ms;      /* that the timer was armed for */
	uint64_t began_ns;
	unsigned int round; /* of following that met it last */
	bool is_running;
};

struct endpoint_jobs_ops {
	const char *what; /* "health checks" */
	size_t job_size;  /* of the struct that embeds endpoint_job */
	unsigned int max_running;
	bool is_first_at_once; /* else the first run is anywhere in the first interval */
	/* From the start of a run to that of the next; 0 = there is no such job. */
	uint64_t (*interval_ms)(const struct config_cluster *config,
				const struct endpoint *endpoint);
	/* Return: whether it is on its way, until endpoint_job_done(); else it is over already. */
	bool (*start)(struct endpoint_job *job);
	/* Of one that is on its way: nothing may come of it. */
	void (*cancel)(struct endpoint_job *job);
	/* The endpoint stays, but has the job no longer; NULL = nothing to do. */
	void (*forget)(struct endpoint_job *job);
};

struct endpoint_jobs {
	const struct endpoint_jobs_ops *ops;
	size_t n_jobs, n_running, n_waiting; /* to read */
	/* private to endpoint_jobs.c */
	struct ev_loop *loop;
	struct generation *generation; /* in force; one reference, or NULL */
	struct hash_key hash_key;
	struct hash_table by_endpoint;
	struct list list, waiting;
	struct random_fast random;
	unsigned int round;
};

/** endpoint_jobs_init() - with nothing to do; @ops are kept */
void endpoint_jobs_init(struct endpoint_jobs *jobs, struct ev_loop *loop,
			const struct endpoint_jobs_ops *ops);
/** endpoint_jobs_done() - cancels what is on its way */
void endpoint_jobs_done(struct endpoint_jobs *jobs);

/**
 * endpoint_jobs_follow() - from now on for the endpoints of @routing, as it says
 *
 * Jobs of endpoints that were there before go on; those of others are cancelled and forgotten.
 * Without memory for a job its endpoint has none (logged).
 */
void endpoint_jobs_follow(struct endpoint_jobs *jobs, struct routing *routing);

/** endpoint_job_done() - of one that was on its way; its struct may be gone when this returns */
void endpoint_job_done(struct endpoint_job *job);

/** endpoint_jobs_first_delay_ms() - anywhere in the interval: 0..@interval_ms - 1 */
uint64_t endpoint_jobs_first_delay_ms(uint64_t interval_ms, struct random_fast *random);
/**
 * endpoint_jobs_next_delay_ms() - to the start of the next run, @took_ms after the start of this
 *
 * Return: @interval_ms, a tenth less or more, less @took_ms; 0 if that is over.
 */
uint64_t endpoint_jobs_next_delay_ms(uint64_t interval_ms, uint64_t took_ms,
				     struct random_fast *random);
