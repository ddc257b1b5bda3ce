/* SPDX-License-Identifier: Apache-2.0 */
/* "Did you mean …?": which of some names a misspelt one is closest to. */
#pragma once
#include "base/std.h"

#define NEAREST_NAME_MAX 63 /* bytes; longer names are near to nothing */

struct nearest {
	struct slice wanted; /* what was written; borrowed */
	const char *best;    /* NULL as long as no name is near */
	unsigned int distance;
};

void nearest_init(struct nearest *n, struct slice wanted);
/** nearest_offer() - one of the names; borrowed. The first of equally near ones stays best */
void nearest_offer(struct nearest *n, const char *name);
