/* SPDX-License-Identifier: Apache-2.0 */
/* Where a client connects to, and what its upgrade request names. */
#pragma once
#include "base/address.h"

#define TARGET_HOST_MAX 300 /* a DNS name, or an address, with its port */
#define TARGET_PATH_MAX 2048

struct target {
	struct address address;
	char host[TARGET_HOST_MAX + 1]; /* Host header */
	char path[TARGET_PATH_MAX + 1]; /* request target, with its query */
};

/**
 * target_parse() - "ws://HOST[:PORT][/PATH]" or "unix:/path" (then Host is localhost and the
 * target "/")
 * @ret_error: what is wrong, static text; written on failure
 *
 * Resolves names, which may block. Return: 0, or -EINVAL.
 */
int target_parse(const char *text, struct target *ret_target, const char **ret_error);
