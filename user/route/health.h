/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When an endpoint is up or down: the arithmetic of its health checks. Pure: no I/O, no clock.
 *
 *	            first good check               `fall` failed ones in a row
 *	unknown ----------------------> up -----------------------------------> down
 *	   |                             ^------------------------------------    ^
 *	   |                                   `rise` good ones in a row          |
 *	   +----------------------------------------------------------------------+
 *	            first failed check
 */
#pragma once
#include "base/std.h"

struct health_rules {
	uint32_t rise, fall; /* 1 or more */
};

/* Zeroed: nothing is known. */
struct health {
	bool is_known, is_up;
	uint32_t n_against; /* results in a row that say the opposite of is_up */
};

/**
 * health_take() - the result of one check
 *
 * Return: whether that changed @health->is_up, or made it known.
 */
bool health_take(struct health *health, const struct health_rules *rules, bool is_good);
