/* SPDX-License-Identifier: Apache-2.0 */
/* Connections on their way from one generation to the next: routing_follow(). */
#include "route/routing.h"

#include "lib/worker_fixture.h"

#define COUNT 300 /* more than one slice of the worker's */

struct fixture {
	struct worker_fixture f;
	struct routing *routing; /* the newest */
	struct connection *connections[COUNT];
	int fds[COUNT];
};

/* COUNT open connections of route "r". */
static void open_all(struct fixture *x, const char *text)
{
	worker_fixture_init(&x->f, text);
	x->routing = x->f.routing;
	generation_ref(&x->routing->generation);
	for (int i = 0; i < COUNT; i++) {
		x->fds[i] = worker_fixture_client(&x->f, &x->connections[i]);
		assert_true(send(x->fds[i], WORKER_FIXTURE_UPGRADE,
				 sizeof(WORKER_FIXTURE_UPGRADE) - 1, 0) > 0);
		worker_fixture_turn(&x->f);
		assert_int_equal(x->connections[i]->state, CONNECTION_OPEN);
	}
}

static void reload(struct fixture *x, const char *text)
{
	struct config *config = load_config(text);
	struct routing *next;

	assert_int_equal(routing_new(config, x->routing, &next), 0);
	config_unref(config);
	generation_unref(&x->routing->generation);
	x->routing = next;
	worker_set_generation(x->f.worker, &next->generation);
}

static unsigned int count_followed(const struct fixture *x)
{
	unsigned int n = 0;

	for (int i = 0; i < COUNT; i++)
		n += x->connections[i]->generation == &x->routing->generation;
	return n;
}

static uint64_t count_active(const struct fixture *x, const char *route)
{
	return atomic_load(&routing_route(x->routing, route)->stats->n_active);
}

static void close_all(struct fixture *x)
{
	for (int i = 0; i < COUNT; i++)
		close(x->fds[i]);
	worker_fixture_run(&x->f);
	generation_unref(&x->routing->generation);
	worker_fixture_done(&x->f);
	assert_int_equal(generation_count(), 0);
}

static void follow__all_in_slices(void **state)
{
	struct fixture x;

	open_all(&x, LISTENER "route r { echo = true }\n");
	reload(&x, LISTENER "route r { echo = true max_frame = 5kb }\n");
	ev_run(x.f.worker->loop, EVRUN_NOWAIT); /* the order */
	x.f.worker->work.budget_items = 1;
	ev_run(x.f.worker->loop, EVRUN_NOWAIT);
	assert_in_range(count_followed(&x), 1, COUNT - 1);
	worker_fixture_turn(&x.f);
	assert_int_equal(count_followed(&x), COUNT);
	assert_int_equal(x.connections[0]->route->max_frame_bytes, 5120);
	assert_int_equal(count_active(&x, "r"), COUNT);
	/* The test, the worker and the connections have let go of the first, the fixture has not.
	 */
	assert_int_equal(generation_count(), 2);
	close_all(&x);
}

static void follow__stays_where_its_route_is(void **state)
{
	struct fixture x;

	open_all(&x, LISTENER "route r { echo = true }\n");
	reload(&x, LISTENER "route s { echo = true }\n");
	worker_fixture_turn(&x.f);
	assert_int_equal(count_followed(&x), 0);
	assert_string_equal(x.connections[0]->route->name, "r");
	assert_int_equal(count_active(&x, "s"), 0);
	/* It is back, and knows nothing of the one before. */
	reload(&x, LISTENER "route r { echo = true }\n");
	worker_fixture_turn(&x.f);
	assert_int_equal(count_followed(&x), COUNT);
	assert_int_equal(count_active(&x, "r"), COUNT);
	close_all(&x);
}

static void follow__not_to_another_action(void **state)
{
	struct fixture x;

	open_all(&x, LISTENER CLUSTER "route r { echo = true }\n");
	reload(&x, LISTENER CLUSTER "route r { proxy = c }\n");
	worker_fixture_turn(&x.f);
	assert_int_equal(count_followed(&x), 0);
	assert_int_equal(x.connections[0]->route->action, CONFIG_ACTION_ECHO);
	close_all(&x);
}

static void follow__the_newest_of_several(void **state)
{
	struct fixture x;

	open_all(&x, LISTENER "route r { echo = true }\n");
	for (int i = 0; i < 10; i++)
		reload(&x, LISTENER "route r { echo = true }\n");
	x.f.worker->work.budget_items = 1;
	ev_run(x.f.worker->loop, EVRUN_NOWAIT);
	ev_run(x.f.worker->loop, EVRUN_NOWAIT);
	/* In the middle of following another one comes. */
	reload(&x, LISTENER "route r { echo = true }\n");
	worker_fixture_turn(&x.f);
	assert_int_equal(count_followed(&x), COUNT);
	assert_int_equal(generation_count(), 2);
	close_all(&x);
}

static void request__in_the_turn_of_the_order_is_routed_by_the_newest(void **state)
{
	struct fixture x;
	struct connection *c;
	int fd;

	open_all(&x, LISTENER "route r { echo = true }\n");
	fd = worker_fixture_client(&x.f, &c);
	reload(&x, LISTENER "route s { echo = true }\n");
	/* The order is not seen before the request is. */
	ev_async_stop(x.f.worker->loop, &x.f.worker->on_order);
	assert_true(send(fd, WORKER_FIXTURE_UPGRADE, sizeof(WORKER_FIXTURE_UPGRADE) - 1, 0) > 0);
	worker_fixture_turn(&x.f);
	assert_int_equal(c->state, CONNECTION_OPEN);
	assert_string_equal(c->route->name, "s");
	ev_async_start(x.f.worker->loop, &x.f.worker->on_order);
	close(fd);
	close_all(&x);
}

static void follow__those_who_end_meanwhile_do_not_matter(void **state)
{
	struct fixture x;

	open_all(&x, LISTENER "route r { echo = true }\n");
	reload(&x, LISTENER "route r { echo = true }\n");
	x.f.worker->work.budget_items = 1;
	ev_run(x.f.worker->loop, EVRUN_NOWAIT);
	ev_run(x.f.worker->loop, EVRUN_NOWAIT);
	close_all(&x);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
	    cmocka_unit_test(follow__all_in_slices),
	    cmocka_unit_test(request__in_the_turn_of_the_order_is_routed_by_the_newest),
	    cmocka_unit_test(follow__stays_where_its_route_is),
	    cmocka_unit_test(follow__not_to_another_action),
	    cmocka_unit_test(follow__the_newest_of_several),
	    cmocka_unit_test(follow__those_who_end_meanwhile_do_not_matter),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
