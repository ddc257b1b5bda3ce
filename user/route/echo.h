/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The action `echo`: a complete WebSocket endpoint inside the gateway (RFC 6455). Each message
 * comes back as one frame of the same kind; pings are answered; what the RFC forbids is answered
 * by a Close with its code. No extensions; the client's first subprotocol is accepted.
 *
 * A message that arrives in one read is echoed from there. Others are assembled, within max_message
 * and the worker's share of limits.message_memory. While the client does not read, nothing more is
 * read from it.
 */
#pragma once
#include "core/handshake.h"

/** echo_begin() - refuses what is not a valid upgrade request */
void echo_begin(struct connection *c, const struct handshake_request *request);
