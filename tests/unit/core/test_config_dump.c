/* SPDX-License-Identifier: Apache-2.0 */
#include "core/config.h"
#include "core/config_keys.h"
#include "core/config_value.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static char *dump(void (*fn)(FILE *))
{
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);

	assert_non_null(out);
	fn(out);
	fclose(out);
	return text;
}

static struct config *load(const char *text)
{
	struct config *config = NULL;
	struct config_error error;

	if (config_load_text("dump", text, &config, &error) < 0)
		fail_msg("%s", error.text);
	return config;
}

/* Where @text stands behind @from and ahead of @end, or a failure. */
static const char *find(const char *from, const char *end, const char *text)
{
	const char *found = strstr(from, text);

	if (!found || (end && found >= end))
		fail_msg("no \"%s\" where it should be", text);
	return found;
}

/* ---- as a file ----------------------------------------------------------------------------- */

static void defaults__load_and_are_the_defaults(void **state)
{
	char *text = dump(config_dump_defaults);
	struct config *dumped = load(text);
	struct config *minimal = load("listener l { listen = {\"127.0.0.1:1\"} }\n"
				      "cluster c { endpoint e { address = \"127.0.0.1:1\" } }\n"
				      "route r { proxy = c }");
	const struct config_route *a, *b;

	assert_int_equal(dumped->worker.count, minimal->worker.count);
	assert_memory_equal(&dumped->limits, &minimal->limits, sizeof(dumped->limits));
	assert_memory_equal(&dumped->log, &minimal->log, sizeof(dumped->log));
	assert_null(dumped->admin.control);
	assert_int_equal(dumped->n_listeners, 1);
	assert_int_equal(dumped->listeners[0].backlog, minimal->listeners[0].backlog);
	assert_int_equal(dumped->clusters[0].balance, minimal->clusters[0].balance);
	assert_int_equal(dumped->clusters[0].connect_timeout_ms,
			 minimal->clusters[0].connect_timeout_ms);
	assert_int_equal(dumped->clusters[0].upgrade_timeout_ms,
			 minimal->clusters[0].upgrade_timeout_ms);
	assert_int_equal(dumped->n_routes, 1);
	a = &dumped->routes[0];
	b = &minimal->routes[0];
	assert_int_equal(a->action, CONFIG_ACTION_PROXY);
	assert_int_equal(a->tunnel_timeout_ms, b->tunnel_timeout_ms);
	assert_int_equal(a->max_duration_ms, b->max_duration_ms);
	assert_int_equal(a->max_frame_bytes, b->max_frame_bytes);
	assert_int_equal(a->max_message_bytes, b->max_message_bytes);
	assert_null(a->host);
	assert_null(a->path);
	config_unref(dumped);
	config_unref(minimal);
	free(text);
}

/* In the order of the table, each behind its range and whether a reload takes it. */
static void defaults__have_every_key_with_range_and_reload(void **state)
{
	char *text = dump(config_dump_defaults);
	const char *at = text;

	for (size_t i = 1; i < config_n_sections; i++) {
		for (size_t k = 0; k < config_sections[i]->n_keys; k++) {
			const struct config_key *key = &config_sections[i]->keys[k];
			char assignment[64], range[256], accepts[32];
			const char *found;
			struct text_writer w;

			snprintf(assignment, sizeof(assignment), "%s = %s%.20s", key->name,
				 key->fallback && key->type == CONFIG_TEXT && !key->none ? "\""
											 : "",
				 key->fallback ? key->fallback : key->example);
			found = find(at, NULL, assignment);
			text_writer_init(&w, range, sizeof(range) - 1);
			config_value_put_range(key, &w);
			range[w.len] = '\0';
			snprintf(accepts, sizeof(accepts), "# Accepts %.18s", range);
			find(at, found, accepts);
			find(at, found, key->is_reloadable ? "Reload: yes." : "Reload: no.");
			at = found;
		}
	}
	free(text);
}

static void defaults__are_narrow(void **state)
{
	char *text = dump(config_dump_defaults);

	for (const char *line = text; *line; line += strcspn(line, "\n") + 1)
		assert_true(strcspn(line, "\n") <= 100);
	free(text);
}

/* ---- for the manual page ------------------------------------------------------------------- */

static void man__has_every_key_as_an_item(void **state)
{
	char *text = dump(config_dump_man);
	const char *at = text;

	for (size_t i = 1; i < config_n_sections; i++) {
		for (size_t k = 0; k < config_sections[i]->n_keys; k++) {
			char item[64];

			snprintf(item, sizeof(item), "\n.TP\n.B %s\n",
				 config_sections[i]->keys[k].name);
			at = find(at, NULL, item) + 1;
		}
	}
	free(text);
}

static bool is_known_request(const char *line)
{
	static const char *const requests[] = {".SS ", ".TP\n", ".B "};

	for (size_t i = 0; i < ARRAY_SIZE(requests); i++) {
		if (strncmp(line, requests[i], strlen(requests[i])) == 0)
			return true;
	}
	return false;
}

/* Only requests begin with a dot or an apostrophe, and only escapes with a backslash. */
static void man__is_sound_roff(void **state)
{
	char *text = dump(config_dump_man);

	for (const char *line = text; *line; line += strcspn(line, "\n") + 1) {
		if (strncmp(line, ".\\\"", 3) == 0)
			continue;
		assert_true((line[0] != '.' && line[0] != '\'') || is_known_request(line));
		for (size_t i = 0; line[i] != '\n'; i++)
			assert_true(line[i] != '\\' || line[i + 1] == '-' || line[i + 1] == 'e');
	}
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(defaults__load_and_are_the_defaults),
	    cmocka_unit_test(defaults__have_every_key_with_range_and_reload),
	    cmocka_unit_test(defaults__are_narrow),
	    cmocka_unit_test(man__has_every_key_as_an_item),
	    cmocka_unit_test(man__is_sound_roff),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
