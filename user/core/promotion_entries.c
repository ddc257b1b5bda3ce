/* SPDX-License-Identifier: Apache-2.0 */
#include "core/promotion_entries.h"

#include "base/clock.h"
#include "core/conn_record.h"
#include "core/connection.h"
#include "core/promoter.h"
#include "core/promotion.h"
#include "core/worker.h"
#include "kern/conn_table.h"

#define PORT_TRIES 8 /* whose entries are in quarantine still */

/* The way packets of @leg leave by, towards @far. */
static enum sluice_reason find_way(struct promoter *promoter, const struct address *source,
				   const struct address *far, struct promotion_leg *leg,
				   struct address *ret_source)
{
	struct route_found found;

	if (route_lookup_find(&promoter->routes, source, far, &found) < 0)
		return SLUICE_REASON_NO_FORWARDING;
	if (!promoter_is_hooked(promoter, found.oif))
		return SLUICE_REASON_NO_HOOK;
	leg->ctl.oif = found.oif;
	leg->ctl.flags = found.is_local ? SL_F_TO_LOCAL : 0;
	*ret_source = found.source;
	return SLUICE_REASON_NONE;
}

static int get_ends(int fd, struct address *ret_local, struct address *ret_peer)
{
	ret_local->len = sizeof(ret_local->un);
	ret_peer->len = sizeof(ret_peer->un);
	return getsockname(fd, &ret_local->sa, &ret_local->len) < 0 ||
		       getpeername(fd, &ret_peer->sa, &ret_peer->len) < 0
		   ? -errno
		   : 0;
}

static const struct flow_table *flows_of(const struct promotion *p)
{
	return &p->promoter->splice->pins.flows;
}

static int insert_flow(struct promotion *p, size_t direction)
{
	struct promotion_leg *leg = &p->legs[direction];
	const struct sl_flow flow = {
	    .state = SL_LEARN,
	    .last_ns = clock_monotonic_ns(),
	    .direction = (uint8_t)direction,
	    .policy = p->policy,
	    .epoch = p->promoter->splice->epoch,
	    .conn_id = p->c->id,
	};
	int error = flow_table_insert(flows_of(p), &leg->key, &flow);

	leg->has_flow = error == 0;
	return error;
}

void promotion_entries_remove(struct promotion *p, size_t direction)
{
	if (p->legs[direction].has_flow)
		(void)flow_table_delete(flows_of(p), &p->legs[direction].key);
	p->legs[direction].has_flow = false;
}

static enum sluice_reason reason_of(int error)
{
	if (error == -EEXIST) /* the client has taken the port of one that was closed just now */
		return SLUICE_REASON_BUSY;
	return error == -ENOSPC ? SLUICE_REASON_MAP_FULL : SLUICE_REASON_KERNEL;
}

/* Until both of its entries are gone. */
static enum sluice_reason take_policy(struct promotion *p)
{
	int error;

	if (p->has_policy)
		return SLUICE_REASON_NONE;
	error = policies_take(p->promoter->splice->policies, p->c->class, p->c->route, &p->policy);
	p->has_policy = error == 0;
	if (error == -ENOBUFS)
		return SLUICE_REASON_LIMIT;
	return error < 0 ? reason_of(error) : SLUICE_REASON_NONE;
}

void promotion_entries_drop_policy(struct promotion *p)
{
	if (p->has_policy)
		policies_drop(p->promoter->splice->policies, p->policy);
	p->has_policy = false;
}

enum sluice_reason promotion_entries_add_client(struct promotion *p)
{
	struct promotion_leg *leg = &p->legs[SL_TO_ENDPOINT];
	struct address local, peer, source;
	enum sluice_reason reason;
	int error;

	if (leg->has_flow) /* for an endpoint that was tried before */
		return SLUICE_REASON_NONE;
	if (get_ends(p->c->client.fd, &local, &peer) < 0 ||
	    flow_key_init(&peer, &local, &leg->key) < 0)
		return SLUICE_REASON_NO_HOOK; /* a unix socket */
	reason = find_way(p->promoter, &local, &peer, leg, &source);
	if (reason == SLUICE_REASON_NONE)
		reason = take_policy(p);
	if (reason != SLUICE_REASON_NONE)
		return reason;
	error = insert_flow(p, SL_TO_ENDPOINT);
	return error < 0 ? reason_of(error) : SLUICE_REASON_NONE;
}

void promotion_entries_drop_port(struct promotion *p, bool was_sent)
{
	struct port_pool *ports = p->promoter->splice->ports;
	uint16_t port = address_port(&p->source);

	if (!p->has_port)
		return;
	p->has_port = false;
	if (was_sent)
		port_pool_release(ports, &p->source, &p->endpoint, port, clock_monotonic_ns());
	else
		port_pool_give_back(ports, &p->source, &p->endpoint, port, clock_monotonic_ns());
}

static int take_port(struct promotion *p)
{
	uint16_t port;
	int error = port_pool_take(p->promoter->splice->ports, &p->source, &p->endpoint,
				   clock_monotonic_ns(), &port);

	if (error < 0)
		return error;
	address_set_port(&p->source, port);
	p->has_port = true;
	return 0;
}

/* A port whose entry is there although the pool has it as free is another daemon's, or one before
 * us has left it: the quarantine of the pool keeps us away from it for a while. */
static int enter_endpoint(struct promotion *p)
{
	struct promotion_leg *leg = &p->legs[SL_TO_CLIENT];
	int error = -EADDRNOTAVAIL;

	for (int i = 0; i < PORT_TRIES; i++) {
		error = take_port(p);
		if (error < 0)
			return error;
		error = flow_key_init(&p->endpoint, &p->source, &leg->key);
		if (error == 0)
			error = insert_flow(p, SL_TO_CLIENT);
		if (error == 0)
			return 0;
		promotion_entries_drop_port(p, error == -EEXIST);
		if (error != -EEXIST)
			return error;
	}
	return -EADDRNOTAVAIL;
}

enum sluice_reason promotion_entries_add_endpoint(struct promotion *p, const struct address *source,
						  const struct address *endpoint)
{
	enum sluice_reason reason;
	int error;

	p->endpoint = *endpoint;
	reason = find_way(p->promoter, source, endpoint, &p->legs[SL_TO_CLIENT], &p->source);
	if (reason != SLUICE_REASON_NONE)
		return reason;
	error = enter_endpoint(p);
	if (error == -EADDRNOTAVAIL || error == -ENOBUFS)
		return SLUICE_REASON_PORTS;
	return error < 0 ? reason_of(error) : SLUICE_REASON_NONE;
}

bool promotion_entries_take(struct promotion *p, struct sl_flow ret_flows[2])
{
	bool is_there = true;

	for (size_t i = 0; i < 2; i++) {
		is_there &= p->legs[i].has_flow &&
			    flow_table_take(flows_of(p), &p->legs[i].key, &ret_flows[i]) == 0;
		p->legs[i].has_flow = false;
	}
	return is_there;
}

bool promotion_entries_read(const struct promotion *p, struct sl_flow ret_flows[2])
{
	return flow_table_read(flows_of(p), &p->legs[0].key, &ret_flows[0]) == 0 &&
	       flow_table_read(flows_of(p), &p->legs[1].key, &ret_flows[1]) == 0;
}

enum sluice_reason promotion_entries_put_record(struct promotion *p)
{
	struct splice *splice = p->promoter->splice;
	struct sl_conn conn;
	int error = conn_record_fill(p->c, &p->promoter->names, splice->epoch, &conn);

	if (error == 0)
		error = conn_table_put(splice->pins.conns_fd, &conn);
	p->has_record = error == 0;
	return error < 0 ? reason_of(error) : SLUICE_REASON_NONE;
}

void promotion_entries_delete_record(struct promotion *p)
{
	if (p->has_record)
		(void)conn_table_delete(p->promoter->splice->pins.conns_fd, p->conn_id);
	p->has_record = false;
}
