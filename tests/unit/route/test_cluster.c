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
	for (size_t i = 0; i < ARRAY_SIZE(endpoints); i++)
		endpoints[i].weight = 100;
	assert_int_equal(cluster_init(&cluster, &config, NULL, 0), 0);
	return cluster;
}

static struct member *pick_at(struct cluster *cluster, struct member *const *tried, size_t n_tried,
			      uint64_t now_ns)
{
	const struct pick pick = {.now_ns = now_ns, .tried = tried, .n_tried = n_tried};

	struct member *member = cluster_pick(cluster, &pick);

	/* The cluster's own reference is enough for a test, which need not release what it picks.
	 */
	if (member)
		endpoint_unref(member->endpoint);
	return member;
}

static struct member *pick(struct cluster *cluster, struct member *const *tried, size_t n_tried)
{
	return pick_at(cluster, tried, n_tried, 1);
}

static void release(struct member *member)
{
	cluster_release(endpoint_ref(member->endpoint));
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
		assert_int_equal(index_of(&cluster, pick(&cluster, NULL, 0)), i % 4);
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
		pick(&cluster, NULL, 0);
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
		struct member *member = pick(&cluster, NULL, 0);

		chosen |= 1u << index_of(&cluster, member);
		release(member);
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
			tried[n] = pick(&cluster, tried, n);
			chosen |= 1u << index_of(&cluster, tried[n]);
			release(tried[n]);
		}
		assert_int_equal(chosen, 0xf);
		assert_null(pick(&cluster, tried, 4));
		cluster_done(&cluster);
	}
}

static void pick__a_retry_takes_no_turn(void **state)
{
	struct cluster cluster = make(CONFIG_BALANCE_ROUND_ROBIN);
	struct member *first = pick(&cluster, NULL, 0);

	assert_int_equal(index_of(&cluster, pick(&cluster, &first, 1)), 1);
	assert_int_equal(index_of(&cluster, pick(&cluster, NULL, 0)), 1);
	cluster_done(&cluster);
}

static void release__gives_the_place_back(void **state)
{
	struct cluster cluster = make(CONFIG_BALANCE_LEAST_CONN);
	struct member *member = pick(&cluster, NULL, 0);

	assert_int_equal(member->endpoint->n_active, 1);
	release(member);
	assert_int_equal(member->endpoint->n_active, 0);
	assert_int_equal(member->endpoint->n_chosen, 1);
	cluster_done(&cluster);
}

/* ---- over a reload ------------------------------------------------------------------------- */

static void init__only_what_is_new_starts_slowly(void **state)
{
	struct config_cluster three = config;
	struct cluster before = {0}, after = {0};

	three.n_endpoints = 3;
	assert_int_equal(cluster_init(&before, &three, NULL, 5), 0);
	assert_int_equal(cluster_init(&after, &config, &before, 7), 0);
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(endpoint_ramp(after.members[i].endpoint, 10, 7),
				 i < 3 ? 65536 : 0);
	assert_ptr_equal(after.state, before.state);
	cluster_done(&before);
	cluster_done(&after);
}

/* ---- ejection ------------------------------------------------------------------------------ */

#define SECOND_NS UINT64_C(1000000000)

static struct cluster make_ejecting(uint16_t max_percent)
{
	config.ejection.failures = 3;
	config.ejection.time_ms = 1000;
	config.ejection.max_percent = max_percent;
	return make(CONFIG_BALANCE_ROUND_ROBIN);
}

static void fail_times(struct cluster *cluster, size_t member, int times, uint64_t now_ns)
{
	for (int i = 0; i < times; i++)
		cluster_report(cluster, &cluster->members[member], false, now_ns);
}

static void report__ejects_after_failures_in_a_row(void **state)
{
	struct cluster cluster = make_ejecting(50);
	bool is_back = false;

	fail_times(&cluster, 1, 2, 1);
	cluster_report(&cluster, &cluster.members[1], true, 1);
	fail_times(&cluster, 1, 2, 1);
	assert_false(endpoint_is_ejected(cluster.members[1].endpoint, 1));
	fail_times(&cluster, 1, 1, 1);
	assert_true(endpoint_is_ejected(cluster.members[1].endpoint, 1));
	for (int i = 0; i < 8; i++)
		assert_int_not_equal(index_of(&cluster, pick_at(&cluster, NULL, 0, 1)), 1);
	for (int i = 0; i < 8; i++)
		is_back |= index_of(&cluster, pick_at(&cluster, NULL, 0, SECOND_NS + 1)) == 1;
	assert_true(is_back);
	cluster_done(&cluster);
}

static void report__leaves_enough_of_them(void **state)
{
	static const struct {
		uint16_t max_percent;
		size_t ejected;
	} cases[] = {{1, 0}, {24, 0}, {25, 1}, {50, 2}, {74, 2}, {75, 3}, {100, 4}};

	for (size_t c = 0; c < ARRAY_SIZE(cases); c++) {
		struct cluster cluster = make_ejecting(cases[c].max_percent);
		size_t ejected = 0;

		for (size_t i = 0; i < 4; i++)
			fail_times(&cluster, i, 10, 1);
		for (size_t i = 0; i < 4; i++)
			ejected += endpoint_is_ejected(cluster.members[i].endpoint, 1);
		assert_int_equal(ejected, cases[c].ejected);
		cluster_done(&cluster);
	}
}

static void report__off_ejects_nobody(void **state)
{
	struct cluster cluster = make_ejecting(100);

	config.ejection.failures = 0;
	fail_times(&cluster, 0, 100, 1);
	assert_false(endpoint_is_ejected(cluster.members[0].endpoint, 1));
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
	    cmocka_unit_test(init__only_what_is_new_starts_slowly),
	    cmocka_unit_test(report__ejects_after_failures_in_a_row),
	    cmocka_unit_test(report__leaves_enough_of_them),
	    cmocka_unit_test(report__off_ejects_nobody),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
