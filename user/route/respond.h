/* SPDX-License-Identifier: Apache-2.0 */
/* The action `respond`: a fixed HTTP response, for a landing page or a polite refusal. */
#pragma once
#include "core/handshake.h"

/** respond_begin() - answer GET and HEAD (others 405) and let the connection linger */
void respond_begin(struct connection *c, const struct handshake_request *request);
