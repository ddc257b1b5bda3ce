/* SPDX-License-Identifier: Apache-2.0 */
/* What a connection's two flows (sluice/flow.h, by enum sl_direction) say of it together. */
#pragma once
#include "base/std.h"
#include "sluice/flow.h"

/**
 * flow_pair_end() - how a spliced connection has ended
 *
 * Return: EEND_RESET: an RST has passed that its receiver believed, or one that it may have
 * believed and then nothing for 10 s, although something is not acknowledged; EEND_EOF: both sides'
 * FINs have passed and are acknowledged, and with them every byte; 0: it lives.
 */
int flow_pair_end(const struct sl_flow flows[2], uint64_t now_ns);
/** flow_pair_is_closed() - both peers have said Close */
bool flow_pair_is_closed(const struct sl_flow flows[2]);
/** flow_pair_idle_ms() - since the latest packet in either direction, also of one without payload
 */
uint64_t flow_pair_idle_ms(const struct sl_flow flows[2], uint64_t now_ns);
/** flow_pair_expected() - what the peer whose packets go in @direction expects next: all that the
 *  hook has sent on to it has passed before whatever is sent now */
uint32_t flow_pair_expected(const struct sl_flow flows[2], size_t direction);
/** flow_pair_is_unheard() - whether something is on its way to a peer that has acknowledged nothing
 *  since the two flows said @acks */
bool flow_pair_is_unheard(const struct sl_flow flows[2], const uint32_t acks[2]);
/** flow_pair_frames() - that one direction's walker has counted, of all kinds */
uint64_t flow_pair_frames(const struct sl_flow *flow);
/** flow_is_counted() - whether its walker has seen every frame since the connection was handed over
 */
static inline bool flow_is_counted(const struct sl_flow *flow)
{
	return (flow->walk.flags & (SL_W_ON | SL_W_LOST)) == SL_W_ON;
}
