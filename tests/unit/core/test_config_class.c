/* SPDX-License-Identifier: Apache-2.0 */
#include "core/config_class.h"

#include "lib/config_loading.h"

#include <stdio.h>

static void classes__have_a_default(void **state)
{
	struct config *config = load_config(LISTENER "route r { echo = true }");
	const struct config_class *class = config_class_find(config, "default");

	assert_int_equal(config->n_classes, 1);
	assert_non_null(class);
	assert_ptr_equal(config->routes[0].class, class);
	assert_true(class->rate_bytes == 0 && class->burst_bytes == 0);
	assert_true(class->rate_frames == 0 && class->burst_frames == 0);
	assert_true(class->pacing == 0 && class->priority == 0);
	assert_int_equal(class->dscp, SL_DSCP_KEEP);
	assert_int_equal(class->over_rate, CONFIG_OVER_RATE_DROP);
	config_unref(config);
}

static void classes__the_default_may_be_configured(void **state)
{
	struct config *config =
	    load_config(LISTENER "route r { echo = true }\nclass default { priority = 3 }");

	assert_int_equal(config->n_classes, 1);
	assert_int_equal(config->routes[0].class->priority, 3);
	config_unref(config);
}

static void classes__are_found_by_routes_before_and_behind_them(void **state)
{
	struct config *config =
	    load_config(LISTENER "route a { match { path = /a } echo = true class = x }\n"
				 "class x { dscp = EF }\nclass y { dscp = 11 }\n"
				 "route b { match { path = /b } echo = true class = y }\n"
				 "route c { match { path = /c } echo = true }\n");

	assert_int_equal(config->n_classes, 3);
	assert_int_equal(config->routes[0].class->dscp, 46);
	assert_int_equal(config->routes[1].class->dscp, 11);
	assert_string_equal(config->routes[2].class->name, "default");
	assert_null(config_class_find(config, "z"));
	config_unref(config);
}

static void assert_bursts(const char *keys, uint64_t bytes, uint64_t frames)
{
	char text[256];
	struct config *config;

	snprintf(text, sizeof(text), LISTENER "class x { %s }", keys);
	config = load_config(text);
	assert_true(config->classes[0].burst_bytes == bytes);
	assert_true(config->classes[0].burst_frames == frames);
	config_unref(config);
}

static void classes__bursts_follow_from_rates(void **state)
{
	assert_bursts("rate_bytes = 10mb", 10 << 20, 0);
	assert_bursts("rate_bytes = 4kb", 65536, 0);
	assert_bursts("rate_bytes = 1000mb", CONFIG_BURST_BYTES_MAX, 0);
	assert_bursts("rate_bytes = 10mb burst_bytes = 4kb", 4096, 0);
	assert_bursts("rate_frames = 7", 0, 7);
	assert_bursts("rate_frames = 7 burst_frames = 1", 0, 1);
	assert_bursts("rate_frames = 1 burst_frames = 5000", 0, 5000);
	assert_bursts("burst_bytes = auto burst_frames = auto", 0, 0);
}

static void classes__refuse_bursts_without_their_rate(void **state)
{
	static const struct wrong_config cases[] = {
	    {LISTENER "class x {\n burst_bytes = 1mb }",
	     "f:3: class \"x\": burst_bytes = \"1mb\": expected rate_bytes in the same class"},
	    {LISTENER "class x {\n rate_bytes = 0 burst_bytes = 1mb }",
	     "f:3: class \"x\": burst_bytes = \"1mb\": expected rate_bytes in the same class"},
	    {LISTENER "class x {\n rate_bytes = 1mb burst_frames = 9 }",
	     "f:3: class \"x\": burst_frames = \"9\": expected rate_frames in the same class"},
	};

	assert_configs_fail(cases, ARRAY_SIZE(cases));
}

static void classes__refuse_code_points_that_are_none(void **state)
{
	static const struct wrong_config cases[] = {
	    {LISTENER "class x {\n dscp = AF44 }",
	     "f:3: class \"x\": dscp = \"AF44\": expected off, or a code point such as EF, AF41, "
	     "CS5, LE or 0 to 63"},
	    {LISTENER "class x {\n dscp = 64 }",
	     "f:3: class \"x\": dscp = \"64\": expected off, or a code point such as EF, AF41, "
	     "CS5, LE or 0 to 63"},
	};

	assert_configs_fail(cases, ARRAY_SIZE(cases));
	assert_config_loads(LISTENER "class x { dscp = off }");
}

static void classes__are_so_many_at_most(void **state)
{
	char text[8192] = LISTENER;

	for (unsigned int i = 1; i < CONFIG_CLASSES_MAX; i++)
		snprintf(text + strlen(text), sizeof(text) - strlen(text), "class c%u { }\n", i);
	assert_config_loads(text);
	strcat(text, "class more { }\n");
	assert_config_fails(text, "f:65: class \"more\": expected at most 63 classes");
}

static void routes__refuse_classes_that_are_not_there(void **state)
{
	assert_config_fails(LISTENER "class realtime { }\nroute r {\n echo = true\n"
				     " class = raeltime }",
			    "f:5: route \"r\": class = \"raeltime\": expected the name of a class; "
			    "did you mean \"realtime\"?");
	assert_config_fails(LISTENER "route r {\n echo = true\n class = x }",
			    "f:4: route \"r\": class = \"x\": expected the name of a class");
}

static void routes__refuse_limits_that_nobody_would_see(void **state)
{
	static const struct wrong_config cases[] = {
	    {LISTENER CLUSTER "route r { proxy = c max_frame = 1mb\n splice_frames = off }",
	     "f:4: route \"r\": splice_frames = \"off\": expected auto or strict with max_frame or "
	     "max_message"},
	    {LISTENER CLUSTER "route r { proxy = c max_message = 1mb\n splice_frames = observe }",
	     "f:4: route \"r\": splice_frames = \"observe\": expected auto or strict with max_frame "
	     "or max_message"},
	    {LISTENER CLUSTER "class x { rate_frames = 5 }\n"
			      "route r { proxy = c class = x\n splice_frames = off }",
	     "f:5: route \"r\": splice_frames = \"off\": expected auto, observe or strict: class "
	     "\"x\" has rate_frames"},
	};

	assert_configs_fail(cases, ARRAY_SIZE(cases));
	assert_config_loads(LISTENER CLUSTER
			    "route r { proxy = c max_frame = 1mb splice_frames = strict }");
	assert_config_loads(LISTENER CLUSTER "route r { proxy = c splice_frames = off }");
	/* Where frames are assembled there always is a limit, and no kernel. */
	assert_config_loads(LISTENER "route r { echo = true splice_frames = off }");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(classes__have_a_default),
	    cmocka_unit_test(classes__the_default_may_be_configured),
	    cmocka_unit_test(classes__are_found_by_routes_before_and_behind_them),
	    cmocka_unit_test(classes__bursts_follow_from_rates),
	    cmocka_unit_test(classes__refuse_bursts_without_their_rate),
	    cmocka_unit_test(classes__refuse_code_points_that_are_none),
	    cmocka_unit_test(classes__are_so_many_at_most),
	    cmocka_unit_test(routes__refuse_classes_that_are_not_there),
	    cmocka_unit_test(routes__refuse_limits_that_nobody_would_see),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
