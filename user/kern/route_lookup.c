/* SPDX-License-Identifier: Apache-2.0 */
#include "kern/route_lookup.h"

#include "base/clock.h"

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#define ANSWER_MAX 4096 /* bytes; one route is some hundred */

struct question {
	struct nlmsghdr header;
	struct rtmsg route;
	char attributes[2 * RTA_SPACE(16) + RTA_SPACE(4)];
};

int route_lookup_open(struct route_lookup *ret_lookup)
{
	_cleanup_close_ int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);

	_cleanup_free_ struct route_known *known = calloc(ROUTE_LOOKUP_KNOWN, sizeof(*known));

	if (fd < 0)
		return -errno;
	if (!known)
		return -ENOMEM;
	*ret_lookup = (struct route_lookup){.fd = TAKE_FD(fd), .known = TAKE_PTR(known)};
	return 0;
}

void route_lookup_close(struct route_lookup *lookup)
{
	if (lookup->fd >= 0)
		close(TAKE_FD(lookup->fd));
	free(TAKE_PTR(lookup->known));
}

/* ---- the question -------------------------------------------------------------------------- */

static void put(struct question *q, uint16_t type, const void *data, size_t len)
{
	struct rtattr *attribute = (struct rtattr *)((char *)q + NLMSG_ALIGN(q->header.nlmsg_len));

	attribute->rta_type = type;
	attribute->rta_len = (uint16_t)RTA_LENGTH(len);
	memcpy(RTA_DATA(attribute), data, len);
	q->header.nlmsg_len = NLMSG_ALIGN(q->header.nlmsg_len) + (uint32_t)RTA_SPACE(len);
}

static void put_address(struct question *q, uint16_t type, const struct address *address)
{
	if (address->sa.sa_family == AF_INET)
		put(q, type, &address->in4.sin_addr, sizeof(address->in4.sin_addr));
	else
		put(q, type, &address->in6.sin6_addr, sizeof(address->in6.sin6_addr));
}

static void write_question(struct question *q, uint32_t sequence, const struct address *source,
			   const struct address *destination)
{
	sa_family_t family = destination->sa.sa_family;
	uint8_t bits = family == AF_INET ? 32 : 128;

	*q = (struct question){
	    .header = {.nlmsg_len = NLMSG_LENGTH(sizeof(q->route)),
		       .nlmsg_type = RTM_GETROUTE,
		       .nlmsg_flags = NLM_F_REQUEST,
		       .nlmsg_seq = sequence},
	    .route = {.rtm_family = (uint8_t)family, .rtm_dst_len = bits},
	};
	put_address(q, RTA_DST, destination);
	if (source) {
		q->route.rtm_src_len = bits;
		put_address(q, RTA_SRC, source);
	}
	/* RFC 4007 s6: the zone of a link-local address is its interface. */
	if (family == AF_INET6 && destination->in6.sin6_scope_id) {
		uint32_t scope = destination->in6.sin6_scope_id;

		put(q, RTA_OIF, &scope, sizeof(scope));
	}
}

/* ---- the answer ---------------------------------------------------------------------------- */

static uint32_t read_u32(const struct rtattr *attribute)
{
	uint32_t value = 0;

	if (RTA_PAYLOAD(attribute) >= sizeof(value))
		memcpy(&value, RTA_DATA(attribute), sizeof(value));
	return value;
}

static uint32_t read_mtu(const struct rtattr *metrics)
{
	int left = (int)RTA_PAYLOAD(metrics);

	for (const struct rtattr *a = RTA_DATA(metrics); RTA_OK(a, left); a = RTA_NEXT(a, left)) {
		if (a->rta_type == RTAX_MTU)
			return read_u32(a);
	}
	return 0;
}

static void read_source(const struct rtattr *attribute, sa_family_t family,
			struct address *ret_source)
{
	*ret_source = (struct address){.sa = {.sa_family = family}};
	if (family == AF_INET) {
		ret_source->len = sizeof(ret_source->in4);
		memcpy(&ret_source->in4.sin_addr, RTA_DATA(attribute),
		       MIN(RTA_PAYLOAD(attribute), sizeof(ret_source->in4.sin_addr)));
	} else {
		ret_source->len = sizeof(ret_source->in6);
		memcpy(&ret_source->in6.sin6_addr, RTA_DATA(attribute),
		       MIN(RTA_PAYLOAD(attribute), sizeof(ret_source->in6.sin6_addr)));
	}
}

static int read_route(const struct nlmsghdr *header, const struct address *source,
		      struct route_found *ret_found)
{
	const struct rtmsg *route = NLMSG_DATA(header);
	struct route_found found = {0};
	int left = (int)RTM_PAYLOAD(header);

	if (header->nlmsg_len < NLMSG_LENGTH(sizeof(*route)))
		return -EPROTO;
	if (route->rtm_type != RTN_UNICAST && route->rtm_type != RTN_LOCAL)
		return -EHOSTUNREACH;
	found.is_local = route->rtm_type == RTN_LOCAL;
	if (source)
		found.source = *source;
	for (const struct rtattr *a = RTM_RTA(route); RTA_OK(a, left); a = RTA_NEXT(a, left)) {
		switch (a->rta_type) {
		case RTA_OIF:
			found.oif = read_u32(a);
			break;
		case RTA_METRICS:
			found.mtu = read_mtu(a);
			break;
		case RTA_PREFSRC:
			if (!source)
				read_source(a, route->rtm_family, &found.source);
			break;
		}
	}
	if (found.source.len == 0)
		return -EHOSTUNREACH;
	if (found.source.sa.sa_family == AF_INET)
		found.source.in4.sin_port = 0;
	else
		found.source.in6.sin6_port = 0;
	*ret_found = found;
	return 0;
}

static int read_answer(struct route_lookup *lookup, const struct address *source,
		       struct route_found *ret_found)
{
	_Alignas(struct nlmsghdr) char buf[ANSWER_MAX];
	const struct nlmsghdr *header = (const struct nlmsghdr *)buf;
	const struct nlmsgerr *refusal;
	ssize_t n;

	/* One of another sequence answers a question whose answer was never fetched. */
	do {
		do {
			n = recv(lookup->fd, buf, sizeof(buf), 0);
		} while (n < 0 && errno == EINTR);
		if (n < 0)
			return -errno;
		if (!NLMSG_OK(header, (size_t)n))
			return -EPROTO;
	} while (header->nlmsg_seq != lookup->sequence);
	if (header->nlmsg_type == NLMSG_ERROR) {
		refusal = NLMSG_DATA(header);
		return refusal->error < 0 ? refusal->error : -EPROTO;
	}
	return header->nlmsg_type == RTM_NEWROUTE ? read_route(header, source, ret_found) : -EPROTO;
}

static int ask(struct route_lookup *lookup, const struct address *source,
	       const struct address *destination, struct route_found *ret_found)
{
	struct question q;

	write_question(&q, ++lookup->sequence, source, destination);
	/* The kernel answers within send(2): nothing here waits. */
	if (send(lookup->fd, &q, q.header.nlmsg_len, 0) < 0)
		return -errno;
	return read_answer(lookup, source, ret_found);
}

/* ---- what is known ------------------------------------------------------------------------- */

static struct address without_port(const struct address *address)
{
	struct address host = {0};

	if (!address)
		return host;
	host = *address;
	address_set_port(&host, 0);
	return host;
}

/* Whoever chooses addresses so that they meet in one place makes the kernel be asked, as without
 * any: no more. */
static uint32_t mix(uint32_t hash, const struct address *address)
{
	uint32_t words[4] = {0};

	if (address->sa.sa_family == AF_INET)
		memcpy(words, &address->in4.sin_addr, sizeof(address->in4.sin_addr));
	else if (address->sa.sa_family == AF_INET6)
		memcpy(words, &address->in6.sin6_addr, sizeof(words));
	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		hash = (hash ^ words[i]) * 0x9e3779b1u;
	return hash;
}

static struct route_known *place_of(struct route_lookup *lookup, const struct address *source,
				    const struct address *destination)
{
	uint32_t hash = mix(mix(0, source), destination);

	return &lookup->known[(hash >> 16 ^ hash) % ROUTE_LOOKUP_KNOWN];
}

int route_lookup_find(struct route_lookup *lookup, const struct address *source,
		      const struct address *destination, struct route_found *ret_found)
{
	struct address from, to;
	struct route_known *known;
	uint64_t now_ns = clock_monotonic_ns();
	int error;

	if ((destination->sa.sa_family != AF_INET && destination->sa.sa_family != AF_INET6) ||
	    (source && source->sa.sa_family != destination->sa.sa_family))
		return -EAFNOSUPPORT;
	from = without_port(source);
	to = without_port(destination);
	known = place_of(lookup, &from, &to);
	if (now_ns >= known->until_ns || !address_equal(&known->source, &from) ||
	    !address_equal(&known->destination, &to)) {
		known->until_ns = 0;
		error = ask(lookup, source, destination, &known->found);
		if (error < 0)
			return error;
		known->source = from;
		known->destination = to;
		known->until_ns = now_ns + ROUTE_LOOKUP_MS * NS_PER_MS;
	}
	*ret_found = known->found;
	return 0;
}
