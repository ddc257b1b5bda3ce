/* SPDX-License-Identifier: Apache-2.0 */
#include "base/dscp.h"

#include "base/parse.h"

#include <stdio.h>

static const struct {
	char name[DSCP_TEXT_MAX + 1];
	uint8_t dscp;
} names[] = {
    {"CS0", 0},   {"LE", 1},    {"CS1", 8},   {"AF11", 10}, {"AF12", 12}, {"AF13", 14},
    {"CS2", 16},  {"AF21", 18}, {"AF22", 20}, {"AF23", 22}, {"CS3", 24},  {"AF31", 26},
    {"AF32", 28}, {"AF33", 30}, {"CS4", 32},  {"AF41", 34}, {"AF42", 36}, {"AF43", 38},
    {"CS5", 40},  {"VA", 44},   {"EF", 46},   {"CS6", 48},  {"CS7", 56},
};

int dscp_parse(const char *text, uint8_t *ret_dscp)
{
	uint64_t number;

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (slice_equal_nocase(slice_from_str(text), slice_from_str(names[i].name))) {
			*ret_dscp = names[i].dscp;
			return 0;
		}
	}
	if (parse_u64(text, &number) < 0 || number > DSCP_MAX)
		return -EINVAL;
	*ret_dscp = (uint8_t)number;
	return 0;
}

void dscp_format(uint8_t dscp, char ret_text[DSCP_TEXT_MAX + 1])
{
	assert(dscp <= DSCP_MAX);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (names[i].dscp == dscp) {
			memcpy(ret_text, names[i].name, DSCP_TEXT_MAX + 1);
			return;
		}
	}
	snprintf(ret_text, DSCP_TEXT_MAX + 1, "%u", dscp & DSCP_MAX);
}
