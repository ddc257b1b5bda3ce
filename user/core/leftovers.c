/* SPDX-License-Identifier: Apache-2.0 */
#include "core/leftovers.h"

#include "base/base32.h"
#include "core/config.h"
#include "core/conn_record.h"
#include "core/flow_pair.h"
#include "kern/conn_table.h"

#include <stdarg.h>
#include <stdio.h>

struct reading {
	const struct leftovers_source *source;
	struct leftovers *left;
	size_t room_conns, room_flows;
};

static int make_room(void **array, size_t n, size_t *room, size_t size)
{
	size_t more = *room ? 2 * *room : 256;
	void *grown;

	if (n < *room)
		return 0;
	grown = reallocarray(*array, more, size);
	if (!grown)
		return -ENOMEM;
	*array = grown;
	*room = more;
	return 0;
}

__attribute__((format(printf, 2, 3))) static void complain(struct reading *r, const char *format,
							   ...)
{
	char text[320];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	r->left->n_corrupt++;
	if (r->source->complain)
		r->source->complain(text, r->source->arg);
}

/* ---- conns --------------------------------------------------------------------------------- */

static bool is_known(const struct leftovers *left, enum sl_name_kind kind, uint32_t id,
		     const char *what, char *ret_why, size_t size)
{
	if (name_list_find(&left->names, kind, id))
		return true;
	snprintf(ret_why, size, "no %s has the number %u", what, id);
	return false;
}

static bool has_known_names(const struct leftovers *left, const struct sl_conn *conn, char *ret_why,
			    size_t size)
{
	/* 0 is none. */
	if (conn->class_id &&
	    !is_known(left, SL_NAME_CLASS, conn->class_id, "class", ret_why, size))
		return false;
	return is_known(left, SL_NAME_LISTENER, conn->listener, "listener", ret_why, size) &&
	       is_known(left, SL_NAME_ROUTE, conn->route, "route", ret_why, size) &&
	       is_known(left, SL_NAME_CLUSTER, conn->cluster, "cluster", ret_why, size) &&
	       is_known(left, SL_NAME_ENDPOINT, conn->endpoint, "endpoint", ret_why, size);
}

static int take_conn(uint64_t conn_id, const struct sl_conn *conn, void *arg)
{
	char why[CONN_RECORD_WHY_MAX], id[BASE32_U64_LEN + 1];
	struct reading *r = arg;
	struct leftovers *left = r->left;
	struct left_conn *fresh;
	int error =
	    make_room((void **)&left->conns, left->n_conns, &r->room_conns, sizeof(*left->conns));

	if (error < 0)
		return error;
	fresh = &left->conns[left->n_conns++];
	*fresh = (struct left_conn){.conn = *conn};
	if (!conn_record_check(conn, conn_id, r->source->now_ns, why) ||
	    !has_known_names(left, conn, why, sizeof(why))) {
		base32_u64_encode(conn_id, id);
		complain(r, "conns %s: %s", id, why);
		fresh->is_stray = true;
		left->n_stray_conns++;
	}
	/* By its key it is deleted, and its flows are found to belong to it. */
	fresh->conn.conn_id = conn_id;
	return 0;
}

static int compare_conns(const void *a, const void *b)
{
	const struct left_conn *one = a, *other = b;

	return one->conn.conn_id < other->conn.conn_id ? -1
						       : one->conn.conn_id > other->conn.conn_id;
}

static struct left_conn *find_conn(const struct leftovers *left, uint64_t conn_id)
{
	const struct left_conn key = {.conn.conn_id = conn_id};

	return left->n_conns ? bsearch(&key, left->conns, left->n_conns, sizeof(key), compare_conns)
			     : NULL;
}

/* ---- flows --------------------------------------------------------------------------------- */

/* What the word says when nobody is deciding: a HOLD whose owner has died ends by itself. */
static uint32_t settled(uint32_t word)
{
	return SL_STATE(word) == SL_HOLD ? SL_BEFORE(word) : SL_STATE(word);
}

static bool check_flow(const struct sl_flow *flow, char *ret_why, size_t size)
{
	uint32_t state = SL_STATE(flow->state), before = SL_BEFORE(flow->state);

	if (state > SL_CLOSED || (state != SL_HOLD && flow->state != state))
		snprintf(ret_why, size, "state %#x is none", flow->state);
	else if (state == SL_HOLD && before != SL_LEARN && before != SL_ACTIVE)
		snprintf(ret_why, size, "HOLD of the state %u", before);
	else if (flow->direction > SL_TO_CLIENT)
		snprintf(ret_why, size, "direction %u is none", flow->direction);
	else
		return true;
	return false;
}

static int keep_flow(struct reading *r, const struct left_flow *flow)
{
	struct leftovers *left = r->left;
	int error =
	    make_room((void **)&left->flows, left->n_flows, &r->room_flows, sizeof(*left->flows));

	if (error == 0)
		left->flows[left->n_flows++] = *flow;
	return error;
}

static bool same_key(const struct flow_key *key, const struct left_conn *left, size_t direction)
{
	return key->is_ipv6 == ((left->conn.flags & SL_CONN_IPV6) != 0) &&
	       memcmp(&key->key, &left->conn.legs[direction].key, sizeof(key->key)) == 0;
}

static int take_flow(const struct flow_key *key, const struct sl_flow *flow, void *arg)
{
	char why[64], from[ADDRESS_TEXT_MAX + 1], to[ADDRESS_TEXT_MAX + 1];
	struct left_flow mine = {
	    .key = *key,
	    .conn_id = flow->conn_id,
	    .payload_bytes = flow->payload_bytes,
	    .frames = flow_pair_frames(flow),
	    .last_ns = flow->last_ns,
	    .end_seq = flow->end_seq,
	    .ack = flow->ack,
	    .state = (uint8_t)settled(flow->state),
	    .marks = flow->marks,
	    .direction = flow->direction,
	    .is_counted = flow_is_counted(flow),
	    .is_closed = flow->walk.flags & SL_W_CLOSE,
	    .policy = flow->policy,
	};
	struct reading *r = arg;
	struct left_conn *conn = find_conn(r->left, flow->conn_id);

	if (!check_flow(flow, why, sizeof(why))) {
		struct address ends[2];

		flow_key_addresses(key, &ends[0], &ends[1]);
		address_format(&ends[0], from);
		address_format(&ends[1], to);
		complain(r, "%s %s > %s: %s", key->is_ipv6 ? SL_MAP_FLOWS6 : SL_MAP_FLOWS4, from,
			 to, why);
		/* Neither translated nor answered: it is only removed. */
		mine.state = SL_CLOSED;
		mine.direction = SL_TO_ENDPOINT;
		return keep_flow(r, &mine);
	}
	if (!conn || conn->is_stray || !same_key(key, conn, flow->direction))
		return keep_flow(r, &mine);
	conn->flows[flow->direction] = mine;
	conn->has_flow[flow->direction] = true;
	return 0;
}

/* ---- both ---------------------------------------------------------------------------------- */

static bool is_forwarding(const struct left_flow *flow)
{
	return flow->state == SL_ACTIVE || flow->state == SL_CLOSED;
}

/* Whether all is there, at work. A record alone is the last trace of a connection whose entries
 * were removed, or were still LEARN. */
static bool is_whole(const struct left_conn *conn)
{
	return conn->has_flow[0] && conn->has_flow[1] && is_forwarding(&conn->flows[0]) &&
	       is_forwarding(&conn->flows[1]);
}

static int sort_out(struct reading *r)
{
	struct leftovers *left = r->left;

	for (size_t i = 0; i < left->n_conns; i++) {
		struct left_conn *conn = &left->conns[i];

		if (conn->is_stray || is_whole(conn))
			continue;
		conn->is_stray = true;
		left->n_stray_conns++;
		for (size_t d = 0; d < 2; d++) {
			int error = conn->has_flow[d] ? keep_flow(r, &conn->flows[d]) : 0;

			if (error < 0)
				return error;
		}
	}
	return 0;
}

int leftovers_read(const struct leftovers_source *source, struct leftovers *ret_leftovers)
{
	struct leftovers left = {0};
	struct reading r = {.source = source, .left = &left};
	int error = name_list_read(source->names_fd, &left.names);

	if (error == 0)
		error = conn_table_walk(source->conns_fd, take_conn, &r);
	if (error == 0 && left.n_conns)
		qsort(left.conns, left.n_conns, sizeof(*left.conns), compare_conns);
	if (error == 0)
		error = flow_table_walk(source->flows, take_flow, &r);
	if (error == 0)
		error = sort_out(&r);
	if (error < 0) {
		leftovers_done(&left);
		return error;
	}
	*ret_leftovers = left;
	return 0;
}

void leftovers_done(struct leftovers *leftovers)
{
	name_list_done(&leftovers->names);
	free(TAKE_PTR(leftovers->conns));
	free(TAKE_PTR(leftovers->flows));
	leftovers->n_conns = leftovers->n_flows = 0;
}

const char *left_conn_name(const struct leftovers *leftovers, const struct left_conn *left,
			   enum sl_name_kind kind)
{
	uint32_t ids[] = {
	    [SL_NAME_LISTENER] = left->conn.listener, [SL_NAME_ROUTE] = left->conn.route,
	    [SL_NAME_CLASS] = left->conn.class_id,    [SL_NAME_CLUSTER] = left->conn.cluster,
	    [SL_NAME_ENDPOINT] = left->conn.endpoint,
	};

	if (kind == SL_NAME_CLASS && ids[kind] == 0)
		return CONFIG_CLASS_DEFAULT;
	return name_list_find(&leftovers->names, kind, ids[kind]);
}
