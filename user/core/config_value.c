/* SPDX-License-Identifier: Apache-2.0 */
#include "core/config_value.h"

#include "base/address.h"
#include "base/parse.h"

#include <inttypes.h>

/* ---- units --------------------------------------------------------------------------------- */

struct unit {
	const char *name;
	uint64_t size;
};

static const struct unit byte_units[] = {
    {"gb", UINT64_C(1) << 30},
    {"mb", UINT64_C(1) << 20},
    {"kb", UINT64_C(1) << 10},
    {"", 1},
};

static const struct unit duration_units[] = {
    {"d", 24 * 60 * 60 * UINT64_C(1000)},
    {"h", 60 * 60 * UINT64_C(1000)},
    {"m", 60 * UINT64_C(1000)},
    {"s", UINT64_C(1000)},
    {"ms", 1},
};

static const struct unit percent_units[] = {{"%", 1}};

static const struct unit number_units[] = {{"", 1}};

void config_value_put_number(const struct config_key *key, uint64_t value, struct text_writer *w)
{
	const struct unit *unit = key->type == CONFIG_BYTES      ? byte_units
				  : key->type == CONFIG_DURATION ? duration_units
				  : key->type == CONFIG_PERCENT  ? percent_units
								 : number_units;

	/* The largest one that divides it; the last of each is 1. */
	while (unit->size > 1 && (value == 0 || value % unit->size != 0))
		unit++;
	text_put_u64(w, value / unit->size);
	if (value)
		text_put_str(w, unit->name);
}

/* ---- storing ------------------------------------------------------------------------------- */

static bool is_number(const struct config_key *key)
{
	return key->type == CONFIG_NUMBER || key->type == CONFIG_BYTES ||
	       key->type == CONFIG_DURATION || key->type == CONFIG_PERCENT;
}

static void put_uint(void *field, uint8_t size, uint64_t value)
{
	switch (size) {
	case sizeof(uint16_t):
		*(uint16_t *)field = (uint16_t)value;
		break;
	case sizeof(uint32_t):
		*(uint32_t *)field = (uint32_t)value;
		break;
	default:
		assert(size == sizeof(uint64_t));
		*(uint64_t *)field = value;
	}
}

static int parse_number(const struct config_key *key, const char *text, uint64_t *ret_value)
{
	switch (key->type) {
	case CONFIG_BYTES:
		return parse_bytes(text, ret_value);
	case CONFIG_DURATION:
		return parse_duration_ms(text, ret_value);
	case CONFIG_PERCENT:
		return parse_percent(text, ret_value);
	default:
		return parse_u64(text, ret_value);
	}
}

static int store_number(const struct config_key *key, const char *text, void *field)
{
	uint64_t value;
	int r = parse_number(key, text, &value);

	if (r < 0)
		return r;
	if (!(value == 0 && key->zero) && (value < key->min || value > key->max))
		return -ERANGE;
	put_uint(field, key->size, value);
	return 0;
}

static int store_word(const struct config_key *key, const char *text, void *field)
{
	for (uint64_t i = 0; key->words[i]; i++) {
		if (strcmp(key->words[i], text) == 0) {
			put_uint(field, key->size, i);
			return 0;
		}
	}
	return -EINVAL;
}

static int store_text(const struct config_key *key, const char *text, char **field)
{
	size_t len = strlen(text);
	char *copy;

	if (len < key->min || len > key->max)
		return -ERANGE;
	if (!key->is_valid(text))
		return -EINVAL;
	copy = strdup(text);
	if (!copy)
		return -ENOMEM;
	free(*field);
	*field = copy;
	return 0;
}

static int store_address(const struct config_key *key, const char *text, struct address *field)
{
	struct address address;
	int r = key->type == CONFIG_IPS ? address_parse_ip(text, &address)
					: address_parse(text, &address);

	if (r < 0 || (key->is_valid && !key->is_valid(text)))
		return -EINVAL;
	*field = address;
	return 0;
}

static void store_none(const struct config_key *key, void *field)
{
	if (key->type == CONFIG_TEXT)
		config_value_clear(key, field);
	else
		put_uint(field, key->size, key->none_value);
}

int config_value_store(const struct config_key *key, const char *text, void *field)
{
	if (key->none && strcmp(key->none, text) == 0) {
		store_none(key, field);
		return 0;
	}
	switch (key->type) {
	case CONFIG_NUMBER:
	case CONFIG_BYTES:
	case CONFIG_DURATION:
	case CONFIG_PERCENT:
		return store_number(key, text, field);
	case CONFIG_BOOL:
		return parse_bool(text, field);
	case CONFIG_WORD:
		return store_word(key, text, field);
	case CONFIG_TEXT:
	case CONFIG_TEXTS:
		return store_text(key, text, field);
	case CONFIG_ADDRESSES:
	case CONFIG_IPS:
		return store_address(key, text, field);
	}
	assert(!"a type without a case");
	return -EINVAL;
}

size_t config_value_element_size(const struct config_key *key)
{
	switch (key->type) {
	case CONFIG_ADDRESSES:
	case CONFIG_IPS:
		return sizeof(struct address);
	case CONFIG_TEXTS:
		return sizeof(char *);
	default:
		return key->size;
	}
}

bool config_value_is_list(const struct config_key *key)
{
	return key->type == CONFIG_ADDRESSES || key->type == CONFIG_IPS ||
	       key->type == CONFIG_TEXTS;
}

static void clear_texts(char **texts)
{
	for (char **text = texts; text && *text; text++)
		free(*text);
}

void config_value_clear(const struct config_key *key, void *field)
{
	void *owned;

	if (key->type != CONFIG_TEXT && !config_value_is_list(key))
		return;
	/* The field is a pointer of one type or another. */
	memcpy(&owned, field, sizeof(owned));
	if (key->type == CONFIG_TEXTS)
		clear_texts(owned);
	free(owned);
	memset(field, 0, sizeof(owned));
}

/* ---- what would have been right ------------------------------------------------------------ */

/* "error, warning or debug" */
static void put_words(const char *const *words, struct text_writer *w)
{
	for (size_t i = 0; words[i]; i++) {
		if (i > 0)
			text_put_str(w, words[i + 1] ? ", " : " or ");
		text_put_str(w, words[i]);
	}
}

static void put_interval(const struct config_key *key, struct text_writer *w)
{
	config_value_put_number(key, key->min, w);
	text_put_str(w, " to ");
	config_value_put_number(key, key->max, w);
}

static void put_none(const struct config_key *key, struct text_writer *w)
{
	if (key->none)
		text_printf(w, "%s, or ", key->none);
}

static void put_zero(const struct config_key *key, struct text_writer *w)
{
	if (key->zero)
		text_printf(w, "0 (%s), or ", key->zero);
}

static void put_expected_number(const struct config_key *key, int error, struct text_writer *w)
{
	static const char *const nouns[] = {
	    [CONFIG_NUMBER] = "a number",
	    [CONFIG_BYTES] = "a size",
	    [CONFIG_DURATION] = "a duration",
	    [CONFIG_PERCENT] = "a share",
	};
	static const char *const forms[] = {
	    [CONFIG_BYTES] = "a size such as 512, 64kb or 1gb",
	    [CONFIG_DURATION] = "a duration such as 500ms, 30s or 1h",
	    [CONFIG_PERCENT] = "a share such as 50%",
	};

	put_none(key, w);
	if (error == -EINVAL && key->type != CONFIG_NUMBER) {
		text_put_str(w, forms[key->type]);
		return;
	}
	put_zero(key, w);
	text_printf(w, "%s from ", nouns[key->type]);
	put_interval(key, w);
}

void config_value_put_expected(const struct config_key *key, int error, struct text_writer *w)
{
	switch (key->type) {
	case CONFIG_NUMBER:
	case CONFIG_BYTES:
	case CONFIG_DURATION:
	case CONFIG_PERCENT:
		put_expected_number(key, error, w);
		break;
	case CONFIG_BOOL:
		text_put_str(w, "true or false");
		break;
	case CONFIG_WORD:
		put_words(key->words, w);
		break;
	case CONFIG_TEXT:
	case CONFIG_TEXTS:
		put_none(key, w);
		text_put_str(w, key->expected);
		if (error == -ERANGE)
			text_printf(w, " (%" PRIu64 " to %" PRIu64 " bytes)", key->min, key->max);
		break;
	case CONFIG_ADDRESSES:
		text_printf(w, "%s such as 10.0.0.5:9000, [::1]:9000 or unix:/path",
			    key->expected ? key->expected : "an address");
		break;
	case CONFIG_IPS:
		text_put_str(w, "an address without port such as 10.0.0.1 or fd00::1");
		break;
	}
}

void config_value_put_range(const struct config_key *key, struct text_writer *w)
{
	if (is_number(key)) {
		put_none(key, w);
		put_zero(key, w);
		put_interval(key, w);
	} else if (key->type == CONFIG_ADDRESSES) {
		text_put_str(w, "a list of addresses");
	} else if (key->type == CONFIG_TEXTS) {
		text_put_str(w, "a list, each ");
		config_value_put_expected(key, -ERANGE, w);
	} else if (key->type == CONFIG_IPS) {
		text_put_str(w, "a list of addresses without port");
	} else {
		config_value_put_expected(key, key->type == CONFIG_TEXT ? -ERANGE : -EINVAL, w);
	}
}
