/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Builds text in a caller's buffer: never writes past it, never allocates, and remembers that
 * something did not fit, so that a run of writes needs one check at its end.
 */
#pragma once
#include "base/std.h"

struct text_writer {
	char *buf;       /* borrowed */
	size_t cap, len; /* bytes; not NUL-terminated */
	bool is_truncated;
};

void text_writer_init(struct text_writer *w, char *buf, size_t cap);
/** text_put() - what fits of @len bytes; after a first piece that did not fit, nothing */
void text_put(struct text_writer *w, const void *data, size_t len);
void text_put_str(struct text_writer *w, const char *s);
void text_put_slice(struct text_writer *w, struct slice s);
void text_put_u64(struct text_writer *w, uint64_t value);
void text_put_i64(struct text_writer *w, int64_t value);
/** text_printf() - as printf(3); needs one byte more than the text, for a NUL that is not kept */
void text_printf(struct text_writer *w, const char *fmt, ...) PRINTF_LIKE(2, 3);
/**
 * text_put_json_string() - a JSON string with its quotes
 *
 * Quotes, backslashes and control characters are escaped (RFC 8259 s7; also DEL and C1, which the
 * RFC would let pass). Bytes that are not valid UTF-8 become U+FFFD, so the output is always valid
 * JSON whatever a peer sent.
 */
void text_put_json_string(struct text_writer *w, struct slice s);
/**
 * text_put_escaped() - text that is safe to show on a terminal
 *
 * The bytes of control characters (C0, DEL, C1) and of invalid UTF-8 are written as \xNN.
 */
void text_put_escaped(struct text_writer *w, struct slice s);
