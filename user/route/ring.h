/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Consistent hashing (Karger and others 1997): each endpoint has many points on a circle of 2^64,
 * by its name and weight, and a key belongs to the endpoint of the next point. An endpoint that
 * comes or goes moves its own share of the keys and no other. The points follow from names and
 * weights alone, so that all workers, and all nodes with the same configuration, agree; whoever
 * chooses keys can therefore choose an endpoint, too (see hash_load).
 */
#pragma once
#include "base/std.h"
#include "core/config.h"

#define RING_POINTS 128u /* of an endpoint with a weight of 100 */

struct ring_point {
	uint64_t hash;
	uint32_t member; /* index of the endpoint in its cluster */
};

struct ring {
	struct ring_point *points; /* owned; sorted */
	size_t n_points;
};

/** ring_init() - a ring of @config's endpoints. Return: 0 or -ENOMEM */
int ring_init(struct ring *ring, const struct config_cluster *config);
/** ring_done() - of one that is zeroed or initialised */
void ring_done(struct ring *ring);
/** ring_hash() - where a key lies, the same in every process */
uint64_t ring_hash(const void *data, size_t len);
/** ring_find() - index of the first point at or behind @hash; 0 on an empty ring */
size_t ring_find(const struct ring *ring, uint64_t hash);
