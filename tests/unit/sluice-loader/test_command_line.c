/* SPDX-License-Identifier: Apache-2.0 */
#include "app/sluice-loader/command_line.h"
#include "app/sluice-loader/say.h"

#include <getopt.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define WORDS_MAX 16

/* A command line in one text; the words stay readable until the next call. */
static int parse(const char *text, struct command_line *ret)
{
	static char words[256];
	static char *argv[WORDS_MAX + 1];
	int argc = 0;

	snprintf(words, sizeof(words), "%s", text);
	argv[argc++] = (char *)"sluice-loader";
	for (char *rest, *word = strtok_r(words, " ", &rest); word && argc < WORDS_MAX;
	     word = strtok_r(NULL, " ", &rest))
		argv[argc++] = word;
	argv[argc] = NULL;
	optind = 0; /* getopt starts anew */
	return command_line_parse(argc, argv, ret);
}

static void parse__every_verb(void **state)
{
	static const struct {
		const char *text;
		enum loader_verb verb;
	} cases[] = {
	    {"check", VERB_CHECK},           {"load", VERB_LOAD},     {"attach lo", VERB_ATTACH},
	    {"detach --all", VERB_DETACH},   {"status", VERB_STATUS}, {"replace", VERB_REPLACE},
	    {"unload --force", VERB_UNLOAD},
	};

	assert_int_equal(ARRAY_SIZE(cases), VERB_COUNT);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct command_line line;

		assert_int_equal(parse(cases[i].text, &line), -1);
		assert_int_equal(line.verb, cases[i].verb);
		assert_true(strncmp(cases[i].text, loader_verb_name(line.verb),
				    strlen(loader_verb_name(line.verb))) == 0);
	}
}

static void parse__says_what_was_not_said(void **state)
{
	struct command_line line;

	assert_int_equal(parse("load", &line), -1);
	assert_null(line.instance);
	assert_null(line.netns);
	assert_null(line.group);
	assert_null(line.operator_group);
	assert_int_equal(line.n_flows, 0);
	assert_int_equal(line.events_bytes, 0);
	assert_int_equal(line.hook, HOOK_CHOICE_AUTO);
	assert_false(line.is_json || line.is_verbose || line.has_all || line.has_force);
	assert_false(line.has_demote);
	assert_int_equal(line.timeout_ms, TIMEOUT_DEFAULT_MS);
	assert_null(line.control);
	assert_int_equal(line.n_interfaces, 0);
}

static void parse__options_before_and_behind_the_verb(void **state)
{
	struct command_line line;

	assert_int_equal(parse("-j --netns red attach --hook=clsact eth0 -v eth1 --instance b-2",
			       &line),
			 -1);
	assert_true(line.is_json && line.is_verbose);
	assert_string_equal(line.netns, "red");
	assert_string_equal(line.instance, "b-2");
	assert_int_equal(line.hook, HOOK_CHOICE_CLSACT);
	assert_int_equal(line.n_interfaces, 2);
	assert_string_equal(line.interfaces[0], "eth0");
	assert_string_equal(line.interfaces[1], "eth1");
}

static void parse__flows_within_bounds(void **state)
{
	static const char *const bad[] = {"63",  "0", "-64", "16777217",
					  "64k", "",  "1e6", "99999999999999999999"};
	struct command_line line;
	char text[64];

	assert_int_equal(parse("load --flows 64", &line), -1);
	assert_int_equal(line.n_flows, FLOWS_MIN);
	assert_int_equal(parse("load --flows 16777216", &line), -1);
	assert_int_equal(line.n_flows, FLOWS_MAX);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		snprintf(text, sizeof(text), "load --flows=%s", bad[i]);
		assert_int_equal(parse(text, &line), EXIT_USAGE_ERROR);
	}
}

static void parse__events_in_whole_pages(void **state)
{
	static const char *const bad[] = {"0", "2048", "4097", "12kb", "2gb", "-4096", "", "1e6"};
	struct command_line line;
	char text[64];

	assert_int_equal(parse("load --events 4096", &line), -1);
	assert_int_equal(line.events_bytes, EVENTS_MIN);
	assert_int_equal(parse("load --events 1gb", &line), -1);
	assert_int_equal(line.events_bytes, EVENTS_MAX);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		snprintf(text, sizeof(text), "load --events=%s", bad[i]);
		assert_int_equal(parse(text, &line), EXIT_USAGE_ERROR);
	}
}

static void parse__what_is_done_about_spliced_connections(void **state)
{
	static const char *const verbs[] = {"unload", "detach lo", "replace"};
	static const char *const bad[] = {"5", "-1s", "1x", "2d", ""};
	struct command_line line;
	char text[128];

	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++) {
		snprintf(text, sizeof(text), "%s --demote --timeout 1500ms --control /run/x",
			 verbs[i]);
		assert_int_equal(parse(text, &line), -1);
		assert_true(line.has_demote);
		assert_int_equal(line.timeout_ms, 1500);
		assert_string_equal(line.control, "/run/x");
	}
	assert_int_equal(parse("unload --demote --force", &line), -1);
	assert_true(line.has_demote && line.has_force);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		snprintf(text, sizeof(text), "unload --timeout=%s", bad[i]);
		assert_int_equal(parse(text, &line), EXIT_USAGE_ERROR);
	}
}

static void parse__refuses_what_does_not_belong(void **state)
{
	static const char *const bad[] = {
	    "",
	    "frobnicate",
	    "load lo",
	    "status lo",
	    "attach",
	    "detach",
	    "attach --all lo",
	    "check --instance x",
	    "check --all",
	    "status --flows 64",
	    "replace --flows 64",
	    "replace --events 4096",
	    "attach lo --group g",
	    "load --hook tcx",
	    "detach lo --hook tcx",
	    "attach lo --force",
	    "load --force",
	    "replace --force",
	    "load --demote",
	    "attach lo --demote",
	    "status --timeout 1s",
	    "check --control /run/x",
	    "attach lo --hook tc",
	    "detach lo --hook xdp-generic",
	    "detach lo --hook xdp --demote",
	    "detach --all --force --hook xdp",
	    "detach lo --hook xdp --timeout 1s",
	    "detach lo --hook xdp --control /run/x",
	    "load --instance Upper",
	    "load --instance a_b",
	    "load --instance ../b",
	    "load --unknown",
	};
	struct command_line line;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		if (parse(bad[i], &line) != EXIT_USAGE_ERROR)
			fail_msg("accepted: %s", bad[i]);
	}
}

static void parse__answers_by_itself(void **state)
{
	struct command_line line;

	assert_int_equal(parse("--version", &line), EXIT_DONE);
	assert_int_equal(parse("load --help", &line), EXIT_DONE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(parse__every_verb),
	    cmocka_unit_test(parse__says_what_was_not_said),
	    cmocka_unit_test(parse__options_before_and_behind_the_verb),
	    cmocka_unit_test(parse__flows_within_bounds),
	    cmocka_unit_test(parse__events_in_whole_pages),
	    cmocka_unit_test(parse__what_is_done_about_spliced_connections),
	    cmocka_unit_test(parse__refuses_what_does_not_belong),
	    cmocka_unit_test(parse__answers_by_itself),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
