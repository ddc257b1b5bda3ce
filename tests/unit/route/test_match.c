/* SPDX-License-Identifier: Apache-2.0 */
#include "route/match.h"

#include "base/address.h"
#include "lib/config_loading.h"
#include "lib/match_naive.h"

#include <stdio.h>

struct fixture {
	struct config *config;
	struct matcher *matcher;
};

static struct fixture fixture(const char *routes)
{
	char text[8192];
	struct fixture f;

	assert_in_range(snprintf(text, sizeof(text), LISTENER "%s", routes), 1, sizeof(text) - 1);
	f.config = load_config(text);
	assert_int_equal(matcher_new(f.config, &f.matcher), 0);
	return f;
}

static void done(struct fixture *f)
{
	matcher_free(f->matcher);
	config_unref(f->config);
}

static struct http1_head request(const char *host, const char *path)
{
	return (struct http1_head){.host = slice_from_str(host), .path = slice_from_str(path)};
}

static void add_field(struct http1_head *head, const char *name, const char *value)
{
	head->fields[head->n_fields++] =
	    (struct http1_field){slice_from_str(name), slice_from_str(value)};
}

static void expect_from(struct fixture *f, const struct http1_head *head, const char *source,
			const char *name)
{
	struct address address;
	ssize_t found;

	assert_int_equal(address_parse(source, &address), 0);
	found = matcher_find(f->matcher, head, &address.sa);
	if (!name) {
		assert_int_equal(found, -1);
		return;
	}
	assert_in_range(found, 0, f->config->n_routes - 1);
	assert_string_equal(f->config->routes[found].name, name);
}

static void expect(struct fixture *f, const struct http1_head *head, const char *name)
{
	expect_from(f, head, "unix:/x", name);
}

static void expect_path(struct fixture *f, const char *path, const char *name)
{
	struct http1_head head = request("x", path);

	expect(f, &head, name);
}

/* ---- conditions ---------------------------------------------------------------------------- */

static void find__wants_every_header(void **state)
{
	struct fixture f =
	    fixture("route two { match { header = {\"X-A: 1\", \"x-b\"} } echo = true }\n"
		    "route one { match { header = {\"X-A: 1\"} } echo = true }\n"
		    "route empty { match { header = {\"X-C:\"} } echo = true }\n");
	struct http1_head head = request("x", "/");

	expect(&f, &head, NULL);
	add_field(&head, "X-C", "");
	expect(&f, &head, "empty");
	add_field(&head, "x-a", "2");
	expect(&f, &head, "empty");
	add_field(&head, "x-a", "1"); /* the second of this name */
	expect(&f, &head, "one");
	add_field(&head, "X-B", "anything");
	expect(&f, &head, "two");
	done(&f);
}

static void find__wants_a_subprotocol_offered(void **state)
{
	struct fixture f = fixture("route a { match { subprotocol = mqtt } echo = true }\n");
	struct http1_head head = request("x", "/");

	add_field(&head, "Sec-WebSocket-Protocol", "MQTT, mqtt5");
	expect(&f, &head, NULL);
	add_field(&head, "sec-websocket-protocol", "stomp , mqtt");
	expect(&f, &head, "a");
	done(&f);
}

static void find__wants_one_of_the_sources(void **state)
{
	struct fixture f = fixture(
	    "route a { match { source = {\"10.0.0.0/8\", \"2001:db8::/32\"} } echo = true }\n"
	    "route b { echo = true }\n");
	struct http1_head head = request("x", "/");

	expect_from(&f, &head, "10.9.8.7:1", "a");
	expect_from(&f, &head, "[2001:db8::7]:1", "a");
	expect_from(&f, &head, "11.0.0.1:1", "b");
	expect_from(&f, &head, "[2001:db9::7]:1", "b");
	expect_from(&f, &head, "unix:/x", "b");
	done(&f);
}

/* ---- order --------------------------------------------------------------------------------- */

static void find__takes_the_first_of_nested_prefixes(void **state)
{
	struct fixture f = fixture("route abc { match { path = \"/a/b/c*\" } echo = true }\n"
				   "route h { match { path = \"/a*\" header = {H} } echo = true }\n"
				   "route ab { match { path = \"/a/b*\" } echo = true }\n"
				   "route a { match { path = \"/a*\" } echo = true }\n"
				   "route rest { echo = true }\n");
	struct http1_head head = request("x", "/a/b");

	expect_path(&f, "/a/b/cd", "abc");
	expect_path(&f, "/a/b/d", "ab");
	expect_path(&f, "/a/c", "a");
	expect_path(&f, "/b", "rest");
	add_field(&head, "H", "1");
	expect(&f, &head, "h");
	head.path = SLICE_LITERAL("/a/b/c");
	expect(&f, &head, "abc");
	done(&f);
}

static void find__keeps_the_order_among_kinds(void **state)
{
	struct fixture f =
	    fixture("route early { match { path = \"~^/r/\\\\d+$\" } echo = true }\n"
		    "route exact { match { path = \"/r/x\" } echo = true }\n"
		    "route host { match { host = play.example path = \"~X\" } echo = true }\n"
		    "route prefix { match { path = \"/r*\" } echo = true }\n"
		    "route late { match { path = \"~x\" } echo = true }\n");
	struct http1_head head = request("PLAY.example:80", "/r/X");

	expect_path(&f, "/r/17", "early");
	expect_path(&f, "/r/x", "exact");
	expect_path(&f, "/r/17x", "prefix");
	expect_path(&f, "/17x", "late");
	expect_path(&f, "/17", NULL);
	expect_path(&f, "/r/X", "prefix");
	expect(&f, &head, "host");
	done(&f);
}

static void find__takes_a_bomb_for_no_match(void **state)
{
	struct fixture f = fixture("route bomb { match { path = \"~(a+)+$\" } echo = true }\n"
				   "route rest { echo = true }\n");
	char path[4096];

	memset(path, 'a', sizeof(path) - 2);
	path[0] = '/';
	path[sizeof(path) - 2] = '!';
	path[sizeof(path) - 1] = '\0';
	expect_path(&f, path, "rest");
	expect_path(&f, "/aa", "bomb");
	done(&f);
}

static void find__survives_long_hosts(void **state)
{
	struct fixture f = fixture("route a { match { host = a } echo = true }\n"
				   "route rest { echo = true }\n");
	struct http1_head head = request("a", "/");
	char host[1024];

	expect(&f, &head, "a");
	memset(host, 'a', sizeof(host));
	head.host = (struct slice){host, sizeof(host)};
	expect(&f, &head, "rest");
	head.host.len = 0;
	expect(&f, &head, "rest");
	done(&f);
}

/* ---- against the definition ---------------------------------------------------------------- */

/* xorshift64*: the same requests each time. */
static uint64_t next(uint64_t *seed)
{
	*seed ^= *seed >> 12;
	*seed ^= *seed << 25;
	*seed ^= *seed >> 27;
	return *seed * UINT64_C(0x2545f4914f6cdd1d);
}

static unsigned int below(uint64_t *seed, unsigned int n)
{
	return (unsigned int)(next(seed) >> 32) % n;
}

/* Few letters, so that many paths begin with others. */
static void random_path(uint64_t *seed, char ret_path[16])
{
	static const char letters[] = "ab/";
	unsigned int len = below(seed, 7);

	ret_path[0] = '/';
	for (unsigned int i = 1; i <= len; i++)
		ret_path[i] = letters[below(seed, sizeof(letters) - 1)];
	ret_path[len + 1] = '\0';
}

static char *random_text(uint64_t *seed, struct config_route *route)
{
	static const char *const regexes[] = {"~a/b",   "~^/a+$", "~b",       "~^/(a|b)/",
					      "~^/a/b", "~^/ab?", "~^/b[ab]", "~^/a/b|b"};
	char path[16];

	if (below(seed, 8) == 0)
		return NULL;
	if (below(seed, 10) == 0) {
		struct regex_error error;

		strcpy(path, regexes[below(seed, ARRAY_SIZE(regexes))]);
		assert_int_equal(regex_new(path + 1, &route->path_regex, &error), 0);
	} else {
		random_path(seed, path);
		route->path_is_prefix = below(seed, 2);
	}
	return strdup(path);
}

/* Not through a file, which would be refused for the routes that nothing is left for. */
static void random_route(uint64_t *seed, struct config_route *route)
{
	static char host_a[] = "a", host_b[] = "b", header[] = "H", *headers[] = {header, NULL};
	static char protocol[] = "p";
	static char *const hosts[] = {NULL, NULL, host_a, host_b};
	static struct config_field fields[] = {
	    {.name = {"H", 1}, .value = {"1", 1}, .has_value = true}};

	*route = (struct config_route){.host = hosts[below(seed, ARRAY_SIZE(hosts))]};
	route->path = random_text(seed, route);
	if (below(seed, 3) == 0) {
		route->match_headers = headers;
		route->match_fields = fields;
		route->n_match_headers = 1;
	}
	if (below(seed, 5) == 0)
		route->subprotocol = protocol;
}

static void compare_requests(uint64_t *seed, const struct config *config)
{
	static const char *const hosts[] = {"a", "b", "c", ""};
	static const struct sockaddr nobody = {.sa_family = AF_UNIX};
	struct matcher *matcher;

	assert_int_equal(matcher_new(config, &matcher), 0);
	for (int i = 0; i < 200; i++) {
		struct http1_head head;
		char path[16];

		random_path(seed, path);
		head = request(hosts[below(seed, ARRAY_SIZE(hosts))], path);
		if (below(seed, 2))
			add_field(&head, "h", "1");
		if (below(seed, 2))
			add_field(&head, "Sec-WebSocket-Protocol", "q, p");
		assert_int_equal(matcher_find(matcher, &head, &nobody),
				 match_naive(config, &head, &nobody));
	}
	matcher_free(matcher);
}

static void find__is_what_trying_all_routes_finds(void **state)
{
	uint64_t seed = 88172645463325252;

	for (int round = 0; round < 300; round++) {
		struct config_route routes[40];
		struct config config = {.routes = routes,
					.n_routes = below(&seed, ARRAY_SIZE(routes) + 1)};

		for (size_t i = 0; i < config.n_routes; i++)
			random_route(&seed, &routes[i]);
		compare_requests(&seed, &config);
		for (size_t i = 0; i < config.n_routes; i++) {
			regex_free(routes[i].path_regex);
			free(routes[i].path);
		}
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
	    cmocka_unit_test(find__wants_every_header),
	    cmocka_unit_test(find__wants_a_subprotocol_offered),
	    cmocka_unit_test(find__wants_one_of_the_sources),
	    cmocka_unit_test(find__takes_the_first_of_nested_prefixes),
	    cmocka_unit_test(find__keeps_the_order_among_kinds),
	    cmocka_unit_test(find__takes_a_bomb_for_no_match),
	    cmocka_unit_test(find__survives_long_hosts),
	    cmocka_unit_test(find__is_what_trying_all_routes_finds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
