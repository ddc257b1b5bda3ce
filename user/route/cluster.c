/* SPDX-License-Identifier: Apache-2.0 */
#include "route/cluster.h"

#include "base/clock.h"

/* ---- state --------------------------------------------------------------------------------- */

static struct cluster_state *state_new(void)
{
	struct cluster_state *state = calloc(1, sizeof(*state));

	if (state)
		atomic_init(&state->refs, 1);
	return state;
}

static struct cluster_state *state_ref(struct cluster_state *state)
{
	atomic_fetch_add_explicit(&state->refs, 1, memory_order_relaxed);
	return state;
}

static void state_unref(struct cluster_state *state)
{
	if (state && atomic_fetch_sub_explicit(&state->refs, 1, memory_order_acq_rel) == 1)
		free(state);
}

/* ---- life ---------------------------------------------------------------------------------- */

/* The endpoint that @config means: the one that there is, or a new one. */
static int take_endpoint(const struct config_cluster *cluster, const struct config_endpoint *config,
			 const struct cluster *previous, struct endpoint **ret_endpoint)
{
	const struct member *member = previous ? cluster_member(previous, config->name) : NULL;

	if (!member || !endpoint_is(member->endpoint, cluster, config))
		return endpoint_new(cluster, config, ret_endpoint);
	*ret_endpoint = endpoint_ref(member->endpoint);
	/* What the operator set at run time holds until the configuration says something else. */
	if (member->config->state != config->state)
		endpoint_set_state(member->endpoint, config->state, clock_monotonic_ns());
	return 0;
}

int cluster_init(struct cluster *cluster, const struct config_cluster *config,
		 const struct cluster *previous)
{
	cluster->config = config;
	cluster->state = previous ? state_ref(previous->state) : state_new();
	cluster->members = calloc(config->n_endpoints, sizeof(*cluster->members));
	if (!cluster->state || !cluster->members)
		return -ENOMEM;
	for (size_t i = 0; i < config->n_endpoints; i++) {
		struct member *member = &cluster->members[i];
		int error =
		    take_endpoint(config, &config->endpoints[i], previous, &member->endpoint);

		if (error < 0)
			return error;
		member->config = &config->endpoints[i];
	}
	return 0;
}

void cluster_done(struct cluster *cluster)
{
	for (size_t i = 0; cluster->members && i < cluster->config->n_endpoints; i++)
		endpoint_unref(cluster->members[i].endpoint);
	free(cluster->members);
	cluster->members = NULL;
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

static bool is_tried(const struct member *member, struct member *const *tried, size_t n_tried)
{
	for (size_t i = 0; i < n_tried; i++) {
		if (tried[i] == member)
			return true;
	}
	return false;
}

struct member *cluster_pick(struct cluster *cluster, struct member *const *tried, size_t n_tried)
{
	size_t n = cluster->config->n_endpoints;
	/* A retry goes on from where its first choice was made and does not take others' turns. */
	uint64_t turn =
	    n_tried == 0 ? atomic_fetch_add_explicit(&cluster->state->turn, 1, memory_order_relaxed)
			 : (uint64_t)(tried[0] - cluster->members) + n_tried;
	struct member *best = NULL;
	uint64_t best_active = UINT64_MAX;

	for (size_t i = 0; i < n; i++) {
		struct member *m = &cluster->members[(turn + i) % n];
		uint64_t active;

		if (is_tried(m, tried, n_tried))
			continue;
		active = cluster->config->balance == CONFIG_BALANCE_LEAST_CONN
			     ? atomic_load_explicit(&m->endpoint->n_active, memory_order_relaxed)
			     : 0;
		if (active < best_active) {
			best = m;
			best_active = active;
		}
		if (best_active == 0)
			break;
	}
	if (best) {
		endpoint_ref(best->endpoint);
		atomic_fetch_add_explicit(&best->endpoint->n_active, 1, memory_order_relaxed);
		atomic_fetch_add_explicit(&best->endpoint->n_chosen, 1, memory_order_relaxed);
	}
	return best;
}

void cluster_release(struct endpoint *endpoint)
{
	atomic_fetch_sub_explicit(&endpoint->n_active, 1, memory_order_relaxed);
	endpoint_unref(endpoint);
}
