/* SPDX-License-Identifier: Apache-2.0 */
#include "size_mix.h"

#include "values.h"

#define SIZE_MIX_WEIGHT_MAX 1000000
#define SIZE_MIX_TEXT_MAX   64 /* of one entry */

/* @text is changed: the dash becomes NUL. */
static int parse_range(char *text, struct size_mix_entry *ret_entry)
{
	char *dash = strchr(text, '-');
	uint64_t min, max;
	int r;

	if (dash)
		*dash = '\0';
	r = value_size(text, &min);
	if (r < 0)
		return r;
	max = min;
	if (dash)
		r = value_size(dash + 1, &max);
	if (r < 0)
		return r;
	if (min > max || max > SIZE_BYTES_MAX)
		return -ERANGE;
	ret_entry->min = min;
	ret_entry->max = max;
	return 0;
}

int size_mix_parse_size(const char *text, struct size_mix *ret_mix)
{
	struct size_mix mix = {.n = 1};
	char buf[SIZE_MIX_TEXT_MAX + 1];
	size_t len = strlen(text);
	int r;

	if (len > SIZE_MIX_TEXT_MAX)
		return -EINVAL;
	memcpy(buf, text, len + 1);
	r = parse_range(buf, &mix.entries[0]);
	if (r < 0)
		return r;
	mix.entries[0].weight_upto = 1;
	*ret_mix = mix;
	return 0;
}

static int parse_weighted(const char *text, size_t len, struct size_mix_entry *ret_entry)
{
	char buf[SIZE_MIX_TEXT_MAX + 1], *colon;
	uint64_t weight;
	int r;

	if (len > SIZE_MIX_TEXT_MAX)
		return -EINVAL;
	memcpy(buf, text, len);
	buf[len] = '\0';
	colon = strchr(buf, ':');
	if (!colon)
		return -EINVAL;
	*colon = '\0';
	r = value_u64(colon + 1, 1, SIZE_MIX_WEIGHT_MAX, &weight);
	if (r < 0)
		return r;
	ret_entry->weight_upto = weight;
	return parse_range(buf, ret_entry);
}

int size_mix_parse_mix(const char *text, struct size_mix *ret_mix)
{
	struct size_mix mix = {0};
	uint64_t weights = 0;

	for (;;) {
		size_t len = strcspn(text, ",");
		int r;

		if (mix.n == SIZE_MIX_MAX)
			return -E2BIG;
		r = parse_weighted(text, len, &mix.entries[mix.n]);
		if (r < 0)
			return r;
		weights += mix.entries[mix.n].weight_upto;
		mix.entries[mix.n++].weight_upto = weights;
		if (text[len] == '\0')
			break;
		text += len + 1;
	}
	*ret_mix = mix;
	return 0;
}

/* Uniform in 0..@bound-1 from 32 random bits; the bias is below @bound / 2^32. */
static uint64_t scale_u32(uint64_t random_u32, uint64_t bound)
{
	return (random_u32 * bound) >> 32;
}

uint64_t size_mix_pick(const struct size_mix *mix, uint64_t random)
{
	const struct size_mix_entry *e = mix->entries;

	if (mix->n > 1) {
		uint64_t at = scale_u32(random >> 32, mix->entries[mix->n - 1].weight_upto);

		while (at >= e->weight_upto)
			e++;
	}
	if (e->min == e->max)
		return e->min;
	return e->min + scale_u32(random & UINT32_MAX, e->max - e->min + 1);
}

uint64_t size_mix_largest(const struct size_mix *mix)
{
	uint64_t largest = 0;

	for (size_t i = 0; i < mix->n; i++)
		largest = MAX(largest, mix->entries[i].max);
	return largest;
}
