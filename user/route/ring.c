/* SPDX-License-Identifier: Apache-2.0 */
#include "route/ring.h"

#include "base/hash.h"

#include <endian.h>

/* Any constant would do, but it must stay: another one moves every key of every installation. */
static const struct hash_key fixed_key = {0x736c756963652d72, 0x696e672d76657231};

static size_t points_of(const struct config_endpoint *endpoint)
{
	size_t n = RING_POINTS * endpoint->weight / 100;

	return endpoint->weight > 0 ? MAX(n, 1) : 0;
}

uint64_t ring_hash(const void *data, size_t len)
{
	return hash_bytes(&fixed_key, data, len);
}

static void put_points(struct ring *ring, uint32_t member, const struct config_endpoint *endpoint)
{
	const struct hash_key key = {ring_hash(endpoint->name, strlen(endpoint->name)),
				     fixed_key.k1};
	size_t n = points_of(endpoint);

	for (size_t i = 0; i < n; i++)
		ring->points[ring->n_points++] = (struct ring_point){hash_u64(&key, i), member};
}

static int compare_points(const void *a, const void *b)
{
	const struct ring_point *x = a, *y = b;
	int order = (x->hash > y->hash) - (x->hash < y->hash);

	return order ? order : (x->member > y->member) - (x->member < y->member);
}

int ring_init(struct ring *ring, const struct config_cluster *config)
{
	size_t n = 0;

	*ring = (struct ring){0};
	for (size_t i = 0; i < config->n_endpoints; i++)
		n += points_of(&config->endpoints[i]);
	ring->points = calloc(MAX(n, 1), sizeof(*ring->points));
	if (!ring->points)
		return -ENOMEM;
	for (size_t i = 0; i < config->n_endpoints; i++)
		put_points(ring, (uint32_t)i, &config->endpoints[i]);
	qsort(ring->points, ring->n_points, sizeof(*ring->points), compare_points);
	return 0;
}

void ring_done(struct ring *ring)
{
	free(ring->points);
	*ring = (struct ring){0};
}

size_t ring_find(const struct ring *ring, uint64_t hash)
{
	size_t low = 0, high = ring->n_points;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (ring->points[middle].hash < hash)
			low = middle + 1;
		else
			high = middle;
	}
	return low < ring->n_points ? low : 0;
}
