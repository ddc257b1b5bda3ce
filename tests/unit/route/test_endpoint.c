/* SPDX-License-Identifier: Apache-2.0 */
#include "route/endpoint.h"

#include "proto/errors.h"

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

static void eject__ends_when_the_checks_see_it_back(void **state)
{
	struct endpoint *e = make();

	endpoint_set_health(e, true, 1);
	endpoint_eject(e, 30 * SECOND, 1);
	endpoint_set_health(e, true, 2); /* a check that passes as those before proves nothing */
	assert_true(endpoint_is_ejected(e, 2));
	endpoint_set_health(e, false, 3);
	assert_true(endpoint_is_ejected(e, 3));
	endpoint_set_health(e, true, 4);
	assert_false(endpoint_is_ejected(e, 4));
	assert_false(endpoint_readmit(e, 40 * SECOND)); /* nothing is left to be ended */
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

/* ---- names ----------------------------------------------------------------------------------- */

static struct endpoint *make_named(void)
{
	static const struct config_endpoint named = {
	    .name = (char *)"e",
	    .target = (char *)"back.example:80",
	    .host_len = 12,
	    .port = 80,
	};
	struct endpoint *e;

	assert_int_equal(endpoint_new(&cluster, &named, &e), 0);
	return e;
}

static struct address address_of(const char *text)
{
	struct address a;

	assert_int_equal(address_parse(text, &a), 0);
	return a;
}

static void name__is_down_until_it_is_resolved(void **state)
{
	const struct address one = address_of("10.0.0.1:80");
	struct endpoint *e = make_named();
	struct address a;

	assert_false(endpoint_is_resolved(e));
	assert_false(endpoint_is_available(e, 1));
	assert_int_equal(endpoint_health(e), ENDPOINT_DOWN);
	assert_int_equal(endpoint_address(e, &a), -EUP_RESOLVE);
	assert_int_equal(endpoint_set_addresses(e, &one, 1), 1);
	assert_true(endpoint_is_resolved(e));
	assert_true(endpoint_is_available(e, 1));
	assert_int_equal(endpoint_health(e), ENDPOINT_UNKNOWN);
	assert_int_equal(endpoint_address(e, &a), 0);
	assert_true(address_equal(&a, &one));
	endpoint_unref(e);
}

static void name__addresses_are_taken_in_turn(void **state)
{
	const struct address both[] = {address_of("10.0.0.1:80"), address_of("[::1]:80")};
	struct address a, known[ENDPOINT_ADDRESSES_MAX];
	struct endpoint *e = make_named();

	assert_int_equal(endpoint_set_addresses(e, both, 2), 1);
	assert_int_equal(endpoint_set_addresses(e, both, 2), 0);
	for (size_t i = 0; i < 5; i++) {
		assert_int_equal(endpoint_address(e, &a), 0);
		assert_true(address_equal(&a, &both[i % 2]));
	}
	assert_int_equal(endpoint_addresses(e, known), 2);
	assert_true(address_equal(&known[1], &both[1]));
	/* Fewer than the turn was at. */
	assert_int_equal(endpoint_set_addresses(e, &both[1], 1), 1);
	assert_int_equal(endpoint_address(e, &a), 0);
	assert_true(address_equal(&a, &both[1]));
	endpoint_unref(e);
}

static void name__is_compared_as_written(void **state)
{
	struct config_endpoint other = {.name = (char *)"e",
					.target = (char *)"back.example:81",
					.host_len = 12,
					.port = 81};
	struct endpoint *e = make_named();
	char host[ENDPOINT_HOST_MAX + 1];

	assert_false(endpoint_is(e, &cluster, &other));
	other.target = (char *)"back.example:80";
	assert_true(endpoint_is(e, &cluster, &other));
	assert_false(endpoint_is(e, &cluster, &config));
	endpoint_host(e, host);
	assert_string_equal(host, "back.example:80");
	endpoint_unref(e);
}

static void state__begins_as_configured(void **state)
{
	static const struct config_endpoint drained = {.name = (char *)"e",
						       .state = ENDPOINT_DRAIN};
	enum endpoint_state named;
	struct endpoint *e;

	assert_int_equal(endpoint_new(&cluster, &drained, &e), 0);
	assert_int_equal(endpoint_state(e), ENDPOINT_DRAIN);
	assert_int_equal(endpoint_state_from_name("maint", &named), 0);
	assert_int_equal(named, ENDPOINT_MAINT);
	assert_int_equal(endpoint_state_from_name("off", &named), -EINVAL);
	endpoint_unref(e);
}

static void share__is_what_the_operator_left_of_the_weight(void **state)
{
	struct endpoint *e = make();

	assert_int_equal(endpoint_share(e), ENDPOINT_SHARE_ALL);
	endpoint_set_share(e, ENDPOINT_SHARE_ALL / 4);
	assert_int_equal(endpoint_share(e), ENDPOINT_SHARE_ALL / 4);
	assert_int_equal(endpoint_ramp(e, SECOND, 1), ENDPOINT_SHARE_ALL / 4);
	assert_true(endpoint_is_available(e, 1));
	/* Of a ramp, the same part. */
	endpoint_start_slowly(e, 1);
	assert_int_equal(endpoint_ramp(e, SECOND, 1 + SECOND / 2), ENDPOINT_SHARE_ALL / 8);
	endpoint_set_share(e, 0);
	assert_false(endpoint_is_available(e, 1));
	endpoint_set_share(e, ENDPOINT_SHARE_ALL);
	assert_int_equal(endpoint_ramp(e, SECOND, 1 + SECOND), ENDPOINT_SHARE_ALL);
	endpoint_unref(e);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
	    cmocka_unit_test(share__is_what_the_operator_left_of_the_weight),
	    cmocka_unit_test(name__is_down_until_it_is_resolved),
	    cmocka_unit_test(name__addresses_are_taken_in_turn),
	    cmocka_unit_test(name__is_compared_as_written),
	    cmocka_unit_test(state__begins_as_configured),
	    cmocka_unit_test(new__is_available),
	    cmocka_unit_test(state__only_ready_takes_connections),
	    cmocka_unit_test(health__only_down_takes_none),
	    cmocka_unit_test(ramp__is_linear),
	    cmocka_unit_test(report__a_success_ends_the_run),
	    cmocka_unit_test(eject__lasts_longer_each_time),
	    cmocka_unit_test(eject__ends_when_the_checks_see_it_back),
	    cmocka_unit_test(eject__is_forgiven_with_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
