/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From the kernel back to the relay, because something has to be said or decided that only
 * userspace can: a Close frame, a Ping, a limit, an order.
 *
 *   SPLICED --> DEMOTING --------------------> WAITING, KEPT or REFUSED (promotion.h), on the relay
 *                |  ^  |   at rest: sl_hold,
 *                '--'  |   both sockets are
 *          not at rest | back, sl_hold again
 *                      '--> in the time that there is it never rested: both peers are reset if it
 *                           was to be closed; else it stays spliced
 *
 * All between the two calls of sl_hold is done in one go. In HOLD what comes is dropped, to come
 * again; it ends by itself, should this process die. Behind the second one the peers talk to the
 * sockets, which die with the process as all others.
 *
 * Tries come in rounds: some in short order; then what is new is stopped for a moment
 * (SL_HOLD_STOP), in which what is under way arrives, and is acknowledged; then a pause.
 */
#pragma once
#include "base/std.h"

struct connection;
struct promotion;

/*
 * The strongest first. Of one that is to be closed, or whose walker has refused a frame, nothing
 * else is wanted any more. The others can be wanted at once: each has its own time, and when that
 * is over, or it is called off, the rest go on. What is done then is counted as the strongest.
 */
#define DEMOTION_REASONS(X)                                                               \
	X(CLOSE, "close") /* by the operator */                                           \
	X(DRAIN, "drain")                                                                 \
	X(IDLE, "tunnel_timeout")                                                         \
	X(DURATION, "max_connection_duration")                                            \
	X(CLOSE_TIMEOUT, "close_timeout")   /* of the peers' own closing */               \
	X(VIOLATION, "violation")           /* the frame walker has refused a frame */    \
	X(MTU, "mtu")                       /* a peer does not heed ICMP: too big */      \
	X(UNTRANSLATABLE, "untranslatable") /* a peer has sent what does not pass */      \
	X(POLICY, "policy")                 /* its route says otherwise since a reload */ \
	X(OPERATOR, "operator")             /* told to leave the kernel */                \
	X(HOOK, "no_hook")                  /* that of a leg is gone */                   \
	X(PING, "ping")

enum demotion_reason {
#define X(symbol, name) DEMOTION_##symbol,
	DEMOTION_REASONS(X)
#undef X
	DEMOTION_REASON_COUNT,
};

enum demotion_result {
	DEMOTION_DONE,    /* on the relay */
	DEMOTION_RESET,   /* to be closed, but never at rest, or half-closed: both peers reset */
	DEMOTION_GAVE_UP, /* likewise, but not to be closed, or called off, or left to the next
			     daemon: it is spliced still */
	DEMOTION_ENDED,   /* it has ended by itself meanwhile */
	DEMOTION_RESULT_COUNT,
};

/* When the next try is, and what it begins with. Pure. */
struct demotion_pace {
	uint8_t n_tries; /* in this round */
	uint8_t n_rounds;
};

struct demotion_step {
	uint64_t delay_ms;
	bool is_stop; /* what is new is stopped at once; the delay is until the try that follows */
};

/** demotion_pace_next() - one try has failed */
struct demotion_step demotion_pace_next(struct demotion_pace *pace);

/* So long a STOP lasts. */
#define DEMOTION_STOP_MS 300

/**
 * demotion_begin() - have a spliced connection back on the relay, and do there what @reason says
 * @patience_ms: so long it may take; 0 = no matter how long
 *
 * Nothing happens if it is not spliced, or this is wanted already. It may have happened at return,
 * and what was to be done be done.
 *
 * A PING that has waited in vain, while a peer has acknowledged nothing of what was on its way to
 * it, ends the connection: that peer is gone.
 */
void demotion_begin(struct connection *c, enum demotion_reason reason, uint64_t patience_ms);
/**
 * demotion_close() - likewise, in order to close it as connection_ops.close() does; if it does not
 * come to rest within close_timeout, both peers are reset
 */
void demotion_close(struct connection *c, int error, uint16_t code, struct slice text);
/**
 * demotion_finish() - of one that is closing by its peers' Close frames, and whose time is over:
 * end it as the relay does, which sends FIN; if it is not at rest now, both peers are reset
 */
void demotion_finish(struct connection *c);
/** demotion_is_to_close() - whether it is on its way back in order to be closed */
bool demotion_is_to_close(const struct promotion *p);
/** demotion_try() - its timer has fired, or its sockets are gone since it was spliced */
void demotion_try(struct promotion *p);
/** demotion_end_suspicion() - of VIOLATION: the time is over in which the peer should have sent the
 *  refused frame again, for the relay to refuse it */
void demotion_end_suspicion(struct promotion *p);
/** demotion_call_off() - @reason is none any more: who still tries for that alone may stay */
void demotion_call_off(struct promotion *p, enum demotion_reason reason);
/** demotion_cancel() - the connection ends: count that */
void demotion_cancel(struct promotion *p);
/** demotion_leave() - it is left to the kernel: count that */
void demotion_leave(struct promotion *p);

const char *demotion_reason_name(enum demotion_reason reason);
const char *demotion_result_name(enum demotion_result result);
