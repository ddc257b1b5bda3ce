/* SPDX-License-Identifier: Apache-2.0 */
/* Which paths this build and machine offer to bytes, and why not the others. */
#pragma once
#include "base/std.h"
#include "sluice/path.h"

struct gateway;

struct offload_path {
	enum sluice_path path;
	enum sluice_reason reason; /* why it cannot be had; NONE = it can */
	const char *detail;        /* the same for people, borrowed from the gateway; "" = none */
};

#define OFFLOAD_PATHS 4

/** offload_list() - the cheapest last */
void offload_list(const struct gateway *g, struct offload_path ret_paths[OFFLOAD_PATHS]);
