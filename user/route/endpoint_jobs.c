/* SPDX-License-Identifier: Apache-2.0 */
#include "route/endpoint_jobs.h"

#include "base/clock.h"
#include "base/log.h"
#include "route/routing.h"

/* ---- when ---------------------------------------------------------------------------------- */

uint64_t endpoint_jobs_first_delay_ms(uint64_t interval_ms, struct random_fast *random)
{
	return random_fast_below(random, interval_ms);
}

uint64_t endpoint_jobs_next_delay_ms(uint64_t interval_ms, uint64_t took_ms,
				     struct random_fast *random)
{
	uint64_t tenth_ms = interval_ms / 10;
	uint64_t delay_ms = interval_ms - tenth_ms + random_fast_below(random, 2 * tenth_ms + 1);

	return delay_ms > took_ms ? delay_ms - took_ms : 0;
}

static void arm(struct endpoint_job *job, uint64_t interval_ms, uint64_t delay_ms)
{
	job->interval_ms = interval_ms;
	timer_arm(&job->timer, delay_ms);
}

static void arm_first(struct endpoint_job *job, uint64_t interval_ms)
{
	uint64_t delay_ms = job->jobs->ops->is_first_at_once
				? 0
				: endpoint_jobs_first_delay_ms(interval_ms, &job->jobs->random);

	arm(job, interval_ms, delay_ms);
}

static void arm_next(struct endpoint_job *job)
{
	uint64_t interval_ms = job->jobs->ops->interval_ms(job->config, job->endpoint);
	uint64_t took_ms = (clock_monotonic_ns() - job->began_ns) / NS_PER_MS;

	arm(job, interval_ms,
	    endpoint_jobs_next_delay_ms(interval_ms, took_ms, &job->jobs->random));
}

/* ---- running ------------------------------------------------------------------------------- */

static void start(struct endpoint_job *job)
{
	job->began_ns = clock_monotonic_ns();
	job->is_running = job->jobs->ops->start(job);
	if (job->is_running)
		job->jobs->n_running++;
	else
		arm_next(job);
}

static void start_waiting(struct endpoint_jobs *jobs)
{
	while (jobs->n_running < jobs->ops->max_running && !list_is_empty(&jobs->waiting)) {
		struct endpoint_job *job =
		    list_entry(jobs->waiting.next, struct endpoint_job, waiting);

		list_remove(&job->waiting);
		jobs->n_waiting--;
		start(job);
	}
}

void endpoint_job_done(struct endpoint_job *job)
{
	job->is_running = false;
	job->jobs->n_running--;
	arm_next(job);
	start_waiting(job->jobs);
}

static void due_cb(struct timer *timer)
{
	struct endpoint_job *job = container_of(timer, struct endpoint_job, timer);

	list_append(&job->jobs->waiting, &job->waiting);
	job->jobs->n_waiting++;
	start_waiting(job->jobs);
}

/* ---- following ----------------------------------------------------------------------------- */

static uint64_t endpoint_hash(const struct endpoint_jobs *jobs, const struct endpoint *endpoint)
{
	return hash_u64(&jobs->hash_key, (uintptr_t)endpoint);
}

static struct endpoint_job *find(const struct endpoint_jobs *jobs, const struct endpoint *endpoint)
{
	for (struct hash_node *node =
		 hash_table_first(&jobs->by_endpoint, endpoint_hash(jobs, endpoint));
	     node; node = hash_table_next(node)) {
		struct endpoint_job *job = container_of(node, struct endpoint_job, by_endpoint);

		if (job->endpoint == endpoint)
			return job;
	}
	return NULL;
}

static struct endpoint_job *job_new(struct endpoint_jobs *jobs, struct endpoint *endpoint)
{
	struct endpoint_job *job = calloc(1, jobs->ops->job_size);

	if (!job || hash_table_insert(&jobs->by_endpoint, &job->by_endpoint,
				      endpoint_hash(jobs, endpoint)) < 0) {
		log_error("cluster \"%s\": endpoint \"%s\": no %s: out of memory",
			  endpoint->cluster, endpoint->name, jobs->ops->what);
		free(job);
		return NULL;
	}
	job->jobs = jobs;
	job->endpoint = endpoint_ref(endpoint);
	timer_init(&job->timer, jobs->loop, due_cb);
	list_init(&job->waiting);
	list_append(&jobs->list, &job->node);
	jobs->n_jobs++;
	return job;
}

static void job_free(struct endpoint_job *job)
{
	struct endpoint_jobs *jobs = job->jobs;

	if (job->is_running)
		jobs->ops->cancel(job);
	jobs->n_running -= job->is_running;
	jobs->n_waiting -= !list_is_empty(&job->waiting);
	jobs->n_jobs--;
	timer_disarm(&job->timer);
	hash_table_remove(&jobs->by_endpoint, &job->by_endpoint);
	list_remove(&job->waiting);
	list_remove(&job->node);
	endpoint_unref(job->endpoint);
	free(job);
}

static void follow_endpoint(struct endpoint_jobs *jobs, const struct config_cluster *config,
			    struct endpoint *endpoint)
{
	uint64_t interval_ms = jobs->ops->interval_ms(config, endpoint);
	struct endpoint_job *job = find(jobs, endpoint);

	if (interval_ms == 0)
		return;
	if (!job)
		job = job_new(jobs, endpoint);
	if (!job)
		return;
	job->round = jobs->round;
	job->config = config;
	/* One that is due or on its way arms the timer by the new interval itself. */
	if (job->interval_ms != interval_ms && !job->is_running && list_is_empty(&job->waiting))
		arm_first(job, interval_ms);
}

void endpoint_jobs_follow(struct endpoint_jobs *jobs, struct routing *routing)
{
	struct generation *previous = jobs->generation;

	jobs->generation = generation_ref(&routing->generation);
	jobs->round++;
	for (size_t i = 0; i < routing->config->n_clusters; i++) {
		const struct cluster *cluster = &routing->clusters[i];

		for (size_t m = 0; m < cluster->config->n_endpoints; m++)
			follow_endpoint(jobs, cluster->config, cluster->members[m].endpoint);
	}
	list_for_each_safe (node, &jobs->list) {
		struct endpoint_job *job = list_entry(node, struct endpoint_job, node);

		if (job->round == jobs->round)
			continue;
		if (jobs->ops->forget)
			jobs->ops->forget(job);
		job_free(job);
	}
	start_waiting(jobs);
	generation_unref(previous);
}

/* ---- life ---------------------------------------------------------------------------------- */

void endpoint_jobs_init(struct endpoint_jobs *jobs, struct ev_loop *loop,
			const struct endpoint_jobs_ops *ops)
{
	uint64_t seed;

	*jobs = (struct endpoint_jobs){.ops = ops, .loop = loop};
	hash_key_random(&jobs->hash_key);
	hash_table_init(&jobs->by_endpoint);
	list_init(&jobs->list);
	list_init(&jobs->waiting);
	random_secure(&seed, sizeof(seed));
	random_fast_seed(&jobs->random, seed);
}

void endpoint_jobs_done(struct endpoint_jobs *jobs)
{
	list_for_each_safe (node, &jobs->list) {
		job_free(list_entry(node, struct endpoint_job, node));
	}
	hash_table_done(&jobs->by_endpoint);
	generation_unref(jobs->generation);
}
