/* SPDX-License-Identifier: Apache-2.0 */
#include "route/balance.h"

#include "route/cluster.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define N_MAX  11
#define N_KEYS 100000
#define SECOND UINT64_C(1000000000)

static char names[N_MAX][8];
static struct config_endpoint endpoints[N_MAX];
static struct config_cluster config;

static struct cluster make(enum config_balance balance, size_t n, const uint16_t *weights)
{
	struct cluster cluster = {0};

	config = (struct config_cluster){.name = (char *)"c",
					 .balance = balance,
					 .endpoints = endpoints,
					 .n_endpoints = n};
	for (size_t i = 0; i < n; i++) {
		snprintf(names[i], sizeof(names[i]), "e%zu", i);
		endpoints[i].name = names[i];
		endpoints[i].weight = weights ? weights[i] : 100;
	}
	assert_int_equal(cluster_init(&cluster, &config, NULL, 0), 0);
	return cluster;
}

static size_t choose(struct cluster *cluster, const struct pick *pick)
{
	struct member *member = cluster_pick(cluster, pick);

	assert_non_null(member);
	endpoint_unref(member->endpoint); /* the cluster's own is enough for a test */
	return (size_t)(member - cluster->members);
}

static size_t choose_key(struct cluster *cluster, uint64_t key)
{
	const struct pick pick = {.now_ns = SECOND, .key_hash = ring_hash(&key, sizeof(key))};

	return choose(cluster, &pick);
}

static void count(struct cluster *cluster, size_t turns, uint64_t now_ns, size_t *ret_counts)
{
	memset(ret_counts, 0, N_MAX * sizeof(*ret_counts));
	for (size_t i = 0; i < turns; i++) {
		const struct pick pick = {.now_ns = now_ns, .key_hash = ring_hash(&i, sizeof(i))};

		ret_counts[choose(cluster, &pick)]++;
	}
}

/* ---- round robin --------------------------------------------------------------------------- */

static void round_robin__a_round_is_exact(void **state)
{
	static const uint16_t weights[] = {100, 300, 50, 0, 1000};
	struct cluster cluster = make(CONFIG_BALANCE_ROUND_ROBIN, 5, weights);
	size_t counts[N_MAX];

	for (int round = 0; round < 3; round++) {
		count(&cluster, 29, 1, counts); /* their sum by the common divisor, 50 */
		for (size_t i = 0; i < 5; i++)
			assert_int_equal(counts[i], weights[i] / 50);
	}
	cluster_done(&cluster);
}

/* A heavy member's turns do not come in one piece, nor does a light one starve. */
static void round_robin__is_smooth(void **state)
{
	static const uint16_t weights[] = {100, 100, 100, 500};
	struct cluster cluster = make(CONFIG_BALANCE_ROUND_ROBIN, 4, weights);
	unsigned int run = 0;

	for (int i = 0; i < 800; i++) {
		const struct pick pick = {.now_ns = 1};

		run = choose(&cluster, &pick) == 3 ? run + 1 : 0;
		assert_in_range(run, 0, 3);
	}
	cluster_done(&cluster);
}

static void round_robin__shares_what_the_absent_leave(void **state)
{
	struct cluster cluster = make(CONFIG_BALANCE_ROUND_ROBIN, 4, NULL);
	size_t counts[N_MAX];

	endpoint_set_state(cluster.members[1].endpoint, ENDPOINT_DRAIN, 1);
	count(&cluster, 300, 1, counts);
	assert_int_equal(counts[1], 0);
	assert_int_equal(counts[0], 100); /* not: the neighbour gets twice as much */
	assert_int_equal(counts[2], 100);
	assert_int_equal(counts[3], 100);
	cluster_done(&cluster);
}

static void pick__nobody_is_left(void **state)
{
	static const enum config_balance balances[] = {CONFIG_BALANCE_ROUND_ROBIN,
						       CONFIG_BALANCE_LEAST_CONN,
						       CONFIG_BALANCE_HASH};
	static const uint16_t weights[] = {100, 100, 100, 0};
	const struct pick pick = {.now_ns = 1};

	for (size_t b = 0; b < ARRAY_SIZE(balances); b++) {
		struct cluster cluster = make(balances[b], 4, weights);

		endpoint_set_state(cluster.members[0].endpoint, ENDPOINT_MAINT, 1);
		endpoint_set_health(cluster.members[1].endpoint, false, 1);
		assert_int_equal(choose(&cluster, &pick), 2);
		endpoint_eject(cluster.members[2].endpoint, SECOND, 1);
		assert_null(cluster_pick(&cluster, &pick));
		cluster_done(&cluster);
	}
}

/* ---- least connections --------------------------------------------------------------------- */

static void least_conn__levels_by_weight(void **state)
{
	static const uint16_t weights[] = {100, 200, 700};
	struct cluster cluster = make(CONFIG_BALANCE_LEAST_CONN, 3, weights);
	size_t counts[N_MAX];

	count(&cluster, 1000, 1, counts);
	for (size_t i = 0; i < 3; i++)
		assert_in_range(counts[i], weights[i] - 1, weights[i] + 1);
	cluster_done(&cluster);
}

/* ---- hash ---------------------------------------------------------------------------------- */

static void hash__an_equal_key_meets_its_endpoint(void **state)
{
	struct cluster one = make(CONFIG_BALANCE_HASH, 10, NULL), other = {0};

	/* Another worker, or another node. */
	assert_int_equal(cluster_init(&other, &config, NULL, 0), 0);
	for (uint64_t key = 0; key < 1000; key++) {
		size_t first = choose_key(&one, key);

		assert_int_equal(choose_key(&one, key), first);
		assert_int_equal(choose_key(&other, key), first);
	}
	cluster_done(&one);
	cluster_done(&other);
}

static void hash__spreads_by_weight(void **state)
{
	static const uint16_t weights[] = {100, 100, 100, 100, 100, 200, 50, 100, 100, 0};
	struct cluster cluster = make(CONFIG_BALANCE_HASH, 10, weights);
	size_t counts[N_MAX];

	count(&cluster, N_KEYS, SECOND, counts);
	/* 128 points: a share's deviation is about 1/sqrt(128), 9 %, of it; bounds at about 3.5. */
	for (size_t i = 0; i < 10; i++) {
		size_t fair = N_KEYS * (size_t)weights[i] / 950;

		assert_in_range(counts[i], fair * 69 / 100, fair * 131 / 100);
	}
	cluster_done(&cluster);
}

static void hash__a_new_endpoint_takes_its_share_only(void **state)
{
	static size_t before[N_KEYS];
	struct cluster cluster = make(CONFIG_BALANCE_HASH, 10, NULL);
	size_t moved = 0;

	for (uint64_t key = 0; key < N_KEYS; key++)
		before[key] = choose_key(&cluster, key);
	cluster_done(&cluster);
	cluster = make(CONFIG_BALANCE_HASH, 11, NULL);
	for (uint64_t key = 0; key < N_KEYS; key++) {
		size_t now = choose_key(&cluster, key);

		if (now == before[key])
			continue;
		assert_int_equal(now, 10); /* no key moves between the old ones */
		moved++;
	}
	print_message("of %d keys, %zu moved to the eleventh endpoint\n", N_KEYS, moved);
	assert_in_range(moved, N_KEYS * 7 / 100, N_KEYS * 13 / 100);
	cluster_done(&cluster);
}

static void hash__a_missing_endpoint_moves_its_keys_only(void **state)
{
	struct cluster cluster = make(CONFIG_BALANCE_HASH, 10, NULL);
	size_t used[N_MAX] = {0}, n_used = 0;

	for (uint64_t key = 0; key < 10000; key++) {
		size_t before = choose_key(&cluster, key), now;

		endpoint_set_state(cluster.members[3].endpoint, ENDPOINT_DRAIN, 1);
		now = choose_key(&cluster, key);
		endpoint_set_state(cluster.members[3].endpoint, ENDPOINT_READY, 1);
		if (before != 3)
			assert_int_equal(now, before);
		else
			used[now]++;
	}
	assert_int_equal(used[3], 0);
	for (size_t i = 0; i < 10; i++)
		n_used += used[i] > 0;
	assert_int_equal(n_used, 9); /* all the others share them */
	cluster_done(&cluster);
}

static void hash__a_retry_goes_on_along_the_ring(void **state)
{
	struct cluster cluster = make(CONFIG_BALANCE_HASH, 10, NULL);

	for (uint64_t key = 0; key < 1000; key++) {
		struct member *tried[10];
		struct pick pick = {.now_ns = 1, .key_hash = ring_hash(&key, 8), .tried = tried};
		unsigned int seen = 0;

		for (; pick.n_tried < 10; pick.n_tried++) {
			size_t i = choose(&cluster, &pick);

			/* Where it would go if those before were away. */
			tried[pick.n_tried] = &cluster.members[i];
			for (size_t t = 0; t < pick.n_tried; t++)
				endpoint_set_health(tried[t]->endpoint, false, 1);
			assert_int_equal(choose_key(&cluster, key), i);
			for (size_t t = 0; t < pick.n_tried; t++)
				endpoint_set_health(tried[t]->endpoint, true, 1);
			seen |= 1u << i;
		}
		assert_int_equal(seen, 0x3ff);
		assert_null(cluster_pick(&cluster, &pick));
	}
	cluster_done(&cluster);
}

/* Every key is one: without a bound all would go to one endpoint. */
static void hash__load_stays_within_its_bound(void **state)
{
	static const uint16_t weights[] = {100, 100, 300, 100, 400};
	struct cluster cluster = make(CONFIG_BALANCE_HASH, 5, weights);

	config.hash_load = 125;
	for (uint64_t n = 1; n <= 2000; n++) {
		/* Half of them are one and the same key. */
		size_t i = choose_key(&cluster, n % 2 ? 7 : n);
		uint64_t bound = (n * 125 * weights[i] + 100000 - 1) / 100000;

		assert_in_range(cluster.members[i].endpoint->n_active, 1, bound);
	}
	cluster_done(&cluster);
}

static void hash__without_a_bound_the_key_decides_alone(void **state)
{
	struct cluster cluster = make(CONFIG_BALANCE_HASH, 5, NULL);
	size_t first = choose_key(&cluster, 7);

	for (int i = 0; i < 100; i++)
		assert_int_equal(choose_key(&cluster, 7), first);
	cluster_done(&cluster);
}

static void hash__few_of_many_are_found(void **state)
{
	static struct config_endpoint many[500];
	static char many_names[500][8];
	struct cluster cluster = {0};

	config = (struct config_cluster){.name = (char *)"c",
					 .balance = CONFIG_BALANCE_HASH,
					 .endpoints = many,
					 .n_endpoints = 500};
	for (size_t i = 0; i < 500; i++) {
		snprintf(many_names[i], sizeof(many_names[i]), "m%zu", i);
		many[i] = (struct config_endpoint){.name = many_names[i], .weight = 100};
	}
	assert_int_equal(cluster_init(&cluster, &config, NULL, 0), 0);
	for (size_t i = 0; i < 500; i++) {
		if (i != 123)
			endpoint_set_health(cluster.members[i].endpoint, false, 1);
	}
	for (uint64_t key = 0; key < 100; key++)
		assert_int_equal(choose_key(&cluster, key), 123);
	cluster_done(&cluster);
}

/* ---- slow start ---------------------------------------------------------------------------- */

static void slow_start__the_share_grows(void **state)
{
	static const enum config_balance balances[] = {CONFIG_BALANCE_ROUND_ROBIN,
						       CONFIG_BALANCE_HASH};

	for (size_t b = 0; b < ARRAY_SIZE(balances); b++) {
		struct cluster cluster = make(balances[b], 4, NULL);
		size_t counts[N_MAX], share = 0;

		config.slow_start_ms = 10000;
		endpoint_start_slowly(cluster.members[2].endpoint, 100 * SECOND);
		for (uint64_t s = 0; s <= 10; s++) {
			count(&cluster, 4000, (100 + s) * SECOND, counts);
			assert_in_range(counts[2] + 1, share + 1, SIZE_MAX);
			share = counts[2];
			if (s == 0)
				assert_int_equal(share, 0);
			if (s == 5)
				assert_in_range(share, 350, 750);
		}
		assert_in_range(share, 800, 1200);
		cluster_done(&cluster);
	}
}

static void slow_start__counts_in_least_conn(void **state)
{
	struct cluster cluster = make(CONFIG_BALANCE_LEAST_CONN, 2, NULL);
	size_t counts[N_MAX];

	config.slow_start_ms = 10000;
	endpoint_start_slowly(cluster.members[1].endpoint, 100 * SECOND);
	count(&cluster, 300, 105 * SECOND, counts);
	assert_in_range(counts[1], 99, 101);
	cluster_done(&cluster);
}

static void slow_start__alone_it_takes_all(void **state)
{
	static const enum config_balance balances[] = {CONFIG_BALANCE_ROUND_ROBIN,
						       CONFIG_BALANCE_LEAST_CONN,
						       CONFIG_BALANCE_HASH};
	const struct pick pick = {.now_ns = 100 * SECOND};

	for (size_t b = 0; b < ARRAY_SIZE(balances); b++) {
		struct cluster cluster = make(balances[b], 2, NULL);

		config.slow_start_ms = 10000;
		endpoint_set_health(cluster.members[0].endpoint, false, 1);
		endpoint_start_slowly(cluster.members[1].endpoint, 100 * SECOND);
		assert_int_equal(choose(&cluster, &pick), 1);
		cluster_done(&cluster);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
	    cmocka_unit_test(round_robin__a_round_is_exact),
	    cmocka_unit_test(round_robin__is_smooth),
	    cmocka_unit_test(round_robin__shares_what_the_absent_leave),
	    cmocka_unit_test(pick__nobody_is_left),
	    cmocka_unit_test(least_conn__levels_by_weight),
	    cmocka_unit_test(hash__an_equal_key_meets_its_endpoint),
	    cmocka_unit_test(hash__spreads_by_weight),
	    cmocka_unit_test(hash__a_new_endpoint_takes_its_share_only),
	    cmocka_unit_test(hash__a_missing_endpoint_moves_its_keys_only),
	    cmocka_unit_test(hash__a_retry_goes_on_along_the_ring),
	    cmocka_unit_test(hash__load_stays_within_its_bound),
	    cmocka_unit_test(hash__without_a_bound_the_key_decides_alone),
	    cmocka_unit_test(hash__few_of_many_are_found),
	    cmocka_unit_test(slow_start__the_share_grows),
	    cmocka_unit_test(slow_start__counts_in_least_conn),
	    cmocka_unit_test(slow_start__alone_it_takes_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
