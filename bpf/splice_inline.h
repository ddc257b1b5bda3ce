/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once
#include <linux/types.h>

/* Linux 6.1 counts at least 32 of 512 bytes of stack for each function that is really called. */
#define SL_INLINE static inline __attribute__((always_inline))

/* Words of a header that is written by its fields as well. */
typedef __be32 __attribute__((may_alias)) sl_be32;
