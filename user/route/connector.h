/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connecting to an endpoint, from one of the cluster's source addresses. One address has about
 * 28,000 ports to one endpoint; a pool of addresses has as many times more.
 */
#pragma once
#include "base/address.h"
#include "core/config.h"

#include <stdatomic.h>

/**
 * connector_start() - connect without waiting
 * @turn: of the source addresses
 *
 * Sources of the endpoint's family take turns; one that has no port left, or is not on this
 * machine, is passed over.
 * Return: 0 with a socket that is connected or on its way; -EADDRNOTAVAIL: no source could be used;
 * another -errno of socket(2), bind(2) or connect(2).
 */
int connector_start(const struct config_cluster *config, _Atomic uint64_t *turn,
		    const struct address *endpoint, int *ret_fd);

/**
 * connector_start_from() - likewise, from this address and port, which may be in use for other
 * endpoints
 * @mss: the largest segment to announce; 0 = as the kernel does
 *
 * Return: 0; -EADDRINUSE if that is in use by another program; -EADDRNOTAVAIL if it is not on this
 * machine, or in TIME-WAIT; another -errno.
 */
int connector_start_from(const struct address *local, uint32_t mss, const struct address *endpoint,
			 int *ret_fd);
