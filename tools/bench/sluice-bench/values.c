/* SPDX-License-Identifier: Apache-2.0 */
#include "values.h"

#include "base/clock.h"
#include "base/parse.h"

#include <stdio.h>

#define VALUE_TEXT_MAX    32 /* longer than any number with its unit */
#define VALUE_DURATION_NS (365ull * 24 * 3600 * NS_PER_S)
#define VALUE_RATE_MAX    1000000000ull

int value_size(const char *text, uint64_t *ret_bytes)
{
	char buf[VALUE_TEXT_MAX + 2];
	size_t len = strlen(text);

	if (len == 0 || len > VALUE_TEXT_MAX)
		return -EINVAL;
	memcpy(buf, text, len + 1);
	/* The shared parser wants its unit written out: 16kb. */
	if (strchr("kmg", ascii_lower(buf[len - 1])))
		memcpy(buf + len, "b", 2);
	return parse_bytes(buf, ret_bytes);
}

static int duration_unit_ns(const char *unit, uint64_t *ret_ns)
{
	static const struct {
		const char *name;
		uint64_t ns;
	} units[] = {
	    {"", NS_PER_S},    {"s", NS_PER_S},      {"ms", NS_PER_MS},
	    {"us", NS_PER_US}, {"m", 60 * NS_PER_S}, {"h", 3600 * NS_PER_S},
	};

	for (size_t i = 0; i < ARRAY_SIZE(units); i++) {
		if (strcmp(unit, units[i].name) == 0) {
			*ret_ns = units[i].ns;
			return 0;
		}
	}
	return -EINVAL;
}

int value_duration_ns(const char *text, uint64_t *ret_ns)
{
	size_t whole_len = strspn(text, "0123456789"), fraction_len = 0;
	uint64_t whole, unit_ns, fraction = 0, scale = 1;
	const char *rest = text + whole_len;
	char digits[VALUE_TEXT_MAX + 1];
	int r;

	if (whole_len == 0 || whole_len > VALUE_TEXT_MAX)
		return -EINVAL;
	memcpy(digits, text, whole_len);
	digits[whole_len] = '\0';
	if (*rest == '.') {
		fraction_len = strspn(rest + 1, "0123456789");
		if (fraction_len == 0 || fraction_len > 9)
			return -EINVAL;
		for (size_t i = 0; i < fraction_len; i++) {
			fraction = fraction * 10 + (uint64_t)(rest[1 + i] - '0');
			scale *= 10;
		}
		rest += 1 + fraction_len;
	}
	r = duration_unit_ns(rest, &unit_ns);
	if (r < 0)
		return r;
	r = parse_u64(digits, &whole);
	if (r < 0)
		return r;
	if (whole > VALUE_DURATION_NS / unit_ns)
		return -ERANGE;
	/* 10^9 * 3600 s in ns is below 2^63: no overflow. */
	*ret_ns = whole * unit_ns + (uint64_t)((unsigned __int128)fraction * unit_ns / scale);
	return 0;
}

int value_rate(const char *text, uint64_t *ret_per_s)
{
	char buf[VALUE_TEXT_MAX + 1];
	size_t len = strlen(text);
	uint64_t value, unit = 1;
	int r;

	if (len == 0 || len > VALUE_TEXT_MAX)
		return -EINVAL;
	memcpy(buf, text, len + 1);
	if (len > 2 && strcmp(buf + len - 2, "/s") == 0)
		buf[len -= 2] = '\0';
	if (ascii_lower(buf[len - 1]) == 'k')
		unit = 1000;
	else if (ascii_lower(buf[len - 1]) == 'm')
		unit = 1000000;
	if (unit > 1)
		buf[len - 1] = '\0';
	r = parse_u64(buf, &value);
	if (r < 0)
		return r;
	if (value == 0 || value > VALUE_RATE_MAX / unit)
		return -ERANGE;
	*ret_per_s = value * unit;
	return 0;
}

int value_u64(const char *text, uint64_t min, uint64_t max, uint64_t *ret_value)
{
	uint64_t value;
	int r = parse_u64(text, &value);

	if (r < 0)
		return r;
	if (value < min || value > max)
		return -ERANGE;
	*ret_value = value;
	return 0;
}
