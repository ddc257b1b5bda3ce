/* SPDX-License-Identifier: Apache-2.0 */
#include "route/routing.h"

#include <setjmp.h>
#include <stdarg.h>
#include <sys/socket.h>

#include <cmocka.h>

static const char config_text[] =
    "listener l { listen = {\"127.0.0.1:0\"} }\n"
    "route host_exact { match { host = \"play.example\" path = \"/game\" } echo = true }\n"
    "route host_prefix { match { host = \"play.example\" path = \"/game/*\" } echo = true }\n"
    "route v6 { match { host = \"[::1]\" } echo = true }\n"
    "route echo { match { path = \"/echo\" } echo = true }\n"
    "route deep { match { path = \"/a/*\" } echo = true }\n"
    "route encoded { match { path = \"/a%20b\" } echo = true }\n"
    "route any_of_host { match { host = \"other.example\" } echo = true }\n";

static int set_up(void **state)
{
	struct config_error error;
	struct config *config;
	struct routing *routing;

	if (config_load_text("test", config_text, &config, &error) < 0) {
		print_error("%s\n", error.text);
		return -1;
	}
	if (routing_new(config, NULL, &routing) < 0)
		return -1;
	config_unref(config);
	*state = routing;
	return 0;
}

static int tear_down(void **state)
{
	struct routing *routing = *state;

	generation_unref(&routing->generation);
	return 0;
}

static void expect(struct routing *routing, const char *host, const char *path, const char *name)
{
	struct http1_head head = {
	    .host = slice_from_str(host),
	    .path = slice_from_str(path),
	};
	static const struct sockaddr source = {.sa_family = AF_UNIX};
	struct route *route = routing_match(routing, &head, &source);

	if (!name) {
		assert_null(route);
		return;
	}
	assert_non_null(route);
	assert_string_equal(route->config->name, name);
}

static void match__exact_path_and_host(void **state)
{
	expect(*state, "play.example", "/game", "host_exact");
	expect(*state, "x", "/echo", "echo");
	expect(*state, "x", "/echo/", NULL);
	expect(*state, "x", "/ech", NULL);
	expect(*state, "x", "/Echo", NULL);
}

static void match__host_ignores_case_and_port(void **state)
{
	expect(*state, "PLAY.Example:8080", "/game", "host_exact");
	expect(*state, "[::1]:8080", "/", "v6");
	expect(*state, "[::1]", "/", "v6");
	expect(*state, "play.example.evil", "/game", NULL);
}

static void match__prefix(void **state)
{
	expect(*state, "play.example", "/game/", "host_prefix");
	expect(*state, "play.example", "/game/7/x", "host_prefix");
	expect(*state, "play.example", "/gamer", NULL);
	expect(*state, "x", "/a/b", "deep");
	expect(*state, "x", "/a", NULL);
}

static void match__order_of_the_file(void **state)
{
	expect(*state, "other.example", "/echo", "echo");
	expect(*state, "other.example", "/else", "any_of_host");
}

static void match__does_not_decode(void **state)
{
	expect(*state, "x", "/a%20b", "encoded");
	expect(*state, "x", "/%65cho", NULL);
}

static void match__refuses_dot_segments(void **state)
{
	static const char *const paths[] = {
	    "/a/..",     "/a/../admin", "/a/./b",   "/a/%2e%2e/x",  "/a/.%2E/x",
	    "/a/%2E./x", "/a/%2e",      "/a/.",     "/..",          "/a/b/..",
	    "/a/..%2fx", "/a%2F..",     "/a/..\\x", "/a/%5c..%5Cx", "/a\\.",
	};
	static const char *const harmless[] = {"/a/...", "/a/.b", "/a/..b", "/a/b..",
					       "/a/%2e%2e%2e"};

	for (size_t i = 0; i < ARRAY_SIZE(paths); i++)
		expect(*state, "other.example", paths[i], NULL);
	for (size_t i = 0; i < ARRAY_SIZE(harmless); i++)
		expect(*state, "x", harmless[i], "deep");
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
	    cmocka_unit_test(match__exact_path_and_host),
	    cmocka_unit_test(match__host_ignores_case_and_port),
	    cmocka_unit_test(match__prefix),
	    cmocka_unit_test(match__order_of_the_file),
	    cmocka_unit_test(match__does_not_decode),
	    cmocka_unit_test(match__refuses_dot_segments),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
