/* SPDX-License-Identifier: Apache-2.0 */
/*
 * THE table of the configuration: every section and every key, with type, default, range, field
 * and help. What libconfuse is told, what is checked and stored, `sluiced --dump-defaults` and the
 * key list of sluice.conf(5) are all made from it, so a new key is one entry in the file of its
 * section (config_sections.h says which) and one field in config.h.
 */
#pragma once
#include "base/std.h"

enum config_type {
	CONFIG_NUMBER,    /* uint16_t, uint32_t or uint64_t */
	CONFIG_BYTES,     /* the same; 16kb, 1gb */
	CONFIG_DURATION,  /* the same, in ms; 500ms, 30s, 1h */
	CONFIG_PERCENT,   /* the same; 50% */
	CONFIG_BOOL,      /* bool */
	CONFIG_WORD,      /* an enumeration; one of words */
	CONFIG_TEXT,      /* char *, owned */
	CONFIG_TEXTS,     /* char **, owned, NULL behind the last, and a size_t for their number */
	CONFIG_ADDRESSES, /* struct address *, owned, and a size_t for their number */
	CONFIG_IPS,       /* the same, written without port, which is 0 */
};

/* max_frame and max_message until their route's action is known. */
#define CONFIG_SIZE_AUTO UINT64_MAX

struct config_key {
	const char *name;
	enum config_type type;
	const char *fallback; /* the default, as it would be written without quotes; NULL = none */
	const char *example;  /* as written in a file, for a key without default */
	uint64_t min, max;    /* of a number; of text, or each of several: its length in bytes */
	const char *zero;     /* what 0 means, for a number that may also be 0 */
	const char *none;     /* a word that stands for 0 or NULL: "auto", "off" */
	uint64_t none_value;  /* a number that it stands for instead */
	const char *const *words;           /* the index is the value; NULL at the end */
	bool (*is_valid)(const char *text); /* of text, and of an address as written */
	const char *expected;               /* "an absolute path": what is_valid accepts */
	bool is_required, is_reloadable;
	bool is_shown;               /* its example is no comment in --dump-defaults */
	uint8_t size;                /* bytes of the field */
	size_t offset, count_offset; /* in the section's struct */
	const char *help;            /* sentences */
};

struct config_section {
	const char *name;                    /* NULL for the file itself */
	const struct config_section *parent; /* comes earlier in the table */
	const char *title;                   /* an example of its name; NULL = has none */
	const struct config_key *keys;
	size_t n_keys;
	/*
	 * A section with a name is an element of an array that its parent's struct owns; the
	 * element's first field is the name. One without has its fields in its parent's struct.
	 */
	size_t array_offset, count_offset, element_size;
	bool is_alternative; /* excludes something else: a comment in --dump-defaults */
	const char *help;
};

/* A parent before its children, the file itself first. */
extern const struct config_section *const config_sections[];
extern const size_t config_n_sections;

/** config_section_find() - the section @name in @parent, or NULL */
const struct config_section *config_section_find(const struct config_section *parent,
						 struct slice name);
/** config_key_find() - the key @name in @section, or NULL */
const struct config_key *config_key_find(const struct config_section *section, struct slice name);
/** config_keys_nearest() - the key or section of @section that @name may be a slip for, or NULL */
const char *config_keys_nearest(const struct config_section *section, struct slice name);
