/* SPDX-License-Identifier: Apache-2.0 */
#include "base/base32.h"

static const char alphabet[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

void base32_u64_encode(uint64_t value, char ret_text[BASE32_U64_LEN + 1])
{
	for (size_t i = BASE32_U64_LEN; i-- > 0; value >>= 5)
		ret_text[i] = alphabet[value & 31];
	ret_text[BASE32_U64_LEN] = '\0';
}

/* Return: 0..31, or -EINVAL */
static int digit_value(char c)
{
	char lower = ascii_lower(c);

	/* Letters that people read or type for digits; u is not in use. */
	if (lower == 'o')
		return 0;
	if (lower == 'i' || lower == 'l')
		return 1;
	for (int i = 0; i < 32; i++) {
		if (ascii_lower(alphabet[i]) == lower)
			return i;
	}
	return -EINVAL;
}

int base32_u64_decode(const char *text, uint64_t *ret_value)
{
	uint64_t value = 0;

	for (size_t i = 0; i < BASE32_U64_LEN; i++) {
		int digit = digit_value(text[i]); /* also refuses the NUL of a short text */

		/* 13 digits have 65 bits: the first may use four of its five. */
		if (digit < 0 || (i == 0 && digit > 15))
			return -EINVAL;
		value = value << 5 | (uint64_t)digit;
	}
	if (text[BASE32_U64_LEN] != '\0')
		return -EINVAL;
	*ret_value = value;
	return 0;
}
