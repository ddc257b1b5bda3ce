/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Errors in a configuration, all of one form:
 *
 *   FILE:LINE: SECTION "TITLE": SECTION: KEY = "VALUE": expected …
 */
#pragma once
#include "base/std.h"

#include <stdarg.h>

struct config_error;
struct config_text;

#define CONFIG_SHOWN_SIZE 160 /* bytes, with NUL */

/* A piece of a file as an error may show it: quoted, escaped, and cut if it is long. */
struct config_shown {
	char text[CONFIG_SHOWN_SIZE];
};

/** config_show() - fill @shown. Return: its text, for "%s" */
const char *config_show(struct slice piece, struct config_shown *shown);
const char *config_show_str(const char *piece, struct config_shown *shown);

/** config_error_file() - "FILE: …"; a long file name loses its beginning */
void config_error_file(struct config_error *error, const char *file, const char *fmt, ...)
    PRINTF_LIKE(3, 4);

/**
 * config_error_at() - "FILE:LINE: SECTION "TITLE": …", to the error of @t
 * @section: number of the section that it is about; 0 = none
 *
 * Return: -EINVAL, for the caller to return.
 */
int config_error_at(const struct config_text *t, uint32_t line, uint32_t section, const char *fmt,
		    ...) PRINTF_LIKE(4, 5);
int config_error_vat(const struct config_text *t, uint32_t line, uint32_t section, const char *fmt,
		     va_list args);
/**
 * config_error_value() - "FILE:LINE: SECTION "TITLE": KEY = "VALUE": …"
 * @key: number of the key's statement
 * @index: which of its values; the line is that one's
 * @value: as libconfuse read it
 *
 * Return: -EINVAL.
 */
int config_error_value(const struct config_text *t, uint32_t key, uint32_t index, const char *value,
		       const char *fmt, ...) PRINTF_LIKE(5, 6);
