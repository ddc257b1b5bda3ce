/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Packet splice for a daemon that runs already. While another one works with the pins - it drains,
 * and this is its successor - everything stays on the relay here; when it lets go of them, this
 * one adopts what it has left, and new connections are spliced.
 *
 *   WAITING --- the lock is ours: the leftovers are read ---> HANDING OUT --- all workers have --->
 * done | ^                                                       a promoter each    adopting begins
 *    '-' every 250 ms, and at a reload
 */
#pragma once
#include "base/std.h"

#include <ev.h>

struct gateway;
struct promoter;

/* Main thread only. */
struct takeover {
	struct gateway *gateway;
	ev_timer again;
	struct promoter **promoters; /* one for each worker; NULL = not handing out */
	unsigned int n_given;        /* workers that have theirs */
};

void takeover_init(struct takeover *takeover, struct gateway *g);
/** takeover_done() - the workers' threads have ended, or none runs; the workers are still there */
void takeover_done(struct takeover *takeover);
/** takeover_begin() - the workers run: wait for the pins, if another daemon has them */
void takeover_begin(struct takeover *takeover);
/** takeover_try() - see at once whether splice is possible by now; nothing to do if it was */
void takeover_try(struct takeover *takeover);
/** takeover_stop() - the process ends: leave the pins to the next one */
void takeover_stop(struct takeover *takeover);
