/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What stands in the pinned maps flows and conns, sorted out by somebody who has not written it: a
 * daemon that starts, or the command line while there is none. Nothing is believed: an entry that
 * makes no sense is named, once, and goes with those that belong to nothing.
 *
 *   a record of conns with both flows ACTIVE or CLOSED    a connection
 *   a flow to the client, CLOSED, without a record        one that has ended and was accounted for:
 *                                                         late packets still pass
 *   any other flow (LEARN: its sockets died with their daemon), any other record     strays
 */
#pragma once
#include "base/std.h"
#include "kern/flow_table.h"
#include "kern/name_list.h"
#include "sluice/conn.h"

struct left_flow {
	struct flow_key key;
	uint64_t conn_id;
	uint64_t payload_bytes, frames, last_ns;
	uint32_t end_seq, ack;
	uint8_t state; /* enum sl_state; that of a HOLD is the one before it */
	uint8_t marks, direction;
	bool is_counted; /* its walker has seen every frame since then */
	bool is_closed;  /* a Close frame has passed */
	uint8_t policy;  /* its row */
};

struct left_conn {
	struct sl_conn conn;
	struct left_flow flows[2]; /* by enum sl_direction */
	bool has_flow[2];
	bool is_stray;
};

struct leftovers {
	struct name_list names;
	struct left_conn *conns; /* by conn_id */
	struct left_flow *flows; /* that belong to none of @conns, or to a stray */
	size_t n_conns, n_flows;
	size_t n_stray_conns, n_corrupt;
};

/* One line about an entry that makes no sense. */
typedef void leftovers_complain_fn(const char *text, void *arg);

struct leftovers_source {
	const struct flow_table *flows;
	int conns_fd, names_fd;
	uint64_t now_ns; /* CLOCK_MONOTONIC */
	leftovers_complain_fn *complain;
	void *arg;
};

/** leftovers_read() - Return: 0, -ENOMEM, or -errno of bpf(2) */
int leftovers_read(const struct leftovers_source *source, struct leftovers *ret_leftovers);
void leftovers_done(struct leftovers *leftovers);

/** left_flow_is_quarantined() - of one in @flows: late packets may still need it */
static inline bool left_flow_is_quarantined(const struct left_flow *flow)
{
	return flow->direction == SL_TO_CLIENT && flow->state == SL_CLOSED;
}

/** left_conn_name() - Return: the name of @kind; what is unknown, leftovers_read() has refused */
const char *left_conn_name(const struct leftovers *leftovers, const struct left_conn *left,
			   enum sl_name_kind kind);
