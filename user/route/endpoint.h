/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is known of an endpoint while the daemon runs. It belongs to no one configuration: after a
 * reload, the endpoint of the same name, cluster and address is the same object. Any thread may
 * use it.
 */
#pragma once
#include "base/address.h"
#include "base/std.h"
#include "core/config.h"

#include <stdatomic.h>

struct endpoint {
	atomic_uint refs;
	char cluster[CONFIG_NAME_MAX + 1], name[CONFIG_NAME_MAX + 1];
	struct address address;
	_Alignas(
	    CACHE_LINE) _Atomic uint64_t n_active; /* connections on it or on their way to it */
	_Atomic uint64_t n_chosen, n_failed;       /* since the start */
};

/** endpoint_new() - Return: 0 with one reference, or -ENOMEM */
int endpoint_new(const struct config_cluster *cluster, const struct config_endpoint *config,
		 struct endpoint **ret_endpoint);
/** endpoint_is() - whether this is what @config in @cluster means */
bool endpoint_is(const struct endpoint *endpoint, const struct config_cluster *cluster,
		 const struct config_endpoint *config);
struct endpoint *endpoint_ref(struct endpoint *endpoint);
/** endpoint_unref() - NULL is fine */
void endpoint_unref(struct endpoint *endpoint);
