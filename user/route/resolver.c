/* SPDX-License-Identifier: Apache-2.0 */
#include "route/resolver.h"

#include "base/clock.h"
#include "base/log.h"
#include "core/events.h"
#include "route/dns.h"
#include "route/endpoint_jobs.h"
#include "route/routing.h"

#include <stdio.h>

_Static_assert(DNS_ADDRESSES_MAX == ENDPOINT_ADDRESSES_MAX, "an answer fits an endpoint");

#define UNRESOLVED_INTERVAL_MS 1000 /* at most, until a name is resolved for the first time */

struct resolver {
	struct endpoint_jobs jobs;
	struct dns *dns; /* NULL: there is no name */
};

struct lookup {
	struct endpoint_job job;
	struct dns_lookup *dns; /* on its way, or NULL */
	bool is_starting;       /* in dns_lookup(), which may answer at once */
	bool has_failed;        /* the one before; told once */
};

static struct resolver *resolver_of(const struct lookup *lookup)
{
	return container_of(lookup->job.jobs, struct resolver, jobs);
}

static struct slice name_of(const struct endpoint *endpoint)
{
	return (struct slice){endpoint->target, endpoint->host_len};
}

/* ---- answers ------------------------------------------------------------------------------- */

static void take_failure(struct lookup *lookup, const char *error)
{
	const struct endpoint *e = lookup->job.endpoint;
	bool has_addresses = endpoint_is_resolved(e);

	endpoint_set_lookup(lookup->job.endpoint, false, error, clock_monotonic_ns());
	if (lookup->has_failed)
		return;
	lookup->has_failed = true;
	log_warning("cluster \"%s\": endpoint \"%s\": \"%.*s\" not resolved: %s%s", e->cluster,
		    e->name, SLICE_ARG(name_of(e)), error,
		    has_addresses ? "; the addresses that were known stay" : "");
	events_emit(EVENT_NAME_UNRESOLVED, "{s:s, s:s, s:s%, s:s, s:b}", "cluster", e->cluster,
		    "endpoint", e->name, "name", e->target, e->host_len, "reason", error,
		    "has_addresses", has_addresses);
}

static void tell_resolved(const struct endpoint *e, size_t n)
{
	log_info("cluster \"%s\": endpoint \"%s\": \"%.*s\" resolved to %zu address%s", e->cluster,
		 e->name, SLICE_ARG(name_of(e)), n, n == 1 ? "" : "es");
	events_emit(EVENT_NAME_RESOLVED, "{s:s, s:s, s:s%, s:i}", "cluster", e->cluster, "endpoint",
		    e->name, "name", e->target, e->host_len, "addresses", (int)n);
}

static void take_addresses(struct lookup *lookup, const struct dns_answer *answer)
{
	struct endpoint *e = lookup->job.endpoint;
	struct address addresses[DNS_ADDRESSES_MAX];
	size_t n = answer->n_addresses;
	char text[32];
	int changed;

	memcpy(addresses, answer->addresses, n * sizeof(*addresses));
	for (size_t i = 0; i < n; i++)
		address_set_port(&addresses[i], e->port);
	changed = endpoint_set_addresses(e, addresses, n);
	if (changed < 0) {
		take_failure(lookup, strerror(-changed));
		return;
	}
	snprintf(text, sizeof(text), "%zu address%s", n, n == 1 ? "" : "es");
	endpoint_set_lookup(e, true, text, clock_monotonic_ns());
	if (changed || lookup->has_failed)
		tell_resolved(e, n);
	lookup->has_failed = false;
}

static void answered(void *arg, const struct dns_answer *answer)
{
	struct lookup *lookup = arg;

	lookup->dns = NULL;
	if (!answer->error)
		take_addresses(lookup, answer);
	else if (!answer->is_abandoned)
		take_failure(lookup, answer->error);
	if (!lookup->is_starting)
		endpoint_job_done(&lookup->job);
}

/* ---- the job ------------------------------------------------------------------------------- */

static uint64_t interval_ms(const struct config_cluster *config, const struct endpoint *endpoint)
{
	if (endpoint->host_len == 0)
		return 0;
	return endpoint_is_resolved(endpoint)
		   ? config->resolve_interval_ms
		   : MIN(config->resolve_interval_ms, UNRESOLVED_INTERVAL_MS);
}

static bool start_lookup(struct endpoint_job *job)
{
	struct lookup *lookup = container_of(job, struct lookup, job);
	struct dns *dns = resolver_of(lookup)->dns;
	int error;

	lookup->is_starting = true;
	error =
	    dns ? dns_lookup(dns, name_of(job->endpoint), answered, lookup, &lookup->dns) : -ENOMEM;
	lookup->is_starting = false;
	if (error < 0)
		take_failure(lookup, strerror(-error));
	return lookup->dns != NULL;
}

static void cancel_lookup(struct endpoint_job *job)
{
	struct lookup *lookup = container_of(job, struct lookup, job);

	dns_cancel(TAKE_PTR(lookup->dns));
}

static const struct endpoint_jobs_ops lookup_ops = {
    .what = "lookups of its name",
    .job_size = sizeof(struct lookup),
    .max_running = RESOLVER_LOOKUPS_MAX,
    .is_first_at_once = true,
    .interval_ms = interval_ms,
    .start = start_lookup,
    .cancel = cancel_lookup,
};

/* ---- life ---------------------------------------------------------------------------------- */

int resolver_new(struct ev_loop *loop, struct resolver **ret_resolver)
{
	struct resolver *r = calloc(1, sizeof(*r));

	if (!r)
		return -ENOMEM;
	endpoint_jobs_init(&r->jobs, loop, &lookup_ops);
	*ret_resolver = r;
	return 0;
}

void resolver_free(struct resolver *r)
{
	if (!r)
		return;
	endpoint_jobs_done(&r->jobs);
	dns_free(r->dns);
	free(r);
}

static bool has_names(const struct config *config)
{
	for (size_t i = 0; i < config->n_clusters; i++) {
		for (size_t e = 0; e < config->clusters[i].n_endpoints; e++) {
			if (config->clusters[i].endpoints[e].host_len)
				return true;
		}
	}
	return false;
}

void resolver_follow(struct resolver *r, struct routing *routing)
{
	const struct config *config = routing->config;
	const struct dns_options options = {.servers = config->resolver.servers,
					    .n_servers = config->resolver.n_servers,
					    .timeout_ms = config->resolver.timeout_ms};
	struct dns *previous = r->dns;
	int error = has_names(config) ? dns_new(r->jobs.loop, &options, &r->dns) : 0;

	if (error < 0)
		log_error("resolver: %s", strerror(-error));
	endpoint_jobs_follow(&r->jobs, routing);
	/* What is on its way there is abandoned: those servers may be gone. */
	if (r->dns != previous)
		dns_free(previous);
}
