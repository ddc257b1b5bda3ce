/* SPDX-License-Identifier: Apache-2.0 */
/* cmocka's assertions, for slices. */
#pragma once
#include "base/std.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static inline void assert_slice(struct slice s, const char *want)
{
	if (!slice_equal(s, slice_from_str(want)))
		fail_msg("\"%.*s\" instead of \"%s\"", SLICE_ARG(s), want);
}
