/* SPDX-License-Identifier: Apache-2.0 */
#include "base/version.h"
#include "core/config.h"
#include "core/config_keys.h"
#include "core/config_value.h"

#include <stdio.h>

#define COMMENT_COLUMNS 90 /* of text in a comment, without what is in front */

static unsigned int depth_of(const struct config_section *section)
{
	unsigned int depth = 0;

	for (; section->parent; section = section->parent)
		depth++;
	return depth;
}

/* A key's default as a file has it, or an example where there is none. */
static void put_assignment(const struct config_key *key, struct text_writer *w)
{
	bool is_quoted = key->type == CONFIG_TEXT && key->fallback &&
			 !(key->none && strcmp(key->none, key->fallback) == 0);

	text_printf(w, "%s = ", key->name);
	if (!key->fallback)
		text_put_str(w, key->example);
	else if (is_quoted)
		text_printf(w, "\"%s\"", key->fallback);
	else
		text_put_str(w, key->fallback);
}

/* "Accepts auto, or 1 to 64. Default: auto. Reload: no." */
static void put_facts(const struct config_key *key, bool with_default, struct text_writer *w)
{
	text_put_str(w, "Accepts ");
	config_value_put_range(key, w);
	text_put_str(w, key->is_required ? "; required." : ".");
	if (with_default && key->fallback)
		text_printf(w, " Default: %s.", key->fallback[0] ? key->fallback : "empty");
	text_printf(w, " Reload: %s.", key->is_reloadable ? "yes" : "no");
}

/* ---- as a file ----------------------------------------------------------------------------- */

struct dump {
	FILE *out;
	const struct config_section *section; /* whose keys come now */
	unsigned int depth;                   /* of its keys */
	const char *prefix;                   /* "# " in a section that is an alternative */
};

/* An alternative is commented out from where it stands. */
static void put_indent(const struct dump *d, unsigned int depth)
{
	unsigned int outside = d->prefix[0] ? MIN(depth, d->depth - 1) : depth;

	for (unsigned int i = 0; i < outside; i++)
		fputc('\t', d->out);
	fputs(d->prefix, d->out);
	for (unsigned int i = outside; i < depth; i++)
		fputc('\t', d->out);
}

/* Words of @text, as many lines as they need; what stands behind a colon stays with it. */
static void put_comment(const struct dump *d, unsigned int depth, const char *text)
{
	while (*text) {
		size_t len = strlen(text);

		if (len > COMMENT_COLUMNS) {
			len = COMMENT_COLUMNS;
			while (len > 1 && (text[len] != ' ' || text[len - 1] == ':'))
				len--;
		}
		put_indent(d, depth);
		fprintf(d->out, "# %.*s\n", (int)len, text);
		text += len;
		text += strspn(text, " ");
	}
}

static void dump_key(const struct dump *d, const struct config_key *key)
{
	bool is_active = key->fallback || key->is_required || key->is_shown;
	char facts[512], assignment[256];
	struct text_writer w;

	put_comment(d, d->depth, key->help);
	text_writer_init(&w, facts, sizeof(facts) - 1);
	put_facts(key, false, &w);
	facts[w.len] = '\0';
	put_comment(d, d->depth, facts);
	text_writer_init(&w, assignment, sizeof(assignment));
	put_assignment(key, &w);
	put_indent(d, d->depth);
	fprintf(d->out, "%s%.*s\n", is_active ? "" : "# ", (int)w.len, assignment);
}

static void enter_section(struct dump *d, const struct config_section *section)
{
	d->section = section;
	d->depth = depth_of(section);
	d->prefix = section->is_alternative ? "# " : "";
}

static void end_section(struct dump *d)
{
	put_indent(d, d->depth - 1);
	fputs("}\n", d->out);
	enter_section(d, d->section->parent);
}

static void dump_section(struct dump *d, const struct config_section *section)
{
	fputs("\n", d->out);
	enter_section(d, section);
	put_comment(d, d->depth - 1, section->help);
	put_indent(d, d->depth - 1);
	fprintf(d->out, "%s%s%s {\n", section->name, section->title ? " " : "",
		section->title ? section->title : "");
	for (size_t i = 0; i < section->n_keys; i++)
		dump_key(d, &section->keys[i]);
}

void config_dump_defaults(FILE *out)
{
	struct dump d = {.out = out};

	fprintf(out, "# The configuration of sluiced %s: every key with its default.\n",
		sluice_version);
	fputs("# A key in a comment has no default; listener, cluster and route are examples.\n"
	      "# \"Reload\" says whether a key may change without a restart, once sluiced can "
	      "reload.\n",
	      out);
	enter_section(&d, config_sections[0]);
	for (size_t i = 1; i < config_n_sections; i++) {
		while (d.section != config_sections[i]->parent)
			end_section(&d);
		dump_section(&d, config_sections[i]);
	}
	while (d.section->parent)
		end_section(&d);
}

/* ---- for the manual page ------------------------------------------------------------------- */

/* A backslash begins an escape, "-" would become a hyphen; ours never begin a line. */
static void put_roff(FILE *out, const char *text)
{
	for (; *text; text++) {
		if (*text == '\\')
			fputs("\\e", out);
		else if (*text == '-')
			fputs("\\-", out);
		else
			fputc(*text, out);
	}
}

static void man_key(FILE *out, const struct config_key *key)
{
	char text[512];
	struct text_writer w;

	fputs(".TP\n.B ", out);
	put_roff(out, key->name);
	fputs("\n", out);
	put_roff(out, key->help);
	fputs("\n", out);
	text_writer_init(&w, text, sizeof(text) - 1);
	put_facts(key, true, &w);
	text[w.len] = '\0';
	put_roff(out, text);
	fputs("\n", out);
}

/* Of a section inside another one: with the name of that one. */
static void man_heading(FILE *out, const struct config_section *section)
{
	fputs(".SS ", out);
	if (section->parent->parent)
		fprintf(out, "%s NAME: ", section->parent->name);
	fprintf(out, "%s%s\n", section->name, section->title ? " NAME" : "");
	put_roff(out, section->help);
	fputs("\n", out);
}

void config_dump_man(FILE *out)
{
	fputs(".\\\" Made by sluiced --dump-man from the table of keys.\n", out);
	for (size_t i = 1; i < config_n_sections; i++) {
		const struct config_section *section = config_sections[i];

		man_heading(out, section);
		for (size_t k = 0; k < section->n_keys; k++)
			man_key(out, &section->keys[k]);
	}
}
