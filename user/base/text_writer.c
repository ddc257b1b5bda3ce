/* SPDX-License-Identifier: Apache-2.0 */
#include "base/text_writer.h"

#include <stdarg.h>
#include <stdio.h>

void text_writer_init(struct text_writer *w, char *buf, size_t cap)
{
	*w = (struct text_writer){.buf = buf, .cap = cap};
}

void text_put(struct text_writer *w, const void *data, size_t len)
{
	size_t n = MIN(len, w->cap - w->len);

	/* Nothing after the first gap: what there is stays a prefix of the whole text. */
	if (w->is_truncated || len == 0)
		return;
	memcpy(w->buf + w->len, data, n);
	w->len += n;
	w->is_truncated = n < len;
}

void text_put_str(struct text_writer *w, const char *s)
{
	text_put(w, s, strlen(s));
}

void text_put_slice(struct text_writer *w, struct slice s)
{
	text_put(w, s.ptr, s.len);
}

void text_put_u64(struct text_writer *w, uint64_t value)
{
	char digits[20]; /* of 2^64 - 1 */
	size_t at = sizeof(digits);

	do {
		digits[--at] = (char)('0' + value % 10);
		value /= 10;
	} while (value > 0);
	text_put(w, digits + at, sizeof(digits) - at);
}

void text_put_i64(struct text_writer *w, int64_t value)
{
	if (value < 0)
		text_put(w, "-", 1);
	text_put_u64(w, value < 0 ? -(uint64_t)value : (uint64_t)value);
}

void text_printf(struct text_writer *w, const char *fmt, ...)
{
	size_t room = w->cap - w->len;
	va_list args;
	int n;

	if (w->is_truncated)
		return;
	va_start(args, fmt);
	n = vsnprintf(room > 0 ? w->buf + w->len : NULL, room, fmt, args);
	va_end(args);
	if (n >= 0 && (size_t)n < room) {
		w->len += (size_t)n;
	} else if (n != 0) {
		w->is_truncated = true;
		if (n > 0 && room > 0)
			w->len += room - 1;
	}
}

/* ---- escaping text that somebody else wrote ------------------------------------------------ */

struct unit {
	size_t len; /* of one character, or of a run that is replaced by one U+FFFD */
	bool is_valid;
};

/*
 * The well-formed sequences of Unicode's table 3-7. What is not well-formed ends before the first
 * byte that cannot continue it (Unicode 3.9, "maximal subpart"), so that byte is looked at anew.
 */
static struct unit next_unit(const uint8_t *bytes, size_t len)
{
	uint8_t lead = bytes[0], low = 0x80, high = 0xbf;
	size_t want;

	if (lead < 0x80)
		return (struct unit){1, true};
	if (lead >= 0xc2 && lead <= 0xdf)
		want = 2;
	else if (lead >= 0xe0 && lead <= 0xef)
		want = 3;
	else if (lead >= 0xf0 && lead <= 0xf4)
		want = 4;
	else
		return (struct unit){1, false};
	if (lead == 0xe0)
		low = 0xa0; /* below: overlong */
	else if (lead == 0xed)
		high = 0x9f; /* above: surrogates */
	else if (lead == 0xf0)
		low = 0x90; /* below: overlong */
	else if (lead == 0xf4)
		high = 0x8f; /* above: beyond U+10FFFF */
	for (size_t i = 1; i < want; i++) {
		if (i == len || bytes[i] < low || bytes[i] > high)
			return (struct unit){i, false};
		low = 0x80;
		high = 0xbf;
	}
	return (struct unit){want, true};
}

/* C0, DEL and C1 (U+0080 to U+009F): what a terminal may obey instead of showing. */
static bool is_control(const uint8_t *bytes, struct unit unit)
{
	if (unit.len == 1)
		return bytes[0] < 0x20 || bytes[0] == 0x7f;
	return unit.len == 2 && bytes[0] == 0xc2 && bytes[1] < 0xa0;
}

static void put_json_control(struct text_writer *w, uint8_t code_point)
{
	static const char short_form[0x20] =
	    {['\b'] = 'b', ['\f'] = 'f', ['\n'] = 'n', ['\r'] = 'r', ['\t'] = 't'};

	if (code_point < sizeof(short_form) && short_form[code_point])
		text_printf(w, "\\%c", short_form[code_point]);
	else
		text_printf(w, "\\u%04x", code_point);
}

void text_put_json_string(struct text_writer *w, struct slice s)
{
	const uint8_t *bytes = (const uint8_t *)s.ptr;
	struct unit unit;

	text_put(w, "\"", 1);
	for (size_t i = 0; i < s.len; i += unit.len) {
		unit = next_unit(bytes + i, s.len - i);
		if (!unit.is_valid) {
			text_put_str(w, "\xef\xbf\xbd"); /* U+FFFD */
		} else if (is_control(bytes + i, unit)) {
			/* The last byte of a C1 control is its code point. */
			put_json_control(w, bytes[i + unit.len - 1]);
		} else {
			if (bytes[i] == '"' || bytes[i] == '\\')
				text_put(w, "\\", 1); /* RFC 8259 s7 */
			text_put(w, bytes + i, unit.len);
		}
	}
	text_put(w, "\"", 1);
}

void text_put_escaped(struct text_writer *w, struct slice s)
{
	const uint8_t *bytes = (const uint8_t *)s.ptr;
	struct unit unit;

	for (size_t i = 0; i < s.len; i += unit.len) {
		unit = next_unit(bytes + i, s.len - i);
		if (unit.is_valid && !is_control(bytes + i, unit)) {
			text_put(w, bytes + i, unit.len);
			continue;
		}
		for (size_t j = 0; j < unit.len; j++)
			text_printf(w, "\\x%02x", bytes[i + j]);
	}
}
