/* SPDX-License-Identifier: Apache-2.0 */
/* All that the daemon knows of packet splice, for `show offload`. */
#pragma once
#include "base/std.h"

#include <jansson.h>

struct gateway;
struct stats;

/** offload_splice_json() - a new reference: an object; of one that is not open what it has refused
 */
json_t *offload_splice_json(const struct gateway *g, const struct stats *stats);
