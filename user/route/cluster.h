/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A cluster of one generation at work: which endpoint takes the next connection. One object for
 * all workers; nothing in it changes but what its endpoints and its state hold, which outlive it.
 */
#pragma once
#include "base/hash.h"
#include "base/std.h"
#include "core/config.h"
#include "route/balance.h"
#include "route/breaker.h"
#include "route/endpoint.h"

#include <pthread.h>
#include <stdatomic.h>

/* What a cluster keeps over a reload, by its name. */
struct cluster_state {
	atomic_uint refs;
	_Atomic uint64_t turn;   /* where round robin, and the search for the least, go on */
	_Atomic uint64_t source; /* where the turns of the source addresses go on */
	struct breaker breaker;
	pthread_mutex_t ejecting; /* who counts the ejected, and adds one */
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
	struct balance balance;
};

/**
 * cluster_init() - @previous: the cluster of this name in the generation before, or NULL
 *
 * An endpoint that the one before did not have starts slowly, at @now_ns.
 * Return: 0, or -ENOMEM; cluster_done() is good then, too.
 */
int cluster_init(struct cluster *cluster, const struct config_cluster *config,
		 const struct cluster *previous, uint64_t now_ns);
/** cluster_done() - of one that is zeroed or initialised */
void cluster_done(struct cluster *cluster);

/** cluster_member() - the member whose endpoint is called @name, or NULL */
struct member *cluster_member(const struct cluster *cluster, const char *name);

/**
 * cluster_pick() - choose an endpoint by the cluster's balance and count the connection on it
 *
 * Return: the member, whose endpoint is to be given back with cluster_release(); NULL if none is
 * available, or all that are were tried.
 */
struct member *cluster_pick(struct cluster *cluster, const struct pick *pick);
/** cluster_release() - its cluster may be gone */
void cluster_release(struct endpoint *endpoint);

/**
 * cluster_report() - what a connection met with on @member: connected and upgraded, or not
 *
 * After ejection.failures in a row the endpoint is ejected, unless too many are already.
 */
void cluster_report(struct cluster *cluster, struct member *member, bool is_ok, uint64_t now_ns);

/** cluster_admit() - breaker_admit() by the cluster's rules, with its events */
struct breaker_admission cluster_admit(struct cluster *cluster, uint64_t now_ns);
/** cluster_settle() - breaker_report() likewise */
void cluster_settle(struct cluster *cluster, uint64_t phase, enum breaker_outcome outcome,
		    uint64_t now_ns);
