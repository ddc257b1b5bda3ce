/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The action `proxy`: choose an endpoint, connect, pass the upgrade on, verify the answer, and
 * hand both legs to the relay. Endpoints that cannot be connected to are skipped for the next
 * one. An endpoint's own refusal (3xx, 4xx, 5xx) is passed to the client as it is.
 */
#pragma once
#include "core/handshake.h"

struct cluster;

/** proxy_begin() - c->route is set; refuses what is not a valid upgrade request */
void proxy_begin(struct connection *c, struct cluster *cluster,
		 const struct handshake_request *request);
