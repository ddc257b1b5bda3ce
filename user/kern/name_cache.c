/* SPDX-License-Identifier: Apache-2.0 */
#include "kern/name_cache.h"

#include "kern/names.h"

struct known_name {
	struct hash_node node;
	uint32_t id;
	struct sl_name name;
};

static struct known_name *find(const struct name_cache *cache, const struct sl_name *name,
			       uint64_t hash)
{
	for (struct hash_node *node = hash_table_first(&cache->known, hash); node;
	     node = hash_table_next(node)) {
		struct known_name *known = container_of(node, struct known_name, node);

		if (known->name.kind == name->kind && strcmp(known->name.text, name->text) == 0)
			return known;
	}
	return NULL;
}

void name_cache_init(struct name_cache *cache, int names_fd, struct kern_ids *ids)
{
	*cache = (struct name_cache){.names_fd = names_fd, .ids = ids};
	hash_key_random(&cache->hash_key);
	hash_table_init(&cache->known);
}

void name_cache_done(struct name_cache *cache)
{
	for (size_t i = 0; i < cache->known.n_buckets; i++) {
		struct hash_node *node = cache->known.buckets[i];

		while (node) {
			struct known_name *known = container_of(node, struct known_name, node);

			node = node->next;
			free(known);
		}
	}
	hash_table_done(&cache->known);
}

int name_cache_id(struct name_cache *cache, enum sl_name_kind kind, const char *text,
		  uint32_t *ret_id)
{
	_cleanup_free_ struct known_name *fresh = NULL;
	struct sl_name name = {.kind = kind};
	size_t len = strlen(text);
	struct known_name *known;
	uint64_t hash;
	int error;

	if (len > SL_NAME_MAX)
		return -ENAMETOOLONG;
	memcpy(name.text, text, len);
	hash = hash_bytes(&cache->hash_key, &name, offsetof(struct sl_name, text) + len);
	known = find(cache, &name, hash);
	if (known) {
		*ret_id = known->id;
		return 0;
	}
	fresh = calloc(1, sizeof(*fresh));
	if (!fresh)
		return -ENOMEM;
	fresh->name = name;
	error = names_id(cache->names_fd, cache->ids, kind, text, &fresh->id);
	if (error == 0)
		error = hash_table_insert(&cache->known, &fresh->node, hash);
	if (error < 0)
		return error;
	*ret_id = TAKE_PTR(fresh)->id;
	return 0;
}
