/* SPDX-License-Identifier: Apache-2.0 */
/* All entries of a hash map, many in a system call. */
#pragma once
#include "base/std.h"

/* @key, @value: good until it returns. Return: 0 to go on, or a negative value to stop with. */
typedef int map_walk_fn(const void *key, const void *value, void *arg);

/**
 * map_walk() - call @fn for each entry; it may change the map
 * @key_size, @value_size: of the map
 *
 * Of entries that others insert or delete meanwhile, some may be missed or seen twice. Return: 0,
 * -ENOMEM, -errno of bpf(2), or what @fn stopped with.
 */
int map_walk(int fd, size_t key_size, size_t value_size, map_walk_fn *fn, void *arg);
