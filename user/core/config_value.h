/* SPDX-License-Identifier: Apache-2.0 */
/* One value of the configuration: from text into its field, as its key in the table says. */
#pragma once
#include "base/std.h"
#include "base/text_writer.h"
#include "core/config_keys.h"

/**
 * config_value_store() - convert @text and write it to @field
 * @field: what the key's offset points to; of a list: one element
 *
 * Text replaces (and frees) the text that was there.
 * Return: 0; -EINVAL or -ERANGE with the field untouched, see config_value_put_expected();
 * -ENOMEM.
 */
int config_value_store(const struct config_key *key, const char *text, void *field);
/** config_value_element_size() - bytes of one element of a list */
size_t config_value_element_size(const struct config_key *key);
/** config_value_is_list() - whether it is written in braces */
bool config_value_is_list(const struct config_key *key);
/** config_value_clear() - free what @field owns and zero it */
void config_value_clear(const struct config_key *key, void *field);

/** config_value_put_expected() - "a duration such as 500ms, 30s or 1h": what would have been right,
 *  after config_value_store() returned @error */
void config_value_put_expected(const struct config_key *key, int error, struct text_writer *w);
/** config_value_put_range() - "auto, or 1 to 64": all that the key accepts, for documentation */
void config_value_put_range(const struct config_key *key, struct text_writer *w);
/** config_value_put_number() - a number in the key's unit, "16kb" or "10m", as the file takes it */
void config_value_put_number(const struct config_key *key, uint64_t value, struct text_writer *w);
