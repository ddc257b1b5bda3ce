/* SPDX-License-Identifier: Apache-2.0 */
#include "base/hash.h"

#include "base/random.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

/* ---- SipHash-2-4 ------------------------------------------------------------------------------
 */

/*
 * The authors' test vectors: the key is the bytes 00 to 0f, the input of entry i the bytes 00 to
 * i - 1. Entry 15 is the worked example of the paper's appendix A. Here as numbers; the paper and
 * the reference code print the bytes from the lowest on.
 */
static const uint64_t vectors[64] = {
    0x726fdb47dd0e0e31, 0x74f839c593dc67fd, 0x0d6c8009d9a94f5a, 0x85676696d7fb7e2d,
    0xcf2794e0277187b7, 0x18765564cd99a68d, 0xcbc9466e58fee3ce, 0xab0200f58b01d137,
    0x93f5f5799a932462, 0x9e0082df0ba9e4b0, 0x7a5dbbc594ddb9f3, 0xf4b32f46226bada7,
    0x751e8fbc860ee5fb, 0x14ea5627c0843d90, 0xf723ca908e7af2ee, 0xa129ca6149be45e5,
    0x3f2acc7f57c29bdb, 0x699ae9f52cbe4794, 0x4bc1b3f0968dd39c, 0xbb6dc91da77961bd,
    0xbed65cf21aa2ee98, 0xd0f2cbb02e3b67c7, 0x93536795e3a33e88, 0xa80c038ccd5ccec8,
    0xb8ad50c6f649af94, 0xbce192de8a85b8ea, 0x17d835b85bbb15f3, 0x2f2e6163076bcfad,
    0xde4daaaca71dc9a5, 0xa6a2506687956571, 0xad87a3535c49ef28, 0x32d892fad841c342,
    0x7127512f72f27cce, 0xa7f32346f95978e3, 0x12e0b01abb051238, 0x15e034d40fa197ae,
    0x314dffbe0815a3b4, 0x027990f029623981, 0xcadcd4e59ef40c4d, 0x9abfd8766a33735c,
    0x0e3ea96b5304a7d0, 0xad0c42d6fc585992, 0x187306c89bc215a9, 0xd4a60abcf3792b95,
    0xf935451de4f21df2, 0xa9538f0419755787, 0xdb9acddff56ca510, 0xd06c98cd5c0975eb,
    0xe612a3cb9ecba951, 0xc766e62cfcadaf96, 0xee64435a9752fe72, 0xa192d576b245165a,
    0x0a8787bf8ecb74b2, 0x81b3e73d20b49b6f, 0x7fa8220ba3b2ecea, 0x245731c13ca42499,
    0xb78dbfaf3a8d83bd, 0xea1ad565322a1a0b, 0x60e61c23a3795013, 0x6606d7e446282b93,
    0x6ca4ecb15c5f91e1, 0x9f626da15c9625f3, 0xe51b38608ef25f57, 0x958a324ceb064572,
};

static const struct hash_key vector_key = {0x0706050403020100, 0x0f0e0d0c0b0a0908};

static void bytes__gives_the_official_vectors(void **state)
{
	uint8_t input[ARRAY_SIZE(vectors)];

	for (size_t len = 0; len < ARRAY_SIZE(vectors); len++) {
		/* At every alignment, and without a byte to spare behind. */
		for (size_t shift = 0; shift < 8; shift++) {
			_cleanup_free_ uint8_t *copy = malloc(shift + len + (shift + len == 0));

			assert_non_null(copy);
			for (size_t i = 0; i < len; i++)
				copy[shift + i] = (uint8_t)i;
			assert_true(hash_bytes(&vector_key, copy + shift, len) == vectors[len]);
		}
		input[len] = (uint8_t)len;
	}
	assert_true(hash_bytes(&vector_key, input, 15) == 0xa129ca6149be45e5);
}

static void u64__is_the_hash_of_its_little_endian_bytes(void **state)
{
	struct random_fast random;

	assert_true(hash_u64(&vector_key, 0x0706050403020100) == vectors[8]);
	random_fast_seed(&random, 1);
	for (int i = 0; i < 1000; i++) {
		struct hash_key key = {random_fast_next(&random), random_fast_next(&random)};
		uint64_t value = random_fast_next(&random);
		uint8_t bytes[8];

		for (size_t b = 0; b < 8; b++)
			bytes[b] = (uint8_t)(value >> 8 * b);
		assert_true(hash_u64(&key, value) == hash_bytes(&key, bytes, 8));
	}
}

/* The length is hashed modulo 256 only; the words before it tell longer inputs apart. */
static void bytes__depends_on_every_byte_and_the_length(void **state)
{
	uint8_t input[600] = {0};
	uint64_t of_zeros[ARRAY_SIZE(input) + 1];

	for (size_t len = 0; len <= sizeof(input); len++) {
		of_zeros[len] = hash_bytes(&vector_key, input, len);
		for (size_t shorter = 0; shorter < len; shorter++)
			assert_true(of_zeros[shorter] != of_zeros[len]);
	}
	for (size_t i = 0; i < sizeof(input); i++) {
		input[i] = 1;
		assert_true(hash_bytes(&vector_key, input, sizeof(input)) !=
			    of_zeros[sizeof(input)]);
		input[i] = 0;
	}
}

static void key_random__differs_each_time(void **state)
{
	struct hash_key a = {0}, b = {0};

	hash_key_random(&a);
	hash_key_random(&b);
	assert_true(a.k0 != b.k0 && a.k1 != b.k1 && a.k0 != a.k1);
	assert_true(hash_u64(&a, 1) != hash_u64(&b, 1));
}

/* ---- table ------------------------------------------------------------------------------------
 */

struct item {
	struct hash_node node;
	uint64_t key;
	bool is_in;
};

static struct item *find(const struct hash_table *t, uint64_t hash, uint64_t key)
{
	for (struct hash_node *node = hash_table_first(t, hash); node;
	     node = hash_table_next(node)) {
		struct item *item = container_of(node, struct item, node);

		assert_true(node->hash == hash);
		if (item->key == key)
			return item;
	}
	return NULL;
}

static size_t count(const struct hash_table *t, uint64_t hash)
{
	size_t n = 0;

	for (struct hash_node *node = hash_table_first(t, hash); node; node = hash_table_next(node))
		n++;
	return n;
}

static void table__is_empty_at_first_and_holds_no_memory(void **state)
{
	struct hash_table t;

	hash_table_init(&t);
	assert_null(t.buckets);
	assert_int_equal(t.n_nodes, 0);
	assert_null(hash_table_first(&t, 0));
	assert_null(hash_table_first(&t, UINT64_MAX));
	hash_table_done(&t);
	hash_table_done(&t);
}

static void table__finds_what_was_inserted_and_nothing_else(void **state)
{
	enum {
		N = 10000
	};
	struct hash_table t;
	struct item *items = calloc(N, sizeof(*items));

	assert_non_null(items);
	hash_table_init(&t);
	for (uint64_t key = 0; key < N; key++) {
		items[key].key = key;
		assert_int_equal(hash_table_insert(&t, &items[key].node,
						   hash_u64(&vector_key, key)),
				 0);
		assert_int_equal(t.n_nodes, key + 1);
	}
	for (uint64_t key = 0; key < N; key++)
		assert_ptr_equal(find(&t, hash_u64(&vector_key, key), key), &items[key]);
	for (uint64_t key = N; key < 2 * N; key++)
		assert_null(find(&t, hash_u64(&vector_key, key), key));
	hash_table_done(&t);
	assert_null(hash_table_first(&t, items[0].node.hash));
	free(items);
}

static void table__doubles_at_load_factor_one(void **state)
{
	struct item items[1000] = {0};
	struct hash_table t;
	size_t n_buckets = 0;
	int n_doublings = 0;

	hash_table_init(&t);
	for (size_t i = 0; i < ARRAY_SIZE(items); i++) {
		bool is_full = t.n_nodes == t.n_buckets;

		assert_int_equal(hash_table_insert(&t, &items[i].node, i), 0);
		assert_true(t.n_nodes <= t.n_buckets);
		assert_int_equal(t.n_buckets & (t.n_buckets - 1), 0);
		assert_int_equal(t.n_buckets != n_buckets, is_full);
		if (n_buckets > 0 && is_full) {
			assert_int_equal(t.n_buckets, 2 * n_buckets);
			n_doublings++;
		}
		n_buckets = t.n_buckets;
	}
	assert_int_equal(n_doublings, 7); /* 8 to 1024 */
	hash_table_done(&t);
}

static void table__keeps_apart_what_collides(void **state)
{
	/* One hash for all of the first half; in the second only the buckets collide. */
	struct item items[64] = {0};
	struct hash_table t;

	hash_table_init(&t);
	for (uint64_t i = 0; i < 64; i++) {
		items[i].key = i;
		assert_int_equal(hash_table_insert(&t, &items[i].node, i < 32 ? 5 : i << 32 | 5),
				 0);
	}
	assert_int_equal(count(&t, 5), 32);
	for (uint64_t i = 0; i < 64; i++) {
		assert_ptr_equal(find(&t, items[i].node.hash, i), &items[i]);
		if (i >= 32)
			assert_int_equal(count(&t, items[i].node.hash), 1);
	}
	/* From the middle, the ends, and all the rest. */
	for (uint64_t i = 0; i < 64; i++) {
		struct item *item = &items[(i * 37 + 11) % 64];

		hash_table_remove(&t, &item->node);
		assert_null(find(&t, item->node.hash, item->key));
		assert_int_equal(t.n_nodes, 63 - i);
	}
	assert_int_equal(count(&t, 5), 0);
	hash_table_done(&t);
}

/* Against a plain array, with hashes so narrow that most of them are equal. */
static void table__behaves_as_a_set(void **state)
{
	struct item items[300] = {0};
	struct random_fast random;
	struct hash_table t;
	size_t n_in = 0;

	random_fast_seed(&random, 1);
	hash_table_init(&t);
	for (int step = 0; step < 100000; step++) {
		struct item *item = &items[random_fast_below(&random, ARRAY_SIZE(items))];
		uint64_t hash;

		item->key = (uint64_t)(item - items);
		hash = item->key % 50 * 64;
		assert_ptr_equal(find(&t, hash, item->key), item->is_in ? item : NULL);
		if (item->is_in)
			hash_table_remove(&t, &item->node);
		else
			assert_int_equal(hash_table_insert(&t, &item->node, hash), 0);
		item->is_in = !item->is_in;
		n_in += item->is_in ? 1 : (size_t)-1;
		assert_int_equal(t.n_nodes, n_in);
	}
	hash_table_done(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(bytes__gives_the_official_vectors),
	    cmocka_unit_test(u64__is_the_hash_of_its_little_endian_bytes),
	    cmocka_unit_test(bytes__depends_on_every_byte_and_the_length),
	    cmocka_unit_test(key_random__differs_each_time),
	    cmocka_unit_test(table__is_empty_at_first_and_holds_no_memory),
	    cmocka_unit_test(table__finds_what_was_inserted_and_nothing_else),
	    cmocka_unit_test(table__doubles_at_load_factor_one),
	    cmocka_unit_test(table__keeps_apart_what_collides),
	    cmocka_unit_test(table__behaves_as_a_set),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
