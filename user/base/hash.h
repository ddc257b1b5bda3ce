/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keyed hashing for anything that a remote peer may choose (SipHash-2-4, Aumasson and Bernstein
 * 2012), and an intrusive chained hash table. The table owns only its bucket array.
 */
#pragma once
#include "base/std.h"

struct hash_key {
	uint64_t k0, k1;
};

/** hash_key_random() - fill from getrandom(2); aborts if the kernel has no randomness */
void hash_key_random(struct hash_key *ret_key);
/** hash_bytes() - SipHash-2-4 of @len bytes */
uint64_t hash_bytes(const struct hash_key *key, const void *data, size_t len);
/** hash_u64() - SipHash-2-4 of the 8 bytes of @value in little-endian order */
uint64_t hash_u64(const struct hash_key *key, uint64_t value);

struct hash_node {
	struct hash_node *next;
	uint64_t hash;
};

struct hash_table {
	struct hash_node **buckets; /* owned, 2^n of them; NULL until the first insert */
	size_t n_buckets, n_nodes;
};

void hash_table_init(struct hash_table *t);
/** hash_table_done() - free the bucket array; the nodes are their owners' */
void hash_table_done(struct hash_table *t);
/**
 * hash_table_insert() - add @node under @hash; the caller has made sure that its key is new
 *
 * Return: 0, or -ENOMEM with the table unchanged. Doubles at load factor 1 (amortised O(1)).
 */
int hash_table_insert(struct hash_table *t, struct hash_node *node, uint64_t hash);
/** hash_table_remove() - unlink @node, which must be in the table */
void hash_table_remove(struct hash_table *t, struct hash_node *node);
/** hash_table_first() - first node with exactly @hash, or NULL; compare keys, then _next() */
struct hash_node *hash_table_first(const struct hash_table *t, uint64_t hash);
struct hash_node *hash_table_next(const struct hash_node *node);
