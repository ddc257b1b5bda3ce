/* SPDX-License-Identifier: Apache-2.0 */
#include "kern/flow_table.h"

#include "kern/map_walk.h"

#include <bpf/bpf.h>

/* ---- keys ---------------------------------------------------------------------------------- */

/* One end of a key. */
struct end {
	uint8_t addr[16];
	uint16_t port; /* network order */
	bool is_ipv6;
};

static int end_of(const struct address *address, struct end *ret_end)
{
	struct end end = {0};

	switch (address->sa.sa_family) {
	case AF_INET:
		memcpy(end.addr, &address->in4.sin_addr, sizeof(address->in4.sin_addr));
		end.port = address->in4.sin_port;
		break;
	case AF_INET6:
		end.port = address->in6.sin6_port;
		/* RFC 4291 s2.5.5.2: on the wire that is IPv4. */
		if (IN6_IS_ADDR_V4MAPPED(&address->in6.sin6_addr)) {
			memcpy(end.addr, &address->in6.sin6_addr.s6_addr[12], 4);
		} else {
			memcpy(end.addr, &address->in6.sin6_addr, sizeof(end.addr));
			end.is_ipv6 = true;
		}
		break;
	default:
		return -EAFNOSUPPORT;
	}
	*ret_end = end;
	return 0;
}

int flow_key_init(const struct address *from, const struct address *to, struct flow_key *ret_key)
{
	struct end ends[2];

	if (end_of(from, &ends[0]) < 0 || end_of(to, &ends[1]) < 0 ||
	    ends[0].is_ipv6 != ends[1].is_ipv6)
		return -EAFNOSUPPORT;
	*ret_key = (struct flow_key){
	    .key = {.sport = ends[0].port, .dport = ends[1].port},
	    .is_ipv6 = ends[0].is_ipv6,
	};
	memcpy(ret_key->key.saddr, ends[0].addr, sizeof(ret_key->key.saddr));
	memcpy(ret_key->key.daddr, ends[1].addr, sizeof(ret_key->key.daddr));
	return 0;
}

static void address_of(bool is_ipv6, const uint8_t addr[16], uint16_t port,
		       struct address *ret_address)
{
	*ret_address = (struct address){0};
	if (is_ipv6) {
		ret_address->in6.sin6_family = AF_INET6;
		ret_address->in6.sin6_port = port;
		memcpy(&ret_address->in6.sin6_addr, addr, 16);
		ret_address->len = sizeof(ret_address->in6);
	} else {
		ret_address->in4.sin_family = AF_INET;
		ret_address->in4.sin_port = port;
		memcpy(&ret_address->in4.sin_addr, addr, 4);
		ret_address->len = sizeof(ret_address->in4);
	}
}

void flow_key_addresses(const struct flow_key *key, struct address *ret_from,
			struct address *ret_to)
{
	address_of(key->is_ipv6, key->key.saddr, key->key.sport, ret_from);
	address_of(key->is_ipv6, key->key.daddr, key->key.dport, ret_to);
}

static struct sl_key4 to_key4(const struct sl_key6 *key)
{
	struct sl_key4 key4 = {.sport = key->sport, .dport = key->dport};

	memcpy(&key4.saddr, key->saddr, sizeof(key4.saddr));
	memcpy(&key4.daddr, key->daddr, sizeof(key4.daddr));
	return key4;
}

static struct sl_key6 from_key4(const struct sl_key4 *key4)
{
	struct sl_key6 key = {.sport = key4->sport, .dport = key4->dport};

	memcpy(key.saddr, &key4->saddr, sizeof(key4->saddr));
	memcpy(key.daddr, &key4->daddr, sizeof(key4->daddr));
	return key;
}

/* ---- the maps ------------------------------------------------------------------------------ */

/* What a system call takes: a map and its kind of key. */
struct place {
	int fd;
	const void *key;
	struct sl_key4 key4;
};

static void find_place(const struct flow_table *table, const struct flow_key *key,
		       struct place *ret_place)
{
	if (key->is_ipv6) {
		ret_place->fd = table->fd6;
		ret_place->key = &key->key;
	} else {
		ret_place->fd = table->fd4;
		ret_place->key4 = to_key4(&key->key);
		ret_place->key = &ret_place->key4;
	}
}

static void count(const struct flow_table *table, const struct flow_key *key, int change)
{
	if (table->counts)
		atomic_fetch_add_explicit(key->is_ipv6 ? &table->counts->n6 : &table->counts->n4,
					  (uint64_t)change, memory_order_relaxed);
}

int flow_table_insert(const struct flow_table *table, const struct flow_key *key,
		      const struct sl_flow *flow)
{
	struct place place;
	int error;

	find_place(table, key, &place);
	error = bpf_map_update_elem(place.fd, place.key, flow, BPF_NOEXIST);
	if (error == 0)
		count(table, key, 1);
	return error == -E2BIG ? -ENOSPC : error;
}

int flow_table_read(const struct flow_table *table, const struct flow_key *key,
		    struct sl_flow *ret_flow)
{
	struct place place;
	struct sl_flow flow;
	int error;

	find_place(table, key, &place);
	error = bpf_map_lookup_elem(place.fd, place.key, &flow);
	if (error == 0)
		*ret_flow = flow;
	return error;
}

int flow_table_take(const struct flow_table *table, const struct flow_key *key,
		    struct sl_flow *ret_flow)
{
	struct place place;
	struct sl_flow flow;
	int error;

	find_place(table, key, &place);
	error = bpf_map_lookup_and_delete_elem(place.fd, place.key, &flow);
	if (error < 0)
		return error;
	count(table, key, -1);
	*ret_flow = flow;
	return 0;
}

int flow_table_delete(const struct flow_table *table, const struct flow_key *key)
{
	struct place place;
	int error;

	find_place(table, key, &place);
	error = bpf_map_delete_elem(place.fd, place.key);
	if (error == 0)
		count(table, key, -1);
	return error;
}

struct walk {
	flow_table_fn *fn;
	void *arg;
};

static int visit4(const void *key, const void *flow, void *arg)
{
	const struct walk *walk = arg;

	return walk->fn(&(struct flow_key){.key = from_key4(key)}, flow, walk->arg);
}

static int visit6(const void *key, const void *flow, void *arg)
{
	const struct walk *walk = arg;
	struct flow_key flow_key = {.is_ipv6 = true};

	memcpy(&flow_key.key, key, sizeof(flow_key.key));
	return walk->fn(&flow_key, flow, walk->arg);
}

int flow_table_walk(const struct flow_table *table, flow_table_fn *fn, void *arg)
{
	struct walk walk = {fn, arg};
	int error =
	    map_walk(table->fd4, sizeof(struct sl_key4), sizeof(struct sl_flow), visit4, &walk);

	if (error < 0)
		return error;
	return map_walk(table->fd6, sizeof(struct sl_key6), sizeof(struct sl_flow), visit6, &walk);
}

static int count_one(const struct flow_key *key, const struct sl_flow *flow, void *arg)
{
	count(arg, key, 1);
	return 0;
}

int flow_table_count(const struct flow_table *table)
{
	struct flow_table copy = *table;

	return flow_table_walk(table, count_one, &copy);
}
