/* SPDX-License-Identifier: Apache-2.0 */
/* Connection ids as people see them: 13 characters of Crockford's base32, most significant first.
 */
#pragma once
#include "base/std.h"

#define BASE32_U64_LEN 13

void base32_u64_encode(uint64_t value, char ret_text[BASE32_U64_LEN + 1]);
/**
 * base32_u64_decode() - exactly 13 characters, either case; o reads as 0, i and l as 1
 *
 * Return: 0, or -EINVAL for another length, another character or a value of 2^64 and more.
 */
int base32_u64_decode(const char *text, uint64_t *ret_value);
