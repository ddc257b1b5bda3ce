/* SPDX-License-Identifier: Apache-2.0 */
#include "base/hash.h"

#include "base/random.h"

#include <endian.h>

#define FIRST_BUCKETS 8

/* ---- SipHash-2-4: names and constants as in the paper, section 2.1 --------------------------- */

struct sip {
	uint64_t v0, v1, v2, v3;
};

static inline uint64_t rotate_left(uint64_t x, unsigned int bits)
{
	return x << bits | x >> (64 - bits);
}

static inline uint64_t load_le64(const uint8_t *bytes)
{
	uint64_t value;

	memcpy(&value, bytes, sizeof(value));
	return le64toh(value);
}

static inline void sip_round(struct sip *s)
{
	s->v0 += s->v1;
	s->v1 = rotate_left(s->v1, 13) ^ s->v0;
	s->v0 = rotate_left(s->v0, 32);
	s->v2 += s->v3;
	s->v3 = rotate_left(s->v3, 16) ^ s->v2;
	s->v0 += s->v3;
	s->v3 = rotate_left(s->v3, 21) ^ s->v0;
	s->v2 += s->v1;
	s->v1 = rotate_left(s->v1, 17) ^ s->v2;
	s->v2 = rotate_left(s->v2, 32);
}

static inline struct sip sip_start(const struct hash_key *key)
{
	return (struct sip){
	    .v0 = key->k0 ^ 0x736f6d6570736575,
	    .v1 = key->k1 ^ 0x646f72616e646f6d,
	    .v2 = key->k0 ^ 0x6c7967656e657261,
	    .v3 = key->k1 ^ 0x7465646279746573,
	};
}

static inline void sip_word(struct sip *s, uint64_t word)
{
	s->v3 ^= word;
	sip_round(s);
	sip_round(s);
	s->v0 ^= word;
}

static inline uint64_t sip_finish(struct sip *s)
{
	s->v2 ^= 0xff;
	for (int i = 0; i < 4; i++)
		sip_round(s);
	return s->v0 ^ s->v1 ^ s->v2 ^ s->v3;
}

void hash_key_random(struct hash_key *ret_key)
{
	random_secure(ret_key, sizeof(*ret_key));
}

uint64_t hash_bytes(const struct hash_key *key, const void *data, size_t len)
{
	struct sip s = sip_start(key);
	const uint8_t *bytes = data;
	/* The last word: the bytes that fill no word, and the length modulo 256 on top. */
	uint64_t last = (uint64_t)len << 56;
	size_t whole = len & ~(size_t)7;

	for (size_t i = 0; i < whole; i += 8)
		sip_word(&s, load_le64(bytes + i));
	for (size_t i = whole; i < len; i++)
		last |= (uint64_t)bytes[i] << 8 * (i - whole);
	sip_word(&s, last);
	return sip_finish(&s);
}

uint64_t hash_u64(const struct hash_key *key, uint64_t value)
{
	struct sip s = sip_start(key);

	sip_word(&s, value);
	sip_word(&s, (uint64_t)sizeof(value) << 56);
	return sip_finish(&s);
}

/* ---- table ----------------------------------------------------------------------------------- */

void hash_table_init(struct hash_table *t)
{
	*t = (struct hash_table){0};
}

void hash_table_done(struct hash_table *t)
{
	free(t->buckets);
	hash_table_init(t);
}

static struct hash_node **bucket_of(const struct hash_table *t, uint64_t hash)
{
	return &t->buckets[hash & (t->n_buckets - 1)];
}

static void push(const struct hash_table *t, struct hash_node *node)
{
	struct hash_node **bucket = bucket_of(t, node->hash);

	node->next = *bucket;
	*bucket = node;
}

static int double_buckets(struct hash_table *t)
{
	struct hash_table bigger = {
	    .n_buckets = t->n_buckets ? 2 * t->n_buckets : FIRST_BUCKETS,
	    .n_nodes = t->n_nodes,
	};

	bigger.buckets = calloc(bigger.n_buckets, sizeof(struct hash_node *));
	if (!bigger.buckets)
		return -ENOMEM;
	for (size_t i = 0; i < t->n_buckets; i++) {
		struct hash_node *next;

		for (struct hash_node *node = t->buckets[i]; node; node = next) {
			next = node->next;
			push(&bigger, node);
		}
	}
	free(t->buckets);
	*t = bigger;
	return 0;
}

int hash_table_insert(struct hash_table *t, struct hash_node *node, uint64_t hash)
{
	if (t->n_nodes == t->n_buckets) {
		int error = double_buckets(t);

		if (error < 0)
			return error;
	}
	node->hash = hash;
	push(t, node);
	t->n_nodes++;
	return 0;
}

void hash_table_remove(struct hash_table *t, struct hash_node *node)
{
	struct hash_node **link = bucket_of(t, node->hash);

	while (*link != node) {
		assert(*link);
		link = &(*link)->next;
	}
	*link = node->next;
	node->next = NULL;
	t->n_nodes--;
}

static struct hash_node *find(struct hash_node *node, uint64_t hash)
{
	while (node && node->hash != hash)
		node = node->next;
	return node;
}

struct hash_node *hash_table_first(const struct hash_table *t, uint64_t hash)
{
	return t->n_buckets ? find(*bucket_of(t, hash), hash) : NULL;
}

struct hash_node *hash_table_next(const struct hash_node *node)
{
	return find(node->next, node->hash);
}
