/* SPDX-License-Identifier: Apache-2.0 */
#include "app/sluiced/offload.h"

/* A cheaper path than the relay needs programs in the kernel, of which this build has none. */
const struct offload_path offload_paths[OFFLOAD_PATHS] = {
    {SLUICE_PATH_LOCAL, SLUICE_REASON_NONE},
    {SLUICE_PATH_RELAY, SLUICE_REASON_NONE},
    {SLUICE_PATH_SOCKMAP, SLUICE_REASON_NOT_LOADED},
    {SLUICE_PATH_SPLICE, SLUICE_REASON_NOT_LOADED},
};
