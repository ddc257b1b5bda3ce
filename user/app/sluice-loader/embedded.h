/* SPDX-License-Identifier: Apache-2.0 */
/* The kernel programs in this binary, and what a loader has to know of their maps. */
#pragma once
#include "base/std.h"

#define EMBEDDED_MAX 8

struct embedded {
	const char *name;
	const void *(*bytes)(size_t *ret_size); /* an ELF object, borrowed */
};

extern const struct embedded embedded[];
extern const size_t n_embedded;

/* What the operator chooses. */
struct map_sizes {
	uint32_t n_flows;      /* spliced connections that fit */
	uint32_t events_bytes; /* of the ring buffer: a power of 2, whole pages */
};

/** embedded_map_entries() - Return: max_entries of @map; 0 = as compiled */
uint32_t embedded_map_entries(const char *map, const struct map_sizes *sizes);
/** embedded_is_state() - what it holds cannot be had again: connections, ids, names */
bool embedded_is_state(const char *map);
/** embedded_is_flows() - its values are struct sl_flow */
bool embedded_is_flows(const char *map);
/** embedded_is_spliced() - only the kernel can carry the connection that this flow is of */
bool embedded_is_spliced(const void *flow);
/** embedded_flow_oif() - the interface that its packets leave by */
uint32_t embedded_flow_oif(const void *flow);
/** embedded_flow_conn() - id of its connection */
uint64_t embedded_flow_conn(const void *flow);

/** embedded_write_abi() - ours, into the map SL_MAP_ABI */
int embedded_write_abi(int map_fd);
/** embedded_read_abi() - Return: 0, -EBADMSG if that is no such map, or -errno */
int embedded_read_abi(int map_fd, uint32_t *ret_version);
/** embedded_write_ids() - those of a new set: none has been handed out */
int embedded_write_ids(int map_fd);
