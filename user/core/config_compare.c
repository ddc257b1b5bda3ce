/* SPDX-License-Identifier: Apache-2.0 */
#include "core/config_compare.h"

#include "base/text_writer.h"
#include "core/config_keys.h"
#include "core/config_value.h"

static const char *text_at(const void *object, size_t offset)
{
	const char *text;

	memcpy(&text, (const char *)object + offset, sizeof(text));
	return text;
}

static bool same_texts(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

static size_t count_at(const void *object, size_t offset)
{
	size_t n;

	memcpy(&n, (const char *)object + offset, sizeof(n));
	return n;
}

static const void *array_at(const void *object, size_t offset)
{
	const void *array;

	memcpy(&array, (const char *)object + offset, sizeof(array));
	return array;
}

static bool same_addresses(const struct address *a, const struct address *b, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (a[i].len != b[i].len || memcmp(&a[i].sa, &b[i].sa, a[i].len) != 0)
			return false;
	}
	return true;
}

static bool same_text_lists(char *const *a, char *const *b, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (strcmp(a[i], b[i]) != 0)
			return false;
	}
	return true;
}

static bool same_lists(const struct config_key *key, const void *a, const void *b)
{
	size_t n = count_at(a, key->count_offset);
	const void *x = array_at(a, key->offset), *y = array_at(b, key->offset);

	if (n != count_at(b, key->count_offset))
		return false;
	return key->type == CONFIG_TEXTS ? same_text_lists(x, y, n) : same_addresses(x, y, n);
}

static bool same_value(const struct config_key *key, const void *a, const void *b)
{
	if (config_value_is_list(key))
		return same_lists(key, a, b);
	if (key->type == CONFIG_TEXT)
		return same_texts(text_at(a, key->offset), text_at(b, key->offset));
	return memcmp((const char *)a + key->offset, (const char *)b + key->offset, key->size) == 0;
}

struct comparison {
	struct text_writer *w;
	size_t n;
};

static void name_it(struct comparison *comparison, const struct config_section *section,
		    const char *key)
{
	text_printf(comparison->w, "%s%s%s%s", comparison->n++ ? ", " : "", section->name,
		    key ? "." : "", key ? key : "");
}

/* @a, @b: the structs that hold the section's keys. */
static void compare_keys(struct comparison *comparison, const struct config_section *section,
			 const void *a, const void *b)
{
	for (size_t i = 0; i < section->n_keys; i++) {
		const struct config_key *key = &section->keys[i];

		if (!key->is_reloadable && !same_value(key, a, b))
			name_it(comparison, section, key->name);
	}
}

static bool is_reloadable(const struct config_section *section)
{
	for (size_t i = 0; i < section->n_keys; i++) {
		if (!section->keys[i].is_reloadable)
			return false;
	}
	return true;
}

/* Elements by their place: to swap two is a change, too, of what cannot be changed. */
static void compare_elements(struct comparison *comparison, const struct config_section *section,
			     const struct config *before, const struct config *after)
{
	const char *a = array_at(before, section->array_offset);
	const char *b = array_at(after, section->array_offset);
	size_t n = count_at(before, section->count_offset);

	if (is_reloadable(section))
		return;
	if (n != count_at(after, section->count_offset)) {
		name_it(comparison, section, NULL);
		return;
	}
	for (size_t i = 0; i < n; i++) {
		size_t n_before = comparison->n;

		if (!same_texts(text_at(a, 0), text_at(b, 0)))
			name_it(comparison, section, NULL);
		else
			compare_keys(comparison, section, a, b);
		if (comparison->n > n_before)
			return; /* one is enough to say so */
		a += section->element_size;
		b += section->element_size;
	}
}

size_t config_needs_restart(const struct config *before, const struct config *after, char *ret_text,
			    size_t size)
{
	struct text_writer w;
	struct comparison comparison = {.w = &w};

	text_writer_init(&w, ret_text, size - 1);
	/* What stands inside of clusters and routes is all reloadable. */
	for (size_t i = 1; i < config_n_sections; i++) {
		const struct config_section *section = config_sections[i];

		if (section->parent != config_sections[0])
			continue;
		if (section->element_size)
			compare_elements(&comparison, section, before, after);
		else
			compare_keys(&comparison, section, before, after);
	}
	ret_text[w.len] = '\0';
	return comparison.n;
}
