/* SPDX-License-Identifier: Apache-2.0 */
#include "core/flow_pair.h"

#include "base/clock.h"
#include "proto/errors.h"

#define ABANDONED_MS 10000

/* Rule 5 of sluice/flow.h */
static uint32_t flow_position(const struct sl_flow *flow)
{
	return flow->base_seq + (uint32_t)flow->payload_bytes;
}

/* All that has passed in this direction is acknowledged by the other one. */
static bool is_acked(const struct sl_flow *flow, const struct sl_flow *other)
{
	return other->ack + other->ack_delta == flow->end_seq;
}

/* A reset that the hook could not believe, and nobody who is alive would be silent since then: he
 * would send again what is not acknowledged. So it was true, and took both ends with it. */
static bool is_abandoned(const struct sl_flow flows[2], uint64_t now_ns)
{
	bool is_near = (flows[0].flags | flows[1].flags) & SL_F_RST_NEAR;

	return is_near && flow_pair_idle_ms(flows, now_ns) >= ABANDONED_MS &&
	       !(is_acked(&flows[0], &flows[1]) && is_acked(&flows[1], &flows[0]));
}

int flow_pair_end(const struct sl_flow flows[2], uint64_t now_ns)
{
	uint8_t both = flows[0].marks & flows[1].marks, either = flows[0].marks | flows[1].marks;

	if (either & SL_M_RST)
		return EEND_RESET;
	if (both & SL_M_FIN_ACKED)
		return EEND_EOF;
	return is_abandoned(flows, now_ns) ? EEND_RESET : 0;
}

bool flow_pair_is_closed(const struct sl_flow flows[2])
{
	return flows[0].walk.flags & flows[1].walk.flags & SL_W_CLOSE;
}

uint64_t flow_pair_idle_ms(const struct sl_flow flows[2], uint64_t now_ns)
{
	uint64_t last_ns = MAX(flows[0].last_ns, flows[1].last_ns);

	/* A packet may have come since the clock was read. */
	return now_ns > last_ns ? (now_ns - last_ns) / NS_PER_MS : 0;
}

uint32_t flow_pair_expected(const struct sl_flow flows[2], size_t direction)
{
	const struct sl_flow *to = &flows[!direction];
	uint32_t end = flow_position(to);

	/* end_seq has passed what was dropped as well; but behind a FIN there is nothing. */
	return (to->marks & SL_M_FIN ? to->end_seq : end) + to->seq_delta;
}

bool flow_pair_is_unheard(const struct sl_flow flows[2], const uint32_t acks[2])
{
	for (size_t i = 0; i < 2; i++) {
		if (flows[i].ack == acks[i] && flows[i].ack != flow_pair_expected(flows, i))
			return true;
	}
	return false;
}

uint64_t flow_pair_frames(const struct sl_flow *flow)
{
	uint64_t n = 0;

	for (size_t i = 0; i < ARRAY_SIZE(flow->frames); i++)
		n += flow->frames[i];
	return n;
}
