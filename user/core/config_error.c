/* SPDX-License-Identifier: Apache-2.0 */
#include "core/config_error.h"

#include "base/text_writer.h"
#include "core/config_text.h"

#include <stdio.h>

#define FILE_SHOWN_MAX  200 /* bytes of a file's name */
#define PIECE_SHOWN_MAX 60  /* bytes of a value, before escapes */

static const char *escape_of(char c)
{
	switch (c) {
	case '\n':
		return "\\n";
	case '\r':
		return "\\r";
	case '\t':
		return "\\t";
	case '"':
		return "\\\"";
	case '\\':
		return "\\\\";
	default:
		return NULL;
	}
}

/* Where to cut so that no UTF-8 character is split. */
static size_t cut_len(struct slice piece)
{
	size_t len = PIECE_SHOWN_MAX;

	if (piece.len <= len)
		return piece.len;
	while (len > 0 && ((unsigned char)piece.ptr[len] & 0xc0) == 0x80)
		len--;
	return len;
}

const char *config_show(struct slice piece, struct config_shown *shown)
{
	size_t len = cut_len(piece);
	struct text_writer w;

	text_writer_init(&w, shown->text, sizeof(shown->text) - 1);
	text_put_str(&w, "\"");
	for (size_t i = 0; i < len; i++) {
		const char *escape = escape_of(piece.ptr[i]);

		if (escape)
			text_put_str(&w, escape);
		else
			text_put(&w, &piece.ptr[i], 1);
	}
	text_put_str(&w, len < piece.len ? "…\"" : "\"");
	shown->text[w.len] = '\0';
	return shown->text;
}
_Static_assert(CONFIG_SHOWN_SIZE >= 2 * PIECE_SHOWN_MAX + sizeof("\"…\""), "room for all escapes");

const char *config_show_str(const char *piece, struct config_shown *shown)
{
	return config_show(slice_from_str(piece), shown);
}

static void begin(struct text_writer *w, struct config_error *error, const char *file)
{
	size_t len = strlen(file);

	text_writer_init(w, error->text, sizeof(error->text) - 1);
	if (len > FILE_SHOWN_MAX) {
		text_put_str(w, "…");
		file += len - FILE_SHOWN_MAX;
		while (((unsigned char)*file & 0xc0) == 0x80)
			file++;
	}
	text_put_str(w, file);
}

static void finish(struct text_writer *w, const char *fmt, va_list args)
{
	char text[sizeof(((struct config_error *)0)->text)];

	(void)vsnprintf(text, sizeof(text), fmt, args);
	text_put_str(w, text);
	w->buf[w->len] = '\0';
}

void config_error_file(struct config_error *error, const char *file, const char *fmt, ...)
{
	struct text_writer w;
	va_list args;

	begin(&w, error, file);
	text_put_str(&w, ": ");
	va_start(args, fmt);
	finish(&w, fmt, args);
	va_end(args);
}

static void put_section(struct text_writer *w, const struct config_statement *section)
{
	struct config_shown title;

	text_put_slice(w, section->name);
	if (section->title.ptr)
		text_printf(w, " %s", config_show(section->title, &title));
	text_put_str(w, ": ");
}

/* From the outermost section inwards. */
static void begin_at(struct text_writer *w, const struct config_text *t, uint32_t line,
		     uint32_t section)
{
	uint32_t chain[CONFIG_DEPTH_MAX], n = 0;

	begin(w, t->error, t->file);
	text_printf(w, ":%u: ", line);
	for (; section && n < CONFIG_DEPTH_MAX; section = t->statements[section].parent)
		chain[n++] = section;
	while (n > 0)
		put_section(w, &t->statements[chain[--n]]);
}

int config_error_vat(const struct config_text *t, uint32_t line, uint32_t section, const char *fmt,
		     va_list args)
{
	struct text_writer w;

	begin_at(&w, t, line, section);
	finish(&w, fmt, args);
	return -EINVAL;
}

int config_error_at(const struct config_text *t, uint32_t line, uint32_t section, const char *fmt,
		    ...)
{
	va_list args;
	int r;

	va_start(args, fmt);
	r = config_error_vat(t, line, section, fmt, args);
	va_end(args);
	return r;
}

int config_error_value(const struct config_text *t, uint32_t key, uint32_t index, const char *value,
		       const char *fmt, ...)
{
	const struct config_statement *statement = &t->statements[key];
	struct config_shown shown;
	struct text_writer w;
	va_list args;

	begin_at(&w, t, t->value_lines[statement->first_value + index], statement->parent);
	text_put_slice(&w, statement->name);
	text_printf(&w, " = %s: ", config_show_str(value, &shown));
	va_start(args, fmt);
	finish(&w, fmt, args);
	va_end(args);
	return -EINVAL;
}
