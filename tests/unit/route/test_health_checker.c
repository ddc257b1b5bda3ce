/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which endpoints are checked, over generations. Turns of the loop go on until something has
 * happened; what is counted does not depend on how long that takes.
 */
#include "route/health_checker.h"

#include "lib/config_loading.h"
#include "route/routing.h"

#include <stdio.h>
#include <sys/socket.h>

#define INTERVAL "interval = 10ms"

struct fixture {
	struct ev_loop *loop;
	struct health_checker *checker;
	struct routing *routing;
	int listener; /* that never accepts */
	uint16_t port;
};

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct address address;

	assert_non_null(f);
	f->loop = ev_loop_new(EVFLAG_NOENV);
	assert_int_equal(health_checker_new(f->loop, &f->checker), 0);
	assert_int_equal(address_parse("127.0.0.1:0", &address), 0);
	f->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(f->listener, &address.sa, address.len), 0);
	assert_int_equal(listen(f->listener, 4096), 0);
	assert_int_equal(getsockname(f->listener, &address.sa, &address.len), 0);
	f->port = address_port(&address);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	health_checker_free(f->checker);
	if (f->routing)
		generation_unref(&f->routing->generation);
	close(f->listener);
	ev_loop_destroy(f->loop);
	free(f);
	return 0;
}

/* Endpoints e0, e1, ... of which the first @n_dead refuse and the others accept in silence. */
static void follow(struct fixture *f, const char *health, size_t n, size_t n_dead)
{
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);
	struct routing *previous = f->routing;
	struct config *config;

	fprintf(out, LISTENER "cluster c { health { %s }\n", health);
	for (size_t i = 0; i < n; i++)
		fprintf(out, "endpoint e%zu { address = \"127.0.0.1:%u\" }\n", i,
			i < n_dead ? 1u : f->port);
	fputs("}\nroute r { proxy = c }\n", out);
	assert_int_equal(fclose(out), 0);
	config = load_config(text);
	free(text);
	assert_int_equal(routing_new(config, previous, &f->routing), 0);
	config_unref(config);
	health_checker_follow(f->checker, f->routing);
	if (previous)
		generation_unref(&previous->generation);
}

static struct endpoint *endpoint_at(const struct fixture *f, size_t i)
{
	return f->routing->clusters[0].members[i].endpoint;
}

static struct health_checker_stats stats(const struct fixture *f)
{
	struct health_checker_stats s;

	health_checker_stats(f->checker, &s);
	return s;
}

static void until_checked(struct fixture *f, uint64_t n)
{
	while (stats(f).n_good + stats(f).n_failed < n)
		ev_run(f->loop, EVRUN_ONCE);
}

static void until_health(struct fixture *f, size_t i, enum endpoint_health health)
{
	while (endpoint_health(endpoint_at(f, i)) != health)
		ev_run(f->loop, EVRUN_ONCE);
}

static void until_check(struct fixture *f, size_t i, const char *text)
{
	while (strcmp(endpoint_at(f, i)->check.text, text) != 0)
		ev_run(f->loop, EVRUN_ONCE);
}

static void follow__without_checks_nothing_is_known(void **state)
{
	struct fixture *f = *state;

	follow(f, "type = off", 3, 1);
	assert_int_equal(stats(f).n_checked, 0);
	assert_int_equal(endpoint_health(endpoint_at(f, 0)), ENDPOINT_UNKNOWN);
}

static void follow__finds_who_is_up_and_who_is_down(void **state)
{
	struct fixture *f = *state;

	follow(f, "type = tcp " INTERVAL, 2, 1);
	assert_int_equal(stats(f).n_checked, 2);
	until_health(f, 0, ENDPOINT_DOWN);
	until_health(f, 1, ENDPOINT_UP);
	assert_string_equal(endpoint_at(f, 0)->check.text, "connect: Connection refused");
	assert_false(endpoint_at(f, 0)->check.is_good);
	assert_string_equal(endpoint_at(f, 1)->check.text, "connected");
	assert_true(endpoint_at(f, 1)->check.is_good);
}

static void follow__endpoints_that_stay_keep_what_is_known(void **state)
{
	struct fixture *f = *state;

	follow(f, "type = tcp " INTERVAL, 2, 1);
	until_health(f, 0, ENDPOINT_DOWN);
	until_health(f, 1, ENDPOINT_UP);
	/* A day from now on: no check can set it again. */
	follow(f, "type = tcp interval = 1d", 3, 1);
	assert_int_equal(stats(f).n_checked, 3);
	assert_int_equal(endpoint_health(endpoint_at(f, 0)), ENDPOINT_DOWN);
	assert_int_equal(endpoint_health(endpoint_at(f, 1)), ENDPOINT_UP);
	assert_int_equal(endpoint_health(endpoint_at(f, 2)), ENDPOINT_UNKNOWN);
	/* And back, with the shorter interval at once. */
	follow(f, "type = tcp " INTERVAL, 3, 1);
	until_health(f, 2, ENDPOINT_UP);
}

static void follow__without_checks_again_nothing_is_known(void **state)
{
	struct fixture *f = *state;

	follow(f, "type = tcp " INTERVAL, 1, 1);
	until_health(f, 0, ENDPOINT_DOWN);
	follow(f, "type = off", 1, 1);
	assert_int_equal(stats(f).n_checked, 0);
	assert_int_equal(stats(f).n_running, 0);
	assert_int_equal(stats(f).n_waiting, 0);
	assert_int_equal(endpoint_health(endpoint_at(f, 0)), ENDPOINT_UNKNOWN);
}

static void follow__another_address_is_another_endpoint(void **state)
{
	struct fixture *f = *state;

	follow(f, "type = tcp " INTERVAL, 1, 1);
	until_health(f, 0, ENDPOINT_DOWN);
	follow(f, "type = tcp " INTERVAL, 1, 0);
	assert_int_equal(stats(f).n_checked, 1);
	assert_int_equal(endpoint_health(endpoint_at(f, 0)), ENDPOINT_UNKNOWN);
	until_health(f, 0, ENDPOINT_UP);
}

static void probes__are_bounded(void **state)
{
	struct fixture *f = *state;
	size_t n = HEALTH_PROBES_MAX + 100;

	/* All wait for an answer that does not come. */
	follow(f, "type = http " INTERVAL " timeout = 10m", n, 0);
	while (stats(f).n_running + stats(f).n_waiting < n) {
		assert_true(stats(f).n_running <= HEALTH_PROBES_MAX);
		ev_run(f->loop, EVRUN_ONCE);
	}
	assert_int_equal(stats(f).n_running, HEALTH_PROBES_MAX);
	assert_int_equal(stats(f).n_waiting, 100);
	/* Places are given on when endpoints go. */
	follow(f, "type = http " INTERVAL " timeout = 10m", 200, 0);
	assert_int_equal(stats(f).n_running, 200);
	assert_int_equal(stats(f).n_waiting, 0);
}

static void probes__give_their_places_to_those_that_wait(void **state)
{
	struct fixture *f = *state;
	size_t n = HEALTH_PROBES_MAX + 100;

	follow(f, "type = http interval = 10ms timeout = 10ms", n, 0);
	for (size_t i = 0; i < n; i++)
		until_health(f, i, ENDPOINT_DOWN);
	/* Where the time was over before there was a connection, a later check gets further. */
	until_check(f, 0, "timeout waiting for an answer");
}

static void maintenance__is_not_checked(void **state)
{
	struct fixture *f = *state;

	follow(f, "type = tcp " INTERVAL, 2, 1);
	until_health(f, 0, ENDPOINT_DOWN);
	endpoint_set_state(endpoint_at(f, 0), ENDPOINT_MAINT, 1);
	until_health(f, 0, ENDPOINT_UNKNOWN);
	/* The other one goes on, this one does not. */
	until_checked(f, stats(f).n_good + stats(f).n_failed + 20);
	assert_int_equal(endpoint_health(endpoint_at(f, 0)), ENDPOINT_UNKNOWN);
	endpoint_set_state(endpoint_at(f, 0), ENDPOINT_READY, 2);
	until_health(f, 0, ENDPOINT_DOWN);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	    TEST(follow__without_checks_nothing_is_known),
	    TEST(follow__finds_who_is_up_and_who_is_down),
	    TEST(follow__endpoints_that_stay_keep_what_is_known),
	    TEST(follow__without_checks_again_nothing_is_known),
	    TEST(follow__another_address_is_another_endpoint),
	    TEST(probes__are_bounded),
	    TEST(probes__give_their_places_to_those_that_wait),
	    TEST(maintenance__is_not_checked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
