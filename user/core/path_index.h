/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The hosts and paths of all routes, sorted, so that those that a request's path begins with are
 * found without looking at the others.
 *
 * Each host and path that any route gives is one entry, whatever the number of its routes. "No
 * host" and "no path" are "" here, and "no path" is a prefix. Entries are sorted by host and then
 * by the bytes of the path, which puts whatever begins with P into one run directly behind P. So
 * every entry of a host has a parent: the longest other path there that its own begins with. It
 * is the nearest one in front of it whose path fits, and a stack finds them all in one pass:
 *
 *	/          <--- /a <--- /a/b <--- /a/b/c
 *	           <--- /az
 *
 * Let G be the last entry that does not sort behind a path Q. Whatever Q begins with sorts between
 * its own place and Q, and all that stands there begins with it, G too: so all entries that Q
 * begins with are among G and its ancestors. Of these, an entry is one of them if it is no longer
 * than what G and Q have in common; from the first such one on, all are.
 *
 * A look-up is therefore a binary search and a walk up, which compares lengths only. What decides
 * in most cases is kept with each entry for itself and all its ancestors together: the first route
 * that takes any request that has come so far, and the first one that may.
 *
 * A route whose path is a regular expression stands under what all that it matches begins with
 * (regex_literal_prefix()), be it nothing; the expression is one more condition.
 */
#pragma once
#include "base/std.h"
#include "core/config.h"

#define PATH_INDEX_NONE UINT32_MAX /* no route, no entry; behind all others */

struct path_entry {
	const char *host;  /* lower case; "" = any */
	const char *path;  /* path_len bytes; borrowed from the configuration, both */
	uint32_t path_len; /* bytes */
	uint32_t parent;   /* an entry, or PATH_INDEX_NONE */
	/* Runs in order[]: routes for exactly this path, and routes for what begins with it. */
	uint32_t exact, prefix, end;
	uint32_t exact_plain; /* the first route for exactly this path without further conditions */
	/* Of the routes for a prefix, here and in all ancestors: */
	uint32_t plain;       /* the first one without further conditions */
	uint32_t conditional; /* the first one with any */
};

struct path_index {
	const struct config *config; /* borrowed */
	struct path_entry *entries;
	uint32_t *order; /* numbers of routes; in each run in the order of the file */
	uint32_t n_entries, n_routes;
};

/** path_index_init() - Return: 0, or -ENOMEM and nothing to free */
int path_index_init(struct path_index *index, const struct config *config);
void path_index_done(struct path_index *index);

/**
 * path_index_find() - the longest path of @host's that @path begins with, or all of it
 * @host: lower case; empty for the routes of any host
 *
 * The rest are its ancestors. Return: an entry, or NULL if there is none.
 */
const struct path_entry *path_index_find(const struct path_index *index, struct slice host,
					 struct slice path);

/** path_index_parent() - or NULL */
static inline const struct path_entry *path_index_parent(const struct path_index *index,
							 const struct path_entry *entry)
{
	return entry->parent == PATH_INDEX_NONE ? NULL : &index->entries[entry->parent];
}
