/* SPDX-License-Identifier: Apache-2.0 */
#include "route/balance.h"

#include "base/clock.h"
#include "core/events.h"
#include "route/cluster.h"

#define RAMP_FULL   65536u
#define TURNS_MAX   16u   /* taken in search of one that is available, before all are looked at */
#define RING_LOOKED 1024u /* points, likewise */

/* ---- life ---------------------------------------------------------------------------------- */

static uint64_t common_divisor(uint64_t a, uint64_t b)
{
	while (b) {
		uint64_t rest = a % b;

		a = b;
		b = rest;
	}
	return a;
}

/* Near the golden section of @total, where multiples lie far apart, and without common divisor. */
static uint64_t spreading_step(uint64_t total)
{
	uint64_t step = MAX((uint64_t)((double)total * 0.6180339887498949), 1);

	while (common_divisor(total, step) != 1)
		step++;
	return step;
}

int balance_init(struct balance *b, const struct config_cluster *config)
{
	uint64_t divisor = 0, min_weight = UINT16_MAX;

	*b = (struct balance){.step = 1};
	b->weight_upto = calloc(config->n_endpoints, sizeof(*b->weight_upto));
	if (!b->weight_upto)
		return -ENOMEM;
	for (size_t i = 0; i < config->n_endpoints; i++) {
		uint16_t weight = config->endpoints[i].weight;

		divisor = common_divisor(divisor, weight);
		b->max_weight = MAX(b->max_weight, weight);
		min_weight = MIN(min_weight, weight);
	}
	for (size_t i = 0; i < config->n_endpoints; i++) {
		b->total += divisor ? config->endpoints[i].weight / divisor : 0;
		b->weight_upto[i] = b->total;
	}
	if (min_weight != b->max_weight) /* equals simply go in their order */
		b->step = spreading_step(MAX(b->total, 1));
	return config->balance == CONFIG_BALANCE_HASH ? ring_init(&b->ring, config) : 0;
}

void balance_done(struct balance *b)
{
	ring_done(&b->ring);
	free(b->weight_upto);
	*b = (struct balance){0};
}

/* ---- who may be chosen --------------------------------------------------------------------- */

/* What is demanded of a member; in this order it is given up if nobody has it. */
enum demand {
	DEMAND_RAMP, /* its turn in slow start, and all below */
	DEMAND_LOAD, /* room under hash_load, and all below */
	DEMAND_LIFE, /* available, and not tried */
	DEMANDS,
};

struct choice {
	const struct cluster *cluster;
	const struct pick *pick;
	uint64_t salt;          /* decides who waits in slow start */
	uint64_t load, weights; /* of those that are available, with the one to come */
	enum demand demand;
};

static uint64_t active_on(const struct member *member)
{
	return atomic_load_explicit(&member->endpoint->n_active, memory_order_relaxed);
}

/* splitmix64's finalizer (Steele and others 2014). */
static uint64_t mix(uint64_t x)
{
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
	x = (x ^ x >> 27) * 0x94d049bb133111eb;
	return x ^ x >> 31;
}

static bool is_tried(const struct pick *pick, const struct member *member)
{
	for (size_t i = 0; i < pick->n_tried; i++) {
		if (pick->tried[i] == member)
			return true;
	}
	return false;
}

static bool lives(const struct choice *ch, struct member *m)
{
	if (m->config->weight == 0 || is_tried(ch->pick, m))
		return false;
	if (endpoint_readmit(m->endpoint, ch->pick->now_ns))
		events_emit(EVENT_ENDPOINT_READMITTED, "{s:s, s:s}", "cluster",
			    ch->cluster->config->name, "endpoint", m->config->name);
	return endpoint_is_available(m->endpoint, ch->pick->now_ns);
}

static uint32_t ramp_of(const struct choice *ch, const struct member *m)
{
	return endpoint_ramp(m->endpoint, ch->cluster->config->slow_start_ms * NS_PER_MS,
			     ch->pick->now_ns);
}

/* A key that once has come back to its endpoint stays there while the ramp goes on. */
static bool has_ramped_up(const struct choice *ch, const struct member *m)
{
	return mix(ch->salt) % RAMP_FULL < ramp_of(ch, m);
}

/* n_active + 1 <= ceil(load * hash_load * weight / weights) */
static bool has_room(const struct choice *ch, const struct member *m)
{
	uint64_t percent = ch->cluster->config->hash_load;

	return percent == 0 ||
	       active_on(m) * 100 * ch->weights < ch->load * percent * m->config->weight;
}

static bool is_fit(const struct choice *ch, struct member *m)
{
	return lives(ch, m) && (ch->demand >= DEMAND_LIFE || has_room(ch, m)) &&
	       (ch->demand >= DEMAND_LOAD || has_ramped_up(ch, m));
}

static struct member *first_fit_from(const struct choice *ch, size_t start)
{
	size_t n = ch->cluster->config->n_endpoints;

	for (size_t i = 0; i < n; i++) {
		struct member *m = &ch->cluster->members[(start + i) % n];

		if (is_fit(ch, m))
			return m;
	}
	return NULL;
}

/* ---- round robin --------------------------------------------------------------------------- */

static uint64_t take_turn(const struct cluster *cluster)
{
	return atomic_fetch_add_explicit(&cluster->state->turn, 1, memory_order_relaxed);
}

static size_t member_at_turn(const struct balance *b, size_t n, uint64_t turn)
{
	uint64_t place = turn % b->total * b->step % b->total;
	size_t low = 0, high = n - 1;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (b->weight_upto[middle] <= place)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static struct member *choose_in_turn(struct choice *ch)
{
	const struct cluster *cluster = ch->cluster;
	const struct balance *b = &cluster->balance;
	const struct pick *pick = ch->pick;
	/* A retry goes on from where its first choice was made and does not take others' turns. */
	size_t start =
	    pick->n_tried > 0 ? (size_t)(pick->tried[0] - cluster->members) + pick->n_tried : 0;

	for (unsigned int i = 0; pick->n_tried == 0 && b->total > 0 && i < TURNS_MAX; i++) {
		ch->salt = take_turn(cluster);
		start = member_at_turn(b, cluster->config->n_endpoints, ch->salt);
		if (is_fit(ch, &cluster->members[start]))
			return &cluster->members[start];
	}
	return first_fit_from(ch, start);
}

/* ---- least connections --------------------------------------------------------------------- */

static struct member *choose_idlest(struct choice *ch)
{
	const struct cluster *cluster = ch->cluster;
	size_t n = cluster->config->n_endpoints, start = take_turn(cluster) % n;
	struct member *best = NULL;
	uint64_t best_active = 0, best_weight = 0;

	ch->demand = DEMAND_LIFE; /* its ramp is in the weight */
	for (size_t i = 0; i < n; i++) {
		struct member *m = &cluster->members[(start + i) % n];
		uint64_t active, weight;

		if (!is_fit(ch, m))
			continue;
		active = active_on(m) + 1;
		weight = (uint64_t)m->config->weight * MAX(ramp_of(ch, m), 1);
		if (best && active * best_weight >= best_active * weight)
			continue;
		best = m;
		best_active = active;
		best_weight = weight;
		/* Nobody can do better. */
		if (active == 1 && weight == (uint64_t)cluster->balance.max_weight * RAMP_FULL)
			break;
	}
	return best;
}

/* ---- hash ---------------------------------------------------------------------------------- */

static void measure_load(struct choice *ch)
{
	ch->load = 1;
	for (size_t i = 0; i < ch->cluster->config->n_endpoints; i++) {
		struct member *m = &ch->cluster->members[i];

		if (!lives(ch, m))
			continue;
		ch->load += active_on(m);
		ch->weights += m->config->weight;
	}
}

static struct member *choose_on_ring(struct choice *ch)
{
	const struct ring *ring = &ch->cluster->balance.ring;
	size_t looked = MIN(ring->n_points, RING_LOOKED);
	size_t at = ring_find(ring, ch->pick->key_hash);

	for (size_t i = 0; i < looked; i++) {
		const struct ring_point *point = &ring->points[(at + i) % ring->n_points];
		struct member *m = &ch->cluster->members[point->member];

		if (is_fit(ch, m))
			return m;
	}
	/* Hardly anybody is left: any of them, but the same for the same key. */
	return first_fit_from(ch, ch->pick->key_hash % ch->cluster->config->n_endpoints);
}

/* ---- all ----------------------------------------------------------------------------------- */

static struct member *choose(struct choice *ch)
{
	switch (ch->cluster->config->balance) {
	case CONFIG_BALANCE_LEAST_CONN:
		return choose_idlest(ch);
	case CONFIG_BALANCE_HASH:
		return choose_on_ring(ch);
	case CONFIG_BALANCE_ROUND_ROBIN:
		break;
	}
	return choose_in_turn(ch);
}

struct member *balance_choose(struct cluster *cluster, const struct pick *pick)
{
	struct choice ch = {.cluster = cluster, .pick = pick, .salt = pick->key_hash};
	struct member *member = NULL;

	if (cluster->config->balance == CONFIG_BALANCE_HASH && cluster->config->hash_load)
		measure_load(&ch);
	for (int demand = 0; demand < DEMANDS && !member; demand++) {
		ch.demand = (enum demand)demand;
		member = choose(&ch);
	}
	return member;
}
