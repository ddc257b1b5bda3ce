/* SPDX-License-Identifier: Apache-2.0 */
#include "route/split.h"

#include "base/hash.h"
#include "base/random.h"

#include <netinet/in.h>

/* Any would do, but none may ever replace it: clients would change their clusters. */
static const struct hash_key fixed_key = {UINT64_C(0x736c756963652d73),
					  UINT64_C(0x706c69742d6b6579)};

const struct config_cluster *split_at(const struct config_route *route, uint64_t hash)
{
	uint64_t point = hash % route->split_weight;
	size_t i = 0;

	for (; point >= route->splits[i].weight; i++)
		point -= route->splits[i].weight;
	return route->splits[i].cluster;
}

static uint64_t hash_random(void)
{
	uint64_t value;

	random_secure(&value, sizeof(value));
	return value;
}

/* Without the port, which is another one each time. */
static uint64_t hash_source(const struct sockaddr *source)
{
	switch (source->sa_family) {
	case AF_INET: {
		const struct sockaddr_in *in4 = (const struct sockaddr_in *)source;

		return hash_bytes(&fixed_key, &in4->sin_addr, sizeof(in4->sin_addr));
	}
	case AF_INET6: {
		const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)source;

		return hash_bytes(&fixed_key, &in6->sin6_addr, sizeof(in6->sin6_addr));
	}
	default:
		return hash_random();
	}
}

static uint64_t hash_header(const struct config_route *route, const struct http1_head *head,
			    const struct sockaddr *source)
{
	const struct http1_field *field = http1_find(head, route->split_header);

	return field ? hash_bytes(&fixed_key, field->value.ptr, field->value.len)
		     : hash_source(source);
}

const struct config_cluster *split_choose(const struct config_route *route,
					  const struct http1_head *head,
					  const struct sockaddr *source)
{
	switch (route->split_key) {
	case CONFIG_SPLIT_SOURCE:
		return split_at(route, hash_source(source));
	case CONFIG_SPLIT_HEADER:
		return split_at(route, hash_header(route, head, source));
	case CONFIG_SPLIT_RANDOM:
		break;
	}
	return split_at(route, hash_random());
}
