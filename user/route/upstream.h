/* SPDX-License-Identifier: Apache-2.0 */
/* The connect to an endpoint for a connection: so that it can be spliced, if it may be. */
#pragma once
#include "base/address.h"
#include "core/config.h"

#include <stdatomic.h>

struct connection;

/**
 * upstream_connect() - connect without waiting; sources take turns, as connector_start() says
 *
 * From a port of our own pool (core/promotion.h), or, if the connection cannot be spliced, from one
 * that the kernel chooses; then c->splice_reason says why.
 * Return: as connector_start().
 */
int upstream_connect(struct connection *c, const struct config_cluster *config,
		     _Atomic uint64_t *turn, const struct address *endpoint, int *ret_fd);
