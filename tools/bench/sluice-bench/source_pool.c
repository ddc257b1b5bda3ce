/* SPDX-License-Identifier: Apache-2.0 */
#include "source_pool.h"

#include "values.h"

#include <arpa/inet.h>

#define SOURCE_TEXT_MAX  63 /* of one entry */
#define SOURCE_COUNT_MAX (1ull << 32)

static int parse_host(const char *host, struct address *ret_address, unsigned int *ret_bits)
{
	struct address a = {0};

	if (inet_pton(AF_INET, host, &a.in4.sin_addr) == 1) {
		a.in4.sin_family = AF_INET;
		a.len = sizeof(a.in4);
		*ret_bits = 32;
	} else if (inet_pton(AF_INET6, host, &a.in6.sin6_addr) == 1) {
		a.in6.sin6_family = AF_INET6;
		a.len = sizeof(a.in6);
		*ret_bits = 128;
	} else {
		return -EINVAL;
	}
	*ret_address = a;
	return 0;
}

static void address_add(struct address *a, uint64_t offset)
{
	if (a->sa.sa_family == AF_INET) {
		a->in4.sin_addr.s_addr = htonl(ntohl(a->in4.sin_addr.s_addr) + (uint32_t)offset);
		return;
	}
	/* Long addition from the last byte on. */
	for (int i = 15; i >= 0 && offset > 0; i--) {
		offset += a->in6.sin6_addr.s6_addr[i];
		a->in6.sin6_addr.s6_addr[i] = (uint8_t)offset;
		offset >>= 8;
	}
}

/* Clears all but the first @prefix of the @bits bits. */
static void address_mask(struct address *a, unsigned int prefix, unsigned int bits)
{
	uint8_t *bytes = bits == 32 ? (uint8_t *)&a->in4.sin_addr : a->in6.sin6_addr.s6_addr;

	for (unsigned int bit = prefix; bit < bits; bit++)
		bytes[bit / 8] &= (uint8_t)~(0x80u >> bit % 8);
}

static int parse_entry(const char *text, size_t len, struct source_range *ret_range)
{
	char buf[SOURCE_TEXT_MAX + 1], *slash;
	struct source_range range = {.count = 1};
	unsigned int bits, host_bits;
	uint64_t prefix;
	int r;

	if (len > SOURCE_TEXT_MAX)
		return -EINVAL;
	memcpy(buf, text, len);
	buf[len] = '\0';
	slash = strchr(buf, '/');
	if (slash)
		*slash = '\0';
	r = parse_host(buf, &range.first, &bits);
	if (r < 0)
		return r;
	if (slash) {
		if (value_u64(slash + 1, 0, bits, &prefix) < 0)
			return -EINVAL;
		host_bits = bits - (unsigned int)prefix;
		address_mask(&range.first, (unsigned int)prefix, bits);
		range.count = host_bits >= 32 ? SOURCE_COUNT_MAX : 1ull << host_bits;
		if (bits == 32 && host_bits >= 2) {
			address_add(&range.first, 1);
			range.count -= 2;
		}
	}
	*ret_range = range;
	return 0;
}

int source_pool_add(struct source_pool *pool, const char *text)
{
	for (;;) {
		size_t len = strcspn(text, ",");
		int r;

		if (pool->n == SOURCE_RANGES_MAX)
			return -E2BIG;
		r = parse_entry(text, len, &pool->ranges[pool->n]);
		if (r < 0)
			return r;
		pool->total += pool->ranges[pool->n++].count;
		if (text[len] == '\0')
			return 0;
		text += len + 1;
	}
}

void source_pool_at(const struct source_pool *pool, uint64_t index, struct address *ret_address)
{
	const struct source_range *range = pool->ranges;

	for (index %= pool->total; index >= range->count; range++)
		index -= range->count;
	*ret_address = range->first;
	address_add(ret_address, index);
}

bool source_pool_has_family(const struct source_pool *pool, sa_family_t family)
{
	for (size_t i = 0; i < pool->n; i++) {
		if (pool->ranges[i].first.sa.sa_family != family)
			return false;
	}
	return true;
}
