/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tries to splice a connection: what one has come to, and when the next is due. Decisions only;
 * whoever makes the try is promotion.c.
 */
#pragma once
#include "base/std.h"
#include "sluice/path.h"
#include "sluice/splice_ctl.h"

#define ATTEMPT_DELAY_MAX_MS 4096

struct attempt {
	enum sluice_reason reason; /* NONE: it is done */
	bool is_final;             /* done, or the reason will not pass */
};

/** attempt_refused() - for a reason that stays */
struct attempt attempt_refused(enum sluice_reason reason);
/** attempt_busy() - bytes are on their way: it will pass */
struct attempt attempt_busy(void);
/** attempt_from_sockets() - NONE if a connection with these two can be spliced as far as they know:
 *  nothing is on its way in them, and their peers have agreed upon what fits together */
struct attempt attempt_from_sockets(const struct sl_socket sockets[2]);
/** attempt_from_result() - of sl_activate */
struct attempt attempt_from_result(enum sl_ctl_result result);

/** attempt_headers() - what a packet is longer than its segment's payload and options */
static inline uint32_t attempt_headers(bool is_ipv6)
{
	return is_ipv6 ? 60 : 40;
}

/*
 * Tries come in rounds: one at a time of ours, and if bytes were on their way then, one behind each
 * of the next two messages that are relayed: whoever answers at once spoils the first, and may
 * think before it asks again. The pauses between rounds double.
 */
struct attempt_pace {
	uint64_t delay_ms;  /* from a failed try to the next one of ours */
	uint8_t n_messages; /* so many of the next messages that are relayed are occasions */
};

/** attempt_pace_init() - before the first try */
void attempt_pace_init(struct attempt_pace *pace);
/** attempt_pace_by_time() - a try of ours is made */
void attempt_pace_by_time(struct attempt_pace *pace);
/** attempt_pace_by_message() - one behind a message is made */
void attempt_pace_by_message(struct attempt_pace *pace);
