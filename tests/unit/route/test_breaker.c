/* SPDX-License-Identifier: Apache-2.0 */
#include "route/breaker.h"

#include "base/std.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define SECOND UINT64_C(1000000000)

static struct breaker breaker;
static struct breaker_rules rules;

static int set_up(void **state)
{
	breaker_init(&breaker);
	rules = (struct breaker_rules){.failure_ratio = 50,
				       .min_requests = 10,
				       .probes = 3,
				       .window_ns = 10 * SECOND,
				       .open_ns = 5 * SECOND};
	return 0;
}

static int tear_down(void **state)
{
	breaker_done(&breaker);
	return 0;
}

static uint64_t admit(uint64_t now_ns)
{
	struct breaker_admission a = breaker_admit(&breaker, &rules, now_ns);

	assert_true(a.is_admitted);
	return a.phase;
}

static struct breaker_admission refused(uint64_t now_ns)
{
	struct breaker_admission a = breaker_admit(&breaker, &rules, now_ns);

	assert_false(a.is_admitted);
	return a;
}

static int end(uint64_t phase, enum breaker_outcome outcome, uint64_t now_ns)
{
	return breaker_report(&breaker, &rules, phase, outcome, now_ns);
}

/* One request from begin to end. Return: the state that it led to, or -1. */
static int request(enum breaker_outcome outcome, uint64_t now_ns)
{
	return end(admit(now_ns), outcome, now_ns);
}

static void open_it(uint64_t now_ns)
{
	for (int i = 0; i < 9; i++)
		assert_int_equal(request(BREAKER_FAILED, now_ns), -1);
	assert_int_equal(request(BREAKER_FAILED, now_ns), BREAKER_OPEN);
	assert_int_equal(breaker_state(&breaker), BREAKER_OPEN);
}

/* ---- closed -------------------------------------------------------------------------------- */

static void closed__few_requests_prove_nothing(void **state)
{
	for (int i = 0; i < 9; i++)
		assert_int_equal(request(BREAKER_FAILED, SECOND), -1);
	assert_int_equal(breaker_state(&breaker), BREAKER_CLOSED);
}

static void closed__opens_at_its_ratio(void **state)
{
	for (int i = 0; i < 10; i++)
		assert_int_equal(request(BREAKER_OK, SECOND), -1);
	for (int i = 0; i < 9; i++)
		assert_int_equal(request(BREAKER_FAILED, SECOND), -1);
	assert_int_equal(request(BREAKER_FAILED, SECOND), BREAKER_OPEN); /* 10 of 20 */
	assert_int_equal(refused(SECOND).retry_ns, 5 * SECOND);
	assert_int_equal(refused(4 * SECOND).retry_ns, 2 * SECOND);
}

static void closed__what_lies_before_the_window_is_forgotten(void **state)
{
	for (int i = 0; i < 9; i++)
		request(BREAKER_FAILED, SECOND);
	assert_int_equal(request(BREAKER_FAILED, 11 * SECOND), -1);
	assert_int_equal(breaker_state(&breaker), BREAKER_CLOSED);
	for (int i = 0; i < 8; i++)
		assert_int_equal(request(BREAKER_FAILED, 12 * SECOND), -1);
	assert_int_equal(request(BREAKER_FAILED, 20 * SECOND), BREAKER_OPEN); /* 1 + 8 + 1 */
}

static void closed__clients_that_leave_count_for_nothing(void **state)
{
	for (int i = 0; i < 100; i++)
		assert_int_equal(request(BREAKER_NEITHER, SECOND), -1);
	assert_int_equal(request(BREAKER_FAILED, SECOND), -1);
	assert_int_equal(breaker_state(&breaker), BREAKER_CLOSED);
}

static void closed__another_window_begins_anew(void **state)
{
	for (int i = 0; i < 9; i++)
		request(BREAKER_FAILED, 1000 * SECOND);
	rules.window_ns = 100 * SECOND;
	for (int i = 0; i < 9; i++)
		assert_int_equal(request(BREAKER_FAILED, 1001 * SECOND), -1);
	assert_int_equal(request(BREAKER_FAILED, 1001 * SECOND), BREAKER_OPEN);
}

/* ---- open ---------------------------------------------------------------------------------- */

static void open__refuses_until_its_time_has_passed(void **state)
{
	struct breaker_admission a;

	open_it(SECOND);
	assert_int_equal(refused(6 * SECOND - 1).retry_ns, 1);
	a = breaker_admit(&breaker, &rules, 6 * SECOND);
	assert_true(a.is_admitted);
	assert_int_equal(a.entered, BREAKER_HALF_OPEN);
}

static void open__late_results_of_before_are_void(void **state)
{
	uint64_t early[4];

	for (size_t i = 0; i < 4; i++)
		early[i] = admit(SECOND);
	open_it(SECOND);
	assert_int_equal(end(early[0], BREAKER_OK, 2 * SECOND), -1);
	assert_int_equal(end(early[1], BREAKER_FAILED, 2 * SECOND), -1);
	assert_int_equal(breaker_state(&breaker), BREAKER_OPEN);
	admit(6 * SECOND);
	assert_int_equal(end(early[2], BREAKER_FAILED, 6 * SECOND), -1);
	assert_int_equal(end(early[3], BREAKER_OK, 6 * SECOND), -1);
	assert_int_equal(breaker_state(&breaker), BREAKER_HALF_OPEN);
	assert_int_equal(breaker.n_trials, 1);
	assert_int_equal(breaker.n_succeeded, 0);
}

/* ---- half open ----------------------------------------------------------------------------- */

static void half_open__closes_when_all_trials_succeed(void **state)
{
	uint64_t phase;

	open_it(SECOND);
	phase = admit(6 * SECOND);
	assert_int_equal(admit(6 * SECOND), phase);
	assert_int_equal(admit(6 * SECOND), phase);
	refused(6 * SECOND); /* three are on their way */
	assert_int_equal(end(phase, BREAKER_OK, 6 * SECOND), -1);
	refused(6 * SECOND); /* a success gives no place back: three are enough */
	assert_int_equal(end(phase, BREAKER_OK, 6 * SECOND), -1);
	assert_int_equal(end(phase, BREAKER_OK, 6 * SECOND), BREAKER_CLOSED);
	/* What failed before is forgotten. */
	assert_int_equal(request(BREAKER_FAILED, 6 * SECOND), -1);
	assert_int_equal(breaker_state(&breaker), BREAKER_CLOSED);
}

static void half_open__one_failure_opens_it_again(void **state)
{
	uint64_t phase;

	open_it(SECOND);
	phase = admit(6 * SECOND);
	admit(6 * SECOND);
	assert_int_equal(end(phase, BREAKER_OK, 7 * SECOND), -1);
	assert_int_equal(end(phase, BREAKER_FAILED, 7 * SECOND), BREAKER_OPEN);
	assert_int_equal(refused(7 * SECOND).retry_ns, 5 * SECOND);
	assert_int_equal(breaker_admit(&breaker, &rules, 12 * SECOND).entered, BREAKER_HALF_OPEN);
}

static void half_open__a_client_that_leaves_gives_its_place_back(void **state)
{
	uint64_t phase;

	open_it(SECOND);
	phase = admit(6 * SECOND);
	admit(6 * SECOND);
	admit(6 * SECOND);
	refused(6 * SECOND);
	assert_int_equal(end(phase, BREAKER_NEITHER, 6 * SECOND), -1);
	assert_int_equal(admit(6 * SECOND), phase);
	refused(6 * SECOND);
}

/* ---- off ----------------------------------------------------------------------------------- */

static void off__lets_all_through_and_counts_nothing(void **state)
{
	rules.failure_ratio = 0;
	for (int i = 0; i < 100; i++)
		assert_int_equal(request(BREAKER_FAILED, SECOND), -1);
	assert_int_equal(breaker_state(&breaker), BREAKER_CLOSED);
}

static void off__an_open_one_closes(void **state)
{
	open_it(SECOND);
	rules.failure_ratio = 0;
	assert_int_equal(breaker_admit(&breaker, &rules, SECOND).entered, BREAKER_CLOSED);
	assert_true(breaker_admit(&breaker, &rules, SECOND).is_admitted);
}

static void state_name__is_that_of_the_events(void **state)
{
	assert_string_equal(breaker_state_name(BREAKER_CLOSED), "closed");
	assert_string_equal(breaker_state_name(BREAKER_OPEN), "open");
	assert_string_equal(breaker_state_name(BREAKER_HALF_OPEN), "half_open");
}

/* ---- threads ------------------------------------------------------------------------------- */

#define THREADS  4
#define REQUESTS 50000

static _Atomic uint64_t shared_now_ns;
static _Atomic uint32_t n_entered[BREAKER_STATES];

static void note(int entered)
{
	if (entered >= 0)
		atomic_fetch_add(&n_entered[entered], 1);
}

/* Half of the requests fail, for a while; then all are good. Time goes on with each. */
static void *make_requests(void *arg)
{
	const unsigned int *seed = arg;

	for (unsigned int i = 0; i < REQUESTS; i++) {
		uint64_t now_ns = atomic_fetch_add(&shared_now_ns, SECOND / 1000);
		struct breaker_admission a = breaker_admit(&breaker, &rules, now_ns);
		unsigned int what = (i * 7 + *seed) % 10;

		note(a.entered);
		if (a.is_admitted)
			note(breaker_report(&breaker, &rules, a.phase,
					    i > REQUESTS * 9 / 10 ? BREAKER_OK
					    : what == 0           ? BREAKER_NEITHER
					    : what < 6            ? BREAKER_FAILED
								  : BREAKER_OK,
					    now_ns));
	}
	return NULL;
}

static void threads__see_each_transition_once(void **state)
{
	static unsigned int seeds[THREADS] = {1, 2, 3, 4};
	pthread_t threads[THREADS];
	struct breaker_admission a;

	shared_now_ns = SECOND;
	rules.open_ns = SECOND / 10;
	for (size_t i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, make_requests, &seeds[i]), 0);
	for (size_t i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	/* Each time it opened it half opened, unless it still is open. */
	assert_true(n_entered[BREAKER_OPEN] > 10);
	assert_true(n_entered[BREAKER_OPEN] ==
		    n_entered[BREAKER_HALF_OPEN] + (breaker_state(&breaker) == BREAKER_OPEN));
	assert_true(n_entered[BREAKER_CLOSED] <= n_entered[BREAKER_HALF_OPEN]);
	/* No place of a trial was lost: it can still be closed. */
	for (uint64_t i = 0; breaker_state(&breaker) != BREAKER_CLOSED; i++) {
		assert_true(i < 10);
		a = breaker_admit(&breaker, &rules, shared_now_ns + SECOND);
		assert_true(a.is_admitted);
		breaker_report(&breaker, &rules, a.phase, BREAKER_OK, shared_now_ns + SECOND);
	}
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	static const struct CMUnitTest tests[] = {
	    CASE(closed__few_requests_prove_nothing),
	    CASE(closed__opens_at_its_ratio),
	    CASE(closed__what_lies_before_the_window_is_forgotten),
	    CASE(closed__clients_that_leave_count_for_nothing),
	    CASE(closed__another_window_begins_anew),
	    CASE(open__refuses_until_its_time_has_passed),
	    CASE(open__late_results_of_before_are_void),
	    CASE(half_open__closes_when_all_trials_succeed),
	    CASE(half_open__one_failure_opens_it_again),
	    CASE(half_open__a_client_that_leaves_gives_its_place_back),
	    CASE(off__lets_all_through_and_counts_nothing),
	    CASE(off__an_open_one_closes),
	    CASE(state_name__is_that_of_the_events),
	    CASE(threads__see_each_transition_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
