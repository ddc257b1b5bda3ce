/* SPDX-License-Identifier: Apache-2.0 */
/* Maps of the ABI's layouts, made by the test itself, which is skipped where it may not. */
#pragma once
#include "sluice/conn.h"
#include "sluice/event.h"
#include "sluice/policy.h"
#include "sluice/splice_stats.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

struct map_shape {
	const char *name;
	enum bpf_map_type type;
	uint32_t key_size, value_size, flags;
};

static const struct map_shape map_shapes[] = {
    {SL_MAP_ABI, BPF_MAP_TYPE_ARRAY, 4, sizeof(struct sl_abi), 0},
    {SL_MAP_IDS, BPF_MAP_TYPE_ARRAY, 4, sizeof(struct sl_ids), BPF_F_MMAPABLE},
    {SL_MAP_NAMES, BPF_MAP_TYPE_HASH, sizeof(struct sl_name), 4, 0},
    {SL_MAP_FLOWS4, BPF_MAP_TYPE_HASH, sizeof(struct sl_key4), sizeof(struct sl_flow), 0},
    {SL_MAP_FLOWS6, BPF_MAP_TYPE_HASH, sizeof(struct sl_key6), sizeof(struct sl_flow), 0},
    {SL_MAP_CONNS, BPF_MAP_TYPE_HASH, 8, sizeof(struct sl_conn), 0},
    {SL_MAP_EVENTS, BPF_MAP_TYPE_RINGBUF, 0, 0, 0},
    {SL_MAP_STATS, BPF_MAP_TYPE_PERCPU_ARRAY, 4, 8, 0},
    {SL_MAP_POLICIES, BPF_MAP_TYPE_ARRAY, 4, sizeof(struct sl_policy), 0},
    {SL_MAP_HOOKED, BPF_MAP_TYPE_HASH, 4, sizeof(struct sl_hooked), 0},
};

/** map_create() - one called @name, for @n_entries. Return: a descriptor */
static inline int map_create(const char *name, uint32_t n_entries)
{
	for (size_t i = 0; i < sizeof(map_shapes) / sizeof(map_shapes[0]); i++) {
		const struct map_shape *shape = &map_shapes[i];
		LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = shape->flags);
		int fd;

		if (strcmp(shape->name, name) != 0)
			continue;
		fd = bpf_map_create(shape->type, name, shape->key_size, shape->value_size,
				    n_entries, &opts);
		if (fd == -EPERM) {
			printf("skipped: a map: %s (it needs CAP_BPF)\n", strerror(-fd));
			skip();
		}
		assert_true(fd >= 0);
		return fd;
	}
	fail_msg("no map is called %s", name);
	return -1;
}
