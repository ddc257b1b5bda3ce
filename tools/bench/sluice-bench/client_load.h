/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What each mode sends and when, and what it must receive. The answers are checked for number,
 * order, opcode and length in every run, and for each byte with --verify.
 */
#pragma once
#include "client_conn.h"

/** client_load_begin() - start the next message in c->writer. Return: false if none is due */
bool client_load_begin(struct client_conn *c);
/** client_load_written() - the message in c->writer was handed to the socket or its queue */
void client_load_written(struct client_conn *c);
/** client_load_receive() - a piece of a message came; fails the connection if it is wrong */
void client_load_receive(struct client_conn *c, const struct ws_event *event);
/** client_load_is_settled() - whether nothing is being sent and nothing awaited */
bool client_load_is_settled(const struct client_conn *c);
/** client_load_run_schedule() - open loop: hand the messages that are due to their connections */
void client_load_run_schedule(struct client_worker *w);
/** client_load_next_ns() - open loop: when the next message is due; else UINT64_MAX */
uint64_t client_load_next_ns(const struct client_worker *w);
/** client_load_count_unsent() - open loop: at the end of the load, what was due and not sent */
void client_load_count_unsent(struct client_worker *w);
