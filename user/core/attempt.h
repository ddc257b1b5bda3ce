/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tries to splice a connection: what one has come to, and when the next is due. Decisions only;
 * whoever makes the try is promotion.c.
 */
#pragma once
#include "base/std.h"
#include "kern/tcp_capture.h"
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
/** attempt_from_capture() - of tcp_capture_begin()'s failure, -errno */
struct attempt attempt_from_capture(int error);
/** attempt_from_result() - of sl_activate */
struct attempt attempt_from_result(enum sl_ctl_result result);

/* What two sockets have agreed upon with their peers. */
struct attempt_leg {
	const struct tcp_capture *capture;
	bool is_ipv6;
};

/** attempt_headers() - what a packet is longer than its segment's payload and options */
static inline uint32_t attempt_headers(bool is_ipv6)
{
	return is_ipv6 ? 60 : 40;
}

/** attempt_check_legs() - Return: NONE if packets can go from either leg to the other as they are
 */
enum sluice_reason attempt_check_legs(const struct attempt_leg *a, const struct attempt_leg *b);

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
