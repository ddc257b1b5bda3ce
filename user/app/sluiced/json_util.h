/* SPDX-License-Identifier: Apache-2.0 */
/* Small helpers for building answers. */
#pragma once
#include "base/std.h"

#include <jansson.h>

static inline json_t *json_u64(uint64_t value)
{
	return json_integer((json_int_t)value);
}
