/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which member of a cluster takes the next connection.
 *
 *   round_robin  Each turn is a number. The members' weights lie one behind the other on a line;
 *                turns go over it in steps that meet each unit of weight once in a round and leave
 *                neighbours far apart, so that a round is exact and a heavy member's turns are
 *                spread over it. One atomic add and a binary search; what is not available gives
 *                the next turn to whom it belongs.
 *   least_conn   The fewest connections by weight; ties go round.
 *   hash         The ring (ring.h), with bounded loads (Mirrokni and others 2018): an endpoint with
 *                more than hash_load of the average is passed over.
 *
 * Slow start passes a member over for a share of turns, or of keys, that falls to nothing.
 */
#pragma once
#include "base/std.h"
#include "route/ring.h"

struct cluster;
struct member;

struct balance {
	struct ring ring;      /* HASH */
	uint64_t *weight_upto; /* owned; of a member and those before it, without common divisor */
	uint64_t total, step;  /* of weight_upto */
	uint16_t max_weight;
};

struct pick {
	uint64_t now_ns;
	uint64_t key_hash;           /* HASH: hash_key_of() */
	struct member *const *tried; /* that this request has failed on; not chosen again */
	size_t n_tried;
};

/** balance_init() - for @config's endpoints. Return: 0 or -ENOMEM; balance_done() is good then */
int balance_init(struct balance *balance, const struct config_cluster *config);
/** balance_done() - of one that is zeroed or initialised */
void balance_done(struct balance *balance);
/** balance_choose() - Return: a member that is available, or NULL if none is left */
struct member *balance_choose(struct cluster *cluster, const struct pick *pick);
