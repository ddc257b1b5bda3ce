/* SPDX-License-Identifier: Apache-2.0 */
#include "core/connection_filter.h"

#include "base/clock.h"
#include "base/parse.h"
#include "core/connection.h"
#include "core/worker.h"

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

static bool source_matches(const struct ip_prefix *want, const struct connection *c)
{
	struct ip_prefix source = {.family = want->family, .bits = want->bits};

	if (c->source.sa.sa_family != want->family)
		return false;
	if (want->family == AF_INET)
		memcpy(source.bytes, &c->source.in4.sin_addr, 4);
	else
		memcpy(source.bytes, &c->source.in6.sin6_addr, 16);
	clear_tail(&source);
	return memcmp(source.bytes, want->bytes, sizeof(want->bytes)) == 0;
}

static bool name_matches(const char *want, const char *name)
{
	return want[0] == '\0' || (name && strcmp(want, name) == 0);
}

void connection_filter_init(struct connection_filter *filter)
{
	*filter = (struct connection_filter){.path = -1};
}

bool connection_filter_matches(const struct connection_filter *filter, const struct connection *c)
{
	double idle_s = ev_now(c->worker->loop) - c->active_at;

	return (filter->id == 0 || filter->id == c->id) &&
	       name_matches(filter->route, c->route ? c->route->name : NULL) &&
	       name_matches(filter->cluster, c->cluster ? c->cluster->name : NULL) &&
	       name_matches(filter->endpoint, c->endpoint ? c->endpoint->name : NULL) &&
	       name_matches(filter->listener, c->listener->name) &&
	       (filter->path < 0 || (c->opened_ns && filter->path == c->path)) &&
	       (filter->source.family == 0 || source_matches(&filter->source, c)) &&
	       (clock_monotonic_ns() - c->accepted_ns) / NS_PER_MS >= filter->older_ms &&
	       idle_s * 1000 >= (double)filter->idle_ms;
}
