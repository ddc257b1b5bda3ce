/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any text as each of the values that a command line or a configuration may hold: what is accepted
 * means the same when it is written and read again, and what is refused changes nothing.
 */
#include "base/address.h"
#include "base/base32.h"
#include "base/parse.h"

#include <stdio.h>

#define CHECK(condition)                  \
	do {                              \
		if (!(condition))         \
			__builtin_trap(); \
	} while (0)

#define UNTOUCHED UINT64_C(0xa5a5a5a5a5a5a5a5)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_address(const char *text)
{
	char formatted[ADDRESS_TEXT_MAX + 1], again[ADDRESS_TEXT_MAX + 1];
	struct address address, before, reread;
	int error;

	memset(&address, 0xa5, sizeof(address));
	before = address;
	error = address_parse(text, &address);
	if (error < 0) {
		CHECK(error == -EINVAL || error == -ERANGE || error == -ENODEV ||
		      error == -ENAMETOOLONG);
		CHECK(address.len == before.len);
		CHECK(memcmp(&address.un, &before.un, sizeof(before.un)) == 0);
		return;
	}
	CHECK(address.len > sizeof(sa_family_t) && address.len <= sizeof(address.un));
	address_format(&address, formatted);
	CHECK(address_parse(formatted, &reread) == 0);
	CHECK(address_equal(&address, &reread) && address.len == reread.len);
	address_format(&reread, again);
	CHECK(strcmp(formatted, again) == 0);
	address_format_ip(&address, again);
	CHECK(again[0] != '\0');
}

static void check_u64(const char *text)
{
	uint64_t value = UNTOUCHED;
	int error = parse_u64(text, &value);
	bool is_digits = text[0] != '\0' && strspn(text, "0123456789") == strlen(text);
	const char *significant = text + strspn(text, "0");
	char written[32];

	CHECK(is_digits == (error != -EINVAL));
	if (error < 0) {
		CHECK(value == UNTOUCHED);
		CHECK(!is_digits || strlen(significant) >= 20);
		return;
	}
	(void)snprintf(written, sizeof(written), "%llu", (unsigned long long)value);
	CHECK(strcmp(written, significant[0] ? significant : "0") == 0);
}

static void check_units(const char *text)
{
	uint64_t number, bytes = UNTOUCHED, ms = UNTOUCHED;
	int number_error = parse_u64(text, &number), bytes_error = parse_bytes(text, &bytes);
	int ms_error = parse_duration_ms(text, &ms);

	CHECK(bytes_error == 0 || bytes == UNTOUCHED);
	CHECK(ms_error == 0 || ms == UNTOUCHED);
	/* A bare number: as many bytes, and no duration unless it is 0. */
	if (number_error == 0) {
		CHECK(bytes_error == 0 && bytes == number);
		CHECK(number == 0 ? ms_error == 0 && ms == 0 : ms_error == -EINVAL);
	}
	/* No text has a unit of both. */
	if (number_error < 0)
		CHECK(bytes_error == -EINVAL || ms_error == -EINVAL);
}

static void check_base32(const char *text)
{
	char written[BASE32_U64_LEN + 1];
	uint64_t value = UNTOUCHED, again;

	if (base32_u64_decode(text, &value) < 0) {
		CHECK(value == UNTOUCHED);
		return;
	}
	CHECK(strlen(text) == BASE32_U64_LEN);
	base32_u64_encode(value, written);
	CHECK(base32_u64_decode(written, &again) == 0 && again == value);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_free_ char *text = malloc(size + 1);
	bool value;

	CHECK(text);
	if (size > 0)
		memcpy(text, data, size);
	text[size] = '\0';
	check_address(text);
	check_u64(text);
	check_units(text);
	check_base32(text);
	(void)parse_bool(text, &value);
	return 0;
}
