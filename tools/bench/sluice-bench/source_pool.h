/* SPDX-License-Identifier: Apache-2.0 */
/* Local addresses to connect from, used in turn: one address has only 64k ports per target. */
#pragma once
#include "base/address.h"

#define SOURCE_RANGES_MAX 64

struct source_range {
	struct address first; /* port 0 */
	uint64_t count;       /* addresses from first on */
};

struct source_pool {
	struct source_range ranges[SOURCE_RANGES_MAX];
	size_t n;
	uint64_t total; /* addresses in all ranges; 0 = let the kernel choose */
};

/**
 * source_pool_add() - "127.0.0.2,127.1.0.0/16,::1"
 *
 * Of an IPv4 network of /30 or larger the first and the last address (network and broadcast) are
 * left out. A range counts 2^32 addresses at most.
 * Return: 0, -EINVAL (form), -E2BIG (more than SOURCE_RANGES_MAX entries).
 */
int source_pool_add(struct source_pool *pool, const char *text);
/** source_pool_at() - address number @index modulo the total; the pool must not be empty */
void source_pool_at(const struct source_pool *pool, uint64_t index, struct address *ret_address);
/** source_pool_has_family() - whether every address is of @family */
bool source_pool_has_family(const struct source_pool *pool, sa_family_t family);
