/* SPDX-License-Identifier: Apache-2.0 */
/* `sluicectl top`: what goes on right now, again and again. */
#pragma once
#include "app/sluicectl/top_view.h"
#include "base/std.h"

#include <jansson.h>

#define TOP_DELAY_MIN_MS 500 /* as fast as the daemon measures rates: core/connection_meter.h */
#define TOP_DELAY_MAX_MS 10000

struct top_options {
	const char *socket;
	json_t *filters; /* borrowed object: of `show connections` */
	struct top_view view;
	uint64_t delay_ms; /* between two looks; 0 = not given */
	size_t limit;      /* of rows; 0 = as many as there is room for */
	bool is_once;      /* one screen as text, to standard output */
	bool is_json;      /* likewise, as the daemon says it */
};

/** top_run() - Return: an exit status */
int top_run(const struct top_options *options);
