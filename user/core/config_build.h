/* SPDX-License-Identifier: Apache-2.0 */
/* From statements to the tree: every statement is looked up in the table and stored in its field.
 */
#pragma once
#include "base/std.h"
#include "core/config_keys.h"
#include "core/config_text.h"

#include <confuse.h>

/* What a statement is, by its number. */
struct config_place {
	const struct config_section *section; /* a section's own, or the one that a key stands in */
	const struct config_key *key;         /* NULL for a section */
	const char *value;                    /* a key's first; borrowed from libconfuse */
	void *object; /* in the tree: the struct with the section's fields */
};

/**
 * config_resolve() - look every statement up in the table
 * @ret_places: section and key of each statement; free() it
 *
 * Return: 0; -EINVAL for unknown names and for sections with a name too many or too few, or
 * -ENOMEM, both with text->error.
 */
int config_resolve(const struct config_text *t, struct config_place **ret_places);

/**
 * config_build() - defaults and values into @config, which is all zero
 * @root: of the same text
 * @places: of the same text; value and object are filled in
 *
 * Return: 0; -EINVAL or -ENOMEM, both with text->error; config_clear() is due in any case.
 */
int config_build(const struct config_text *t, cfg_t *root, struct config_place *places,
		 struct config *config);
/** config_clear() - free everything that a tree owns, complete or not */
void config_clear(struct config *config);
