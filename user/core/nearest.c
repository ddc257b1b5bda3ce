/* SPDX-License-Identifier: Apache-2.0 */
#include "core/nearest.h"

#define DISTANCE_MAX 2 /* slips: a letter wrong, missing, too much, or two exchanged */

/*
 * Edit distance with transpositions of neighbours (optimal string alignment), three rows at a
 * time. Both lengths are at most NEAREST_NAME_MAX.
 */
static unsigned int distance(struct slice a, struct slice b)
{
	unsigned int rows[3][NEAREST_NAME_MAX + 1];

	for (size_t j = 0; j <= b.len; j++)
		rows[0][j] = (unsigned int)j;
	for (size_t i = 1; i <= a.len; i++) {
		unsigned int *now = rows[i % 3];
		const unsigned int *last = rows[(i + 2) % 3], *before = rows[(i + 1) % 3];

		now[0] = (unsigned int)i;
		for (size_t j = 1; j <= b.len; j++) {
			bool is_equal = a.ptr[i - 1] == b.ptr[j - 1];

			now[j] = MIN(MIN(last[j], now[j - 1]) + 1, last[j - 1] + !is_equal);
			if (i > 1 && j > 1 && a.ptr[i - 1] == b.ptr[j - 2] &&
			    a.ptr[i - 2] == b.ptr[j - 1])
				now[j] = MIN(now[j], before[j - 2] + 1);
		}
	}
	return rows[a.len % 3][b.len];
}

void nearest_init(struct nearest *n, struct slice wanted)
{
	*n = (struct nearest){.wanted = wanted, .distance = DISTANCE_MAX + 1};
}

void nearest_offer(struct nearest *n, const char *name)
{
	struct slice candidate = slice_from_str(name);
	unsigned int d;

	if (n->wanted.len > NEAREST_NAME_MAX || candidate.len > NEAREST_NAME_MAX)
		return;
	d = distance(n->wanted, candidate);
	/* A name of two letters is not "near" to another one of two letters. */
	if (d < n->distance && d < candidate.len && d < n->wanted.len) {
		n->best = name;
		n->distance = d;
	}
}
