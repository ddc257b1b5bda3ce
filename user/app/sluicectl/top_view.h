/* SPDX-License-Identifier: Apache-2.0 */
/* A screen of `sluicectl top` as lines of text: for a terminal, or for a pipe. No terminal is
 * touched. */
#pragma once
#include "app/top_by.h"
#include "base/std.h"
#include "core/connection_order.h"

#include <jansson.h>
#include <stdio.h>

/* Above the table: the daemon, paths, traffic, workers, what the table is. Its first line has the
 * titles. */
#define TOP_HEAD_LINES 5

struct top_view {
	enum top_by by;
	struct connection_order order;
};

/** top_view_set() - another view; an order that it has not becomes that by rate */
void top_view_set(struct top_view *view, enum top_by by);
/** top_view_takes() - whether the view can be sorted so */
bool top_view_takes(enum top_by by, enum connection_key key);
/** top_view_step() - the next order that it takes, or with @step -1 the one before */
void top_view_step(struct top_view *view, int step);
/** top_view_args() - what to ask for. Return: a new object: @filters, view, order and limit */
json_t *top_view_args(const struct top_view *view, const json_t *filters, size_t limit);

/**
 * top_view_write() - @data as lines of at most @width places
 * @before: the answer before it, or NULL
 * @width: 0 = as wide as it gets
 * @time: of day, to stand in the first line; "" = none
 */
void top_view_write(FILE *out, const struct top_view *view, const json_t *before,
		    const json_t *data, int width, const char *time);
