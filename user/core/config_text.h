/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The text of a configuration, read through once before libconfuse gets it. libconfuse 3.3 alone
 * would not do: it counts every comment as one line more, so that FILE:LINE would be wrong; drops
 * characters that it does not know (an unquoted /a* loses its star); replaces ${…} by the
 * environment; takes the end of the file for a missing brace; cuts a string at \x00; lets the
 * last of two equal keys win; and recurses as deep as the file likes.
 *
 * Here all of that is refused with the line and what was expected, comments are blanked, and
 * every key and section is listed with its place. What goes on to libconfuse is a part of its
 * language without surprises: ASCII words, strings on one line with few escapes, balanced braces,
 * nothing twice.
 */
#pragma once
#include "base/std.h"
#include "core/config.h"

#define CONFIG_TEXT_MAX       (16u << 20) /* bytes of a file */
#define CONFIG_STRING_MAX     65536u      /* bytes of a value, as written */
#define CONFIG_DEPTH_MAX      4u          /* sections in sections */
#define CONFIG_STATEMENTS_MAX 262144u     /* keys and sections */
#define CONFIG_SECTIONS_MAX   65536u      /* libconfuse takes a few kB for each */
#define CONFIG_LIST_MAX       1024u       /* values of one key */

/* A key or a section, in the order of the file. Number 0 stands for the file itself. */
struct config_statement {
	struct slice name;    /* in text */
	struct slice title;   /* of a section, without quotes; ptr is NULL if there is none */
	uint32_t line;        /* of the name */
	uint32_t parent;      /* number of the section that it stands in; smaller than its own */
	uint32_t first_value; /* of a key: a run in value_lines */
	uint32_t n_values;    /* at least 1 */
	bool is_section;
	bool is_list; /* the values stand in braces */
};

struct config_text {
	const char *file;           /* name for errors; borrowed */
	struct config_error *error; /* borrowed */
	char *text;                 /* what libconfuse may read: NUL at the end, same lines */
	size_t len;
	struct config_statement *statements;
	uint32_t n_statements;
	uint32_t *value_lines;
	uint32_t n_values;
};

/**
 * config_text_parse() - check a text and list what stands in it
 * @file: its name in errors; borrowed, as is @error, until config_text_done()
 * @data: @len bytes, any
 *
 * Return: 0; -EINVAL or -ENOMEM, both with @error and nothing to free.
 */
int config_text_parse(const char *file, const char *data, size_t len, struct config_error *error,
		      struct config_text *ret_text);
void config_text_done(struct config_text *t);

/**
 * config_text_find() - a key or an untitled section by @name, directly in section @parent
 *
 * Return: its number, or 0 if it is not there.
 */
uint32_t config_text_find(const struct config_text *t, uint32_t parent, const char *name);
