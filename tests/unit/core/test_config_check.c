/* SPDX-License-Identifier: Apache-2.0 */
#include "core/config_check.h"

#include "lib/config_loading.h"

#include <stdio.h>

static void load__refuses_missing_sections_and_actions(void **state)
{
	static const struct wrong_config cases[] = {
	    {"", "f: no listener: expected listener NAME { listen = {\"0.0.0.0:8080\"} }"},
	    {LISTENER "cluster c { }", "f:2: cluster \"c\": no endpoint: expected endpoint NAME { "
				       "address = \"127.0.0.1:9000\" }"},
	    {LISTENER "route r { }",
	     "f:2: route \"r\": no action: expected proxy = CLUSTER, split = "
	     "{…}, echo = true or respond { }"},
	    {LISTENER "route r { echo = false }",
	     "f:2: route \"r\": no action: expected proxy = CLUSTER, split = {…}, echo = true or "
	     "respond { }"},
	};

	assert_configs_fail(cases, ARRAY_SIZE(cases));
}

static void load__refuses_two_actions(void **state)
{
	static const struct wrong_config cases[] = {
	    {LISTENER CLUSTER "route r {\n proxy = c\n echo = true }",
	     "f:5: route \"r\": echo: expected one action, but proxy is on line 4 already"},
	    {LISTENER CLUSTER "route r {\n respond { }\n proxy = c }",
	     "f:5: route \"r\": proxy: expected one action, but respond is on line 4 already"},
	    {LISTENER CLUSTER "route r { respond { }\n echo = true\n proxy = c }",
	     "f:4: route \"r\": echo: expected one action, but respond is on line 3 already"},
	};

	assert_configs_fail(cases, ARRAY_SIZE(cases));
	assert_config_loads(LISTENER CLUSTER "route r { echo = false proxy = c }");
}

static void load__refuses_clusters_that_are_not_there(void **state)
{
	assert_config_fails(LISTENER "route r { proxy = c }",
			    "f:2: route \"r\": proxy = \"c\": expected the name of a cluster");
	assert_config_fails(
	    LISTENER "cluster game { endpoint e { address = \"127.0.0.1:1\" } }\n"
		     "route r {\n proxy = gmae }",
	    "f:4: route \"r\": proxy = \"gmae\": expected the name of a cluster; did you "
	    "mean \"game\"?");
}

static void load__refuses_addresses_twice(void **state)
{
	static const struct wrong_config cases[] = {
	    {"listener a { listen = {\n\"0.0.0.0:1\",\n\"0.0.0.0:1\"} }",
	     "f:3: listener \"a\": listen = \"0.0.0.0:1\": expected an address that listener "
	     "\"a\" does not have (line 2)"},
	    {"listener a { listen = {\"[::1]:1\", \"0.0.0.0:1\"} }\n"
	     "listener b { listen = {\"0.0.0.0:2\",\n\"[0::1]:1\"} }",
	     "f:3: listener \"b\": listen = \"[::1]:1\": expected an address that listener "
	     "\"a\" does not have (line 1)"},
	    {"listener a { listen = {\"unix:/a\"} }\nlistener b { listen = {\"unix:/a\"} }",
	     "f:2: listener \"b\": listen = \"unix:/a\": expected an address that listener "
	     "\"a\" does not have (line 1)"},
	};

	assert_configs_fail(cases, ARRAY_SIZE(cases));
	/* The kernel gives each of these its own. */
	assert_config_loads("listener a { listen = {\"0.0.0.0:0\", \"0.0.0.0:0\"} }");
	assert_config_loads("listener a { listen = {\"0.0.0.0:1\", \"127.0.0.1:1\", \"[::]:1\"} }");
}

static void load__refuses_a_target_longer_than_the_head(void **state)
{
	static const struct wrong_config cases[] = {
	    {LISTENER "limits {\n max_head_bytes = 4kb }",
	     "f:3: limits: max_head_bytes = \"4kb\": expected at least max_target_bytes (8192)"},
	    {LISTENER "limits {\n max_target_bytes = 17kb }",
	     "f:3: limits: max_target_bytes = \"17kb\": expected at most max_head_bytes (16384)"},
	    {LISTENER "limits { max_target_bytes = 2kb\n max_head_bytes = 1kb }",
	     "f:2: limits: max_target_bytes = \"2kb\": expected at most max_head_bytes (1024)"},
	};

	assert_configs_fail(cases, ARRAY_SIZE(cases));
	assert_config_loads(LISTENER "limits { max_target_bytes = 16kb }");
}

static void load__refuses_no_limit_without_a_proxy(void **state)
{
	static const struct wrong_config cases[] = {
	    {LISTENER "route r { echo = true\n max_message = 0 }",
	     "f:3: route \"r\": max_message = \"0\": expected a size other than 0: no limit needs "
	     "proxy"},
	    {LISTENER "route r { echo = true\n max_frame = 0kb }",
	     "f:3: route \"r\": max_frame = \"0kb\": expected a size other than 0: no limit needs "
	     "proxy"},
	    {LISTENER "route r { max_frame = 0 respond { } }",
	     "f:2: route \"r\": max_frame = \"0\": expected a size other than 0: no limit needs "
	     "proxy"},
	};

	assert_configs_fail(cases, ARRAY_SIZE(cases));
}

/* RFC 9110 s15.3.5 (204), s15.3.6 (205) */
static void load__refuses_a_body_where_http_has_none(void **state)
{
	assert_config_fails(
	    LISTENER "route r { respond {\n status = 204\n body = \"x\" } }",
	    "f:4: route \"r\": respond: body = \"x\": expected none with status 204 or 205");
	assert_config_fails(
	    LISTENER "route r { respond {\n body = \"x\"\n status = 205 } }",
	    "f:3: route \"r\": respond: body = \"x\": expected none with status 204 or 205");
	assert_config_loads(LISTENER "route r { respond { status = 204 body = \"\" } }");
}

static void load__refuses_a_route_that_nothing_is_left_for(void **state)
{
	static const char rest[] =
	    "no request is left for it: expected a place in front of route \"a\" (line 2), which "
	    "takes them all, or another match";
	static const char *const twins[][2] = {
	    {"match { host = a }", "match { host = A }"},
	    {"match { path = \"/x*\" }", "match { path = \"/x*\" }"},
	    {"match { host = a path = \"/x\" }", "match { path = /x host = a }"},
	    {"match { header = {A, B} }", "match { header = {A, B} }"},
	    {"match { subprotocol = a path = /x }", "match { subprotocol = a path = /x }"},
	    {"match { source = {\"::1\"} }", "match { source = {\"::1\"} }"},
	    {"match { path = \"~^/x\" }", "match { path = \"~^/x\" }"},
	    /* less than it */
	    {"match { path = \"/x*\" }", "match { path = \"/x\" }"},
	    {"match { path = \"/x*\" }", "match { path = \"/x/z\" }"},
	    {"match { path = \"/x*\" }", "match { path = \"/xz*\" }"},
	    {"match { path = \"/x*\" }", "match { path = \"/xz*\" host = a header = {A} }"},
	    {"match { path = \"/x\" }", "match { path = \"/x\" host = a }"},
	    {"match { path = \"/x\" }", "match { path = \"/x\" subprotocol = a }"},
	    {"match { host = a }", "match { path = \"~^/x\" host = a }"},
	    {"match { host = a path = \"/*\" }", "match { host = a }"},
	};
	/* These would take the route between as well. */
	static const char *const all[][2] = {
	    {"", ""},
	    {"match { }", ""},
	    {"match { path = \"/*\" }", ""},
	    {"", "match { path = \"~^/x\" source = {\"::1\"} }"},
	    {"", "match { host = a }"},
	};
	static const char *const others[][2] = {
	    {"match { path = \"/x\" }", "match { path = \"/x*\" }"},
	    {"match { path = \"/x*\" }", "match { path = \"/*\" }"},
	    {"match { path = \"/x/*\" }", "match { path = \"/x\" }"},
	    {"match { path = \"/x\" }", "match { path = \"/x/y\" }"},
	    {"match { host = a path = /x }", "match { path = /x }"},
	    {"match { host = a }", "match { host = b }"},
	    {"match { host = a }", ""},
	    {"match { header = {A} }", ""},
	    {"match { header = {A} }", "match { header = {\"A: b\"} }"},
	    {"match { header = {A} path = /x }", "match { path = /x }"},
	    {"match { subprotocol = a }", "match { subprotocol = b }"},
	    {"match { source = {\"10.0.0.0/8\"} }", "match { source = {\"10.0.0.0/9\"} }"},
	    {"match { path = \"~^/\" }", ""},
	    {"match { path = \"~a\" }", "match { path = \"~b\" }"},
	    {"match { path = \"/a*\" }", "match { path = \"~^/a\" }"},
	};
	char text[512], expected[256];

	for (size_t i = 0; i < ARRAY_SIZE(twins); i++) {
		snprintf(text, sizeof(text),
			 LISTENER "route a { echo = true %s }\n"
				  "route between { echo = true match { path = /y } }\n"
				  "route b { echo = true %s }",
			 twins[i][0], twins[i][1]);
		snprintf(expected, sizeof(expected), "f:4: route \"b\": %s", rest);
		assert_config_fails(text, expected);
	}
	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		snprintf(text, sizeof(text),
			 LISTENER "route a { echo = true %s }\n\nroute b { echo = true %s }",
			 all[i][0], all[i][1]);
		snprintf(expected, sizeof(expected), "f:4: route \"b\": %s", rest);
		assert_config_fails(text, expected);
	}
	for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
		snprintf(text, sizeof(text),
			 LISTENER "route a { echo = true %s }\nroute b { echo = true %s }",
			 others[i][0], others[i][1]);
		assert_config_loads(text);
	}
}

static void load__refuses_wrong_matches(void **state)
{
	static const struct wrong_config cases[] = {
	    {LISTENER "route r { echo = true match {\n path = \"~^/a(\" } }",
	     "f:3: route \"r\": match: path = \"~^/a(\": expected a regular expression: missing "
	     "closing parenthesis at its character 5"},
	    {LISTENER "route r { echo = true match { header = {\"A\",\n\"B C: d\"} } }",
	     "f:3: route \"r\": match: header = \"B C: d\": expected a header's name, or NAME: "
	     "VALUE"},
	    {LISTENER "route r { echo = true match { header = {\"A: b\\r\\nC: d\"} } }",
	     "f:2: route \"r\": match: header = \"A: b\\r\\nC: d\": expected a header's name, or "
	     "NAME: VALUE"},
	    {LISTENER "route r { echo = true match { header = A } }",
	     "f:2: route \"r\": match: header = \"A\": expected a list such as {\"X-Version: 2\", "
	     "\"X-Beta\"}"},
	    {LISTENER "route r { echo = true match { source = {\"10.0.0.0/33\"} } }",
	     "f:2: route \"r\": match: source = \"10.0.0.0/33\": expected an address "
	     "or network such as 10.0.0.0/8"},
	    {LISTENER "route r { echo = true match { subprotocol = \"a,b\" } }",
	     "f:2: route \"r\": match: subprotocol = \"a,b\": expected a name without blanks and "
	     "separators"},
	};

	assert_configs_fail(cases, ARRAY_SIZE(cases));
}

static void load__takes_matches_apart(void **state)
{
	struct config *config = load_config(
	    LISTENER "route r { echo = true match {\n"
		     " host = A.Example path = \"/x*\" subprotocol = mqtt\n"
		     " header = {\"X-A\", \"X-B:  c d \", \"X-E:\"} source = {\"10.1.2.3/8\"} } }");
	const struct config_route *r = &config->routes[0];

	assert_string_equal(r->host, "a.example");
	assert_string_equal(r->path, "/x");
	assert_true(r->path_is_prefix && !r->path_regex);
	assert_int_equal(r->n_match_headers, 3);
	assert_true(slice_equal(r->match_fields[0].name, SLICE_LITERAL("X-A")));
	assert_false(r->match_fields[0].has_value);
	assert_true(slice_equal(r->match_fields[1].value, SLICE_LITERAL("c d")));
	assert_true(r->match_fields[2].has_value && r->match_fields[2].value.len == 0);
	assert_int_equal(r->n_sources, 1);
	assert_int_equal(r->networks[0].bits, 8);
	config_unref(config);
}

/* In a route with an action, unless the key is one. */
static void assert_route_fails(const char *keys, const char *expected)
{
	char text[1024], full[1024];

	snprintf(text, sizeof(text), LISTENER CLUSTER "route r {\n%s }", keys);
	snprintf(full, sizeof(full), "f:4: route \"r\": %s", expected);
	assert_config_fails(text, full);
}

static void load__refuses_wrong_splits(void **state)
{
	static const char *const cases[][2] = {
	    {"split = {\"c 1\", \"d 1\"}", "split = \"d 1\": expected the name of a cluster"},
	    {"split = {\"c\"}", "split = \"c\": expected CLUSTER WEIGHT"},
	    {"split = {\"c 0\"}", "split = \"c 0\": expected a weight from 1 to 1000000"},
	    {"split = {\"c 1000001\"}",
	     "split = \"c 1000001\": expected a weight from 1 to 1000000"},
	    {"split = {\"c -1\"}", "split = \"c -1\": expected CLUSTER WEIGHT"},
	    {"split = {\"c 1\", \"c 2\"}", "split = \"c 2\": expected each cluster once"},
	    {"proxy = c split = {\"c 1\"}",
	     "split: expected one action, but proxy is on line 4 already"},
	    {"split = {\"c 1\"} split_key = cookie",
	     "split_key = \"cookie\": expected random, source or header:NAME"},
	    {"split = {\"c 1\"} split_key = \"header:a b\"",
	     "split_key = \"header:a b\": expected random, source or header:NAME"},
	    {"proxy = c split_key = source",
	     "split_key = \"source\": expected split = {…} in the same route"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_route_fails(cases[i][0], cases[i][1]);
}

static void load__refuses_wrong_rewrites(void **state)
{
	static const char *const cases[][2] = {
	    {"proxy = c rewrite = {\"/a\"}", "rewrite = \"/a\": expected two values, FROM and TO"},
	    {"proxy = c rewrite = {\"/a\", \"/b\", \"/c\"}",
	     "rewrite = \"/a\": expected two values, FROM and TO"},
	    {"proxy = c rewrite = {a, \"/b\"}",
	     "rewrite = \"a\": expected how a path begins, such as /api/, or ~REGEX"},
	    {"proxy = c rewrite = {\"/a\", \"/b c\"}",
	     "rewrite = \"/b c\": expected a part of a path, without blanks, ? and #"},
	    {"proxy = c rewrite = {\"/a\", \"/b\\r\\nX: y\"}",
	     "rewrite = \"/b\\r\\nX: y\": expected a part of a path, without blanks, ? and #"},
	    {"proxy = c rewrite = {\"~^/(a\", \"/\"}",
	     "rewrite = \"~^/(a\": expected a regular expression: missing closing parenthesis at "
	     "its character 5"},
	    {"proxy = c rewrite = {\"~^/(a)\", \"/$2\"}",
	     "rewrite = \"/$2\": expected only $$, $0, and up to $9 those of groups behind a $"},
	    {"proxy = c rewrite = {\"~^/(a)\", \"/$\"}",
	     "rewrite = \"/$\": expected only $$, $0, and up to $9 those of groups behind a $"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_route_fails(cases[i][0], cases[i][1]);
	assert_config_loads(LISTENER CLUSTER
			    "route r { proxy = c rewrite = {\"~^/(a)\", \"/$1$0$$\"} }");
	assert_config_loads(LISTENER CLUSTER "route r { proxy = c rewrite = {\"/a\", \"\"} }");
}

/* RFC 6455 s4.2.2, RFC 9110 s7.6.1: what these fields say is the gateway's to say. */
static void load__refuses_headers_of_its_own(void **state)
{
	static const char *const names[] = {
	    "Host",
	    "Connection",
	    "upgrade",
	    "Sec-WebSocket-Key",
	    "sec-websocket-protocol",
	    "Trailer",
	    "Keep-Alive",
	    "Content-Length",
	    "Transfer-Encoding",
	};
	static const char *const others[][2] = {
	    {"add = {\"X-A\"}",
	     "add = \"X-A\": expected NAME: VALUE, not a header of the handshake "
	     "or the connection"},
	    {"add = {\"X A: b\"}", "add = \"X A: b\": expected NAME: VALUE, not a header of the "
				   "handshake or the connection"},
	    {"add = {\"X-A: b\\nc\"}",
	     "add = \"X-A: b\\nc\": expected NAME: VALUE, not a header of "
	     "the handshake or the connection"},
	    {"remove = {\"X-A: b\"}",
	     "remove = \"X-A: b\": expected a header's name, not one of the "
	     "handshake or the connection"},
	};
	char keys[256], expected[256];

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		snprintf(keys, sizeof(keys), "proxy = c headers { add = {\"%s: x\"} }", names[i]);
		snprintf(expected, sizeof(expected),
			 "headers: add = \"%s: x\": expected NAME: VALUE, not a header of the "
			 "handshake or the connection",
			 names[i]);
		assert_route_fails(keys, expected);
		snprintf(keys, sizeof(keys), "proxy = c headers { remove = {\"%s\"} }", names[i]);
		snprintf(expected, sizeof(expected),
			 "headers: remove = \"%s\": expected a header's name, not one of the "
			 "handshake or the connection",
			 names[i]);
		assert_route_fails(keys, expected);
	}
	for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
		snprintf(keys, sizeof(keys), "proxy = c headers { %s }", others[i][0]);
		snprintf(expected, sizeof(expected), "headers: %s", others[i][1]);
		assert_route_fails(keys, expected);
	}
}

static void load__refuses_wrong_origins(void **state)
{
	assert_route_fails("echo = true origin = {\"a.example\"}",
			   "origin = \"a.example\": expected https://HOST, https://HOST:PORT, "
			   "https://*.HOST or null");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(load__refuses_missing_sections_and_actions),
	    cmocka_unit_test(load__refuses_two_actions),
	    cmocka_unit_test(load__refuses_clusters_that_are_not_there),
	    cmocka_unit_test(load__refuses_addresses_twice),
	    cmocka_unit_test(load__refuses_a_target_longer_than_the_head),
	    cmocka_unit_test(load__refuses_no_limit_without_a_proxy),
	    cmocka_unit_test(load__refuses_a_body_where_http_has_none),
	    cmocka_unit_test(load__refuses_a_route_that_nothing_is_left_for),
	    cmocka_unit_test(load__refuses_wrong_matches),
	    cmocka_unit_test(load__takes_matches_apart),
	    cmocka_unit_test(load__refuses_wrong_splits),
	    cmocka_unit_test(load__refuses_wrong_rewrites),
	    cmocka_unit_test(load__refuses_headers_of_its_own),
	    cmocka_unit_test(load__refuses_wrong_origins),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
