/* SPDX-License-Identifier: Apache-2.0 */
#include "route/cluster.h"

int cluster_init(struct cluster *cluster, const struct config_cluster *config)
{
	cluster->config = config;
	atomic_init(&cluster->turn, 0);
	cluster->endpoints =
	    aligned_alloc(CACHE_LINE, config->n_endpoints * sizeof(*cluster->endpoints));
	if (!cluster->endpoints)
		return -ENOMEM;
	memset(cluster->endpoints, 0, config->n_endpoints * sizeof(*cluster->endpoints));
	for (size_t i = 0; i < config->n_endpoints; i++)
		cluster->endpoints[i].config = &config->endpoints[i];
	return 0;
}

void cluster_done(struct cluster *cluster)
{
	free(cluster->endpoints);
	cluster->endpoints = NULL;
}

static bool is_tried(const struct endpoint *endpoint, struct endpoint *const *tried, size_t n_tried)
{
	for (size_t i = 0; i < n_tried; i++) {
		if (tried[i] == endpoint)
			return true;
	}
	return false;
}

struct endpoint *cluster_pick(struct cluster *cluster, struct endpoint *const *tried,
			      size_t n_tried)
{
	size_t n = cluster->config->n_endpoints;
	/* A retry goes on from where its first choice was made and does not take others' turns. */
	uint64_t turn = n_tried == 0
			    ? atomic_fetch_add_explicit(&cluster->turn, 1, memory_order_relaxed)
			    : (uint64_t)(tried[0] - cluster->endpoints) + n_tried;
	struct endpoint *best = NULL;
	uint64_t best_active = UINT64_MAX;

	for (size_t i = 0; i < n; i++) {
		struct endpoint *e = &cluster->endpoints[(turn + i) % n];
		uint64_t active;

		if (is_tried(e, tried, n_tried))
			continue;
		active = cluster->config->balance == CONFIG_BALANCE_LEAST_CONN
			     ? atomic_load_explicit(&e->n_active, memory_order_relaxed)
			     : 0;
		if (active < best_active) {
			best = e;
			best_active = active;
		}
		if (best_active == 0)
			break;
	}
	if (best) {
		atomic_fetch_add_explicit(&best->n_active, 1, memory_order_relaxed);
		atomic_fetch_add_explicit(&best->n_chosen, 1, memory_order_relaxed);
	}
	return best;
}

void cluster_release(struct endpoint *endpoint)
{
	atomic_fetch_sub_explicit(&endpoint->n_active, 1, memory_order_relaxed);
}
