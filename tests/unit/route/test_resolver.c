/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lookups over generations, with /etc/hosts and with servers that never answer. Turns of the loop
 * go on until something has happened; what servers answer is in tests/e2e/test_resolve.py.
 */
#include "route/resolver.h"

#include "lib/config_loading.h"
#include "route/routing.h"

#include <stdio.h>
#include <sys/socket.h>

struct fixture {
	struct ev_loop *loop;
	struct resolver *resolver;
	struct routing *routing;
	int servers[2]; /* that only listen */
	uint16_t ports[2];
};

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	f->loop = ev_loop_new(EVFLAG_NOENV);
	assert_int_equal(resolver_new(f->loop, &f->resolver), 0);
	for (size_t i = 0; i < ARRAY_SIZE(f->servers); i++) {
		struct address address;

		assert_int_equal(address_parse("127.0.0.1:0", &address), 0);
		f->servers[i] = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		assert_int_equal(bind(f->servers[i], &address.sa, address.len), 0);
		assert_int_equal(getsockname(f->servers[i], &address.sa, &address.len), 0);
		f->ports[i] = address_port(&address);
	}
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	resolver_free(f->resolver);
	if (f->routing)
		generation_unref(&f->routing->generation);
	for (size_t i = 0; i < ARRAY_SIZE(f->servers); i++)
		close(f->servers[i]);
	ev_loop_destroy(f->loop);
	free(f);
	return 0;
}

/* A generation with one endpoint at @target, which asks server number @server. */
static struct endpoint *follow(struct fixture *f, size_t server, const char *target)
{
	struct routing *previous = f->routing;
	struct config *config;
	char text[1024];

	snprintf(text, sizeof(text),
		 LISTENER "resolver { nameserver = {\"127.0.0.1:%u\"} timeout = 1m }\n"
			  "cluster c { resolve_interval = 10ms endpoint e { address = \"%s\" } }\n"
			  "route r { proxy = c }\n",
		 f->ports[server], target);
	config = load_config(text);
	assert_int_equal(routing_new(config, previous, &f->routing), 0);
	config_unref(config);
	resolver_follow(f->resolver, f->routing);
	if (previous)
		generation_unref(&previous->generation);
	return f->routing->clusters[0].members[0].endpoint;
}

static void until_resolved(struct fixture *f, const struct endpoint *endpoint)
{
	while (!endpoint_is_resolved(endpoint))
		ev_run(f->loop, EVRUN_ONCE);
}

static void until_asked(struct fixture *f, size_t server)
{
	char query[512];

	while (recv(f->servers[server], query, sizeof(query), 0) < 0)
		ev_run(f->loop, EVRUN_ONCE);
}

static void follow__hosts_file_needs_no_server(void **state)
{
	struct fixture *f = *state;
	struct endpoint *endpoint = follow(f, 0, "localhost:80");
	struct address address;

	until_resolved(f, endpoint);
	assert_int_equal(endpoint_address(endpoint, &address), 0);
	assert_int_equal(address_port(&address), 80);
	assert_true(endpoint->lookup.is_good);
}

static void follow__an_address_is_not_looked_up(void **state)
{
	struct fixture *f = *state;
	struct endpoint *endpoint = follow(f, 0, "127.0.0.1:80");

	assert_true(endpoint_is_resolved(endpoint));
	ev_run(f->loop, EVRUN_NOWAIT);
	assert_int_equal(endpoint->lookup.at_ns, 0);
}

static void follow__the_next_generation_keeps_the_addresses(void **state)
{
	struct fixture *f = *state;
	struct endpoint *endpoint = follow(f, 0, "localhost:80");

	until_resolved(f, endpoint);
	assert_ptr_equal(follow(f, 1, "localhost:80"), endpoint);
	assert_true(endpoint_is_resolved(endpoint));
	assert_ptr_not_equal(follow(f, 1, "localhost:81"), endpoint);
}

static void follow__asks_the_new_servers_about_what_is_on_its_way(void **state)
{
	struct fixture *f = *state;
	struct endpoint *endpoint = follow(f, 0, "back.test:80");

	until_asked(f, 0);
	assert_ptr_equal(follow(f, 1, "back.test:80"), endpoint);
	/* The old server did not fail: nobody waits for it any more. */
	assert_int_equal(endpoint->lookup.at_ns, 0);
	until_asked(f, 1);
}

static void follow__an_endpoint_that_goes_takes_its_lookup_along(void **state)
{
	struct fixture *f = *state;

	follow(f, 0, "back.test:80");
	until_asked(f, 0);
	follow(f, 0, "127.0.0.1:80");
	ev_run(f->loop, EVRUN_NOWAIT);
}

static void free__ends_what_is_on_its_way(void **state)
{
	struct fixture *f = *state;

	follow(f, 0, "back.test:80");
	until_asked(f, 0);
	resolver_free(f->resolver);
	f->resolver = NULL;
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	    TEST(follow__hosts_file_needs_no_server),
	    TEST(follow__an_address_is_not_looked_up),
	    TEST(follow__the_next_generation_keeps_the_addresses),
	    TEST(follow__asks_the_new_servers_about_what_is_on_its_way),
	    TEST(follow__an_endpoint_that_goes_takes_its_lookup_along),
	    TEST(free__ends_what_is_on_its_way),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
