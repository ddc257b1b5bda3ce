/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Streaming UTF-8 validation (RFC 3629): no overlong forms, no surrogates, nothing above U+10FFFF.
 * Fails at the first byte that cannot continue a valid sequence, not at the end of the text.
 */
#pragma once
#include "base/std.h"

struct utf8_state {
	uint8_t state; /* of utf8.c's automaton; 0 = between characters */
};

/** utf8_init() - between characters; the same as zeroing */
void utf8_init(struct utf8_state *s);
/**
 * utf8_feed() - check the next @len bytes
 *
 * Return: 0, or -EILSEQ with *ret_bad (if not NULL) the offset of the first bad byte; nothing more
 * can be fed then.
 */
int utf8_feed(struct utf8_state *s, const uint8_t *data, size_t len, size_t *ret_bad);
/** utf8_is_complete() - whether the text may end here */
bool utf8_is_complete(const struct utf8_state *s);
