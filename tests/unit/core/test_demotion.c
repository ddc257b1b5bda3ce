/* SPDX-License-Identifier: Apache-2.0 */
#include "core/demotion.h"

#include "base/std.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

/* One round: so many tries, until the pace is back at its beginning. */
struct round {
	unsigned int n_tries, n_stops;
	uint64_t before_stop_ms, stopped_ms, pause_ms;
};

static struct round next_round(struct demotion_pace *pace)
{
	struct round round = {0};

	do {
		struct demotion_step step = demotion_pace_next(pace);

		round.n_tries++;
		round.n_stops += step.is_stop;
		if (pace->n_tries == 0)
			round.pause_ms = step.delay_ms;
		else if (round.n_stops)
			round.stopped_ms += step.delay_ms;
		else
			round.before_stop_ms += step.delay_ms;
	} while (pace->n_tries != 0);
	return round;
}

static void pace__stops_a_stream_only_after_it_had_its_chance(void **state)
{
	struct demotion_pace pace = {0};
	struct demotion_step step = demotion_pace_next(&pace);
	uint64_t before_ms = step.delay_ms;

	assert_int_equal(step.delay_ms, 1);
	while (!step.is_stop) {
		step = demotion_pace_next(&pace);
		assert_true(step.delay_ms >= 1);
		if (!step.is_stop)
			before_ms += step.delay_ms;
	}
	assert_in_range(before_ms, 20, 100);
}

static void pace__makes_its_last_tries_while_the_stop_lasts(void **state)
{
	struct demotion_pace pace = {0};

	for (int i = 0; i < 10; i++) {
		struct round round = next_round(&pace);

		assert_int_equal(round.n_stops, 1);
		assert_true(round.stopped_ms < DEMOTION_STOP_MS);
		assert_true(round.stopped_ms > DEMOTION_STOP_MS / 3);
		assert_true(round.n_tries >= 5);
	}
}

static void pace__lets_a_stream_flow_in_between(void **state)
{
	struct demotion_pace pace = {0};
	uint64_t last_ms = DEMOTION_STOP_MS;

	for (int i = 0; i < 300; i++) {
		struct round round = next_round(&pace);

		assert_true(round.pause_ms >= last_ms && round.pause_ms <= 4000);
		last_ms = round.pause_ms;
	}
	assert_int_equal(last_ms, 4000);
}

static void names__are_all_there(void **state)
{
	for (int reason = 0; reason < DEMOTION_REASON_COUNT; reason++)
		assert_string_not_equal(demotion_reason_name((enum demotion_reason)reason), "?");
	for (int result = 0; result < DEMOTION_RESULT_COUNT; result++)
		assert_string_not_equal(demotion_result_name((enum demotion_result)result), "?");
	assert_string_equal(demotion_reason_name(DEMOTION_REASON_COUNT), "?");
	assert_string_equal(demotion_result_name(DEMOTION_RESULT_COUNT), "?");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(pace__stops_a_stream_only_after_it_had_its_chance),
	    cmocka_unit_test(pace__makes_its_last_tries_while_the_stop_lasts),
	    cmocka_unit_test(pace__lets_a_stream_flow_in_between),
	    cmocka_unit_test(names__are_all_there),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
