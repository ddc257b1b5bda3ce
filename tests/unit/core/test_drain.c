/* SPDX-License-Identifier: Apache-2.0 */
#include "core/drain.h"

#include "base/clock.h"
#include "base/random.h"
#include "lib/worker_fixture.h"

#define CONFIG                                                                \
	"limits { close_timeout = 10m }\n" LISTENER                           \
	"route a { match { path = \"/a\" } echo = true  tunnel_timeout = 0 }" \
	"route b { match { path = \"/b\" } echo = true  tunnel_timeout = 0 }"
#define MS NS_PER_MS

/* ---- pace ---------------------------------------------------------------------------------- */

static void interval__is_the_longer_of_time_and_rate(void **state)
{
	assert_int_equal(drain_interval_ns(100, 1, 0, 0), 0);
	assert_int_equal(drain_interval_ns(100, 1, 1000, 0), 10 * MS);
	assert_int_equal(drain_interval_ns(100, 1, 0, 1000), 1 * MS);
	assert_int_equal(drain_interval_ns(100, 1, 1000, 1000), 10 * MS);
	assert_int_equal(drain_interval_ns(10000, 1, 1000, 1000), 1 * MS);
	assert_int_equal(drain_interval_ns(0, 1, 1000, 1000), 1 * MS);
}

/* All workers together do not pass the rate, whether it can be divided or not. */
static void interval__divides_the_rate_among_workers(void **state)
{
	for (uint64_t rate = 1; rate < 2000; rate += 7) {
		for (unsigned int n_workers = 1; n_workers <= 64; n_workers++) {
			uint64_t interval_ns = drain_interval_ns(5, n_workers, 0, rate);

			/* n_workers / interval <= rate, and not by more than rounding. */
			assert_true(n_workers * NS_PER_S <= rate * interval_ns);
			assert_true(n_workers * NS_PER_S > rate * (interval_ns - 1));
		}
	}
}

/* However the chances fall: by the end of slot k exactly k+1 were taken, each in its slot. */
static void pace__takes_one_in_each_slot(void **state)
{
	struct random_fast random;
	struct drain_pace pace;
	uint64_t n = 0, start_ns = 5000 * MS;

	random_fast_seed(&random, 7);
	drain_pace_init(&pace, 10 * MS, start_ns, random_fast_next(&random));
	for (uint64_t now_ns = start_ns; now_ns < start_ns + 5000 * MS; now_ns += MS / 4) {
		uint64_t slot = (now_ns - start_ns) / (10 * MS);

		while (drain_pace_take(&pace, now_ns, random_fast_next(&random)))
			n++;
		assert_in_range(n, slot, slot + 1);
		assert_in_range(pace.due_ns, pace.slot_ns, pace.slot_ns + 10 * MS - 1);
		assert_int_equal((pace.slot_ns - start_ns) % (10 * MS), 0);
	}
	assert_int_equal(n, 500);
}

static void pace__takes_chance_to_the_edges_of_a_slot(void **state)
{
	struct drain_pace pace;

	drain_pace_init(&pace, 100, 1000, 0);
	assert_int_equal(pace.due_ns, 1000);
	assert_true(drain_pace_take(&pace, 1000, 99));
	assert_int_equal(pace.due_ns, 1199);
	assert_false(drain_pace_take(&pace, 1198, 0));
	assert_true(drain_pace_take(&pace, 1199, 100));
	assert_int_equal(pace.due_ns, 1200);
}

static void pace__spreads_over_the_slot(void **state)
{
	unsigned int n_in_quarter[4] = {0};
	struct random_fast random;
	struct drain_pace pace;

	random_fast_seed(&random, 11);
	drain_pace_init(&pace, 1000, 0, random_fast_next(&random));
	for (int i = 0; i < 4000; i++) {
		n_in_quarter[(pace.due_ns - pace.slot_ns) / 250]++;
		assert_true(drain_pace_take(&pace, pace.due_ns, random_fast_next(&random)));
	}
	for (int i = 0; i < 4; i++)
		assert_in_range(n_in_quarter[i], 900, 1100);
}

/* A loop that was held up does not make up for it all at once. */
static void pace__forgets_what_it_was_too_late_for(void **state)
{
	struct drain_pace pace;
	uint64_t n = 0, now_ns = 60 * NS_PER_S;

	drain_pace_init(&pace, MS, 0, 0);
	while (drain_pace_take(&pace, now_ns, 0))
		n++;
	assert_in_range(n, 2, DRAIN_CATCH_UP_NS / MS + 2);
	while (drain_pace_take(&pace, now_ns + 100 * MS, 0))
		n++;
	assert_in_range(n, 2, 2 * (DRAIN_CATCH_UP_NS / MS + 2));
}

static void pace__without_interval_is_at_once(void **state)
{
	struct drain_pace pace;

	drain_pace_init(&pace, 0, 50, 1234567);
	for (int i = 0; i < 1000; i++)
		assert_true(drain_pace_take(&pace, 50, 7654321));
}

/* ---- at work ------------------------------------------------------------------------------- */

#define CLIENTS 6

struct clients {
	struct worker_fixture f;
	struct connection *c[CLIENTS];
	int fds[CLIENTS];
};

/* Even ones on route a, odd ones on route b. */
static void clients_init(struct clients *s)
{
	worker_fixture_init(&s->f, CONFIG);
	for (int i = 0; i < CLIENTS; i++) {
		char request[] = WORKER_FIXTURE_UPGRADE;
		char head[sizeof(request) + 1];
		int len = snprintf(head, sizeof(head), "GET /%c%s", i % 2 ? 'b' : 'a',
				   request + strlen("GET /"));

		s->fds[i] = worker_fixture_client(&s->f, &s->c[i]);
		assert_int_equal(send(s->fds[i], head, (size_t)len, 0), len);
	}
	worker_fixture_turn(&s->f);
	for (int i = 0; i < CLIENTS; i++)
		assert_int_equal(s->c[i]->state, CONNECTION_OPEN);
}

static void clients_done(struct clients *s)
{
	for (int i = 0; i < CLIENTS; i++)
		close(s->fds[i]);
	worker_fixture_done(&s->f);
}

static unsigned int count_closing(const struct clients *s)
{
	unsigned int n = 0;

	list_for_each (node, &s->f.worker->connections) {
		struct connection_link *link = container_of(node, struct connection_link, node);

		n += !link->is_cursor &&
		     container_of(link, struct connection, link)->state == CONNECTION_CLOSING;
	}
	return n;
}

static struct drain_plan *plan_new(const char *route, uint64_t time_ms, uint64_t hard_stop_ms)
{
	struct drain_plan template = {
	    .time_ms = time_ms,
	    .hard_stop_ms = hard_stop_ms,
	    .error = EGW_DRAINING,
	};
	struct drain_plan *plan;

	connection_filter_init(&template.filter);
	snprintf(template.filter.route, sizeof(template.filter.route), "%s", route);
	assert_int_equal(drain_plan_new(&template, &plan), 0);
	return plan;
}

static void drain__closes_what_the_filter_means(void **state)
{
	struct drain_plan *plan = plan_new("b", 0, 0);
	struct clients s;

	clients_init(&s);
	assert_int_equal(drain_begin(s.f.worker, plan, clock_monotonic_ns()), 0);
	worker_fixture_turn(&s.f);
	for (int i = 0; i < CLIENTS; i++)
		assert_int_equal(s.c[i]->state, i % 2 ? CONNECTION_CLOSING : CONNECTION_OPEN);
	assert_int_equal(s.c[1]->error, EGW_DRAINING);
	assert_int_equal(s.c[1]->close_code, 1001);
	clients_done(&s);
	drain_plan_unref(plan);
}

/* The due instants lie in an hour's slots, so that only the first slot's can have come. */
static void drain__spreads_over_its_time(void **state)
{
	struct drain_plan *plan = plan_new("", 3600 * 1000, 0);
	struct clients s;
	struct drain *d;

	clients_init(&s);
	assert_int_equal(drain_begin(s.f.worker, plan, clock_monotonic_ns()), 0);
	worker_fixture_turn(&s.f);
	d = container_of(s.f.worker->drains.next, struct drain, node);
	assert_int_equal(d->n_matching, CLIENTS);
	assert_int_equal(d->pace.interval_ns, 3600 * NS_PER_S / CLIENTS);
	assert_int_equal(d->phase, DRAIN_EVICT);
	assert_in_range(count_closing(&s), 0, 1);
	for (unsigned int i = 1; i <= CLIENTS; i++) {
		unsigned int before = count_closing(&s);

		/* As if the time had come. */
		d->pace.due_ns = clock_monotonic_ns();
		work_item_add(&s.f.worker->work, WORKER_QUEUE_DRAIN, &d->work);
		worker_fixture_turn(&s.f);
		assert_in_range(count_closing(&s), before, before + 1);
	}
	assert_int_equal(count_closing(&s), CLIENTS);
	clients_done(&s);
	drain_plan_unref(plan);
}

static void drain__ends_what_is_left_at_the_hard_stop(void **state)
{
	struct drain_plan *plan = plan_new("a", 0, 60 * 1000);
	struct clients s;
	struct drain *d;

	clients_init(&s);
	assert_int_equal(drain_begin(s.f.worker, plan, clock_monotonic_ns()), 0);
	worker_fixture_turn(&s.f);
	assert_int_equal(count_closing(&s), CLIENTS / 2);
	d = container_of(s.f.worker->drains.next, struct drain, node);
	d->deadline_ns = clock_monotonic_ns();
	/* The timer is set already; this is its callback's doing. */
	work_item_add(&s.f.worker->work, WORKER_QUEUE_DRAIN, &d->work);
	worker_fixture_turn(&s.f);
	assert_int_equal(s.f.worker->by_id.n_nodes, CLIENTS / 2);
	assert_int_equal(count_closing(&s), 0);
	assert_true(list_is_empty(&s.f.worker->drains));
	clients_done(&s);
	drain_plan_unref(plan);
}

static void drain__called_off_closes_no_more(void **state)
{
	struct drain_plan *plan = plan_new("", 3600 * 1000, 1000);
	unsigned int before;
	struct clients s;
	struct drain *d;

	clients_init(&s);
	assert_int_equal(drain_begin(s.f.worker, plan, clock_monotonic_ns()), 0);
	worker_fixture_turn(&s.f);
	before = count_closing(&s);
	d = container_of(s.f.worker->drains.next, struct drain, node);
	plan->is_cancelled = true;
	d->deadline_ns = d->pace.due_ns = clock_monotonic_ns();
	work_item_add(&s.f.worker->work, WORKER_QUEUE_DRAIN, &d->work);
	worker_fixture_turn(&s.f);
	assert_int_equal(count_closing(&s), before);
	assert_int_equal(s.f.worker->by_id.n_nodes, CLIENTS);
	assert_true(list_is_empty(&s.f.worker->drains));
	clients_done(&s);
	drain_plan_unref(plan);
}

/* The sanitizer watches. */
static void drain__under_way_goes_with_its_worker(void **state)
{
	struct drain_plan *plan = plan_new("", 3600 * 1000, 1000);
	struct clients s;

	clients_init(&s);
	assert_int_equal(drain_begin(s.f.worker, plan, clock_monotonic_ns()), 0);
	worker_fixture_turn(&s.f);
	drain_plan_unref(plan);
	clients_done(&s);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
	    cmocka_unit_test(interval__is_the_longer_of_time_and_rate),
	    cmocka_unit_test(interval__divides_the_rate_among_workers),
	    cmocka_unit_test(pace__takes_one_in_each_slot),
	    cmocka_unit_test(pace__takes_chance_to_the_edges_of_a_slot),
	    cmocka_unit_test(pace__spreads_over_the_slot),
	    cmocka_unit_test(pace__forgets_what_it_was_too_late_for),
	    cmocka_unit_test(pace__without_interval_is_at_once),
	    cmocka_unit_test(drain__closes_what_the_filter_means),
	    cmocka_unit_test(drain__spreads_over_its_time),
	    cmocka_unit_test(drain__ends_what_is_left_at_the_hard_stop),
	    cmocka_unit_test(drain__called_off_closes_no_more),
	    cmocka_unit_test(drain__under_way_goes_with_its_worker),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
