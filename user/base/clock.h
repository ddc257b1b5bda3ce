/* SPDX-License-Identifier: Apache-2.0 */
/* Clocks and the text form of times. */
#pragma once
#include "base/std.h"

#define NS_PER_US 1000ull
#define NS_PER_MS 1000000ull
#define NS_PER_S  1000000000ull

#define CLOCK_RFC3339_LEN 27 /* "2026-11-21T02:01:55.123456Z" without NUL */

/** clock_monotonic_ns() - CLOCK_MONOTONIC; what every duration and deadline is counted in */
uint64_t clock_monotonic_ns(void);
/** clock_realtime_ns() - CLOCK_REALTIME since 1970; for people and for logs only */
uint64_t clock_realtime_ns(void);
/** clock_format_rfc3339() - UTC with microseconds and "Z"; writes CLOCK_RFC3339_LEN bytes and NUL
 */
void clock_format_rfc3339(uint64_t realtime_ns, char ret_text[CLOCK_RFC3339_LEN + 1]);
