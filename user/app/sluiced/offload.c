/* SPDX-License-Identifier: Apache-2.0 */
#include "app/sluiced/offload.h"

#include "app/sluiced/gateway.h"

void offload_list(const struct gateway *g, struct offload_path ret_paths[OFFLOAD_PATHS])
{
	const struct splice *splice = &g->splice;
	const struct offload_path paths[OFFLOAD_PATHS] = {
	    {SLUICE_PATH_LOCAL, SLUICE_REASON_NONE, ""},
	    {SLUICE_PATH_RELAY, SLUICE_REASON_NONE, ""},
	    /* This build has no programs for it. */
	    {SLUICE_PATH_SOCKMAP, SLUICE_REASON_NOT_LOADED, ""},
	    {SLUICE_PATH_SPLICE, splice_refuses(splice), splice->why},
	};

	memcpy(ret_paths, paths, sizeof(paths));
}
