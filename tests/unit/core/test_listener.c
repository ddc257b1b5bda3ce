/* SPDX-License-Identifier: Apache-2.0 */
#include "core/listener.h"

#include "lib/config_loading.h"

#define ROUTE "route echo { echo = true }\n"

static struct listener_set *open_set(const char *text, unsigned int n_workers)
{
	struct config *config = load_config(text);
	struct listener_error error;
	struct listener_set *set;

	assert_int_equal(listener_set_open(config, n_workers, &set, &error), 0);
	config_unref(config);
	return set;
}

static uint64_t count_of(const struct listener_set *set, size_t socket)
{
	return atomic_load(&set->sockets[socket].stats->n_accepted);
}

static void stats__are_one_for_a_listener(void **state)
{
	struct listener_set *set =
	    open_set("listener a { listen = {\"127.0.0.1:0\", \"[::1]:0\"} }\n"
		     "listener b { listen = {\"127.0.0.1:0\"} }\n" ROUTE,
		     2);

	assert_int_equal(set->n_sockets, 6);
	for (size_t i = 1; i < 4; i++)
		assert_ptr_equal(set->sockets[i].stats, set->sockets[0].stats);
	assert_ptr_equal(set->sockets[5].stats, set->sockets[4].stats);
	assert_ptr_not_equal(set->sockets[4].stats, set->sockets[0].stats);
	listener_set_free(set);
}

/* By name, whatever the addresses and the order are, and also when the old set has gone. */
static void go_on__keeps_the_counts(void **state)
{
	struct listener_set *before = open_set("listener a { listen = {\"127.0.0.1:0\"} }\n"
					       "listener b { listen = {\"127.0.0.1:0\"} }\n" ROUTE,
					       1);
	struct listener_set *set =
	    open_set("listener b { listen = {\"127.0.0.1:0\", \"[::1]:0\"} }\n"
		     "listener c { listen = {\"127.0.0.1:0\"} }\n" ROUTE,
		     1);

	atomic_store(&before->sockets[0].stats->n_accepted, 3);
	atomic_store(&before->sockets[1].stats->n_accepted, 5);
	listener_set_go_on(set, before);
	atomic_fetch_add(&before->sockets[1].stats->n_accepted, 1); /* by one not yet replaced */
	listener_set_free(before);
	assert_int_equal(count_of(set, 0), 6);
	assert_int_equal(count_of(set, 1), 6);
	assert_int_equal(count_of(set, 2), 0);
	listener_set_free(set);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
	    cmocka_unit_test(stats__are_one_for_a_listener),
	    cmocka_unit_test(go_on__keeps_the_counts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
