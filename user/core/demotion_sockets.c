/* SPDX-License-Identifier: Apache-2.0 */
#include "core/demotion_sockets.h"

#include "base/clock.h"
#include "core/attempt.h"
#include "core/promotion.h"
#include "kern/tcp_repair.h"
#include "kern/tcp_restore.h"

#include <netinet/tcp.h>

/*
 * What we have sent last on the leg whose packets are @flow was the @other direction's timestamp,
 * and the time since then has gone on: not less than it, or the peer would take our segments for
 * old ones (RFC 7323 s5). In steps of 1 ms, which the kernel takes an even number for (from 6.7).
 */
static uint32_t clock_of(const struct sl_flow *other, uint64_t now_ns)
{
	uint64_t since_ns = now_ns > other->last_ns ? now_ns - other->last_ns : 0;
	uint32_t sent = other->tsval + other->tsval_delta;

	return (sent + (uint32_t)(since_ns / NS_PER_MS) + 2) & ~1u;
}

/* A link-local address means something with its interface only. */
static void add_scope(struct address *address, uint32_t oif)
{
	if (address->sa.sa_family == AF_INET6 && IN6_IS_ADDR_LINKLOCAL(&address->in6.sin6_addr))
		address->in6.sin6_scope_id = oif;
}

/* What its peer has heard last of the other one's receiver is less than a segment: it waits for
 * more (RFC 9293 s3.8.6.2.1), and asks for it ever more rarely. */
static bool is_shut(const struct promotion_leg *leg, const struct sl_flow *other)
{
	return (uint32_t)other->window << (other->wscale & 15) < MAX(leg->socket.recv_mss, 1u);
}

static int open_leg(const struct promotion *p, size_t direction, const struct sl_flow flows[2],
		    const uint32_t ends[2], bool is_last_word, int *ret_fd)
{
	const struct sl_flow *flow = &flows[direction], *other = &flows[!direction];
	const struct promotion_leg *leg = &p->legs[direction];
	struct tcp_restore what = {
	    .rcv_nxt = ends[direction],
	    .snd_nxt = ends[!direction] + other->seq_delta,
	    .ts_clock = clock_of(other, clock_monotonic_ns()),
	    .send_window = (uint32_t)flow->window << (flow->wscale & 15),
	    .mss = promotion_peer_mss(leg),
	    .recv_mss = is_last_word ? 0 : leg->socket.recv_mss, /* for who asks of it later */
	    .send_wscale = leg->socket.send_wscale,
	    .recv_wscale = leg->socket.recv_wscale,
	    .options = leg->socket.options,
	    .is_shut = is_shut(leg, other),
	};
	static const int on = 1;
	int error;

	flow_key_addresses(&leg->key, &what.peer, &what.local);
	add_scope(&what.peer, other->oif);
	add_scope(&what.local, other->oif);
	error = tcp_restore(&what, ret_fd);
	/* As the one before had: frames must not wait for the peer's delayed ACK. */
	if (error == 0 && !is_last_word)
		(void)setsockopt(*ret_fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	return error;
}

int demotion_sockets_open(const struct promotion *p, const struct sl_flow flows[2],
			  const uint32_t ends[2], bool is_last_word, int ret_fds[2])
{
	_cleanup_close_ int client = -1, endpoint = -1;
	int error = open_leg(p, SL_TO_ENDPOINT, flows, ends, is_last_word, &client);

	if (error == 0)
		error = open_leg(p, SL_TO_CLIENT, flows, ends, is_last_word, &endpoint);
	if (error < 0)
		return error;
	ret_fds[SL_TO_ENDPOINT] = TAKE_FD(client);
	ret_fds[SL_TO_CLIENT] = TAKE_FD(endpoint);
	return 0;
}

void demotion_socket_begin(const struct promotion *p, size_t direction,
			   const struct sl_flow flows[2], int fd)
{
	/* Listeners have SO_REUSEADDR, and so has what is bound to a port of the pool. */
	(void)tcp_repair_leave(fd, true);
	if (is_shut(&p->legs[direction], &flows[!direction]))
		tcp_restore_tell_window(fd);
}
