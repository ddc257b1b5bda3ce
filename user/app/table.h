/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rows of JSON objects as an aligned table. On a terminal the least important columns are left out
 * until the rest fits, and that is said below the table; if none may go, the widest text is cut and
 * ends in an ellipsis ('~' where the locale has no UTF-8). Into a pipe everything goes.
 */
#pragma once
#include "base/std.h"

#include <jansson.h>
#include <stdio.h>

enum column_format {
	COLUMN_TEXT,         /* left-aligned */
	COLUMN_NUMBER,       /* right-aligned */
	COLUMN_BYTES,        /* 1.2k, 3.4M */
	COLUMN_DURATION,     /* from ms: 350ms, 12s, 4m02s, 3h05m, 2d04h */
	COLUMN_MICROSECONDS, /* 83us, 1.2ms, 3.4s */
};

struct column {
	const char *key; /* of the row objects */
	const char *title;
	enum column_format format;
	uint8_t importance; /* 0 = never left out; the highest goes first */
};

/** table_print() - @rows: array of objects; @width: of the terminal, 0 = no limit */
void table_print(const json_t *rows, const struct column *columns, size_t n_columns, int width);
/** table_write() - likewise, the table alone. Return: how many columns were left out */
size_t table_write(FILE *out, const json_t *rows, const struct column *columns, size_t n_columns,
		   int width);
/** table_terminal_width() - of standard output, 0 if it is not a terminal */
int table_terminal_width(void);
/** table_format() - one value as text, for key-value output too */
void table_format(const json_t *value, enum column_format format, char *ret_text, size_t size);
