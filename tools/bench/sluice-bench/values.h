/* SPDX-License-Identifier: Apache-2.0 */
/* Command-line values as people type them: 16k, 0.5, 200ms, 10k/s. Strict: no sign, no spaces. */
#pragma once
#include "base/std.h"

/** value_size() - bytes: "64", "1k", "16kb", "1m" (powers of 1024, any case). 0, -EINVAL, -ERANGE
 */
int value_size(const char *text, uint64_t *ret_bytes);
/**
 * value_duration_ns() - "10" or "0.25" (seconds), or a number with us, ms, s, m or h
 *
 * Return: 0, -EINVAL, or -ERANGE above 365 days.
 */
int value_duration_ns(const char *text, uint64_t *ret_ns);
/** value_rate() - events a second: "500", "500/s", "10k" (10,000), "1m"; 1..10^9 */
int value_rate(const char *text, uint64_t *ret_per_s);
/** value_u64() - a decimal number in @min..@max. Return: 0, -EINVAL or -ERANGE */
int value_u64(const char *text, uint64_t min, uint64_t max, uint64_t *ret_value);
