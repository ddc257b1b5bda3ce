/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The always available path: bytes from one leg's socket to the other's, through one buffer that
 * the worker's connections share. A walker follows the frames, counts and polices them; nothing
 * is assembled or unmasked.
 *
 * Backpressure: what a socket does not take is queued (at most one read) and reading from the
 * other side stops until it has gone. Half-close: an EOF travels on as a FIN behind the last
 * byte. A reset travels on as a reset behind the last byte.
 *
 * An end that the gateway decides (limits, timeouts, operator, shutdown) puts a Close frame into
 * both directions, each at its next frame boundary, waits for the answers and for the peers' FINs,
 * and is over after close_timeout whatever they do.
 */
#pragma once
#include "base/std.h"

struct connection;

/**
 * relay_begin() - both legs are open and upgraded: set the connection open and start
 * @allowed_rsv: of the negotiated extensions, see struct ws_upgraded
 * @from_client: frames that the client sent behind its request; sent on or copied before return
 * @from_endpoint: likewise, behind the endpoint's 101
 */
void relay_begin(struct connection *c, uint8_t allowed_rsv, struct slice from_client,
		 struct slice from_endpoint);
/** relay_prepare() - of one that is adopted, before it may come back: its walkers, that know where
 *  they stand when relay_resume() comes */
void relay_prepare(struct connection *c, uint8_t allowed_rsv);
/**
 * relay_resume() - of one that is open, or closing by its peers' Close frames: go on where the
 * kernel has stopped. Both legs have sockets again, and their walkers stand where the kernel's did
 * @idle_ms: since its latest packet
 */
void relay_resume(struct connection *c, uint64_t idle_ms);
