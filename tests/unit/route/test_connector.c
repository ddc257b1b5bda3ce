/* SPDX-License-Identifier: Apache-2.0 */
#include "route/connector.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <unistd.h>

#include <cmocka.h>

/* 240.0.0.0/4 (RFC 1112 s4) is on no machine, unlike the ranges for examples. */
static struct address sources[4];
static struct config_cluster config = {.sources = sources};
static _Atomic uint64_t turn;
static struct address endpoint;
static int listener = -1;

static int set_up(void **state)
{
	endpoint.len = sizeof(endpoint.in4);
	listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (address_parse("127.0.0.1:0", &endpoint) < 0 || listener < 0 ||
	    bind(listener, &endpoint.sa, endpoint.len) < 0 || listen(listener, 64) < 0)
		return -1;
	turn = 0;
	return getsockname(listener, &endpoint.sa, &endpoint.len);
}

static int tear_down(void **state)
{
	return close(listener);
}

static void set_sources(const char *const *texts)
{
	for (config.n_sources = 0; texts[config.n_sources]; config.n_sources++)
		assert_int_equal(address_parse_ip(texts[config.n_sources],
						  &sources[config.n_sources]),
				 0);
}

/* What the socket is bound to after one connect. */
static void assert_source(const char *expected)
{
	_cleanup_close_ int fd = -1;
	struct address own = {.len = sizeof(own.un)};
	char text[ADDRESS_TEXT_MAX + 1];

	assert_int_equal(connector_start(&config, &turn, &endpoint, &fd), 0);
	assert_int_equal(getsockname(fd, &own.sa, &own.len), 0);
	address_format_ip(&own, text);
	assert_string_equal(text, expected);
}

static void start__sources_take_turns(void **state)
{
	set_sources((const char *const[]){"127.0.0.2", "127.0.0.3", NULL});
	assert_source("127.0.0.2");
	assert_source("127.0.0.3");
	assert_source("127.0.0.2");
}

static void start__without_sources_the_kernel_chooses(void **state)
{
	set_sources((const char *const[]){NULL});
	assert_source("127.0.0.1");
	set_sources((const char *const[]){"::1", NULL}); /* of another family */
	assert_source("127.0.0.1");
}

static void start__passes_over_what_cannot_be_used(void **state)
{
	_cleanup_close_ int fd = -1;

	set_sources((const char *const[]){"240.0.0.1", "127.0.0.2", "::1", NULL});
	for (int i = 0; i < 6; i++)
		assert_source("127.0.0.2");
	set_sources((const char *const[]){"240.0.0.1", "240.0.0.2", NULL});
	assert_int_equal(connector_start(&config, &turn, &endpoint, &fd), -EADDRNOTAVAIL);
	assert_int_equal(fd, -1);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(start__sources_take_turns, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(start__without_sources_the_kernel_chooses, set_up,
					    tear_down),
	    cmocka_unit_test_setup_teardown(start__passes_over_what_cannot_be_used, set_up,
					    tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
