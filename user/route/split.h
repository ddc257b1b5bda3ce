/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A route's requests divided among clusters by weight. A key is hashed to a point among the sum of
 * the weights, and each cluster has as many points as its weight, in the order of the file. The
 * hash's own key is fixed: workers, restarts and other gateways with this file agree.
 *
 * A client may choose the key that decides, if the operator has it read from a header, and with it
 * the cluster; that is what such a key is for.
 */
#pragma once
#include "base/std.h"
#include "core/config.h"
#include "proto/http1_head.h"

struct sockaddr;

/** split_choose() - the cluster of @route, which has a split, for a request */
const struct config_cluster *split_choose(const struct config_route *route,
					  const struct http1_head *head,
					  const struct sockaddr *source);

/** split_at() - the cluster that point @hash % route->split_weight belongs to */
const struct config_cluster *split_at(const struct config_route *route, uint64_t hash);
