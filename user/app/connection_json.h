/* SPDX-License-Identifier: Apache-2.0 */
/* A row of `show connections`: the daemon's, or the pinned maps' while there is none. */
#pragma once
#include "core/connection_info.h"

#include <jansson.h>

/** connection_json() - Return: a new object of the keys that sluicectl(1) lists; what is not known
 *  is null, or, of texts, "" */
json_t *connection_json(const struct connection_info *info);
