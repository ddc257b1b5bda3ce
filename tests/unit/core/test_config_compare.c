/* SPDX-License-Identifier: Apache-2.0 */
#include "core/config_compare.h"

#include "lib/config_loading.h"

#define ROUTE "route r { echo = true }\n"

static void expect(const char *before, const char *after, const char *expected)
{
	struct config *a = load_config(before), *b = load_config(after);
	char text[256];
	size_t n = config_needs_restart(a, b, text, sizeof(text));

	assert_string_equal(text, expected);
	assert_int_equal(n > 0, expected[0] != '\0');
	config_unref(a);
	config_unref(b);
}

static void needs_restart__nothing_for_the_same(void **state)
{
	expect(LISTENER ROUTE, LISTENER ROUTE, "");
	expect("listener l { listen = {\"127.0.0.1:1\", \"unix:/a\"} }\n" ROUTE,
	       "listener l { listen = {\"127.0.0.1:1\", \"unix:/a\"} }\n" ROUTE, "");
}

static void needs_restart__nothing_for_what_a_reload_does(void **state)
{
	expect(LISTENER ROUTE,
	       LISTENER CLUSTER "limits { max_headers = 7 }\nlog { level = debug }\n"
				"route r { proxy = c }\n",
	       "");
}

static void needs_restart__names_keys(void **state)
{
	expect(LISTENER ROUTE, "worker { count = 3 }\n" LISTENER ROUTE, "worker.count");
	expect("admin { control = \"/a\" }\n" LISTENER ROUTE,
	       "worker { count = 3 }\nadmin { control = \"/b\" }\n" LISTENER ROUTE,
	       "worker.count, admin.control");
	expect("admin { listen = {\"127.0.0.1:5\"} }\n" LISTENER ROUTE, LISTENER ROUTE,
	       "admin.listen");
}

static void needs_restart__names_a_listener_once(void **state)
{
	static const char two[] = "listener l { listen = {\"127.0.0.1:1\"} }\n"
				  "listener m { listen = {\"127.0.0.1:2\"} }\n" ROUTE;

	expect(LISTENER ROUTE, two, "listener");
	expect(LISTENER ROUTE, "listener other { listen = {\"127.0.0.1:1\"} }\n" ROUTE, "listener");
	expect(LISTENER ROUTE, "listener l { listen = {\"127.0.0.1:9\"} }\n" ROUTE,
	       "listener.listen");
	expect(two,
	       "listener l { listen = {\"127.0.0.1:3\"} }\n"
	       "listener m { listen = {\"127.0.0.1:4\"} }\n" ROUTE,
	       "listener.listen");
}

static void needs_restart__is_cut_to_its_room(void **state)
{
	struct config *a = load_config(LISTENER ROUTE);
	struct config *b = load_config("worker { count = 3 }\n" LISTENER ROUTE);
	char text[8];

	assert_int_equal(config_needs_restart(a, b, text, sizeof(text)), 1);
	assert_int_equal(strlen(text) < sizeof(text), 1);
	assert_memory_equal(text, "worker", strlen(text) < 6 ? strlen(text) : 6);
	config_unref(a);
	config_unref(b);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
	    cmocka_unit_test(needs_restart__nothing_for_the_same),
	    cmocka_unit_test(needs_restart__nothing_for_what_a_reload_does),
	    cmocka_unit_test(needs_restart__names_keys),
	    cmocka_unit_test(needs_restart__names_a_listener_once),
	    cmocka_unit_test(needs_restart__is_cut_to_its_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
