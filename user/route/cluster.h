/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A cluster of one generation at work: which endpoint takes the next connection. One object for
 * all workers; nothing in it changes but what its endpoints and its state hold, which outlive it.
 */
#pragma once
#include "base/hash.h"
#include "base/std.h"
#include "core/config.h"
#include "route/endpoint.h"

#include <stdatomic.h>

/* What a cluster keeps over a reload, by its name. */
struct cluster_state {
	atomic_uint refs;
	_Atomic uint64_t turn; /* where round robin, and the search for the least, go on */
};

struct member {
	const struct config_endpoint *config;
	struct endpoint *endpoint; /* one reference */
};

struct cluster {
	struct hash_node by_name; /* in its routing */
	const struct config_cluster *config;
	struct member *members;      /* owned; config->n_endpoints of them */
	struct cluster_state *state; /* one reference */
};

/**
 * cluster_init() - @previous: the cluster of this name in the generation before, or NULL
 *
 * Return: 0, or -ENOMEM; cluster_done() is good then, too.
 */
int cluster_init(struct cluster *cluster, const struct config_cluster *config,
		 const struct cluster *previous);
/** cluster_done() - of one that is zeroed or initialised */
void cluster_done(struct cluster *cluster);

/** cluster_member() - the member whose endpoint is called @name, or NULL */
struct member *cluster_member(const struct cluster *cluster, const char *name);

/**
 * cluster_pick() - choose an endpoint by the cluster's balance and count the connection on it
 * @tried: @n_tried members that this connection has failed on
 *
 * Return: the member, whose endpoint is to be given back with cluster_release(); NULL if all were
 * tried.
 */
struct member *cluster_pick(struct cluster *cluster, struct member *const *tried, size_t n_tried);
/** cluster_release() - its cluster may be gone */
void cluster_release(struct endpoint *endpoint);
