/* SPDX-License-Identifier: Apache-2.0 */
#include "core/path_index.h"

#include "base/regex.h"

/* ---- order --------------------------------------------------------------------------------- */

static const char *host_of(const struct config_route *route)
{
	return route->host ? route->host : "";
}

static struct slice path_of(const struct config_route *route)
{
	if (route->path_regex)
		return regex_literal_prefix(route->path + 1);
	return slice_from_str(route->path ? route->path : "");
}

static bool is_prefix(const struct config_route *route)
{
	return !route->path || route->path_is_prefix || route->path_regex;
}

static int compare_slices(struct slice a, struct slice b)
{
	size_t len = MIN(a.len, b.len);
	int order = len ? memcmp(a.ptr, b.ptr, len) : 0;

	return order ? order : (a.len > b.len) - (a.len < b.len);
}

static int compare_keys(const struct config_route *a, const struct config_route *b)
{
	int order = strcmp(host_of(a), host_of(b));

	return order ? order : compare_slices(path_of(a), path_of(b));
}

static int compare_routes(const void *a, const void *b, void *routes)
{
	uint32_t i = *(const uint32_t *)a, j = *(const uint32_t *)b;
	const struct config_route *x = (const struct config_route *)routes + i;
	const struct config_route *y = (const struct config_route *)routes + j;
	int order = compare_keys(x, y);

	if (!order)
		order = (int)is_prefix(x) - (int)is_prefix(y);
	return order ? order : (i > j) - (i < j);
}

/* ---- building ------------------------------------------------------------------------------ */

static bool begins_with(const struct path_entry *entry, const struct path_entry *prefix)
{
	return strcmp(entry->host, prefix->host) == 0 && entry->path_len > prefix->path_len &&
	       memcmp(entry->path, prefix->path, prefix->path_len) == 0;
}

static uint32_t find_parent(const struct path_index *index, const struct path_entry *entry)
{
	uint32_t i = index->n_entries ? index->n_entries - 1 : PATH_INDEX_NONE;

	while (i != PATH_INDEX_NONE && !begins_with(entry, &index->entries[i]))
		i = index->entries[i].parent;
	return i;
}

/* The first route of a run with conditions, or without, or NONE. */
static uint32_t first_of(const struct path_index *index, uint32_t from, uint32_t end,
			 bool conditional)
{
	for (uint32_t i = from; i < end; i++) {
		uint32_t route = index->order[i];

		if (config_route_is_conditional(&index->config->routes[route]) == conditional)
			return route;
	}
	return PATH_INDEX_NONE;
}

/* Takes the routes from @from on that have the same key. Return: the first one that has not. */
static uint32_t add_entry(struct path_index *index, uint32_t from)
{
	const struct config_route *routes = index->config->routes;
	const struct config_route *first = &routes[index->order[from]];
	struct path_entry entry = {
	    .host = host_of(first),
	    .path = path_of(first).ptr,
	    .path_len = (uint32_t)path_of(first).len,
	    .exact = from,
	    .prefix = from,
	};
	const struct path_entry *parent;

	for (entry.end = from; entry.end < index->n_routes; entry.end++) {
		const struct config_route *route = &routes[index->order[entry.end]];

		if (compare_keys(first, route) != 0)
			break;
		if (!is_prefix(route))
			entry.prefix = entry.end + 1;
	}
	entry.parent = find_parent(index, &entry);
	parent = path_index_parent(index, &entry);
	entry.exact_plain = first_of(index, entry.exact, entry.prefix, false);
	entry.plain = first_of(index, entry.prefix, entry.end, false);
	entry.conditional = first_of(index, entry.prefix, entry.end, true);
	if (parent) {
		entry.plain = MIN(entry.plain, parent->plain);
		entry.conditional = MIN(entry.conditional, parent->conditional);
	}
	index->entries[index->n_entries++] = entry;
	return entry.end;
}

int path_index_init(struct path_index *index, const struct config *config)
{
	*index = (struct path_index){.config = config};
	index->order = calloc(MAX(config->n_routes, 1), sizeof(*index->order));
	index->entries = calloc(MAX(config->n_routes, 1), sizeof(*index->entries));
	if (!index->order || !index->entries) {
		path_index_done(index);
		return -ENOMEM;
	}
	for (uint32_t i = 0; i < config->n_routes; i++)
		index->order[index->n_routes++] = i;
	qsort_r(index->order, index->n_routes, sizeof(*index->order), compare_routes,
		config->routes);
	for (uint32_t i = 0; i < index->n_routes;)
		i = add_entry(index, i);
	return 0;
}

void path_index_done(struct path_index *index)
{
	free(index->entries);
	free(index->order);
	*index = (struct path_index){0};
}

/* ---- looking up ---------------------------------------------------------------------------- */

static int compare_with_entry(struct slice host, struct slice path, const struct path_entry *entry)
{
	int order = compare_slices(host, slice_from_str(entry->host));

	return order ? order : compare_slices(path, (struct slice){entry->path, entry->path_len});
}

static size_t common_len(struct slice path, const struct path_entry *entry)
{
	size_t len = 0, max = MIN(path.len, entry->path_len);

	while (len < max && path.ptr[len] == entry->path[len])
		len++;
	return len;
}

const struct path_entry *path_index_find(const struct path_index *index, struct slice host,
					 struct slice path)
{
	uint32_t low = 0, high = index->n_entries; /* the first that sorts behind is in between */
	const struct path_entry *entry;
	size_t common;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (compare_with_entry(host, path, &index->entries[middle]) < 0)
			high = middle;
		else
			low = middle + 1;
	}
	if (low == 0)
		return NULL;
	entry = &index->entries[low - 1];
	if (!slice_equal(host, slice_from_str(entry->host)))
		return NULL;
	common = common_len(path, entry);
	while (entry && entry->path_len > common)
		entry = path_index_parent(index, entry);
	return entry;
}
