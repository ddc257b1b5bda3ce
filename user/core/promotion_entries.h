/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a connection that may be spliced has in the maps flows and conns, and the source port that
 * its entry for the endpoint's packets is made for.
 */
#pragma once
#include "base/address.h"
#include "base/std.h"
#include "sluice/flow.h"
#include "sluice/path.h"

struct promotion;

/** promotion_entries_add_client() - for the client's packets, unless there is one. Return: NONE,
 *  or what prevents it */
enum sluice_reason promotion_entries_add_client(struct promotion *p);
/**
 * promotion_entries_add_endpoint() - choose source address and port, and enter the endpoint's
 * packets to them
 * @source: to connect from; NULL = as the kernel chooses
 *
 * Return: NONE, and @p has source, endpoint and port; or what prevents it.
 */
enum sluice_reason promotion_entries_add_endpoint(struct promotion *p, const struct address *source,
						  const struct address *endpoint);
/** promotion_entries_remove() - one direction's, if there is one */
void promotion_entries_remove(struct promotion *p, size_t direction);
/** promotion_entries_drop_port() - if there is one; @was_sent: it may have been on the wire */
void promotion_entries_drop_port(struct promotion *p, bool was_sent);
/** promotion_entries_drop_policy() - if it holds one: its entries are gone, or are another
 *  process's */
void promotion_entries_drop_policy(struct promotion *p);
/** promotion_entries_take() - remove both. Return: whether both were there; then copies of what
 *  they were at that instant */
bool promotion_entries_take(struct promotion *p, struct sl_flow ret_flows[2]);
/** promotion_entries_read() - copies of both. Return: whether both are there */
bool promotion_entries_read(const struct promotion *p, struct sl_flow ret_flows[2]);
/** promotion_entries_put_record() - what conns has to say of it (core/conn_record.h), before the
 *  way is opened. Return: NONE, or what prevents it */
enum sluice_reason promotion_entries_put_record(struct promotion *p);
/** promotion_entries_delete_record() - if there is one */
void promotion_entries_delete_record(struct promotion *p);
