/* SPDX-License-Identifier: Apache-2.0 */
#include "core/config_build.h"

#include "lib/config_loading.h"

#include <stdio.h>

static void load__refuses_unknown_names(void **state)
{
	static const struct wrong_config cases[] = {
	    {"lissener l { }", "f:1: unknown section \"lissener\": did you mean \"listener\"?"},
	    {"include = x", "f:1: unknown section \"include\": expected one of sluice.conf(5)"},
	    {"\nlog { levle = info }", "f:2: log: unknown key \"levle\": did you mean \"level\"?"},
	    {"log { zzz = info }", "f:1: log: unknown key \"zzz\": expected one of sluice.conf(5)"},
	    {"route r {\n mach { } }",
	     "f:2: route \"r\": unknown section \"mach\": did you mean \"match\"?"},
	    {"route r { match {\n\n hosts = a } }",
	     "f:3: route \"r\": match: unknown key \"hosts\": did you mean \"host\"?"},
	    {"cluster c { endpoint e { adress = x } }",
	     "f:1: cluster \"c\": endpoint \"e\": unknown key \"adress\": did you mean "
	     "\"address\"?"},
	    {"log { log { } }", "f:1: log: unknown section \"log\": expected one of "
				"sluice.conf(5)"},
	    {"endpoint e { }", "f:1: unknown section \"endpoint\": expected one of sluice.conf(5)"},
	};

	assert_configs_fail(cases, ARRAY_SIZE(cases));
}

static void load__refuses_keys_as_sections_and_the_reverse(void **state)
{
	static const struct wrong_config cases[] = {
	    {"log = info", "f:1: log is a section: expected log { }"},
	    {"route r { match = \"/\" }",
	     "f:1: route \"r\": match is a section: expected match { }"},
	    {"cluster c { endpoint = \"x\" }",
	     "f:1: cluster \"c\": endpoint is a section: expected endpoint NAME { }"},
	    {"log { level { } }", "f:1: log: level is a key: expected level = VALUE"},
	    {"log { level info { } }", "f:1: log: level is a key: expected level = VALUE"},
	    {"route { }", "f:1: route: expected a name: route NAME { }"},
	    {"log main { }", "f:1: log: expected no name: log { }"},
	    {"route r { match m { } }", "f:1: route \"r\": match: expected no name: match { }"},
	};

	assert_configs_fail(cases, ARRAY_SIZE(cases));
}

static void load__refuses_values_of_another_type(void **state)
{
	static const struct wrong_config cases[] = {
	    {"log { level = {debug} }",
	     "f:1: log: level = \"debug\": expected one value, not a list"},
	    {"listener l { listen = \"0.0.0.0:1\" }",
	     "f:1: listener \"l\": listen = \"0.0.0.0:1\": expected a list such as "
	     "{\"0.0.0.0:8080\", \"[::]:8080\"}"},
	    {"log { level = loud }",
	     "f:1: log: level = \"loud\": expected error, warning, notice, info or debug"},
	    {"log { level = Debug }",
	     "f:1: log: level = \"Debug\": expected error, warning, notice, info or debug"},
	    {"log { format = xml }", "f:1: log: format = \"xml\": expected text or json"},
	    {"cluster c { balance = random }",
	     "f:1: cluster \"c\": balance = \"random\": expected round_robin, least_conn or hash"},
	    {"route r { echo = 1 }", "f:1: route \"r\": echo = \"1\": expected true or false"},
	    {"route \"game\" {\n tunnel_timeout = 5x }",
	     "f:2: route \"game\": tunnel_timeout = \"5x\": expected a duration such as 500ms, "
	     "30s or 1h"},
	    {"route r { tunnel_timeout = 5 }",
	     "f:1: route \"r\": tunnel_timeout = \"5\": expected a duration such as 500ms, 30s "
	     "or 1h"},
	    {"route r { max_frame = \"16 mb\" }",
	     "f:1: route \"r\": max_frame = \"16 mb\": expected auto, or a size such as 512, "
	     "64kb or 1gb"},
	    {"worker { count = -1 }",
	     "f:1: worker: count = \"-1\": expected auto, or a number from 1 to 64"},
	    {"worker { count = \"\" }",
	     "f:1: worker: count = \"\": expected auto, or a number from 1 to 64"},
	    {"limits { max_headers = auto }",
	     "f:1: limits: max_headers = \"auto\": expected a number from 1 to 128"},
	    {"limits { message_memory = 1000000000000000000000gb }",
	     "f:1: limits: message_memory = \"1000000000000000000000gb\": expected a size from "
	     "1mb to 1024gb"},
	    {"route r { respond { status = 101 } }",
	     "f:1: route \"r\": respond: status = \"101\": expected a number from 200 to 599"},
	};

	assert_configs_fail(cases, ARRAY_SIZE(cases));
}

static void load__refuses_texts_of_another_form(void **state)
{
	static const struct wrong_config cases[] = {
	    {"admin { control = sock }",
	     "f:1: admin: control = \"sock\": expected an absolute path"},
	    {"log { access = on }", "f:1: log: access = \"on\": expected off, or an absolute path, "
				    "or - for standard output"},
	    {"route r { match { host = \"a:80\" } }",
	     "f:1: route \"r\": match: host = \"a:80\": expected a host name or address without "
	     "port"},
	    {"route r { match { path = live } }",
	     "f:1: route \"r\": match: path = \"live\": expected a path such as /live, /game/* "
	     "for all that begins so, or ~REGEX"},
	    {"route r { respond { content_type = \"a/b\\r\\nc: d\" } }",
	     "f:1: route \"r\": respond: content_type = \"a/b\\r\\nc: d\": expected a media type "
	     "such as text/plain"},
	    {"route r { proxy = \"a b\" }",
	     "f:1: route \"r\": proxy = \"a b\": expected the name of a cluster"},
	    {"cluster c { endpoint e { address = \"localhost:0\" } }",
	     "f:1: cluster \"c\": endpoint \"e\": address = \"localhost:0\": expected an address or "
	     "a name, with a port other than 0, such as 10.0.0.5:9000, [::1]:9000, "
	     "backend.example:9000 or unix:/path"},
	    /* Of a list, the line of the value. */
	    {"listener l {\n listen = {\n \"1.2.3.4:0\",\n \"x\"\n }\n}",
	     "f:4: listener \"l\": listen = \"x\": expected an address such as 10.0.0.5:9000, "
	     "[::1]:9000 or unix:/path"},
	};

	assert_configs_fail(cases, ARRAY_SIZE(cases));
}

static void load__limits_texts(void **state)
{
	char path[200], text[400], expected[400];

	memset(path, 'a', sizeof(path));
	path[0] = '/';
	path[107] = '\0';
	snprintf(text, sizeof(text), LISTENER "admin { control = \"%s\" }", path);
	assert_config_loads(text);
	snprintf(text, sizeof(text), LISTENER "admin { control = \"%sa\" }", path);
	snprintf(expected, sizeof(expected),
		 "f:2: admin: control = \"%.60s…\": expected an absolute path (1 to 107 bytes)",
		 path);
	assert_config_fails(text, expected);
	assert_config_fails(
	    "route r { match { host = \"\" } }",
	    "f:1: route \"r\": match: host = \"\": expected a host name or address without "
	    "port (1 to 255 bytes)");
}

static void load__refuses_missing_keys(void **state)
{
	static const struct wrong_config cases[] = {
	    {"\nlistener l {\n}", "f:2: listener \"l\": listen is missing: expected listen = "
				  "{\"0.0.0.0:8080\", \"[::]:8080\"}"},
	    {LISTENER "cluster c {\n endpoint e { }\n}",
	     "f:3: cluster \"c\": endpoint \"e\": address is missing: expected address = "
	     "\"127.0.0.1:9000\""},
	};

	assert_configs_fail(cases, ARRAY_SIZE(cases));
}

static void load__reports_the_checks_of_a_text(void **state)
{
	static const struct wrong_config cases[] = {
	    {LISTENER "log {\n level = info\n level = info }",
	     "f:4: log: level is given twice: expected it once (it is on line 3 already)"},
	    {LISTENER CLUSTER CLUSTER,
	     "f:3: cluster \"c\" is given twice: expected it once (it is on line 2 already)"},
	    {LISTENER "log {",
	     "f:2: log: expected a \"}\" for the \"{\" of this section before the end of the "
	     "file"},
	};

	assert_configs_fail(cases, ARRAY_SIZE(cases));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(load__refuses_unknown_names),
	    cmocka_unit_test(load__refuses_keys_as_sections_and_the_reverse),
	    cmocka_unit_test(load__refuses_values_of_another_type),
	    cmocka_unit_test(load__refuses_texts_of_another_form),
	    cmocka_unit_test(load__limits_texts),
	    cmocka_unit_test(load__refuses_missing_keys),
	    cmocka_unit_test(load__reports_the_checks_of_a_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
