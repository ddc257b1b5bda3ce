/* SPDX-License-Identifier: Apache-2.0 */
/* The result of a client run, for people and for programs. */
#pragma once
#include "base/std.h"
#include "bench_stats.h"
#include "client_options.h"

struct report {
	const struct client_options *options;
	const struct bench_stats *stats; /* of all threads */
	uint64_t duration_ns;            /* measured time */
	bool is_interrupted;
};

/** report_print_table() - short and aligned, to stdout */
void report_print_table(const struct report *r);
/** report_print_json() - one object and a newline, to stdout. Return: 0 or -ENOMEM */
int report_print_json(const struct report *r);
