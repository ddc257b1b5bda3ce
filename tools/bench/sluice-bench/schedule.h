/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Open-loop schedules: event number k of a rate is due at start + k/rate, whatever happened to the
 * events before it. Latencies counted from that time do not hide a stall behind a sender that
 * waited for it (coordinated omission). Pure, exact in 128 bits.
 */
#pragma once
#include "base/std.h"

/** schedule_time_ns() - when event @index (from 0) is due, rounded up; UINT64_MAX past 2^64 */
uint64_t schedule_time_ns(uint64_t start_ns, uint64_t index, uint64_t rate_per_s);
/** schedule_due() - how many events are due at @now_ns: schedule_time_ns(n - 1) <= now */
uint64_t schedule_due(uint64_t start_ns, uint64_t now_ns, uint64_t rate_per_s);
