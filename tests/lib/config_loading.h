/* SPDX-License-Identifier: Apache-2.0 */
/* Configurations from text: one that must be right, one that must be wrong in just that way. */
#pragma once
#include "core/config.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

/* What most files need besides what they are about; a line each. */
#define LISTENER "listener l { listen = {\"127.0.0.1:1\"} }\n"
#define CLUSTER  "cluster c { endpoint e { address = \"127.0.0.1:2\" } }\n"

/** load_config() - the tree of @text, which must be right; for config_unref() */
static inline struct config *load_config(const char *text)
{
	struct config *config = NULL;
	struct config_error error = {""};

	if (config_load_text("f", text, &config, &error) < 0)
		fail_msg("%s\nin: %s", error.text, text);
	return config;
}

/** assert_config_loads() - @text is right */
static inline void assert_config_loads(const char *text)
{
	config_unref(load_config(text));
}

/** assert_config_fails() - @text, in a file "f", gives this error and nothing else */
static inline void assert_config_fails(const char *text, const char *expected)
{
	struct config *config = NULL;
	struct config_error error = {""};

	assert_int_equal(config_load_text("f", text, &config, &error), -EINVAL);
	assert_null(config);
	assert_string_equal(error.text, expected);
}

struct wrong_config {
	const char *text, *expected;
};

static inline void assert_configs_fail(const struct wrong_config *cases, size_t n)
{
	for (size_t i = 0; i < n; i++)
		assert_config_fails(cases[i].text, cases[i].expected);
}
