/* SPDX-License-Identifier: Apache-2.0 */
/* What the kernel tells about objects that are pinned. */
#pragma once
#include "base/std.h"

#include <bpf/bpf.h>

struct map_fill {
	uint64_t n_entries, n_matching;
};

/**
 * pinned_map_fill() - count the entries of a hash map, in batches
 * @matches: which are counted apart; NULL = none
 *
 * Entries that come or go meanwhile may be missed, or counted twice.
 * Return: 0, -EOPNOTSUPP if the map's type has no entries to count, or -errno
 */
int pinned_map_fill(int fd, bool (*matches)(const void *value, void *arg), void *arg,
		    struct map_fill *ret);
/**
 * pinned_find_map() - one that has no pin, through the programs pinned and hooked in @dir
 *
 * Return: 0, -ENOENT if none of them uses a map of that name, or -errno
 */
int pinned_find_map(const char *dir, const char *name, int *ret_fd);
/** pinned_is_program() - else it is a map or a link */
bool pinned_is_program(int fd);
bool pinned_is_map(int fd);
/** pinned_memory() - bytes that the kernel has charged for it; 0 if it does not tell */
uint64_t pinned_memory(int fd);
