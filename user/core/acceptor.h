/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A worker's listening sockets: who comes is accepted and handed to its handshake, or waits, or is
 * refused, as limits and descriptors allow. On the worker's thread, but for init, add and done.
 */
#pragma once
#include "base/std.h"

struct listener_set;
struct worker;

/** acceptors_init() - of a worker that is being made, before all else here */
void acceptors_init(struct worker *w);
/** acceptors_add() - all sockets that are this worker's, borrowed. Return: 0 or -ENOMEM */
int acceptors_add(struct worker *w, const struct listener_set *listeners);
void acceptors_start(struct worker *w);
/** acceptors_stop() - for good: who comes now is refused by the kernel. A second time is harmless
 */
void acceptors_stop(struct worker *w);
/** acceptors_done() - behind acceptors_stop() */
void acceptors_done(struct worker *w);
