/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A worker's part in packet splice: what all its promotions share, and those that are over but
 * whose entries late packets may still need.
 */
#pragma once
#include "base/list.h"
#include "base/std.h"
#include "base/work_queue.h"
#include "core/splice.h"
#include "kern/name_cache.h"
#include "kern/route_lookup.h"

#include <ev.h>

struct promotion;
struct worker;

struct promoter {
	struct worker *worker;
	struct splice *splice; /* the process's; is_open */
	struct route_lookup routes;
	struct name_cache names;
	struct list ended;   /* promotion.node: accounted for in this loop turn */
	struct list retired; /* likewise, before it; oldest first */
	ev_timer reap;
	struct list spliced; /* promotion.node, the one that was looked at longest ago first */
	size_t n_spliced;
	size_t n_to_check; /* of these, in the sweep that is under way */
	struct work_item sweep;
	ev_timer sweep_again;
};

/** promoter_new() - Return: 0, -ENOMEM, or -errno of a netlink socket */
int promoter_new(struct worker *worker, struct splice *splice, struct promoter **ret_promoter);
/** promoter_free() - the worker has no connections any more. What is in quarantine stays so: the
 *  next process finds its entries. NULL is fine */
void promoter_free(struct promoter *promoter);
/** promoter_retire() - keep the entries of @promotion for the quarantine, as a closed socket is
 *  kept (RFC 9293 s3.4.2: 2 MSL), then free it */
void promoter_retire(struct promoter *promoter, struct promotion *promotion);
/**
 * promoter_settle() - the end of a loop turn: lines of the access log have been written, unless
 * its reader has stalled
 *
 * Until then a connection that has ended can be told from one that lives by its entries alone. Were
 * this process killed, the next one would find it and write the line.
 */
void promoter_settle(struct promoter *promoter);
/** promoter_adopt_retired() - likewise, of another process's, which has left only the entry of
 *  packets of the endpoint; its port has been marked as used, and @policy is held for it. Return: 0
 *  or -ENOMEM */
int promoter_adopt_retired(struct promoter *promoter, const struct flow_key *key, uint8_t policy);
/** promoter_add_spliced() - @promotion has become spliced: sweeps look at it */
void promoter_add_spliced(struct promoter *promoter, struct promotion *promotion);
/** promoter_remove_spliced() - it is over */
void promoter_remove_spliced(struct promoter *promoter, struct promotion *promotion);
/**
 * promoter_sweep() - look at every spliced connection for an end that no event has told, in slices
 * of ordinary work
 *
 * One that is under way begins anew. Without being asked for it is done every 10 s while there are
 * spliced connections.
 */
void promoter_sweep(struct promoter *promoter);
/** promoter_is_hooked() - whether the hook is on this interface, and translates what comes by it */
bool promoter_is_hooked(const struct promoter *promoter, uint32_t ifindex);
/** promoter_lacks_hook() - of either leg: it was there, and is not any more. As good as free as
 * long as none ever went */
bool promoter_lacks_hook(const struct promoter *promoter, uint32_t oif, uint32_t other_oif);
