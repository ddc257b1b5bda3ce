/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rows of the map policies: one for each combination of a class, a route's limits and a way to
 * follow frames that spliced connections have. Whoever has entries in flows holds a row, from
 * before the first is inserted until the last is removed; a row that nobody holds is free for
 * another combination. Shared by all workers, under a lock that is held for a look at the rows.
 *
 * A reload changes what a class does in the rows that there are, so it counts for live connections.
 * A route's limits are those of a connection's opening: others are another row.
 */
#pragma once
#include "base/std.h"
#include "core/config.h"
#include "sluice/policy.h"

struct kern_ids;
struct policies;

/**
 * policies_new() - @policies_fd, @names_fd, @ids: of the pins, borrowed
 *
 * Rows that an earlier process has written are free until policies_adopt() says otherwise.
 * Return: 0, -ENOMEM, or -errno of bpf(2).
 */
int policies_new(int policies_fd, int names_fd, struct kern_ids *ids,
		 struct policies **ret_policies);
/** policies_free() - the rows stay as they are: flows may use them. NULL is fine */
void policies_free(struct policies *policies);

/**
 * policies_take() - hold the row for connections of @class on @route
 *
 * Return: 0; -ENOBUFS if all rows are held for other combinations; -ENOSPC if the map of names is
 * full; -ENOMEM; another -errno of bpf(2).
 */
int policies_take(struct policies *policies, const struct config_class *class,
		  const struct config_route *route, uint8_t *ret_row);
/** policies_adopt() - hold @row, which an entry in flows has, as it stands in the map. Return: 0 or
 *  -errno of bpf(2) */
int policies_adopt(struct policies *policies, uint8_t row);
/** policies_drop() - hold @row once less */
void policies_drop(struct policies *policies, uint8_t row);

/** policies_follow() - from now on classes are as @config says, also in the rows that there are.
 *  Return: 0, or the first -errno; the others are changed nevertheless */
int policies_follow(struct policies *policies, struct config *config);

struct policies_usage {
	unsigned int n_used;
	uint64_t n_refused; /* times that there was no row */
};

void policies_usage(struct policies *policies, struct policies_usage *ret_usage);
/** policies_row() - what @row says, whether it is held or not. Return: 0 or -errno of bpf(2) */
int policies_row(const struct policies *policies, uint8_t row, struct sl_policy *ret_policy);

/** policy_init() - what @class and @route come to; @class_id: of names */
void policy_init(const struct config_class *class, const struct config_route *route,
		 uint32_t class_id, struct sl_policy *ret_policy);
/** policy_to_class() - what a row says of its class, without the name */
void policy_to_class(const struct sl_policy *policy, struct config_class *ret_class);
