/* SPDX-License-Identifier: Apache-2.0 */
/* libconfuse, as far as it is used: options from the table of keys, a checked text to parse. */
#pragma once
#include "base/std.h"
#include "core/config_build.h"

#include <confuse.h>

/**
 * config_confuse_parse() - what libconfuse makes of @t
 * @places: of the same text, resolved
 *
 * All values come as lists of strings; sections without a name may occur, too, and are there only
 * if they are in the text. Any thread; one at a time goes on, for libconfuse's lexer is global.
 * Return: 0 and the root, for config_confuse_free(); -EINVAL or -ENOMEM, both with t->error.
 */
int config_confuse_parse(const struct config_text *t, const struct config_place *places,
			 cfg_t **ret_root);
/** config_confuse_free() - any thread. NULL is fine */
void config_confuse_free(cfg_t *root);
DEFINE_CLEANUP(cfg_t, config_confuse_free)
