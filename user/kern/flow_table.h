/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pinned maps flows4 and flows6 (sluice/flow.h) as one. A key is always written as a struct
 * sl_key6; an IPv4 address is the first four bytes of its field, with zeros behind, as in struct
 * sl_leg.
 */
#pragma once
#include "base/address.h"
#include "base/std.h"
#include "sluice/flow.h"

#include <stdatomic.h>

/* How many entries there are, as far as this process knows: a hash map does not tell its own. */
struct flow_counts {
	_Atomic uint64_t n4, n6;
};

struct flow_table {
	int fd4, fd6; /* borrowed */
	struct flow_counts
	    *counts; /* likewise; kept up by whoever inserts and deletes; may be NULL */
};

struct flow_key {
	struct sl_key6 key; /* of packets as they arrive: from their sender, to us */
	bool is_ipv6;
};

/** flow_key_init() - of packets @from to @to. A mapped IPv4 address is one of IPv4. Return: 0, or
 *  -EAFNOSUPPORT: other families, or two different ones */
int flow_key_init(const struct address *from, const struct address *to, struct flow_key *ret_key);
/** flow_key_addresses() - the reverse */
void flow_key_addresses(const struct flow_key *key, struct address *ret_from,
			struct address *ret_to);

/**
 * flow_table_insert() - a new entry
 *
 * Return: 0; -EEXIST if there is one: the addresses are in use, or in quarantine; -ENOSPC if the
 * map is full; another -errno of bpf(2).
 */
int flow_table_insert(const struct flow_table *table, const struct flow_key *key,
		      const struct sl_flow *flow);
/** flow_table_read() - a copy; fields that the hook is writing may be torn from each other. Return:
 *  0, -ENOENT, or another -errno */
int flow_table_read(const struct flow_table *table, const struct flow_key *key,
		    struct sl_flow *ret_flow);
/** flow_table_take() - read and delete: no packet is counted behind the copy. Return: likewise */
int flow_table_take(const struct flow_table *table, const struct flow_key *key,
		    struct sl_flow *ret_flow);
/** flow_table_delete() - Return: 0, -ENOENT, or another -errno */
int flow_table_delete(const struct flow_table *table, const struct flow_key *key);
/* Return: 0 to go on, or a negative value to stop with. */
typedef int flow_table_fn(const struct flow_key *key, const struct sl_flow *flow, void *arg);
/** flow_table_count() - begin @table->counts with what is there. Return: as map_walk() */
int flow_table_count(const struct flow_table *table);
/** flow_table_walk() - over all entries, IPv4 first. Return: as map_walk() */
int flow_table_walk(const struct flow_table *table, flow_table_fn *fn, void *arg);
