/* SPDX-License-Identifier: Apache-2.0 */
#include "core/config_confuse.h"

#include "core/config_error.h"
#include "core/config_keys.h"

#include <pthread.h>
#include <stdio.h>

static pthread_mutex_t confuse_lock = PTHREAD_MUTEX_INITIALIZER;

/* ---- options ------------------------------------------------------------------------------- */

/*
 * What stands anywhere in the text. libconfuse copies all options of a section for each that it
 * meets, 136 bytes and a name for each option: with only those in use, a file of many routes takes
 * a fraction of the memory and of the time.
 */
struct usage {
	bool *keys;     /* of all sections one after the other */
	bool *sections; /* by their place in the table */
};

static void usage_done(struct usage *usage)
{
	free(usage->keys);
	free(usage->sections);
}

static size_t place_of(const struct config_section *section)
{
	size_t i = 0;

	while (config_sections[i] != section)
		i++;
	return i;
}

/* Where the keys of the section in this place begin. */
static size_t first_key(size_t place)
{
	size_t n = 0;

	for (size_t i = 0; i < place; i++)
		n += config_sections[i]->n_keys;
	return n;
}

static int usage_init(struct usage *usage, const struct config_text *t,
		      const struct config_place *places)
{
	size_t n_keys = first_key(config_n_sections);

	usage->keys = calloc(n_keys, sizeof(*usage->keys));
	usage->sections = calloc(config_n_sections, sizeof(*usage->sections));
	if (!usage->keys || !usage->sections)
		return -ENOMEM;
	for (uint32_t i = 0; i < t->n_statements; i++) {
		const struct config_section *section = places[i].section;

		if (places[i].key)
			usage->keys[first_key(place_of(section)) +
				    (size_t)(places[i].key - section->keys)] = true;
		else
			usage->sections[place_of(section)] = true;
	}
	return 0;
}

/* Keys, sections, and the end; @all has those of the sections inside, which come later. */
static cfg_opt_t *new_options(const struct usage *usage, size_t place, cfg_opt_t *const *all)
{
	const struct config_section *section = config_sections[place];
	const bool *is_key_used = usage->keys + first_key(place);
	cfg_opt_t *options = calloc(section->n_keys + config_n_sections + 1, sizeof(*options));
	size_t n = 0;

	if (!options)
		return NULL;
	/* An option that is a list takes one value without braces, too; types are checked later. */
	for (size_t i = 0; i < section->n_keys; i++) {
		if (is_key_used[i])
			options[n++] =
			    (cfg_opt_t)CFG_STR_LIST(section->keys[i].name, NULL, CFGF_NODEFAULT);
	}
	for (size_t i = 1; i < config_n_sections; i++) {
		const struct config_section *child = config_sections[i];

		if (child->parent == section && usage->sections[i])
			options[n++] = (cfg_opt_t)CFG_SEC(child->name, all[i], CFGF_MULTI);
	}
	options[n] = (cfg_opt_t)CFG_END();
	return options;
}

static void free_options(cfg_opt_t **all)
{
	for (size_t i = 0; i < config_n_sections; i++)
		free(all[i]);
	free(all);
}

/* The options of every section, in the order of the table; libconfuse copies those of the file. */
static cfg_opt_t **new_all_options(const struct usage *usage)
{
	cfg_opt_t **all = calloc(config_n_sections, sizeof(cfg_opt_t *));

	for (size_t i = config_n_sections; all && i-- > 0;) {
		all[i] = new_options(usage, i, all);
		if (!all[i]) {
			free_options(all);
			return NULL;
		}
	}
	return all;
}

/* ---- parsing ------------------------------------------------------------------------------- */

/* What the text may do wrong was found before; see below for what is left. */
static void on_error(cfg_t *cfg, const char *fmt, va_list args)
{
}

/*
 * libconfuse compares each title with all before it, which takes seconds where routes are many. It
 * gets sections without titles and tells them apart by their order; config_text has the titles,
 * and has found those that stand twice.
 */
static char *without_titles(const struct config_text *t)
{
	char *text = malloc(t->len + 1);

	if (!text)
		return NULL;
	memcpy(text, t->text, t->len + 1);
	for (uint32_t i = 1; i < t->n_statements; i++) {
		struct slice title = t->statements[i].title;

		/* With the quotes, if there are any; in front of a word there is a blank. */
		if (!title.ptr)
			continue;
		if (title.ptr[-1] == '"' || title.ptr[-1] == '\'') {
			title.ptr--;
			title.len += 2;
		}
		memset(text + (title.ptr - t->text), ' ', title.len);
	}
	return text;
}

static int parse_locked(cfg_t *root, const struct config_text *t)
{
	_cleanup_free_ char *text = without_titles(t);
	/* fmemopen() refuses no length from glibc 2.22 on. */
	FILE *stream = text ? fmemopen(text, t->len, "r") : NULL;
	int r;

	if (!stream)
		return -ENOMEM;
	r = cfg_parse_fp(root, stream);
	(void)fclose(stream);
	if (r == CFG_SUCCESS)
		return 0;
	/* Out of memory, or a text that we take and libconfuse does not: a mistake of ours. */
	return config_error_at(t, (uint32_t)root->line, 0, "libconfuse cannot read this");
}

static cfg_t *new_root(const struct config_text *t, const struct config_place *places)
{
	_cleanup_(usage_done) struct usage usage = {0};
	cfg_opt_t **all = usage_init(&usage, t, places) == 0 ? new_all_options(&usage) : NULL;
	cfg_t *root = all ? cfg_init(all[0], CFGF_NONE) : NULL;

	if (all)
		free_options(all);
	if (root)
		cfg_set_error_function(root, on_error);
	return root;
}

int config_confuse_parse(const struct config_text *t, const struct config_place *places,
			 cfg_t **ret_root)
{
	cfg_t *root;
	int r = -ENOMEM;

	pthread_mutex_lock(&confuse_lock);
	root = new_root(t, places);
	if (root)
		r = parse_locked(root, t);
	pthread_mutex_unlock(&confuse_lock);
	if (r == -ENOMEM)
		config_error_file(t->error, t->file, "out of memory");
	if (r < 0) {
		config_confuse_free(root);
		return r;
	}
	*ret_root = root;
	return 0;
}

void config_confuse_free(cfg_t *root)
{
	if (!root)
		return;
	pthread_mutex_lock(&confuse_lock);
	cfg_free(root);
	pthread_mutex_unlock(&confuse_lock);
}
