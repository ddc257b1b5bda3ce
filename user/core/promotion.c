/* SPDX-License-Identifier: Apache-2.0 */
#include "core/promotion.h"

#include "base/clock.h"
#include "base/log.h"
#include "core/connection.h"
#include "core/promoter.h"
#include "core/worker.h"
#include "kern/splice_ctl.h"

#include <netinet/tcp.h>

#define FIRST_TRY_MS 2
#define DELAY_MAX_MS 4096
#define LINGER_MS    20
#define LOOK_MS      10000 /* at entries, in case an event was lost */
#define PORT_TRIES   8     /* whose entries are in quarantine still */

/* What a packet is longer than its segment's payload and options. */
#define HEADERS_IPV4 40u
#define HEADERS_IPV6 60u

static struct leg *leg_of(struct connection *c, size_t direction)
{
	return direction == SL_TO_ENDPOINT ? &c->client : &c->endpoint_leg;
}

static const struct flow_table *flows_of(const struct promotion *p)
{
	return &p->promoter->splice->pins.flows;
}

static uint32_t headers_of(const struct promotion_leg *leg)
{
	return leg->key.is_ipv6 ? HEADERS_IPV6 : HEADERS_IPV4;
}

/* ---- before the connect -------------------------------------------------------------------- */

/* A limit that has to be enforced by the byte, or by a Close frame at its time, needs the relay. */
static bool has_userspace_limit(const struct config_route *route)
{
	return route->max_frame_bytes || route->max_message_bytes || route->max_duration_ms;
}

static enum sluice_reason check_policy(const struct connection *c)
{
	if (c->route->splice == CONFIG_KERNEL_OFF)
		return SLUICE_REASON_POLICY;
	if (!c->worker->promoter)
		return c->worker->shared->splice ? c->worker->shared->splice->why.reason
						 : SLUICE_REASON_NOT_LOADED;
	return has_userspace_limit(c->route) ? SLUICE_REASON_LIMIT : SLUICE_REASON_NONE;
}

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
	/* A redirect to the neighbour works whether the interface forwards or not. */
	leg->ctl.flags = found.is_local ? SL_F_TO_LOCAL : SL_F_NEIGH;
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

static int insert_flow(struct promotion *p, size_t direction)
{
	struct promotion_leg *leg = &p->legs[direction];
	const struct sl_flow flow = {
	    .state = SL_LEARN,
	    .last_ns = clock_monotonic_ns(),
	    .direction = (uint8_t)direction,
	    .epoch = p->promoter->splice->epoch,
	    .conn_id = p->c->id,
	};
	int error = flow_table_insert(flows_of(p), &leg->key, &flow);

	leg->has_flow = error == 0;
	return error;
}

static void delete_flow(struct promotion *p, size_t direction)
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

static enum sluice_reason prepare_client(struct promotion *p)
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
	if (reason != SLUICE_REASON_NONE)
		return reason;
	error = insert_flow(p, SL_TO_ENDPOINT);
	return error < 0 ? reason_of(error) : SLUICE_REASON_NONE;
}

static void drop_port(struct promotion *p, bool was_sent)
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
		drop_port(p, error == -EEXIST);
		if (error != -EEXIST)
			return error;
	}
	return -EADDRNOTAVAIL;
}

static enum sluice_reason prepare_endpoint(struct promotion *p, const struct address *source,
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

static void timer_cb(struct timer *timer);

static struct promotion *promotion_new(struct connection *c)
{
	struct promotion *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	p->c = c;
	p->promoter = c->worker->promoter;
	list_init(&p->node);
	timer_init(&p->timer, c->worker->loop, timer_cb);
	return p;
}

static enum sluice_reason prepare(struct connection *c, const struct address *source,
				  const struct address *endpoint)
{
	enum sluice_reason reason = check_policy(c);

	if (reason != SLUICE_REASON_NONE)
		return reason;
	if (!c->promotion)
		c->promotion = promotion_new(c);
	if (!c->promotion)
		return SLUICE_REASON_KERNEL;
	reason = prepare_client(c->promotion);
	return reason == SLUICE_REASON_NONE ? prepare_endpoint(c->promotion, source, endpoint)
					    : reason;
}

/* What the client's way carries, so that the endpoint sends nothing larger. */
static uint32_t client_mss(const struct promotion *p)
{
	struct tcp_info info = {0};
	socklen_t len = sizeof(info);
	uint32_t headers = headers_of(&p->legs[SL_TO_ENDPOINT]);

	if (getsockopt(p->c->client.fd, IPPROTO_TCP, TCP_INFO, &info, &len) < 0 ||
	    info.tcpi_pmtu <= headers)
		return 0;
	return info.tcpi_pmtu - headers;
}

int promotion_prepare(struct connection *c, const struct address *source,
		      const struct address *endpoint, struct address *ret_local, uint32_t *ret_mss)
{
	enum sluice_reason reason = prepare(c, source, endpoint);

	c->splice_reason = (uint8_t)reason;
	if (reason == SLUICE_REASON_NONE) {
		*ret_local = c->promotion->source;
		*ret_mss = client_mss(c->promotion);
		return 0;
	}
	promotion_end(c);
	return reason == SLUICE_REASON_PORTS ? -EADDRNOTAVAIL : -ENOTSUP;
}

void promotion_leave_endpoint(struct connection *c, bool was_sent)
{
	if (!c->promotion)
		return;
	delete_flow(c->promotion, SL_TO_CLIENT);
	drop_port(c->promotion, was_sent);
}

/* ---- a try --------------------------------------------------------------------------------- */

/* What became of it: a reason that may pass, one that stays, or NONE: it is done. */
struct attempt {
	enum sluice_reason reason;
	bool is_final;
};

static const struct attempt attempt_busy = {SLUICE_REASON_BUSY, false};

static struct attempt refuse(enum sluice_reason reason)
{
	return (struct attempt){reason, true};
}

static bool is_leg_quiet(const struct leg *leg)
{
	struct tcp_backlog backlog;

	return leg_is_open(leg) && !leg_has_output(leg) && leg->held_len == 0 && !leg->saw_eof &&
	       !leg->is_fin_due && !leg->is_write_dead && !leg->is_discarding &&
	       ws_walker_at_boundary(&leg->walker) && !leg->walker.is_closed &&
	       tcp_backlog_read(leg->fd, &backlog) == 0 && tcp_backlog_is_empty(&backlog);
}

/* What either end sends has to fit the other leg's way: nobody on ours would say so by ICMP. */
static bool fits(const struct promotion_leg *from, const struct promotion_leg *to)
{
	return from->capture.recv_mss + headers_of(from) <= to->capture.path_mtu;
}

static enum sluice_reason check_legs(const struct promotion *p)
{
	const struct promotion_leg *a = &p->legs[0], *b = &p->legs[1];

	if (a->key.is_ipv6 != b->key.is_ipv6)
		return SLUICE_REASON_OPTIONS;
	/* Stripping them from one leg takes its protection against wrapped sequences (RFC 7323
	 * s5) and its round-trip times away. */
	if ((a->capture.options ^ b->capture.options) & SL_O_TIMESTAMPS)
		return SLUICE_REASON_OPTIONS;
	return fits(a, b) && fits(b, a) ? SLUICE_REASON_NONE : SLUICE_REASON_MTU;
}

static void fill_leg(struct promotion_leg *leg)
{
	leg->ctl.rcv_nxt = leg->capture.rcv_nxt;
	leg->ctl.snd_nxt = leg->capture.snd_nxt;
	leg->ctl.ts_clock = leg->capture.ts_clock;
	leg->ctl.send_wscale = leg->capture.send_wscale;
	leg->ctl.recv_wscale = leg->capture.recv_wscale;
	leg->ctl.options = leg->capture.options;
}

static struct attempt judge(const struct sl_activate_args *args)
{
	switch (args->result) {
	case SL_CTL_DONE:
		return (struct attempt){SLUICE_REASON_NONE, true};
	case SL_CTL_NO_FLOW: /* somebody has removed them */
	case SL_CTL_STATE:
		return refuse(SLUICE_REASON_KERNEL);
	case SL_CTL_UNSEEN: /* it may be that the packets come in by another interface */
		return (struct attempt){SLUICE_REASON_ASYMMETRIC, false};
	default:
		return attempt_busy;
	}
}

static struct attempt activate(struct promotion *p)
{
	struct sl_activate_args args = {
	    .is_ipv6 = p->legs[0].key.is_ipv6,
	    .walk_flags = {SL_W_ON, SL_W_ON}, /* both are between two frames */
	};
	enum sluice_reason reason = check_legs(p);

	if (reason != SLUICE_REASON_NONE)
		return refuse(reason);
	for (size_t i = 0; i < 2; i++) {
		fill_leg(&p->legs[i]);
		args.keys[i] = p->legs[i].key.key;
		args.legs[i] = p->legs[i].ctl;
	}
	if (splice_ctl_activate(p->promoter->splice->pins.activate_fd, &args) < 0)
		return refuse(SLUICE_REASON_KERNEL);
	return judge(&args);
}

static struct attempt capture_failed(int error)
{
	/* Its end has come, or bytes have: the relay deals with both. */
	return error == -EBUSY || error == -ENOTCONN ? attempt_busy : refuse(SLUICE_REASON_KERNEL);
}

static int capture(struct promotion *p, size_t direction)
{
	struct promotion_leg *leg = &p->legs[direction];

	return tcp_capture_begin(leg_of(p->c, direction)->fd, &leg->was_reusable, &leg->capture);
}

static void let_go(struct promotion *p, size_t direction)
{
	(void)tcp_capture_end(leg_of(p->c, direction)->fd, p->legs[direction].was_reusable);
}

static struct attempt capture_endpoint(struct promotion *p)
{
	int error = capture(p, SL_TO_CLIENT);
	struct attempt attempt;

	if (error < 0)
		return capture_failed(error);
	attempt = activate(p);
	if (attempt.reason != SLUICE_REASON_NONE)
		let_go(p, SL_TO_CLIENT);
	return attempt;
}

static struct attempt capture_both(struct promotion *p)
{
	int error = capture(p, SL_TO_ENDPOINT);
	struct attempt attempt;

	if (error < 0)
		return capture_failed(error);
	attempt = capture_endpoint(p);
	if (attempt.reason != SLUICE_REASON_NONE)
		let_go(p, SL_TO_ENDPOINT);
	return attempt;
}

static struct attempt try_now(struct promotion *p)
{
	struct connection *c = p->c;

	if (c->state != CONNECTION_OPEN)
		return refuse((enum sluice_reason)c->reason); /* it is on its way out */
	if (!is_leg_quiet(&c->client) || !is_leg_quiet(&c->endpoint_leg))
		return attempt_busy;
	return capture_both(p);
}

/* ---- what the kernel has counted ----------------------------------------------------------- */

static bool read_flows(const struct promotion *p, struct sl_flow ret_flows[2])
{
	return flow_table_read(flows_of(p), &p->legs[0].key, &ret_flows[0]) == 0 &&
	       flow_table_read(flows_of(p), &p->legs[1].key, &ret_flows[1]) == 0;
}

static bool is_spliced(const struct promotion *p)
{
	return p->state == PROMOTION_LINGERING || p->state == PROMOTION_SPLICED;
}

static uint64_t count_frames(const struct sl_flow *flow)
{
	uint64_t n = 0;

	for (size_t i = 0; i < ARRAY_SIZE(flow->frames); i++)
		n += flow->frames[i];
	return n;
}

void promotion_settle(struct connection *c)
{
	struct stats *stats = c->worker->stats;
	struct sl_flow flows[2];

	if (!c->promotion || !is_spliced(c->promotion) || !read_flows(c->promotion, flows))
		return;
	for (size_t i = 0; i < 2; i++) {
		struct leg *from = leg_of(c, i);
		uint64_t n = flows[i].payload_bytes;

		from->bytes_in += n;
		connection_other_leg(c, from)->bytes_out += n;
		stat_add(&stats->bytes[SLUICE_PATH_SPLICE]
				      [i == SL_TO_ENDPOINT ? STATS_IN : STATS_OUT],
			 n);
	}
	c->frames_in += count_frames(&flows[SL_TO_ENDPOINT]);
	c->frames_out += count_frames(&flows[SL_TO_CLIENT]);
}

/* Return: how it has ended, or 0. */
static int end_of(const struct sl_flow flows[2])
{
	uint8_t both = flows[0].marks & flows[1].marks, either = flows[0].marks | flows[1].marks;

	if (either & SL_M_RST)
		return EEND_RESET;
	return both & SL_M_FIN_ACKED ? EEND_EOF : 0;
}

static uint64_t idle_ms(const struct sl_flow flows[2])
{
	uint64_t now_ns = clock_monotonic_ns(), last_ns = MAX(flows[0].last_ns, flows[1].last_ns);

	return now_ns > last_ns ? (now_ns - last_ns) / NS_PER_MS : 0;
}

void promotion_describe(const struct connection *c, struct connection_info *info)
{
	struct sl_flow flows[2];

	if (!c->promotion || !is_spliced(c->promotion) || !read_flows(c->promotion, flows))
		return;
	info->idle_ms = idle_ms(flows);
	info->bytes_in += flows[SL_TO_ENDPOINT].payload_bytes;
	info->bytes_out += flows[SL_TO_CLIENT].payload_bytes;
	info->frames_in += count_frames(&flows[SL_TO_ENDPOINT]);
	info->frames_out += count_frames(&flows[SL_TO_CLIENT]);
}

void promotion_check(struct connection *c)
{
	struct sl_flow flows[2];
	int end;

	if (!c->promotion || !is_spliced(c->promotion))
		return;
	/* Without its entries nothing of it is left: they were removed by force. */
	if (!read_flows(c->promotion, flows)) {
		connection_end(c, EGW_INTERNAL);
		return;
	}
	end = end_of(flows);
	if (end) {
		c->promotion->is_over = true;
		connection_end(c, end);
	}
}

/* ---- spliced ------------------------------------------------------------------------------- */

static void spliced_on_event(struct connection *c, struct leg *leg)
{
	/* The sockets are not watched any more. */
}

static void spliced_on_deadline(struct connection *c)
{
	struct sl_flow flows[2];
	uint64_t idle, limit = c->route->tunnel_timeout_ms;

	if (!limit || !read_flows(c->promotion, flows))
		return;
	idle = idle_ms(flows);
	if (idle >= limit)
		connection_end(c, EGW_IDLE);
	else
		timer_arm(&c->timer, limit - idle);
}

/* Without a socket there is no way to send a Close frame: the entries go, and whatever a peer sends
 * next is answered by an RST. */
static void spliced_close(struct connection *c, int error, uint16_t code, struct slice text)
{
	connection_end(c, error);
}

static const struct connection_ops spliced_ops = {
    .on_readable = spliced_on_event,
    .on_writable = spliced_on_event,
    .on_deadline = spliced_on_deadline,
    .close = spliced_close,
};

static void become_spliced(struct promotion *p)
{
	struct connection *c = p->c;

	leg_stop_reading(&c->client);
	leg_stop_reading(&c->endpoint_leg);
	p->state = PROMOTION_LINGERING;
	c->promotions++;
	connection_set_path(c, SLUICE_PATH_SPLICE, SLUICE_REASON_NONE);
	connection_set_stage(c, &spliced_ops, NULL, NULL);
	timer_arm(&p->timer, LINGER_MS);
	log_conn(LOG_LEVEL_DEBUG, c->id, "spliced, at try %u", p->tries);
}

static void end_lingering(struct promotion *p)
{
	struct connection *c = p->c;
	struct tcp_backlog backlogs[2];

	for (size_t i = 0; i < 2; i++) {
		if (tcp_backlog_read(leg_of(c, i)->fd, &backlogs[i]) == 0 && backlogs[i].unread)
			log_conn(LOG_LEVEL_ERROR, c->id,
				 "%u bytes came to a socket after the kernel had taken over",
				 backlogs[i].unread);
	}
	/* In repair: their peers are told nothing. */
	leg_close(&c->client);
	leg_close(&c->endpoint_leg);
	p->state = PROMOTION_SPLICED;
	timer_arm(&p->timer, LOOK_MS);
}

static void try_it(struct promotion *p)
{
	uint64_t begin_ns = clock_monotonic_ns();
	struct attempt attempt;

	p->tries++;
	p->is_keen = !p->is_keen;
	attempt = try_now(p);
	stats_add_promotion(p->c->worker->stats, attempt.reason, attempt.is_final,
			    clock_monotonic_ns() - begin_ns);
	if (attempt.reason == SLUICE_REASON_NONE) {
		become_spliced(p);
		return;
	}
	connection_set_path(p->c, SLUICE_PATH_RELAY, attempt.reason);
	if (attempt.is_final) {
		p->state = PROMOTION_REFUSED;
		return;
	}
	/* Tries come in pairs: at a time of ours, and if bytes were on their way then, behind the
	 * next ones. */
	if (!p->is_keen)
		p->delay_ms = MIN(2 * p->delay_ms, (uint64_t)DELAY_MAX_MS);
	timer_arm(&p->timer, p->delay_ms);
}

void promotion_on_relayed(struct connection *c, struct leg *to)
{
	struct promotion *p = c->promotion;

	if (likely(!p || !p->is_keen) || p->state != PROMOTION_WAITING || connection_is_closed(c) ||
	    !leg_is_open(to) || leg_has_output(to))
		return;
	if (tcp_capture_ask(to->fd) == 0)
		try_it(p);
}

static void timer_cb(struct timer *timer)
{
	struct promotion *p = container_of(timer, struct promotion, timer);

	switch (p->state) {
	case PROMOTION_WAITING:
		p->is_keen = false;
		try_it(p);
		break;
	case PROMOTION_LINGERING:
		end_lingering(p);
		break;
	case PROMOTION_SPLICED:
		timer_arm(&p->timer, LOOK_MS);
		promotion_check(p->c);
		break;
	default:
		break;
	}
}

/* ---- life ---------------------------------------------------------------------------------- */

enum sluice_reason promotion_relayed(struct connection *c)
{
	struct promotion *p = c->promotion;

	if (!p)
		return (enum sluice_reason)c->splice_reason;
	p->state = PROMOTION_WAITING;
	p->delay_ms = 1;
	timer_arm(&p->timer, FIRST_TRY_MS);
	return SLUICE_REASON_NEW;
}

void promotion_end(struct connection *c)
{
	struct promotion *p = TAKE_PTR(c->promotion);

	if (!p)
		return;
	timer_disarm(&p->timer);
	p->c = NULL;
	/* Any other end of a spliced connection is our decision: nothing more may pass. */
	if (p->is_over) {
		/* The client may come again from the same port, and must not find the old way to
		 * the endpoint: its own entry goes at once. A late packet of its last connection
		 * is answered by an RST, which says what it knows. */
		delete_flow(p, SL_TO_ENDPOINT);
		p->state = PROMOTION_RETIRED;
		promoter_retire(p->promoter, p);
		return;
	}
	delete_flow(p, SL_TO_ENDPOINT);
	delete_flow(p, SL_TO_CLIENT);
	drop_port(p, true);
	free(p);
}
