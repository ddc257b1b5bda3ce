/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A cluster at work: which endpoint takes the next connection. One object for all workers;
 * counters are atomic, nothing else changes.
 */
#pragma once
#include "base/std.h"
#include "core/config.h"

#include <stdatomic.h>

struct endpoint {
	const struct config_endpoint *config;
	_Alignas(
	    CACHE_LINE) _Atomic uint64_t n_active; /* connections on it or on their way to it */
	_Atomic uint64_t n_chosen, n_failed;       /* since the start */
};

struct cluster {
	const struct config_cluster *config;
	struct endpoint *endpoints; /* owned; config->n_endpoints of them */
	_Atomic uint64_t turn;      /* where round robin, and the search for the least, go on */
};

int cluster_init(struct cluster *cluster, const struct config_cluster *config);
void cluster_done(struct cluster *cluster);

/**
 * cluster_pick() - choose an endpoint by the cluster's balance and count the connection on it
 * @tried: @n_tried endpoints that this connection has failed on
 *
 * Return: the endpoint, to be given back with cluster_release(); NULL if all were tried.
 */
struct endpoint *cluster_pick(struct cluster *cluster, struct endpoint *const *tried,
			      size_t n_tried);
void cluster_release(struct endpoint *endpoint);
