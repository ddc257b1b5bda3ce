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
void text_put(struct text_writer *w, const void *data, size_t len);
void text_put_str(struct text_writer *w, const char *s);
void text_put_slice(struct text_writer *w, struct slice s);
void text_put_u64(struct text_writer *w, uint64_t value);
void text_put_i64(struct text_writer *w, int64_t value);
void text_printf(struct text_writer *w, const char *fmt, ...) PRINTF_LIKE(2, 3);
/**
 * text_put_json_string() - a JSON string with its quotes
 *
 * Quotes, backslashes and control characters are escaped (RFC 8259 s7). Bytes that are not valid
 * UTF-8 become U+FFFD, so the output is always valid JSON whatever a peer sent.
 */
void text_put_json_string(struct text_writer *w, struct slice s);
