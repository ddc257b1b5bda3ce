/* SPDX-License-Identifier: Apache-2.0 */
#include "core/class_stats.h"

#include <pthread.h>
#include <stdio.h>

/* As many as configurations have classes, those before included: a list will do. */
static struct {
	pthread_mutex_t lock;
	struct list all;
} registry = {
    .lock = PTHREAD_MUTEX_INITIALIZER,
    .all = {&registry.all, &registry.all},
};

static struct class_stats *find(const char *name)
{
	list_for_each_safe (node, &registry.all) {
		struct class_stats *stats = container_of(node, struct class_stats, node);

		if (strcmp(stats->name, name) == 0)
			return stats;
	}
	return NULL;
}

static struct class_stats *find_or_make(const char *name)
{
	struct class_stats *stats = find(name);

	if (stats)
		return stats;
	stats = calloc(1, sizeof(*stats));
	if (!stats)
		return NULL;
	snprintf(stats->name, sizeof(stats->name), "%s", name);
	list_append(&registry.all, &stats->node);
	return stats;
}

struct class_stats *class_stats_get(const char *name)
{
	struct class_stats *stats;

	(void)pthread_mutex_lock(&registry.lock);
	stats = find_or_make(name);
	if (stats)
		stats->n_refs++;
	(void)pthread_mutex_unlock(&registry.lock);
	return stats;
}

void class_stats_unref(struct class_stats *stats)
{
	if (!stats)
		return;
	(void)pthread_mutex_lock(&registry.lock);
	if (--stats->n_refs == 0) {
		list_remove(&stats->node);
		free(stats);
	}
	(void)pthread_mutex_unlock(&registry.lock);
}

void class_stats_each(class_stats_fn *fn, void *arg)
{
	(void)pthread_mutex_lock(&registry.lock);
	list_for_each_safe (node, &registry.all)
		fn(container_of(node, struct class_stats, node), arg);
	(void)pthread_mutex_unlock(&registry.lock);
}
