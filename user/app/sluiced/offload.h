/* SPDX-License-Identifier: Apache-2.0 */
/* Which paths this build and machine offer to bytes, and why not the others. */
#pragma once
#include "base/std.h"
#include "sluice/path.h"

struct offload_path {
	enum sluice_path path;
	enum sluice_reason reason; /* why it cannot be had; NONE = it can */
};

#define OFFLOAD_PATHS 4

/* The cheapest last. */
extern const struct offload_path offload_paths[OFFLOAD_PATHS];
