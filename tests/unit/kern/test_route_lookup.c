/* SPDX-License-Identifier: Apache-2.0 */
/* In a network namespace of its own, with routes of its own. */
#include "kern/route_lookup.h"

#include <net/if.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/wait.h>

#include <cmocka.h>

static struct route_lookup lookup = {.fd = -1};

/* Whether there is a namespace to play in; without the rights for one all tests are skipped. */
static bool has_namespace;

static bool run(const char *commands)
{
	pid_t child = fork();
	int status;

	if (child == 0) {
		(void)execl("/bin/sh", "sh", "-c", commands, NULL);
		_exit(127);
	}
	return child > 0 && waitpid(child, &status, 0) == child && status == 0;
}

static int set_up_namespace(void **state)
{
	static const char commands[] =
	    "ip link set lo up && ip link add sl-a type veth peer name sl-b && "
	    "ip addr add 192.0.2.1/24 dev sl-a && ip addr add 192.0.2.7/24 dev sl-a && "
	    "ip -6 addr add 2001:db8::1/64 dev sl-a nodad && "
	    "ip link set sl-a up && ip link set sl-b up && "
	    "ip route add 198.51.100.0/24 via 192.0.2.9 mtu 1400 && "
	    "ip route add unreachable 203.0.113.0/24 && ip route add blackhole 203.0.114.0/24";

	if (unshare(CLONE_NEWNET) < 0) {
		printf("skipped: a network namespace: %s (it needs CAP_SYS_ADMIN)\n",
		       strerror(errno));
		return 0;
	}
	has_namespace = true;
	return run(commands) ? route_lookup_open(&lookup) : -1;
}

static int tear_down_namespace(void **state)
{
	route_lookup_close(&lookup);
	route_lookup_close(&lookup);
	return 0;
}

static struct address address_of(const char *text)
{
	struct address address;

	assert_int_equal(address_parse(text, &address), 0);
	return address;
}

static int find(const char *source, const char *destination, struct route_found *ret_found)
{
	struct address to = address_of(destination), from;

	if (!has_namespace)
		skip();
	if (source)
		from = address_of(source);
	return route_lookup_find(&lookup, source ? &from : NULL, &to, ret_found);
}

static void assert_found(const char *source, const char *destination, const char *expected_source,
			 const char *interface, uint32_t mtu, bool is_local)
{
	struct route_found found;
	char text[ADDRESS_TEXT_MAX + 1];

	assert_int_equal(find(source, destination, &found), 0);
	address_format(&found.source, text);
	assert_string_equal(text, expected_source);
	assert_int_equal(found.oif, if_nametoindex(interface));
	assert_int_equal(found.mtu, mtu);
	assert_int_equal(found.is_local, is_local);
}

static void find__tells_source_and_interface(void **state)
{
	assert_found(NULL, "192.0.2.5:80", "192.0.2.1:0", "sl-a", 0, false);
	assert_found("192.0.2.7:0", "192.0.2.5:80", "192.0.2.7:0", "sl-a", 0, false);
	assert_found("192.0.2.7:4711", "192.0.2.5:80", "192.0.2.7:0", "sl-a", 0, false);
	assert_found(NULL, "[2001:db8::5]:80", "[2001:db8::1]:0", "sl-a", 0, false);
	assert_found("[2001:db8::1]:9", "[2001:db8::5]:80", "[2001:db8::1]:0", "sl-a", 0, false);
}

static void find__tells_the_mtu_of_the_route(void **state)
{
	assert_found(NULL, "198.51.100.5:80", "192.0.2.1:0", "sl-a", 1400, false);
}

static void find__knows_this_host(void **state)
{
	assert_found(NULL, "127.0.0.1:80", "127.0.0.1:0", "lo", 0, true);
	/* The kernel prefers the first address of an interface also to reach the second. */
	assert_found(NULL, "192.0.2.7:80", "192.0.2.1:0", "lo", 0, true);
	assert_found("192.0.2.1:0", "192.0.2.7:80", "192.0.2.1:0", "lo", 0, true);
	assert_found(NULL, "[::1]:80", "[::1]:0", "lo", 0, true);
}

/* The number of questions tells who has answered. */
static void find__asks_once_in_a_while(void **state)
{
	struct address near, far, other;
	struct route_found first, second;
	uint32_t asked;

	if (!has_namespace)
		skip();
	assert_int_equal(address_parse("192.0.2.1:1", &near), 0);
	assert_int_equal(address_parse("198.51.100.4:80", &far), 0);
	assert_int_equal(address_parse("198.51.100.5:80", &other), 0);
	for (size_t i = 0; i < ROUTE_LOOKUP_KNOWN; i++)
		lookup.known[i].until_ns = 0;
	asked = lookup.sequence;
	assert_int_equal(route_lookup_find(&lookup, &near, &far, &first), 0);
	assert_int_equal(lookup.sequence, asked + 1);
	/* Of another connection: ports do not count. */
	address_set_port(&near, 2);
	assert_int_equal(route_lookup_find(&lookup, &near, &far, &second), 0);
	assert_int_equal(lookup.sequence, asked + 1);
	assert_true(address_equal(&first.source, &second.source));
	assert_true(first.oif == second.oif && first.mtu == second.mtu &&
		    first.is_local == second.is_local);
	/* Others do, and no source is one of its own. */
	assert_int_equal(route_lookup_find(&lookup, NULL, &far, &second), 0);
	assert_int_equal(route_lookup_find(&lookup, &near, &other, &second), 0);
	assert_int_equal(lookup.sequence, asked + 3);
	for (size_t i = 0; i < ROUTE_LOOKUP_KNOWN; i++)
		lookup.known[i].until_ns = 0;
	assert_int_equal(route_lookup_find(&lookup, &near, &far, &second), 0);
	assert_int_equal(lookup.sequence, asked + 4);
}

/* A refusal is asked for again: the way may be there at any time. */
static void find__remembers_no_refusal(void **state)
{
	struct address far;
	struct route_found found;
	uint32_t asked;

	if (!has_namespace)
		skip();
	assert_int_equal(address_parse("203.0.113.1:80", &far), 0);
	asked = lookup.sequence;
	for (uint32_t i = 1; i < 3; i++) {
		assert_true(route_lookup_find(&lookup, NULL, &far, &found) < 0);
		assert_int_equal(lookup.sequence, asked + i);
	}
}

static void find__says_when_there_is_no_way(void **state)
{
	struct route_found found = {.oif = 4711};

	assert_int_equal(find(NULL, "203.0.113.5:80", &found), -EHOSTUNREACH);
	assert_true(find(NULL, "203.0.114.5:80", &found) < 0);
	assert_int_equal(find(NULL, "10.99.0.1:80", &found), -ENETUNREACH);
	assert_int_equal(found.oif, 4711);
	/* A refusal does not spoil what is asked next. */
	assert_found(NULL, "192.0.2.5:80", "192.0.2.1:0", "sl-a", 0, false);
}

static void find__refuses_other_families(void **state)
{
	struct route_found found;

	assert_int_equal(find(NULL, "unix:/x", &found), -EAFNOSUPPORT);
	assert_int_equal(find("[2001:db8::1]:0", "192.0.2.5:80", &found), -EAFNOSUPPORT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(find__tells_source_and_interface),
	    cmocka_unit_test(find__tells_the_mtu_of_the_route),
	    cmocka_unit_test(find__knows_this_host),
	    cmocka_unit_test(find__asks_once_in_a_while),
	    cmocka_unit_test(find__remembers_no_refusal),
	    cmocka_unit_test(find__says_when_there_is_no_way),
	    cmocka_unit_test(find__refuses_other_families),
	};

	return cmocka_run_group_tests(tests, set_up_namespace, tear_down_namespace);
}
