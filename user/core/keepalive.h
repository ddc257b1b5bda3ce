/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pings of the gateway's own (RFC 6455 s5.5.2) to both peers of an idle proxied connection: a
 * route's keepalive_ping. One that is spliced comes back to the relay for it, and goes again; if it
 * cannot, as nothing is heard of a peer that bytes are on their way to, it ends.
 *
 *   idle for an interval --> a Ping to either peer --> both Pongs: from the start again
 *                                                  --> not for another interval: closed, 1011
 *
 * The answers are for nobody else: a Pong with the payload that was sent is taken out of the
 * stream. A peer in the middle of a frame is not asked; Pongs count as traffic for tunnel_timeout.
 */
#pragma once
#include "base/std.h"

struct connection;
struct leg;

/** keepalive_begin() - @c is open, or has another route: do as the route says. Proxied ones only */
void keepalive_begin(struct connection *c);
/** keepalive_end() - it is over, or left to another process */
void keepalive_end(struct connection *c);
/** keepalive_on_demotion() - a demotion of @c that was not to close it is over: it is on the relay,
 *  or stays spliced */
void keepalive_on_demotion(struct connection *c);
/**
 * keepalive_take_pong() - @data is at a frame boundary of what @from sends, who owes a Pong
 *
 * Return: bytes of the Pong, which go no further; 0 if it is another frame; -EAGAIN if more is
 * needed to tell, which is less than WS_FRAME_HEADER_MAX in all.
 */
ssize_t keepalive_take_pong(struct leg *from, const uint8_t *data, size_t len);
