/* SPDX-License-Identifier: Apache-2.0 */
#include "core/config_keys.h"

#include "base/text_writer.h"
#include "core/config_value.h"
#include "lib/config_loading.h"

#include <inttypes.h>
#include <stdio.h>

/* Where a key stands in an otherwise complete file; %s is the key. */
static const struct {
	const char *section, *text;
} frames[] = {
    {"worker", LISTENER "worker { %s }"},
    {"kernel", LISTENER "kernel { %s }"},
    {"process", LISTENER "process { %s }"},
    {"admin", LISTENER "admin { %s }"},
    {"log", LISTENER "log { %s }"},
    {"limits", LISTENER "limits { %s }"},
    {"drain", LISTENER "drain { %s }"},
    {"listener", "listener l { listen = {\"127.0.0.1:1\"} %s }"},
    {"resolver", LISTENER "resolver { %s }"},
    {"class", LISTENER "class k { %s }"},
    {"cluster", LISTENER "cluster c { %s endpoint e { address = \"127.0.0.1:2\" } }"},
    {"health", LISTENER "cluster c { health { %s } endpoint e { address = \"127.0.0.1:2\" } }"},
    {"ejection", LISTENER "cluster c { ejection { %s } endpoint e { address = \"127.0.0.1:2\" } }"},
    {"breaker", LISTENER "cluster c { breaker { %s } endpoint e { address = \"127.0.0.1:2\" } }"},
    {"endpoint", LISTENER "cluster c { endpoint e { %s } }"},
    {"route", LISTENER CLUSTER "route r { proxy = c %s }"},
    {"headers", LISTENER CLUSTER "route r { proxy = c headers { %s } }"},
    {"match", LISTENER "route r { echo = true match { %s } }"},
    {"respond", LISTENER "route r { respond { %s } }"},
};

/* All that a number accepts, and what it is without being written. */
static const struct number {
	const char *section, *key, *fallback, *range;
	const char *with; /* another key, so that the whole range is free */
} numbers[] = {
    {"worker", "count", "0", "auto, or 1 to 64", ""},
    {"kernel", "quarantine", "60000", "1s to 10m", ""},
    {"log", "rate", "100", "0 (unlimited), or 1 to 1000000", ""},
    {"limits", "max_connections", "0", "auto, or 1 to 10000000", ""},
    {"limits", "max_head_bytes", "16384", "1kb to 64kb", "max_target_bytes = 64"},
    {"limits", "max_target_bytes", "8192", "64 to 64kb", "max_head_bytes = 64kb"},
    {"limits", "max_headers", "100", "1 to 128", ""},
    {"limits", "message_memory", "268435456", "1mb to 1024gb", ""},
    {"limits", "handshake_timeout", "10000", "100ms to 10m", ""},
    {"limits", "close_timeout", "5000", "100ms to 10m", ""},
    {"drain", "drain_time", "0", "0 (as fast as conn_evict_rate allows), or 100ms to 7d", ""},
    {"drain", "conn_evict_rate", "1000", "0 (no limit), or 1 to 10000000", ""},
    {"drain", "hard_stop_after", "30000", "100ms to 7d", ""},
    {"listener", "backlog", "4096", "1 to 65535", ""},
    {"cluster", "connect_timeout", "3000", "10ms to 10m", ""},
    {"cluster", "upgrade_timeout", "10000", "10ms to 10m", ""},
    {"resolver", "timeout", "2000", "10ms to 1m", ""},
    {"class", "rate_bytes", "0", "0 (no limit), or 4kb to 1000mb", ""},
    {"class", "burst_bytes", "0", "auto, or 4kb to 512mb", "rate_bytes = 1mb"},
    {"class", "rate_frames", "0", "0 (no limit), or 1 to 100000000", ""},
    {"class", "burst_frames", "0", "auto, or 1 to 100000000", "rate_frames = 1"},
    {"class", "pacing", "0", "0 (none), or 4kb to 1000mb", ""},
    {"class", "priority", "0", "0 (as it comes), or 1 to 6", ""},
    {"cluster", "resolve_interval", "30000", "10ms to 1d", ""},
    {"health", "interval", "2000", "10ms to 1d", ""},
    {"health", "timeout", "1000", "10ms to 10m", ""},
    {"health", "rise", "2", "1 to 1000", ""},
    {"health", "fall", "3", "1 to 1000", ""},
    {"cluster", "hash_load", "0", "off, or 100% to 1000%", ""},
    {"cluster", "retries", "3", "0 to 7", ""},
    {"cluster", "slow_start", "0", "off, or 1s to 1h", ""},
    {"ejection", "failures", "5", "off, or 1 to 1000000", ""},
    {"ejection", "time", "30000", "100ms to 1h", ""},
    {"ejection", "max_percent", "50", "1% to 100%", ""},
    {"breaker", "failure_ratio", "0", "off, or 1% to 100%", ""},
    {"breaker", "min_requests", "20", "1 to 1000000", ""},
    {"breaker", "window", "10000", "100ms to 10m", ""},
    {"breaker", "open_time", "10000", "100ms to 1h", ""},
    {"breaker", "probes", "3", "1 to 1000", ""},
    {"endpoint", "weight", "100", "0 to 1000", "address = \"127.0.0.1:2\""},
    {"route", "tunnel_timeout", "3600000", "0 (never), or 100ms to 365d", ""},
    {"route", "keepalive_ping", "0", "0 (never), or 100ms to 1d", ""},
    {"route", "max_connection_duration", "0", "0 (never), or 100ms to 365d", ""},
    {"route", "max_frame", "0", "auto, or 0 (no limit, with proxy only), or 1 to 4294967296gb", ""},
    {"route", "max_message", "0", "auto, or 0 (no limit, with proxy only), or 1 to 4294967295", ""},
    {"respond", "status", "200", "200 to 599", ""},
};

static const struct config_section *find_section(const char *name)
{
	for (size_t i = 1; i < config_n_sections; i++) {
		if (strcmp(config_sections[i]->name, name) == 0)
			return config_sections[i];
	}
	fail_msg("no section %s", name);
	return NULL;
}

static bool is_number(const struct config_key *key)
{
	return key->type == CONFIG_NUMBER || key->type == CONFIG_BYTES ||
	       key->type == CONFIG_DURATION || key->type == CONFIG_PERCENT;
}

/* The file with @key = @value where it belongs, and @with beside it. */
static const char *frame(const char *section, const char *key, const char *value, const char *with)
{
	static char text[4096];
	char assignment[2048];

	snprintf(assignment, sizeof(assignment), "%s = %s %s", key, value, with);
	for (size_t i = 0; i < ARRAY_SIZE(frames); i++) {
		const char *hole = strstr(frames[i].text, "%s");

		if (strcmp(frames[i].section, section) != 0)
			continue;
		snprintf(text, sizeof(text), "%.*s%s%s", (int)(hole - frames[i].text),
			 frames[i].text, assignment, hole + 2);
		return text;
	}
	fail_msg("no frame for section %s", section);
	return NULL;
}

/* The struct of the only, or first, section of this kind. */
static char *object_of(const struct config_section *section, struct config *config)
{
	const struct config_section *chain[8] = {section};
	char *object = (char *)config;
	size_t n = 0;

	for (; section; section = section->parent)
		chain[n++] = section;
	while (n-- > 0) {
		char *array;

		if (!chain[n]->title)
			continue;
		memcpy(&array, object + chain[n]->array_offset, sizeof(array));
		object = array;
	}
	return object;
}

static uint64_t number_of(const struct config_key *key, const char *object)
{
	const char *field = object + key->offset;

	switch (key->size) {
	case 2:
		return *(const uint16_t *)field;
	case 4:
		return *(const uint32_t *)field;
	default:
		assert_int_equal(key->size, 8);
		return *(const uint64_t *)field;
	}
}

static const char *in_units(const struct config_key *key, uint64_t value)
{
	static char text[32];

	snprintf(text, sizeof(text), "%" PRIu64 "%s", value,
		 key->type == CONFIG_DURATION  ? "ms"
		 : key->type == CONFIG_PERCENT ? "%"
					       : "");
	return text;
}

static void assert_stored(const struct number *n, const struct config_key *key, uint64_t value)
{
	struct config *config =
	    load_config(frame(n->section, n->key, in_units(key, value), n->with));

	assert_int_equal(number_of(key, object_of(find_section(n->section), config)), value);
	config_unref(config);
}

static void assert_out_of_range(const struct number *n, const struct config_key *key,
				uint64_t value)
{
	static const char *const nouns[] = {
	    [CONFIG_NUMBER] = "a number from",
	    [CONFIG_BYTES] = "a size from",
	    [CONFIG_DURATION] = "a duration from",
	    [CONFIG_PERCENT] = "a share from",
	};
	const char *interval = n->range;
	char expected[256];
	int special_len;
	struct config *config = NULL;
	struct config_error error = {""};

	/* Words and 0 come first, "or" behind each. */
	for (const char *at = strstr(interval, "or "); at; at = strstr(interval, "or "))
		interval = at + 3;
	special_len = (int)(interval - n->range);
	snprintf(expected, sizeof(expected), "%s = \"%s\": expected %.*s%s %s", n->key,
		 in_units(key, value), special_len, n->range, nouns[key->type],
		 n->range + special_len);
	assert_int_equal(config_load_text("f",
					  frame(n->section, n->key, in_units(key, value), n->with),
					  &config, &error),
			 -EINVAL);
	assert_null(config);
	if (!strstr(error.text, expected) || strstr(error.text, expected)[strlen(expected)] != '\0')
		fail_msg("\"%s\" does not end with \"%s\"", error.text, expected);
}

static void keys__numbers_take_their_range_and_nothing_beside(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
		const struct number *n = &numbers[i];
		const struct config_section *section = find_section(n->section);
		const struct config_key *key = config_key_find(section, slice_from_str(n->key));
		char range[256];
		struct text_writer w;

		assert_non_null(key);
		assert_true(is_number(key));
		text_writer_init(&w, range, sizeof(range) - 1);
		config_value_put_range(key, &w);
		range[w.len] = '\0';
		assert_string_equal(range, n->range);

		assert_stored(n, key, key->min);
		assert_stored(n, key, key->max);
		assert_out_of_range(n, key, key->max + 1);
		assert_out_of_range(n, key, UINT64_MAX);
		if (key->zero)
			assert_stored(n, key, 0);
		if (!key->zero || key->min > 1)
			assert_out_of_range(n, key, key->min - 1);
	}
}

static void keys__numbers_have_their_defaults(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
		const struct config_section *section = find_section(numbers[i].section);
		const struct config_key *key =
		    config_key_find(section, slice_from_str(numbers[i].key));
		const char *text = LISTENER CLUSTER "route r { proxy = c }";
		struct config *config = load_config(strcmp(section->name, "respond") == 0 ? LISTENER
							"route r { respond { } }"
											  : text);
		char value[32];

		snprintf(value, sizeof(value), "%" PRIu64,
			 number_of(key, object_of(section, config)));
		assert_string_equal(value, numbers[i].fallback);
		config_unref(config);
	}
}

static bool is_tested(const struct config_section *section, const struct config_key *key)
{
	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
		if (strcmp(numbers[i].section, section->name) == 0 &&
		    strcmp(numbers[i].key, key->name) == 0)
			return true;
	}
	return !is_number(key);
}

/* Room in the field for the largest value, which text_of() of a test would not notice. */
static void assert_fits(const struct config_key *key)
{
	uint64_t largest = key->max;

	if (!is_number(key))
		return;
	assert_true(key->size == 2 || key->size == 4 || key->size == 8);
	assert_true(key->min <= key->max);
	assert_true(key->size == 8 || largest >> (8 * key->size) == 0);
}

static bool is_before(const struct config_section *parent, size_t place)
{
	for (size_t i = 0; i < place; i++) {
		if (config_sections[i] == parent)
			return true;
	}
	return false;
}

static void keys__are_well_formed(void **state)
{
	for (size_t i = 1; i < config_n_sections; i++) {
		const struct config_section *section = config_sections[i];

		assert_true(is_before(section->parent, i));
		assert_non_null(section->help);
		assert_ptr_equal(config_section_find(section->parent,
						     slice_from_str(section->name)),
				 section);
		for (size_t k = 0; k < section->n_keys; k++) {
			const struct config_key *key = &section->keys[k];

			assert_non_null(key->help);
			assert_ptr_equal(config_key_find(section, slice_from_str(key->name)), key);
			assert_null(config_section_find(section, slice_from_str(key->name)));
			assert_fits(key);
			/* One of the two stands in --dump-defaults. */
			assert_true(key->fallback || key->example);
			assert_true(key->type != CONFIG_WORD || (key->words && key->size == 4));
			assert_true(key->type != CONFIG_TEXT || (key->is_valid && key->expected));
			if (!is_tested(section, key))
				fail_msg("%s.%s: not in the table of this test", section->name,
					 key->name);
		}
	}
}

static void keys__examples_are_valid(void **state)
{
	for (size_t i = 1; i < config_n_sections; i++) {
		const struct config_section *section = config_sections[i];

		for (size_t k = 0; k < section->n_keys; k++) {
			const struct config_key *key = &section->keys[k];

			/* Those two stand in their frames already; split excludes proxy, and
			 * split_key needs it. */
			if (!key->example || strcmp(key->name, "listen") == 0 ||
			    strcmp(key->name, "proxy") == 0 || strcmp(key->name, "split") == 0 ||
			    strcmp(key->name, "split_key") == 0)
				continue;
			assert_config_loads(frame(section->name, key->name, key->example, ""));
		}
	}
}

static void keys__words_are_their_numbers(void **state)
{
	for (size_t i = 1; i < config_n_sections; i++) {
		const struct config_section *section = config_sections[i];

		for (size_t k = 0; k < section->n_keys; k++) {
			const struct config_key *key = &section->keys[k];

			/* What stands beside it, where something must. */
			const char *with = strcmp(section->name, "endpoint") == 0
					       ? "address = \"127.0.0.1:2\""
					       : "";

			for (uint64_t w = 0; key->words && key->words[w]; w++) {
				struct config *config = load_config(
				    frame(section->name, key->name, key->words[w], with));

				assert_int_equal(number_of(key, object_of(section, config)), w);
				config_unref(config);
			}
		}
	}
}

static void keys__none_stands_for_nothing(void **state)
{
	struct config *config = load_config(LISTENER "log { access = \"/a\" }");

	assert_string_equal(config->log.access, "/a");
	config_unref(config);
	config = load_config(LISTENER "log { access = \"off\" } worker { count = \"auto\" }");
	assert_null(config->log.access);
	assert_int_equal(config->worker.count, 0);
	config_unref(config);
	config = load_config(LISTENER);
	assert_null(config->log.access);
	assert_null(config->admin.control);
	config_unref(config);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(keys__numbers_take_their_range_and_nothing_beside),
	    cmocka_unit_test(keys__numbers_have_their_defaults),
	    cmocka_unit_test(keys__are_well_formed),
	    cmocka_unit_test(keys__examples_are_valid),
	    cmocka_unit_test(keys__words_are_their_numbers),
	    cmocka_unit_test(keys__none_stands_for_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
