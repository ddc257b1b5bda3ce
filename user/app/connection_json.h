/* SPDX-License-Identifier: Apache-2.0 */
/* A row of `show connections`: the daemon's, or the pinned maps' while there is none. */
#pragma once
#include "core/connection.h"

#include <jansson.h>

/** connection_json() - Return: a new object; its worker is null where there is none
 *  (CONNECTION_INFO_NO_WORKER) */
json_t *connection_json(const struct connection_info *info);
