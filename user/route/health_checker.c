/* SPDX-License-Identifier: Apache-2.0 */
#include "route/health_checker.h"

#include "base/clock.h"
#include "base/log.h"
#include "core/events.h"
#include "proto/errors.h"
#include "route/endpoint.h"
#include "route/endpoint_jobs.h"
#include "route/health.h"
#include "route/health_probe.h"

#include <stdio.h>

struct health_checker {
	struct endpoint_jobs jobs;
	uint64_t n_good, n_failed;
};

struct check {
	struct endpoint_job job;
	struct health health;
	struct health_probe *probe; /* on its way, or NULL */
};

static struct health_checker *checker_of(const struct check *check)
{
	return container_of(check->job.jobs, struct health_checker, jobs);
}

/* ---- results ------------------------------------------------------------------------------- */

static void tell_change(const struct check *check, const char *text)
{
	const struct endpoint *endpoint = check->job.endpoint;

	events_emit(check->health.is_up ? EVENT_ENDPOINT_UP : EVENT_ENDPOINT_DOWN,
		    "{s:s, s:s, s:s}", "cluster", endpoint->cluster, "endpoint", endpoint->name,
		    "reason", text);
	if (check->health.is_up)
		log_notice("cluster \"%s\": endpoint \"%s\" is up: %s", endpoint->cluster,
			   endpoint->name, text);
	else
		log_warning("cluster \"%s\": endpoint \"%s\" is down: %s", endpoint->cluster,
			    endpoint->name, text);
}

static void take_result(struct check *check, const struct health_result *result)
{
	const struct config_cluster *config = check->job.config;
	const struct health_rules rules = {.rise = config->health.rise,
					   .fall = config->health.fall};
	uint64_t now_ns = clock_monotonic_ns();

	endpoint_set_check(check->job.endpoint, result->is_good, result->text, now_ns);
	if (result->is_good)
		checker_of(check)->n_good++;
	else
		checker_of(check)->n_failed++;
	if (!health_take(&check->health, &rules, result->is_good))
		return;
	endpoint_set_health(check->job.endpoint, check->health.is_up, now_ns);
	tell_change(check, result->text);
}

static void probe_done(void *arg, const struct health_result *result)
{
	struct check *check = arg;

	check->probe = NULL;
	/* What began before an endpoint's maintenance says nothing about it. */
	if (endpoint_state(check->job.endpoint) != ENDPOINT_MAINT)
		take_result(check, result);
	endpoint_job_done(&check->job);
}

/* ---- the job ------------------------------------------------------------------------------- */

static uint64_t interval_ms(const struct config_cluster *config, const struct endpoint *endpoint)
{
	return config->health.type == CONFIG_HEALTH_OFF ? 0 : config->health.interval_ms;
}

static int start_probe(struct check *check)
{
	char host[ENDPOINT_HOST_MAX + 1];
	struct address address;
	int error = endpoint_address(check->job.endpoint, &address);

	if (error < 0)
		return error;
	endpoint_host(check->job.endpoint, host);
	return health_probe_start(check->job.jobs->loop, check->job.config, &address, host,
				  probe_done, check, &check->probe);
}

static void forget_check(struct endpoint_job *job)
{
	struct check *check = container_of(job, struct check, job);

	check->health = (struct health){0};
	endpoint_forget_health(job->endpoint);
}

static bool start_check(struct endpoint_job *job)
{
	struct check *check = container_of(job, struct check, job);
	struct health_result result = {.is_good = false};
	int error;

	if (endpoint_state(job->endpoint) == ENDPOINT_MAINT) {
		forget_check(job);
		return false;
	}
	error = start_probe(check);
	if (error == 0)
		return true;
	if (error == -EUP_RESOLVE)
		snprintf(result.text, sizeof(result.text), "name not resolved");
	else
		snprintf(result.text, sizeof(result.text), "connect: %s", strerror(-error));
	take_result(check, &result);
	return false;
}

static void cancel_check(struct endpoint_job *job)
{
	struct check *check = container_of(job, struct check, job);

	health_probe_cancel(TAKE_PTR(check->probe));
}

static const struct endpoint_jobs_ops check_ops = {
    .what = "health checks",
    .job_size = sizeof(struct check),
    .max_running = HEALTH_PROBES_MAX,
    .interval_ms = interval_ms,
    .start = start_check,
    .cancel = cancel_check,
    .forget = forget_check,
};

/* ---- life ---------------------------------------------------------------------------------- */

int health_checker_new(struct ev_loop *loop, struct health_checker **ret_checker)
{
	struct health_checker *h = calloc(1, sizeof(*h));

	if (!h)
		return -ENOMEM;
	endpoint_jobs_init(&h->jobs, loop, &check_ops);
	*ret_checker = h;
	return 0;
}

void health_checker_free(struct health_checker *h)
{
	if (!h)
		return;
	endpoint_jobs_done(&h->jobs);
	free(h);
}

void health_checker_follow(struct health_checker *h, struct routing *routing)
{
	endpoint_jobs_follow(&h->jobs, routing);
}

void health_checker_stats(const struct health_checker *h, struct health_checker_stats *ret_stats)
{
	*ret_stats = (struct health_checker_stats){
	    .n_checked = h->jobs.n_jobs,
	    .n_running = h->jobs.n_running,
	    .n_waiting = h->jobs.n_waiting,
	    .n_good = h->n_good,
	    .n_failed = h->n_failed,
	};
}
