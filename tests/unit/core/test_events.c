/* SPDX-License-Identifier: Apache-2.0 */
#include "core/events.h"

#include <ev.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static struct ev_loop *loop;

static int set_up(void **state)
{
	loop = ev_loop_new(EVBACKEND_EPOLL | EVFLAG_NOENV);
	return events_init(loop);
}

static int tear_down(void **state)
{
	events_done();
	ev_loop_destroy(loop);
	return 0;
}

static void turn(void)
{
	for (int i = 0; i < 16; i++)
		ev_run(loop, EVRUN_NOWAIT);
}

static json_int_t field(uint64_t number, const char *key)
{
	return json_integer_value(json_object_get(events_at(number)->fields, key));
}

static void emit__without_init_does_nothing(void **state)
{
	events_emit(EVENT_STARTED, NULL);
	assert_int_equal(events_lost(), 0);
	assert_int_equal(events_next(), 0);
}

static void emit__numbers_in_order(void **state)
{
	assert_int_equal(events_next(), 0);
	events_emit(EVENT_STARTED, NULL);
	events_emit(EVENT_ENDPOINT_UP, "{s:s, s:i}", "endpoint", "a", "n", 7);
	assert_int_equal(events_next(), 0); /* the main thread has not looked yet */
	turn();
	assert_int_equal(events_oldest(), 0);
	assert_int_equal(events_next(), 2);
	assert_int_equal(events_at(0)->type, EVENT_STARTED);
	assert_int_equal(json_object_size(events_at(0)->fields), 0);
	assert_int_equal(events_at(1)->number, 1);
	assert_int_equal(field(1, "n"), 7);
}

static void emit__what_is_not_utf8_is_lost(void **state)
{
	events_emit(EVENT_STARTED, "{s:s}", "name", "\xff");
	turn();
	assert_int_equal(events_next(), 0);
	assert_int_equal(events_lost(), 1);
}

static void emit__beyond_the_box_is_lost_and_counted(void **state)
{
	for (unsigned int i = 0; i < EVENTS_KEPT + 5; i++)
		events_emit(EVENT_STARTED, "{s:i}", "i", (int)i);
	assert_int_equal(events_lost(), 5);
	turn();
	assert_int_equal(events_next(), EVENTS_KEPT);
	assert_int_equal(field(EVENTS_KEPT - 1, "i"), EVENTS_KEPT - 1);
}

static void ring__keeps_the_latest(void **state)
{
	for (unsigned int i = 0; i < EVENTS_KEPT + 3; i++) {
		events_emit(EVENT_STARTED, "{s:i}", "i", (int)i);
		turn();
	}
	assert_int_equal(events_next(), EVENTS_KEPT + 3);
	assert_int_equal(events_oldest(), 3);
	assert_int_equal(field(3, "i"), 3);
	assert_int_equal(field(EVENTS_KEPT + 2, "i"), EVENTS_KEPT + 2);
}

static void json__has_the_five_parts(void **state)
{
	json_t *json, *fields = json_pack("{s:s}", "endpoint", "a");
	struct event event = {.number = 3,
			      .time_ns = 1000,
			      .type = EVENT_ENDPOINT_DOWN,
			      .fields = fields};
	json_t *expected = json_pack("{s:i, s:s, s:s, s:s, s:{s:s}}", "number", 3, "time",
				     "1970-01-01T00:00:00.000001Z", "type", "endpoint_down",
				     "severity", "warning", "fields", "endpoint", "a");

	json = event_json(&event);
	assert_true(json_equal(json, expected));
	json_decref(json);
	json_decref(expected);
	json_decref(fields);
}

/* ---- watchers ------------------------------------------------------------------------------ */

struct counting {
	struct events_watcher watcher;
	struct events_watcher *to_unwatch;
	unsigned int n_told;
};

static void count(struct events_watcher *watcher)
{
	struct counting *counting = container_of(watcher, struct counting, watcher);

	counting->n_told++;
	if (counting->to_unwatch)
		events_unwatch(counting->to_unwatch);
}

static void watch__is_told_until_unwatch(void **state)
{
	struct counting one = {.watcher.on_events = count};

	events_unwatch(&one.watcher); /* zeroed: harmless */
	events_watch(&one.watcher);
	turn();
	assert_int_equal(one.n_told, 0);
	events_emit(EVENT_STARTED, NULL);
	turn();
	assert_int_equal(one.n_told, 1);
	events_unwatch(&one.watcher);
	events_unwatch(&one.watcher);
	events_emit(EVENT_STARTED, NULL);
	turn();
	assert_int_equal(one.n_told, 1);
}

static void deliver__needs_no_turn_of_the_loop(void **state)
{
	struct counting one = {.watcher.on_events = count};

	events_watch(&one.watcher);
	events_emit(EVENT_STOPPING, NULL);
	events_deliver();
	assert_int_equal(events_next(), 1);
	assert_int_equal(one.n_told, 1);
	events_deliver();
	turn();
	assert_int_equal(one.n_told, 1);
	events_unwatch(&one.watcher);
}

static void watch__may_end_itself_and_others(void **state)
{
	struct counting one = {.watcher.on_events = count}, two = one, three = one;

	one.to_unwatch = &one.watcher;
	two.to_unwatch = &three.watcher;
	events_watch(&one.watcher);
	events_watch(&two.watcher);
	events_watch(&three.watcher);
	events_emit(EVENT_STARTED, NULL);
	turn();
	events_emit(EVENT_STARTED, NULL);
	turn();
	assert_int_equal(one.n_told, 1);
	assert_int_equal(two.n_told, 2);
	assert_int_equal(three.n_told, 0);
	events_unwatch(&two.watcher);
}

/* ---- threads ------------------------------------------------------------------------------- */

#define N_THREADS 4
#define N_OF_EACH 2000

static void *emit_many(void *arg)
{
	for (int i = 0; i < N_OF_EACH; i++)
		events_emit(EVENT_ENDPOINT_DOWN, "{s:i, s:i}", "thread", *(int *)arg, "i", i);
	return NULL;
}

/* Each thread's events come in its order, and those that did not come were counted. */
static void emit__from_threads(void **state)
{
	pthread_t threads[N_THREADS];
	int indexes[N_THREADS], latest[N_THREADS];
	uint64_t seen = 0;

	for (int i = 0; i < N_THREADS; i++) {
		indexes[i] = i;
		latest[i] = -1;
		assert_int_equal(pthread_create(&threads[i], NULL, emit_many, &indexes[i]), 0);
	}
	while (events_next() + events_lost() < N_THREADS * N_OF_EACH) {
		ev_run(loop, EVRUN_NOWAIT);
		assert_true(events_next() - seen <= EVENTS_KEPT);
		for (; seen < events_next(); seen++) {
			json_int_t thread = field(seen, "thread");

			assert_true(field(seen, "i") > latest[thread]);
			latest[thread] = (int)field(seen, "i");
		}
	}
	for (int i = 0; i < N_THREADS; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	assert_int_equal(seen + events_lost(), N_THREADS * N_OF_EACH);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	static const struct CMUnitTest tests[] = {
	    cmocka_unit_test(emit__without_init_does_nothing),
	    CASE(emit__numbers_in_order),
	    CASE(emit__what_is_not_utf8_is_lost),
	    CASE(emit__beyond_the_box_is_lost_and_counted),
	    CASE(ring__keeps_the_latest),
	    CASE(json__has_the_five_parts),
	    CASE(watch__is_told_until_unwatch),
	    CASE(deliver__needs_no_turn_of_the_loop),
	    CASE(watch__may_end_itself_and_others),
	    CASE(emit__from_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
