/* SPDX-License-Identifier: Apache-2.0 */
#include "app/sluice-loader/embedded.h"

/* Until there are programs, `load` says that it has none. */
const struct embedded embedded[] = {{NULL, NULL}};
const size_t n_embedded = 0;

uint32_t embedded_map_entries(const char *map, uint32_t n_flows)
{
	return 0;
}

uint32_t embedded_abi_version(void)
{
	return 0;
}

int embedded_abi_write(int map_fd)
{
	return -ENOENT;
}

int embedded_abi_read(int map_fd, uint32_t *ret_version)
{
	return -EBADMSG;
}

bool embedded_is_flow_map(const char *map)
{
	return false;
}

bool embedded_is_spliced(const void *flow)
{
	return false;
}
