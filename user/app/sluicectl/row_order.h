/* SPDX-License-Identifier: Apache-2.0 */
/* Sorting the rows of `show connections` here: of all of them, or of what the pinned maps have. */
#pragma once
#include "core/connection_order.h"

#include <jansson.h>

/** row_order_apply() - sort @rows, those of the same value by id; *@rows may be replaced */
void row_order_apply(const struct connection_order *order, json_t **rows);
/** row_order_cut() - only the first @limit of @rows stay */
void row_order_cut(json_t *rows, size_t limit);
