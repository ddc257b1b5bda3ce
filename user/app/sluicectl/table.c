/* SPDX-License-Identifier: Apache-2.0 */
#include "app/sluicectl/table.h"

#include <stdio.h>
#include <sys/ioctl.h>

#define COLUMNS_MAX 32
#define CELL_MAX    128

/* Powers of 1024, as in the configuration. */
static void format_bytes(uint64_t n, char *ret_text, size_t size)
{
	static const char units[] = "kMGTPE";
	double value = (double)n;
	int unit = -1;

	/* 1023.95 would be printed as 1024.0 */
	while (value >= 1023.95 && unit < (int)sizeof(units) - 2) {
		value /= 1024;
		unit++;
	}
	if (unit < 0)
		snprintf(ret_text, size, "%llu", (unsigned long long)n);
	else
		snprintf(ret_text, size, "%.1f%c", value, units[unit]);
}

static void format_duration(uint64_t ms, char *ret_text, size_t size)
{
	unsigned long long s = ms / 1000;

	if (ms < 1000)
		snprintf(ret_text, size, "%llums", (unsigned long long)ms);
	else if (s < 60)
		snprintf(ret_text, size, "%llus", s);
	else if (s < 3600)
		snprintf(ret_text, size, "%llum%02llus", s / 60, s % 60);
	else if (s < 86400)
		snprintf(ret_text, size, "%lluh%02llum", s / 3600, s / 60 % 60);
	else
		snprintf(ret_text, size, "%llud%02lluh", s / 86400, s / 3600 % 24);
}

/* "a, b", as much as there is room for. */
static void format_array(const json_t *array, char *ret_text, size_t size)
{
	size_t len = 0, i;
	const json_t *element;

	ret_text[0] = '\0';
	json_array_foreach(array, i, element)
	{
		const char *text = json_string_value(element);

		if (!text || len >= size)
			break;
		len +=
		    (size_t)snprintf(ret_text + len, size - len, "%s%s", i > 0 ? ", " : "", text);
	}
}

void table_format(const json_t *value, enum column_format format, char *ret_text, size_t size)
{
	uint64_t n = (uint64_t)json_integer_value(value);

	if (json_is_integer(value) && format == COLUMN_BYTES)
		format_bytes(n, ret_text, size);
	else if (json_is_integer(value) && format == COLUMN_DURATION)
		format_duration(n, ret_text, size);
	else if (json_is_integer(value))
		snprintf(ret_text, size, "%llu", (unsigned long long)n);
	else if (json_is_string(value) && *json_string_value(value))
		snprintf(ret_text, size, "%s", json_string_value(value));
	else if (json_array_size(value) > 0)
		format_array(value, ret_text, size);
	else if (json_is_boolean(value))
		snprintf(ret_text, size, "%s", json_is_true(value) ? "yes" : "no");
	else
		snprintf(ret_text, size, "-");
}

int table_terminal_width(void)
{
	struct winsize size;

	if (!isatty(STDOUT_FILENO) || ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) < 0)
		return 0;
	return size.ws_col;
}

static void measure(const json_t *rows, const struct column *columns, size_t n_columns,
		    int ret_widths[COLUMNS_MAX])
{
	char cell[CELL_MAX];
	const json_t *row;
	size_t i;

	for (size_t c = 0; c < n_columns; c++)
		ret_widths[c] = (int)strlen(columns[c].title);
	json_array_foreach(rows, i, row)
	{
		for (size_t c = 0; c < n_columns; c++) {
			table_format(json_object_get(row, columns[c].key), columns[c].format, cell,
				     sizeof(cell));
			ret_widths[c] = MAX(ret_widths[c], (int)strlen(cell));
		}
	}
}

/* Sets the width of columns that have to go to -1. Return: how many. */
static size_t fit(const struct column *columns, size_t n_columns, int width,
		  int widths[COLUMNS_MAX])
{
	size_t n_left_out = 0;

	if (width == 0)
		return 0;
	for (;;) {
		int total = 0;
		size_t worst = n_columns;

		for (size_t c = 0; c < n_columns; c++) {
			if (widths[c] < 0)
				continue;
			total += widths[c] + 2;
			if (columns[c].importance > 0 &&
			    (worst == n_columns ||
			     columns[c].importance >= columns[worst].importance))
				worst = c;
		}
		if (total - 2 <= width || worst == n_columns)
			return n_left_out;
		widths[worst] = -1;
		n_left_out++;
	}
}

static void print_cell(const char *text, const struct column *column, int width, bool is_last)
{
	if (column->format != COLUMN_TEXT)
		printf("%*s", width, text);
	else if (is_last)
		fputs(text, stdout);
	else
		printf("%-*s", width, text);
	fputs(is_last ? "\n" : "  ", stdout);
}

void table_print(const json_t *rows, const struct column *columns, size_t n_columns, int width)
{
	int widths[COLUMNS_MAX];
	size_t last = 0, n_left_out, i;
	const json_t *row;

	assert(n_columns <= COLUMNS_MAX);
	measure(rows, columns, n_columns, widths);
	n_left_out = fit(columns, n_columns, width, widths);
	for (size_t c = 0; c < n_columns; c++) {
		if (widths[c] >= 0)
			last = c;
	}
	for (size_t c = 0; c < n_columns; c++) {
		if (widths[c] >= 0)
			print_cell(columns[c].title, &columns[c], widths[c], c == last);
	}
	json_array_foreach(rows, i, row)
	{
		for (size_t c = 0; c < n_columns; c++) {
			char cell[CELL_MAX];

			if (widths[c] < 0)
				continue;
			table_format(json_object_get(row, columns[c].key), columns[c].format, cell,
				     sizeof(cell));
			print_cell(cell, &columns[c], widths[c], c == last);
		}
	}
	if (n_left_out)
		printf("(%zu column%s left out to fit %d characters; -j shows all)\n", n_left_out,
		       n_left_out == 1 ? "" : "s", width);
}
