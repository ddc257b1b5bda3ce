/* SPDX-License-Identifier: Apache-2.0 */
#include "base/parse.h"

#include <strings.h>

/*
 * Reads the digits at the front. A number that is too large is still read to its end, so that
 * -ERANGE is told only of text that is otherwise right: *ret_too_large is for the caller.
 */
static int read_digits(const char *text, const char **ret_rest, uint64_t *ret_value,
		       bool *ret_too_large)
{
	uint64_t value = 0;
	bool too_large = false;
	const char *p = text;

	for (; *p >= '0' && *p <= '9'; p++) {
		too_large |= __builtin_mul_overflow(value, 10, &value);
		too_large |= __builtin_add_overflow(value, (uint64_t)(*p - '0'), &value);
	}
	if (p == text)
		return -EINVAL;
	*ret_rest = p;
	*ret_value = value;
	*ret_too_large = too_large;
	return 0;
}

static int scale(uint64_t value, bool too_large, uint64_t factor, uint64_t *ret_value)
{
	uint64_t product;

	if (too_large || __builtin_mul_overflow(value, factor, &product))
		return -ERANGE;
	*ret_value = product;
	return 0;
}

int parse_u64(const char *text, uint64_t *ret_value)
{
	const char *rest;
	uint64_t value;
	bool too_large;
	int error = read_digits(text, &rest, &value, &too_large);

	if (error < 0 || *rest != '\0')
		return -EINVAL;
	return scale(value, too_large, 1, ret_value);
}

struct unit {
	const char *name;
	uint64_t factor;
};

static int parse_scaled(const char *text, const struct unit *units, size_t n_units,
			int (*compare)(const char *, const char *), uint64_t *ret_value)
{
	const char *rest;
	uint64_t value;
	bool too_large;
	int error = read_digits(text, &rest, &value, &too_large);

	if (error < 0)
		return error;
	for (size_t i = 0; i < n_units; i++) {
		if (compare(rest, units[i].name) == 0)
			return scale(value, too_large, units[i].factor, ret_value);
	}
	return -EINVAL;
}

int parse_bytes(const char *text, uint64_t *ret_bytes)
{
	static const struct unit units[] = {
	    {"", 1}, {"b", 1}, {"kb", 1 << 10}, {"mb", 1 << 20}, {"gb", 1 << 30},
	};

	return parse_scaled(text, units, ARRAY_SIZE(units), strcasecmp, ret_bytes);
}

int parse_duration_ms(const char *text, uint64_t *ret_ms)
{
	static const struct unit units[] = {
	    {"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000},
	};
	uint64_t bare;

	if (parse_u64(text, &bare) == 0 && bare == 0) {
		*ret_ms = 0;
		return 0;
	}
	return parse_scaled(text, units, ARRAY_SIZE(units), strcmp, ret_ms);
}

int parse_percent(const char *text, uint64_t *ret_percent)
{
	static const struct unit units[] = {{"%", 1}};

	return parse_scaled(text, units, ARRAY_SIZE(units), strcmp, ret_percent);
}

static int parse_port(const char *text, size_t len, uint16_t *ret_port)
{
	char digits[6];
	uint64_t port;

	if (len >= sizeof(digits))
		return -EINVAL;
	memcpy(digits, text, len);
	digits[len] = '\0';
	if (parse_u64(digits, &port) < 0 || port == 0 || port > UINT16_MAX)
		return -EINVAL;
	*ret_port = (uint16_t)port;
	return 0;
}

int parse_port_range(const char *text, struct port_range *ret_range)
{
	const char *dash = strchr(text, '-');
	struct port_range range;

	if (!dash || parse_port(text, (size_t)(dash - text), &range.first) < 0 ||
	    parse_port(dash + 1, strlen(dash + 1), &range.last) < 0 || range.first > range.last)
		return -EINVAL;
	*ret_range = range;
	return 0;
}

int parse_bool(const char *text, bool *ret_value)
{
	static const struct {
		const char *name;
		bool value;
	} names[] = {
	    {"true", true},   {"on", true},   {"yes", true},
	    {"false", false}, {"off", false}, {"no", false},
	};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (strcmp(text, names[i].name) == 0) {
			*ret_value = names[i].value;
			return 0;
		}
	}
	return -EINVAL;
}
