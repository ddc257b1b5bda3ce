/* SPDX-License-Identifier: Apache-2.0 */
#include "base/ip_prefix.h"

#include "base/parse.h"

#include <arpa/inet.h>

static void clear_tail(struct ip_prefix *prefix)
{
	for (unsigned int bit = prefix->bits; bit < 8 * sizeof(prefix->bytes); bit++)
		prefix->bytes[bit / 8] &= (uint8_t)~(0x80u >> (bit % 8));
}

int ip_prefix_parse(const char *text, struct ip_prefix *ret_prefix)
{
	struct ip_prefix prefix = {0};
	const char *slash = strchr(text, '/');
	char host[INET6_ADDRSTRLEN + 1];
	size_t host_len = slash ? (size_t)(slash - text) : strlen(text);
	uint64_t bits, max_bits;

	if (host_len >= sizeof(host))
		return -EINVAL;
	memcpy(host, text, host_len);
	host[host_len] = '\0';
	if (inet_pton(AF_INET, host, prefix.bytes) == 1)
		prefix.family = AF_INET;
	else if (inet_pton(AF_INET6, host, prefix.bytes) == 1)
		prefix.family = AF_INET6;
	else
		return -EINVAL;
	max_bits = prefix.family == AF_INET ? 32 : 128;
	bits = max_bits;
	if (slash && (parse_u64(slash + 1, &bits) < 0 || bits > max_bits))
		return -EINVAL;
	prefix.bits = (uint8_t)bits;
	clear_tail(&prefix);
	*ret_prefix = prefix;
	return 0;
}

bool ip_prefix_has(const struct ip_prefix *prefix, const struct sockaddr *address)
{
	struct ip_prefix other = {.family = prefix->family, .bits = prefix->bits};

	if (address->sa_family != prefix->family)
		return false;
	if (prefix->family == AF_INET)
		memcpy(other.bytes, &((const struct sockaddr_in *)address)->sin_addr, 4);
	else
		memcpy(other.bytes, &((const struct sockaddr_in6 *)address)->sin6_addr, 16);
	clear_tail(&other);
	return memcmp(other.bytes, prefix->bytes, sizeof(prefix->bytes)) == 0;
}
