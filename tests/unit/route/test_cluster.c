/* SPDX-License-Identifier: Apache-2.0 */
#include "route/cluster.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static struct config_endpoint endpoints[4] = {{.name = (char *)"a"},
					      {.name = (char *)"b"},
					      {.name = (char *)"c"},
					      {.name = (char *)"d"}};

static struct config_cluster config = {.name = (char *)"c",
				       .endpoints = endpoints,
				       .n_endpoints = ARRAY_SIZE(endpoints)};

static struct cluster make(enum config_balance balance)
{
	struct cluster cluster = {0};

	config.balance = balance;
	assert_int_equal(cluster_init(&cluster, &config, NULL), 0);
	return cluster;
}

static size_t index_of(const struct cluster *cluster, const struct member *member)
{
	assert_non_null(member);
	return (size_t)(member - cluster->members);
}

static void round_robin__takes_turns(void **state)
{
	struct cluster cluster = make(CONFIG_BALANCE_ROUND_ROBIN);

	for (size_t i = 0; i < 12; i++)
		assert_int_equal(index_of(&cluster, cluster_pick(&cluster, NULL, 0)), i % 4);
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(cluster.members[i].endpoint->n_active, 3);
	cluster_done(&cluster);
}

static void least_conn__prefers_the_idlest(void **state)
{
	struct cluster cluster = make(CONFIG_BALANCE_LEAST_CONN);

	cluster.members[0].endpoint->n_active = 2;
	cluster.members[1].endpoint->n_active = 1;
	cluster.members[2].endpoint->n_active = 5;
	cluster.members[3].endpoint->n_active = 1;
	for (int i = 0; i < 4; i++)
		cluster_pick(&cluster, NULL, 0);
	/* 2 1 5 1 levelled by four: */
	assert_int_equal(cluster.members[2].endpoint->n_active, 5);
	for (size_t i = 0; i < 4; i++) {
		if (i != 2)
			assert_in_range(cluster.members[i].endpoint->n_active, 2, 3);
	}
	cluster_done(&cluster);
}

static void least_conn__spreads_ties(void **state)
{
	struct cluster cluster = make(CONFIG_BALANCE_LEAST_CONN);
	unsigned int chosen = 0;

	for (int i = 0; i < 4; i++) {
		struct member *member = cluster_pick(&cluster, NULL, 0);

		chosen |= 1u << index_of(&cluster, member);
		cluster_release(member->endpoint);
	}
	assert_int_equal(chosen, 0xf);
	cluster_done(&cluster);
}

static void pick__skips_what_was_tried(void **state)
{
	static const enum config_balance balances[] = {CONFIG_BALANCE_ROUND_ROBIN,
						       CONFIG_BALANCE_LEAST_CONN};

	for (size_t b = 0; b < ARRAY_SIZE(balances); b++) {
		struct cluster cluster = make(balances[b]);
		struct member *tried[4];
		unsigned int chosen = 0;

		for (size_t n = 0; n < 4; n++) {
			tried[n] = cluster_pick(&cluster, tried, n);
			chosen |= 1u << index_of(&cluster, tried[n]);
			cluster_release(tried[n]->endpoint);
		}
		assert_int_equal(chosen, 0xf);
		assert_null(cluster_pick(&cluster, tried, 4));
		cluster_done(&cluster);
	}
}

static void pick__a_retry_takes_no_turn(void **state)
{
	struct cluster cluster = make(CONFIG_BALANCE_ROUND_ROBIN);
	struct member *first = cluster_pick(&cluster, NULL, 0);

	assert_int_equal(index_of(&cluster, cluster_pick(&cluster, &first, 1)), 1);
	assert_int_equal(index_of(&cluster, cluster_pick(&cluster, NULL, 0)), 1);
	cluster_done(&cluster);
}

static void release__gives_the_place_back(void **state)
{
	struct cluster cluster = make(CONFIG_BALANCE_LEAST_CONN);
	struct member *member = cluster_pick(&cluster, NULL, 0);

	assert_int_equal(member->endpoint->n_active, 1);
	cluster_release(member->endpoint);
	assert_int_equal(member->endpoint->n_active, 0);
	assert_int_equal(member->endpoint->n_chosen, 1);
	cluster_done(&cluster);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
	    cmocka_unit_test(round_robin__takes_turns),
	    cmocka_unit_test(least_conn__prefers_the_idlest),
	    cmocka_unit_test(least_conn__spreads_ties),
	    cmocka_unit_test(pick__skips_what_was_tried),
	    cmocka_unit_test(pick__a_retry_takes_no_turn),
	    cmocka_unit_test(release__gives_the_place_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
