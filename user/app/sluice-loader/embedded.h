/* SPDX-License-Identifier: Apache-2.0 */
/* What of the kernel programs depends on which ones there are: names, sizes, the ABI. */
#pragma once
#include "base/std.h"

#define EMBEDDED_HOOK_PROGRAM "sl_splice" /* to be attached to interfaces */

struct embedded {
	const char *name;
	const void *(*bytes)(size_t *ret_size); /* an ELF object, borrowed */
};

extern const struct embedded embedded[];
extern const size_t n_embedded;

/** embedded_map_entries() - for so many connections; 0 = the program's own number is right */
uint32_t embedded_map_entries(const char *map, uint32_t n_flows);

/** embedded_abi_version() - of this binary */
uint32_t embedded_abi_version(void);
/** embedded_abi_write() - into the map `abi` */
int embedded_abi_write(int map_fd);
/** embedded_abi_read() - Return: 0, -EBADMSG if that is no such map, or -errno */
int embedded_abi_read(int map_fd, uint32_t *ret_version);

/** embedded_is_flow_map() - one whose entries are directions of connections */
bool embedded_is_flow_map(const char *map);
/** embedded_is_spliced() - the kernel alone carries the connection that @flow is a direction of */
bool embedded_is_spliced(const void *flow);
