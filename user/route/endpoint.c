/* SPDX-License-Identifier: Apache-2.0 */
#include "route/endpoint.h"

#include <stdio.h>

int endpoint_new(const struct config_cluster *cluster, const struct config_endpoint *config,
		 struct endpoint **ret_endpoint)
{
	struct endpoint *e = aligned_alloc(CACHE_LINE, sizeof(*e));

	if (!e)
		return -ENOMEM;
	memset(e, 0, sizeof(*e));
	atomic_init(&e->refs, 1);
	snprintf(e->cluster, sizeof(e->cluster), "%s", cluster->name);
	snprintf(e->name, sizeof(e->name), "%s", config->name);
	e->address = config->address;
	*ret_endpoint = e;
	return 0;
}

bool endpoint_is(const struct endpoint *endpoint, const struct config_cluster *cluster,
		 const struct config_endpoint *config)
{
	return strcmp(endpoint->cluster, cluster->name) == 0 &&
	       strcmp(endpoint->name, config->name) == 0 &&
	       endpoint->address.len == config->address.len &&
	       memcmp(&endpoint->address.sa, &config->address.sa, config->address.len) == 0;
}

struct endpoint *endpoint_ref(struct endpoint *endpoint)
{
	atomic_fetch_add_explicit(&endpoint->refs, 1, memory_order_relaxed);
	return endpoint;
}

void endpoint_unref(struct endpoint *endpoint)
{
	if (endpoint && atomic_fetch_sub_explicit(&endpoint->refs, 1, memory_order_acq_rel) == 1)
		free(endpoint);
}
