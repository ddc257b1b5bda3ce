/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What names_id() has said, for one thread: a connection that is handed to the kernel then costs no
 * look at the map. A name never gets another number while the pins live, so nothing in here grows
 * stale, whatever becomes of the configuration. It holds at most what the map does.
 */
#pragma once
#include "base/hash.h"
#include "base/std.h"
#include "sluice/abi.h"

struct kern_ids;

struct name_cache {
	int names_fd;         /* borrowed */
	struct kern_ids *ids; /* likewise */
	struct hash_key hash_key;
	struct hash_table known;
};

void name_cache_init(struct name_cache *cache, int names_fd, struct kern_ids *ids);
void name_cache_done(struct name_cache *cache);
/** name_cache_id() - Return: 0, -ENOMEM, or as names_id() */
int name_cache_id(struct name_cache *cache, enum sl_name_kind kind, const char *text,
		  uint32_t *ret_id);
