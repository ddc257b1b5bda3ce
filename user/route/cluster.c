/* SPDX-License-Identifier: Apache-2.0 */
#include "route/cluster.h"

#include "base/clock.h"
#include "core/events.h"

/* ---- state --------------------------------------------------------------------------------- */

static struct cluster_state *state_new(void)
{
	struct cluster_state *state = calloc(1, sizeof(*state));

	if (!state)
		return NULL;
	atomic_init(&state->refs, 1);
	pthread_mutex_init(&state->ejecting, NULL);
	breaker_init(&state->breaker);
	return state;
}

static struct cluster_state *state_ref(struct cluster_state *state)
{
	atomic_fetch_add_explicit(&state->refs, 1, memory_order_relaxed);
	return state;
}

static void state_unref(struct cluster_state *state)
{
	if (!state || atomic_fetch_sub_explicit(&state->refs, 1, memory_order_acq_rel) != 1)
		return;
	pthread_mutex_destroy(&state->ejecting);
	breaker_done(&state->breaker);
	free(state);
}

/* ---- life ---------------------------------------------------------------------------------- */

/* Most reloads leave it in its place. */
static const struct member *find_before(const struct cluster *previous, size_t index,
					const char *name)
{
	if (index < previous->config->n_endpoints &&
	    strcmp(previous->members[index].config->name, name) == 0)
		return &previous->members[index];
	return cluster_member(previous, name);
}

/* The endpoint that the configuration means at @index: the one that there is, or a new one. */
static int take_endpoint(const struct config_cluster *cluster, size_t index,
			 const struct cluster *previous, uint64_t now_ns,
			 struct endpoint **ret_endpoint)
{
	const struct config_endpoint *config = &cluster->endpoints[index];
	const struct member *member = previous ? find_before(previous, index, config->name) : NULL;
	int error;

	if (member && endpoint_is(member->endpoint, cluster, config)) {
		*ret_endpoint = endpoint_ref(member->endpoint);
		/* What the operator set at run time holds until the configuration says otherwise.
		 */
		if (member->config->state != config->state)
			endpoint_set_state(member->endpoint, config->state, now_ns);
		if (member->config->weight != config->weight)
			endpoint_set_share(member->endpoint, ENDPOINT_SHARE_ALL);
		return 0;
	}
	error = endpoint_new(cluster, config, ret_endpoint);
	if (error == 0 && previous)
		endpoint_start_slowly(*ret_endpoint, now_ns);
	return error;
}

int cluster_init(struct cluster *cluster, const struct config_cluster *config,
		 const struct cluster *previous, uint64_t now_ns)
{
	cluster->config = config;
	cluster->state = previous ? state_ref(previous->state) : state_new();
	cluster->members = calloc(config->n_endpoints, sizeof(*cluster->members));
	if (!cluster->state || !cluster->members)
		return -ENOMEM;
	for (size_t i = 0; i < config->n_endpoints; i++) {
		struct member *member = &cluster->members[i];
		int error = take_endpoint(config, i, previous, now_ns, &member->endpoint);

		if (error < 0)
			return error;
		member->config = &config->endpoints[i];
	}
	return balance_init(&cluster->balance, config);
}

void cluster_done(struct cluster *cluster)
{
	for (size_t i = 0; cluster->members && i < cluster->config->n_endpoints; i++)
		endpoint_unref(cluster->members[i].endpoint);
	free(cluster->members);
	cluster->members = NULL;
	balance_done(&cluster->balance);
	state_unref(cluster->state);
	cluster->state = NULL;
}

struct member *cluster_member(const struct cluster *cluster, const char *name)
{
	for (size_t i = 0; i < cluster->config->n_endpoints; i++) {
		if (strcmp(cluster->members[i].config->name, name) == 0)
			return &cluster->members[i];
	}
	return NULL;
}

/* ---- choosing ------------------------------------------------------------------------------ */

struct member *cluster_pick(struct cluster *cluster, const struct pick *pick)
{
	struct member *member = balance_choose(cluster, pick);

	if (member) {
		endpoint_ref(member->endpoint);
		atomic_fetch_add_explicit(&member->endpoint->n_active, 1, memory_order_relaxed);
		atomic_fetch_add_explicit(&member->endpoint->n_chosen, 1, memory_order_relaxed);
	}
	return member;
}

void cluster_release(struct endpoint *endpoint)
{
	atomic_fetch_sub_explicit(&endpoint->n_active, 1, memory_order_relaxed);
	endpoint_unref(endpoint);
}

/* ---- ejection ------------------------------------------------------------------------------ */

/* Whether one more may go, which is not one that is out already. */
static bool may_eject(const struct cluster *cluster, const struct member *member, uint64_t now_ns)
{
	size_t n = cluster->config->n_endpoints, n_out = 0;

	for (size_t i = 0; i < n; i++)
		n_out += endpoint_is_ejected(cluster->members[i].endpoint, now_ns);
	return !endpoint_is_ejected(member->endpoint, now_ns) &&
	       (n_out + 1) * 100 <= n * cluster->config->ejection.max_percent;
}

void cluster_report(struct cluster *cluster, struct member *member, bool is_ok, uint64_t now_ns)
{
	const struct config_cluster *config = cluster->config;
	uint32_t failures = endpoint_report(member->endpoint, is_ok);
	bool is_ejected = false;

	if (failures == 0 || config->ejection.failures == 0 || failures < config->ejection.failures)
		return;
	pthread_mutex_lock(&cluster->state->ejecting);
	if (may_eject(cluster, member, now_ns)) {
		endpoint_eject(member->endpoint, config->ejection.time_ms * NS_PER_MS, now_ns);
		is_ejected = true;
	}
	pthread_mutex_unlock(&cluster->state->ejecting);
	if (is_ejected)
		events_emit(EVENT_ENDPOINT_EJECTED, "{s:s, s:s, s:i}", "cluster", config->name,
			    "endpoint", member->config->name, "failures", (int)failures);
}

/* ---- the breaker --------------------------------------------------------------------------- */

static struct breaker_rules rules_of(const struct config_cluster *config)
{
	return (struct breaker_rules){
	    .failure_ratio = config->breaker.failure_ratio,
	    .min_requests = config->breaker.min_requests,
	    .probes = config->breaker.probes,
	    .window_ns = config->breaker.window_ms * NS_PER_MS,
	    .open_ns = config->breaker.open_time_ms * NS_PER_MS,
	};
}

static void tell_breaker(const struct cluster *cluster, int entered)
{
	static const enum event_type types[BREAKER_STATES] = {
	    [BREAKER_CLOSED] = EVENT_BREAKER_CLOSED,
	    [BREAKER_OPEN] = EVENT_BREAKER_OPEN,
	    [BREAKER_HALF_OPEN] = EVENT_BREAKER_HALF_OPEN,
	};

	if (entered >= 0)
		events_emit(types[entered], "{s:s}", "cluster", cluster->config->name);
}

struct breaker_admission cluster_admit(struct cluster *cluster, uint64_t now_ns)
{
	struct breaker_rules rules = rules_of(cluster->config);
	struct breaker_admission a = breaker_admit(&cluster->state->breaker, &rules, now_ns);

	tell_breaker(cluster, a.entered);
	return a;
}

void cluster_settle(struct cluster *cluster, uint64_t phase, enum breaker_outcome outcome,
		    uint64_t now_ns)
{
	struct breaker_rules rules = rules_of(cluster->config);

	tell_breaker(cluster,
		     breaker_report(&cluster->state->breaker, &rules, phase, outcome, now_ns));
}
