/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Strict text-to-value conversions for configuration and command lines: the whole string must be
 * the value, no sign, no spaces, no locale.
 */
#pragma once
#include "base/std.h"

struct port_range {
	uint16_t first, last; /* host order, both included */
};

/** parse_u64() - decimal digits only. Return: 0, -EINVAL (not a number) or -ERANGE */
int parse_u64(const char *text, uint64_t *ret_value);
/** parse_bytes() - number with optional b, kb, mb, gb (powers of 1024, any case) */
int parse_bytes(const char *text, uint64_t *ret_bytes);
/** parse_duration_ms() - number with ms, s, m, h or d; a bare 0 is fine, other bare numbers not */
int parse_duration_ms(const char *text, uint64_t *ret_ms);
/** parse_percent() - number with %, which must be there */
int parse_percent(const char *text, uint64_t *ret_percent);
/** parse_port_range() - "FIRST-LAST", each 1 to 65535, in that order. Return: 0 or -EINVAL */
int parse_port_range(const char *text, struct port_range *ret_range);
/** parse_bool() - true/false, on/off, yes/no (lower case) */
int parse_bool(const char *text, bool *ret_value);
