/* SPDX-License-Identifier: Apache-2.0 */
#include "app/table.h"

#include <langinfo.h>
#include <sys/ioctl.h>

#define COLUMNS_MAX 32
#define CELL_MAX    128
#define NARROWEST   8 /* to which text is cut where a row does not fit */

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

static void format_microseconds(uint64_t us, char *ret_text, size_t size)
{
	if (us < 1000)
		snprintf(ret_text, size, "%lluus", (unsigned long long)us);
	else if (us < 999950) /* which would be printed as 1000.0 */
		snprintf(ret_text, size, "%.1fms", (double)us / 1e3);
	else
		snprintf(ret_text, size, "%.1fs", (double)us / 1e6);
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
	else if (json_is_integer(value) && format == COLUMN_MICROSECONDS)
		format_microseconds(n, ret_text, size);
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

/* Places on the screen: characters, not bytes. */
static int width_of(const char *text)
{
	int width = 0;

	for (; *text; text++)
		width += (*text & 0xc0) != 0x80;
	return width;
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
			ret_widths[c] = MAX(ret_widths[c], width_of(cell));
		}
	}
}

/* What a row takes; *ret_worst is the column to leave out first, or n_columns if none may be. */
static int total_width(const struct column *columns, size_t n_columns,
		       const int widths[COLUMNS_MAX], size_t *ret_worst)
{
	size_t worst = n_columns;
	int total = -2;

	for (size_t c = 0; c < n_columns; c++) {
		if (widths[c] < 0)
			continue;
		total += widths[c] + 2;
		if (columns[c].importance > 0 &&
		    (worst == n_columns || columns[c].importance >= columns[worst].importance))
			worst = c;
	}
	*ret_worst = worst;
	return total;
}

/* Makes the widest text narrower, by one place. Return: false if all are narrow. */
static bool narrow(const struct column *columns, size_t n_columns, int widths[COLUMNS_MAX])
{
	size_t widest = n_columns;

	for (size_t c = 0; c < n_columns; c++) {
		if (columns[c].format == COLUMN_TEXT && widths[c] > NARROWEST &&
		    (widest == n_columns || widths[c] > widths[widest]))
			widest = c;
	}
	if (widest == n_columns)
		return false;
	widths[widest]--;
	return true;
}

/* Sets the width of columns that have to go to -1. Return: how many. */
static size_t fit(const struct column *columns, size_t n_columns, int width,
		  int widths[COLUMNS_MAX])
{
	size_t n_left_out = 0, worst;

	while (width > 0 && total_width(columns, n_columns, widths, &worst) > width) {
		if (worst < n_columns) {
			widths[worst] = -1;
			n_left_out++;
		} else if (!narrow(columns, n_columns, widths)) {
			break;
		}
	}
	return n_left_out;
}

/* Cuts @text to @width places, the last of them an ellipsis; has room for two bytes more. */
static void cut(char *text, int width)
{
	bool is_utf8 = strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
	const char *ellipsis = is_utf8 ? "\u2026" : "~";
	char *at = text;

	if (width_of(text) <= width)
		return;
	for (; width > 0; at++)
		width -= (*at & 0xc0) != 0x80;
	/* Just behind the first byte of the character that the ellipsis takes the place of. */
	memcpy(at - 1, ellipsis, strlen(ellipsis) + 1);
}

static void write_cell(FILE *out, char *text, const struct column *column, int width, bool is_last)
{
	int padding;

	cut(text, width);
	padding = width - width_of(text);
	if (column->format != COLUMN_TEXT)
		fprintf(out, "%*s%s", padding, "", text);
	else
		fprintf(out, "%s%*s", text, is_last ? 0 : padding, "");
	fputs(is_last ? "\n" : "  ", out);
}

size_t table_write(FILE *out, const json_t *rows, const struct column *columns, size_t n_columns,
		   int width)
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
		char title[CELL_MAX];

		if (widths[c] < 0)
			continue;
		snprintf(title, sizeof(title), "%s", columns[c].title);
		write_cell(out, title, &columns[c], widths[c], c == last);
	}
	json_array_foreach(rows, i, row)
	{
		for (size_t c = 0; c < n_columns; c++) {
			char cell[CELL_MAX];

			if (widths[c] < 0)
				continue;
			table_format(json_object_get(row, columns[c].key), columns[c].format, cell,
				     sizeof(cell) - 2);
			write_cell(out, cell, &columns[c], widths[c], c == last);
		}
	}
	return n_left_out;
}

void table_print(const json_t *rows, const struct column *columns, size_t n_columns, int width)
{
	size_t n_left_out = table_write(stdout, rows, columns, n_columns, width);

	if (n_left_out)
		printf("(%zu column%s left out to fit %d characters; -j shows all)\n", n_left_out,
		       n_left_out == 1 ? "" : "s", width);
}
