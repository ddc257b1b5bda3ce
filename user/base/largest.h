/* SPDX-License-Identifier: Apache-2.0 */
/* The few largest of many values, which come in any order: a heap with the smallest of them on top.
 */
#pragma once
#include "base/std.h"

struct largest_item {
	uint64_t value, id;
	uint32_t tag; /* the caller's */
};

struct largest {
	struct largest_item *items; /* owned */
	size_t n_items, max_items;
};

/** largest_init() - keep @max_items, at least 1. Return: 0 or -ENOMEM */
int largest_init(struct largest *l, size_t max_items);
void largest_done(struct largest *l);
/** largest_add() - of equal values the smallest ids stay */
void largest_add(struct largest *l, struct largest_item item);
/** largest_sort() - the largest first, of equal values the smallest id; nothing can be added then
 */
void largest_sort(struct largest *l);
