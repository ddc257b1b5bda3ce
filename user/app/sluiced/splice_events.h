/* SPDX-License-Identifier: Apache-2.0 */
/* Ends of spliced connections: from the kernel's ring buffer, on the main thread, to the workers.
 * One that is lost on the way is found by the worker's own look at its entries. */
#pragma once
#include "base/std.h"

struct gateway;
struct splice_events;

/** splice_events_new() - of g->splice, which is open. Return: 0 or -errno */
int splice_events_new(struct gateway *g, struct splice_events **ret_events);
/** splice_events_free() - NULL is fine */
void splice_events_free(struct splice_events *events);
