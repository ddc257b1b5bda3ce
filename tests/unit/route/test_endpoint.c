/* SPDX-License-Identifier: Apache-2.0 */
#include "route/endpoint.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define SECOND UINT64_C(1000000000)

static const struct config_cluster cluster = {.name = (char *)"c"};
static const struct config_endpoint config = {.name = (char *)"e"};

static struct endpoint *make(void)
{
	struct endpoint *e;

	assert_int_equal(endpoint_new(&cluster, &config, &e), 0);
	return e;
}

static void new__is_available(void **state)
{
	struct endpoint *e = make();

	assert_int_equal(endpoint_state(e), ENDPOINT_READY);
	assert_int_equal(endpoint_health(e), ENDPOINT_UNKNOWN);
	assert_true(endpoint_is_available(e, 0));
	assert_int_equal(endpoint_ramp(e, 10 * SECOND, 0), 65536);
	endpoint_unref(e);
}

static void state__only_ready_takes_connections(void **state)
{
	struct endpoint *e = make();

	assert_int_equal(endpoint_set_state(e, ENDPOINT_DRAIN, 1), ENDPOINT_READY);
	assert_false(endpoint_is_available(e, 1));
	assert_int_equal(endpoint_set_state(e, ENDPOINT_READY, 2), ENDPOINT_DRAIN);
	assert_true(endpoint_is_available(e, 2));
	assert_int_equal(endpoint_ramp(e, SECOND, 2), 65536); /* it never stopped working */
	endpoint_set_state(e, ENDPOINT_MAINT, 3);
	assert_false(endpoint_is_available(e, 3));
	assert_int_equal(endpoint_set_state(e, ENDPOINT_READY, 4), ENDPOINT_MAINT);
	assert_true(endpoint_is_available(e, 4));
	assert_int_equal(endpoint_ramp(e, SECOND, 4), 0);
	assert_string_equal(endpoint_state_name(ENDPOINT_READY), "ready");
	assert_string_equal(endpoint_state_name(ENDPOINT_DRAIN), "drain");
	assert_string_equal(endpoint_state_name(ENDPOINT_MAINT), "maint");
	endpoint_unref(e);
}

static void health__only_down_takes_none(void **state)
{
	struct endpoint *e = make();

	assert_true(endpoint_set_health(e, true, 1));
	assert_false(endpoint_set_health(e, true, 2));
	assert_int_equal(endpoint_ramp(e, SECOND, 2), 65536); /* up from unknown was up before */
	assert_true(endpoint_is_available(e, 2));
	assert_true(endpoint_set_health(e, false, 3));
	assert_false(endpoint_set_health(e, false, 4));
	assert_false(endpoint_is_available(e, 4));
	assert_true(endpoint_set_health(e, true, 5));
	assert_true(endpoint_is_available(e, 5));
	assert_int_equal(endpoint_ramp(e, SECOND, 5), 0);
	endpoint_set_health(e, false, 6);
	endpoint_forget_health(e);
	assert_int_equal(endpoint_health(e), ENDPOINT_UNKNOWN);
	assert_true(endpoint_is_available(e, 7));
	assert_string_equal(endpoint_health_name(ENDPOINT_UNKNOWN), "unknown");
	assert_string_equal(endpoint_health_name(ENDPOINT_UP), "up");
	assert_string_equal(endpoint_health_name(ENDPOINT_DOWN), "down");
	endpoint_unref(e);
}

static void ramp__is_linear(void **state)
{
	struct endpoint *e = make();

	endpoint_start_slowly(e, 100 * SECOND);
	assert_int_equal(endpoint_ramp(e, 10 * SECOND, 99 * SECOND), 0); /* a clock read earlier */
	assert_int_equal(endpoint_ramp(e, 10 * SECOND, 100 * SECOND), 0);
	assert_in_range(endpoint_ramp(e, 10 * SECOND, 101 * SECOND), 6553, 6554);
	assert_int_equal(endpoint_ramp(e, 10 * SECOND, 105 * SECOND), 32768);
	assert_int_equal(endpoint_ramp(e, 10 * SECOND, 110 * SECOND), 65536);
	assert_int_equal(endpoint_ramp(e, 0, 100 * SECOND), 65536); /* off */
	endpoint_unref(e);
}

static void report__a_success_ends_the_run(void **state)
{
	struct endpoint *e = make();

	assert_int_equal(endpoint_report(e, false), 1);
	assert_int_equal(endpoint_report(e, false), 2);
	assert_int_equal(endpoint_report(e, true), 0);
	assert_int_equal(endpoint_report(e, false), 1);
	endpoint_unref(e);
}

static void eject__lasts_longer_each_time(void **state)
{
	struct endpoint *e = make();
	uint64_t now = SECOND;

	for (unsigned int i = 1; i <= 12; i++) {
		uint64_t lasts = MIN(i, ENDPOINT_EJECTIONS_MAX) * 30 * SECOND;

		assert_int_equal(endpoint_report(e, false), 1); /* its run began anew */
		endpoint_eject(e, 30 * SECOND, now);
		assert_true(endpoint_is_ejected(e, now + lasts - 1));
		assert_false(endpoint_is_available(e, now + lasts - 1));
		assert_false(endpoint_readmit(e, now + lasts - 1));
		assert_true(endpoint_is_available(e, now + lasts));
		now += lasts + SECOND;
		assert_true(endpoint_readmit(e, now));
		assert_false(endpoint_readmit(e, now)); /* one caller hears of it */
		assert_int_equal(endpoint_ramp(e, 10 * SECOND, now), 0);
	}
	endpoint_unref(e);
}

static void eject__is_forgiven_with_time(void **state)
{
	struct endpoint *e = make();
	uint64_t now = SECOND;

	for (int i = 0; i < 4; i++) {
		endpoint_eject(e, 10 * SECOND, now);
		now = e->ejected_until_ns;
	}
	assert_int_equal(e->n_ejections, 4);
	endpoint_eject(e, 10 * SECOND, now + 25 * SECOND); /* two are forgiven, one is new */
	assert_int_equal(e->n_ejections, 3);
	endpoint_eject(e, 10 * SECOND, e->ejected_until_ns + 1000 * SECOND);
	assert_int_equal(e->n_ejections, 1);
	endpoint_unref(e);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
	    cmocka_unit_test(new__is_available),
	    cmocka_unit_test(state__only_ready_takes_connections),
	    cmocka_unit_test(health__only_down_takes_none),
	    cmocka_unit_test(ramp__is_linear),
	    cmocka_unit_test(report__a_success_ends_the_run),
	    cmocka_unit_test(eject__lasts_longer_each_time),
	    cmocka_unit_test(eject__is_forgiven_with_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
