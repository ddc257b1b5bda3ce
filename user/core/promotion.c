/* SPDX-License-Identifier: Apache-2.0 */
#include "core/promotion.h"

#include "base/clock.h"
#include "core/attempt.h"
#include "core/connection.h"
#include "core/demotion.h"
#include "core/promoter.h"
#include "core/promotion_entries.h"
#include "core/relay.h"
#include "core/spliced.h"
#include "core/worker.h"
#include "kern/splice_ctl.h"
#include "kern/tcp_repair.h"

#include <netinet/tcp.h>

#define FIRST_TRY_MS    2
#define TIMESTAMP_BYTES 12u  /* of a segment, when both ends use them (RFC 7323 appendix A) */
#define FAREWELL_MS     2000 /* of the client's entry, behind the end */

struct leg *promotion_leg_of(struct connection *c, size_t direction)
{
	return direction == SL_TO_ENDPOINT ? &c->client : &c->endpoint_leg;
}

uint16_t promotion_number(const struct connection *c)
{
	return c->promotions < UINT16_MAX ? (uint16_t)(c->promotions + 1) : UINT16_MAX;
}

void promotion_spend(struct promotion *p, uint64_t begin_ns)
{
	uint64_t ns = p->spent_ns + (clock_monotonic_ns() - begin_ns);

	p->spent_ns = (uint32_t)MIN(ns, (uint64_t)UINT32_MAX);
}

/* ---- before the connect -------------------------------------------------------------------- */

static enum sluice_reason check_policy(const struct connection *c)
{
	enum sluice_reason reason;

	if (c->route->splice == CONFIG_KERNEL_OFF)
		return SLUICE_REASON_POLICY;
	reason = splice_refuses(c->worker->shared->splice);
	if (reason != SLUICE_REASON_NONE)
		return reason;
	/* It may not have come yet. */
	return c->worker->promoter ? SLUICE_REASON_NONE : SLUICE_REASON_NOT_LOADED;
}

static void timer_cb(struct timer *timer);

static struct promotion *promotion_new(struct connection *c)
{
	struct promotion *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	p->c = c;
	p->conn_id = c->id;
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
	reason = promotion_entries_add_client(c->promotion);
	if (reason != SLUICE_REASON_NONE)
		return reason;
	return promotion_entries_add_endpoint(c->promotion, source, endpoint);
}

/* What the client's way carries, so that the endpoint sends nothing larger. */
static uint32_t client_mss(const struct promotion *p)
{
	struct tcp_info info = {0};
	socklen_t len = sizeof(info);
	uint32_t headers = attempt_headers(p->legs[SL_TO_ENDPOINT].key.is_ipv6);

	if (getsockopt(p->c->client.fd, IPPROTO_TCP, TCP_INFO, &info, &len) < 0 ||
	    info.tcpi_pmtu <= headers)
		return 0;
	return info.tcpi_pmtu - headers;
}

int promotion_prepare(struct connection *c, const struct address *source,
		      const struct address *endpoint, struct address *ret_local, uint32_t *ret_mss)
{
	uint64_t begin_ns = clock_monotonic_ns();
	enum sluice_reason reason = prepare(c, source, endpoint);

	c->splice_reason = (uint8_t)reason;
	if (reason == SLUICE_REASON_NONE) {
		*ret_local = c->promotion->source;
		*ret_mss = client_mss(c->promotion);
		promotion_spend(c->promotion, begin_ns);
		return 0;
	}
	promotion_end(c);
	return reason == SLUICE_REASON_PORTS ? -EADDRNOTAVAIL : -ENOTSUP;
}

void promotion_leave_endpoint(struct connection *c, bool was_sent)
{
	if (!c->promotion)
		return;
	promotion_entries_remove(c->promotion, SL_TO_CLIENT);
	promotion_entries_drop_port(c->promotion, was_sent);
}

/* ---- orders -------------------------------------------------------------------------------- */

/* Of several that say so, the last has to be taken back. */
static bool is_ordered_back(const struct promotion *p)
{
	const struct worker_shared *shared = p->c->worker->shared;

	return p->is_kept ||
	       atomic_load_explicit(&shared->splice_pauses, memory_order_relaxed) != 0;
}

static void stay(struct promotion *p)
{
	timer_disarm(&p->timer);
	p->state = PROMOTION_KEPT;
	connection_set_path(p->c, SLUICE_PATH_RELAY, SLUICE_REASON_DEMOTED);
}

/* ---- a try --------------------------------------------------------------------------------- */

static bool is_leg_quiet(const struct leg *leg)
{
	return leg_is_open(leg) && !leg_has_output(leg) && leg->held_len == 0 && !leg->saw_eof &&
	       !leg->is_fin_due && !leg->is_write_dead && !leg->is_discarding &&
	       leg_at_boundary(leg) && !leg->walker.is_closed && !leg->is_pong_due &&
	       /* The kernel would not know how long that message is already. */
	       !(leg->walker.in_message && leg->walker.limits.max_message);
}

/* What arrives meanwhile the hook has seen, and sl_activate finds it (flow.h, rule 1). */
static struct attempt capture(struct promotion *p)
{
	const struct sl_key6 *const keys[2] = {&p->legs[0].key.key, &p->legs[1].key.key};
	bool is_ipv6 = p->legs[0].key.is_ipv6;
	struct sl_socket sockets[2];

	if (splice_ctl_capture(p->promoter->splice->pins.capture_fd, keys, is_ipv6, sockets) < 0)
		return attempt_refused(SLUICE_REASON_KERNEL);
	for (size_t i = 0; i < 2; i++)
		p->legs[i].socket = sockets[i];
	return attempt_from_sockets(sockets);
}

static void fill_leg(struct promotion_leg *leg)
{
	leg->ctl.rcv_nxt = leg->socket.rcv_nxt;
	leg->ctl.snd_nxt = leg->socket.snd_nxt;
	leg->ctl.ts_clock = leg->socket.ts_clock;
	leg->ctl.send_wscale = leg->socket.send_wscale;
	leg->ctl.send_mss = leg->socket.send_mss;
	leg->ctl.recv_wscale = leg->socket.recv_wscale;
	leg->ctl.options = leg->socket.options;
}

/* It is between two frames, or nobody will ever know again. */
static uint32_t walk_flags(const struct leg *leg)
{
	if (leg->is_unwalked)
		return 0;
	return leg->walker.in_message ? SL_W_ON | SL_W_MESSAGE : SL_W_ON;
}

static struct attempt activate(struct promotion *p)
{
	struct sl_activate_args args = {
	    .is_ipv6 = p->legs[0].key.is_ipv6,
	    .walk_flags = {walk_flags(&p->c->client), walk_flags(&p->c->endpoint_leg)},
	};

	for (size_t i = 0; i < 2; i++) {
		fill_leg(&p->legs[i]);
		args.keys[i] = p->legs[i].key.key;
		args.legs[i] = p->legs[i].ctl;
	}
	if (splice_ctl_activate(p->promoter->splice->pins.activate_fd, &args) < 0)
		return attempt_refused(SLUICE_REASON_KERNEL);
	return attempt_from_result((enum sl_ctl_result)args.result);
}

/* Should this process die now, whoever finds the flows at work finds what they belong to. */
static struct attempt activate_recorded(struct promotion *p)
{
	enum sluice_reason reason = promotion_entries_put_record(p);
	struct attempt attempt;

	if (reason != SLUICE_REASON_NONE)
		return attempt_refused(reason);
	attempt = activate(p);
	if (attempt.reason != SLUICE_REASON_NONE)
		promotion_entries_delete_record(p);
	return attempt;
}

/* In repair from before the kernel takes over: should this process die then, its sockets say
 * nothing to anybody. */
static struct attempt activate_in_repair(struct promotion *p)
{
	struct leg *legs[2] = {&p->c->client, &p->c->endpoint_leg};
	struct attempt attempt = attempt_refused(SLUICE_REASON_KERNEL);
	size_t n = 0;

	while (n < 2 && tcp_repair_enter(legs[n]->fd) == 0)
		n++;
	if (n == 2)
		attempt = activate_recorded(p);
	/* Listeners have SO_REUSEADDR, and so has what is bound to a port of the pool. */
	while (attempt.reason != SLUICE_REASON_NONE && n > 0)
		(void)tcp_repair_leave(legs[--n]->fd, true);
	return attempt;
}

static struct attempt try_now(struct promotion *p)
{
	struct connection *c = p->c;
	struct attempt attempt;

	if (c->state != CONNECTION_OPEN)
		return attempt_refused((enum sluice_reason)c->reason); /* it is on its way out */
	if (promoter_lacks_hook(p->promoter, p->legs[0].ctl.oif, p->legs[1].ctl.oif))
		return attempt_refused(SLUICE_REASON_NO_HOOK);
	if (p->legs[0].key.is_ipv6 != p->legs[1].key.is_ipv6)
		return attempt_refused(SLUICE_REASON_OPTIONS);
	if (!is_leg_quiet(&c->client) || !is_leg_quiet(&c->endpoint_leg))
		return attempt_busy();
	attempt = capture(p);
	return attempt.reason == SLUICE_REASON_NONE ? activate_in_repair(p) : attempt;
}

static struct attempt try_timed(struct promotion *p)
{
	uint64_t begin_ns = clock_monotonic_ns();
	struct attempt attempt;

	p->tries++;
	attempt = try_now(p);
	promotion_spend(p, begin_ns);
	if (attempt.reason == SLUICE_REASON_NONE)
		stats_add_switch(p->c->worker->stats, clock_monotonic_ns() - begin_ns);
	return attempt;
}

static void try_it(struct promotion *p)
{
	struct attempt attempt;

	/* Whoever gave the order need not wait until all have been told of it. */
	if (is_ordered_back(p)) {
		stay(p);
		return;
	}
	attempt = try_timed(p);
	stats_add_try(p->c->worker->stats, attempt.reason, attempt.is_final);
	if (attempt.reason == SLUICE_REASON_NONE) {
		spliced_begin(p);
		return;
	}
	connection_set_path(p->c, SLUICE_PATH_RELAY, attempt.reason);
	if (attempt.is_final) {
		p->state = PROMOTION_REFUSED;
		return;
	}
	timer_arm(&p->timer, p->pace.delay_ms);
}

void promotion_on_relayed(struct connection *c, struct leg *to)
{
	struct promotion *p = c->promotion;

	if (likely(!p || p->pace.n_messages == 0) || p->state != PROMOTION_WAITING ||
	    connection_is_closed(c) || !leg_is_open(to) || leg_has_output(to))
		return;
	if (tcp_repair_ask(to->fd) < 0)
		return;
	attempt_pace_by_message(&p->pace);
	try_it(p);
}

/*
 * The client may come again from the same port, and must not find the old way to the endpoint (the
 * hook drops its SYN): so its entry goes at once, unless it was the first to close. Then its own
 * kernel keeps the port, and the endpoint may need an answer of it: to its FIN, or to the challenge
 * that a reset gets that came out of order (RFC 5961 s3.2). An endpoint that a reset has not
 * reached even so finds no entry of its own either: the next that it sends is answered by our
 * kernel's RST.
 */
static void remove_ends(struct promotion *p)
{
	promotion_entries_remove(p, SL_TO_ENDPOINT);
	if (p->was_reset)
		promotion_entries_remove(p, SL_TO_CLIENT);
}

static void timer_cb(struct timer *timer)
{
	struct promotion *p = container_of(timer, struct promotion, timer);

	switch (p->state) {
	case PROMOTION_WAITING:
		attempt_pace_by_time(&p->pace);
		try_it(p);
		break;
	case PROMOTION_DEMOTING:
		demotion_try(p);
		break;
	case PROMOTION_SUSPECT:
		demotion_end_suspicion(p);
		break;
	case PROMOTION_LINGERING:
		spliced_end_lingering(p);
		break;
	case PROMOTION_RETIRED:
		remove_ends(p);
		break;
	default:
		break;
	}
}

/* ---- life ---------------------------------------------------------------------------------- */

static void begin_tries(struct promotion *p)
{
	p->state = PROMOTION_WAITING;
	attempt_pace_init(&p->pace);
	timer_arm(&p->timer, FIRST_TRY_MS);
}

enum sluice_reason promotion_relayed(struct connection *c)
{
	struct promotion *p = c->promotion;

	if (!p) {
		stats_add_try(c->worker->stats, (enum sluice_reason)c->splice_reason, true);
		return (enum sluice_reason)c->splice_reason;
	}
	if (is_ordered_back(p)) {
		p->state = PROMOTION_KEPT;
		return SLUICE_REASON_DEMOTED;
	}
	begin_tries(p);
	return SLUICE_REASON_NEW;
}

void promotion_demoted(struct promotion *p, enum sluice_reason reason)
{
	enum sluice_reason refusal = check_policy(p->c);

	if (reason == SLUICE_REASON_BUSY && refusal != SLUICE_REASON_NONE)
		reason = refusal;
	if (reason != SLUICE_REASON_BUSY)
		p->state = PROMOTION_REFUSED;
	else if (is_ordered_back(p))
		p->state = PROMOTION_KEPT;
	else
		begin_tries(p);
	connection_set_path(p->c, SLUICE_PATH_RELAY,
			    p->state == PROMOTION_WAITING || p->state == PROMOTION_KEPT
				? SLUICE_REASON_DEMOTED
				: reason);
}

void promotion_follow(struct connection *c)
{
	struct promotion *p = c->promotion;

	if (!p)
		return;
	if (c->route->splice != CONFIG_KERNEL_OFF) {
		demotion_call_off(p, DEMOTION_POLICY);
		if (p->state == PROMOTION_REFUSED && c->reason == SLUICE_REASON_POLICY)
			promotion_demoted(p, SLUICE_REASON_BUSY);
	} else if (promotion_is_spliced(p)) {
		demotion_begin(c, DEMOTION_POLICY, 0);
	} else if (p->state == PROMOTION_WAITING || p->state == PROMOTION_KEPT) {
		timer_disarm(&p->timer);
		promotion_demoted(p, SLUICE_REASON_POLICY);
	}
}

void promotion_keep(struct connection *c, bool is_kept)
{
	if (c->promotion)
		c->promotion->is_kept = is_kept;
}

bool promotion_recall(struct connection *c)
{
	struct promotion *p = c->promotion;

	if (!p || !is_ordered_back(p))
		return false;
	if (promotion_is_spliced(p)) {
		demotion_begin(c, DEMOTION_OPERATOR, 0);
		return true;
	}
	if (p->state == PROMOTION_WAITING)
		stay(p);
	return false;
}

bool promotion_resume(struct connection *c)
{
	struct promotion *p = c->promotion;

	if (!p || is_ordered_back(p))
		return false;
	demotion_call_off(p, DEMOTION_OPERATOR);
	if (p->state != PROMOTION_KEPT)
		return false;
	begin_tries(p);
	connection_set_path(c, SLUICE_PATH_RELAY, SLUICE_REASON_BUSY);
	return true;
}

uint16_t promotion_peer_mss(const struct promotion_leg *leg)
{
	uint32_t options = leg->socket.options & SL_O_TIMESTAMPS ? TIMESTAMP_BYTES : 0;

	return (uint16_t)MIN(leg->socket.send_mss + options, (uint32_t)UINT16_MAX);
}

/* The reverse of what conn_record.c has written. What we have told a peer to send it does not say:
 * not more than the other one's way carries, or it would not have been spliced. */
static void adopt_leg(struct promotion_leg *leg, const struct sl_leg *record,
		      const struct sl_leg *other)
{
	uint16_t options = record->options & SL_O_TIMESTAMPS ? TIMESTAMP_BYTES : 0;

	leg->socket.options = record->options;
	leg->socket.send_mss = record->mss > options ? (uint16_t)(record->mss - options) : 0;
	leg->socket.recv_mss = other->mss;
	leg->socket.send_wscale = record->send_wscale;
	leg->socket.recv_wscale = record->recv_wscale;
}

int promotion_adopt(struct connection *c, const struct flow_key *const keys[2],
		    const struct sl_leg legs[2], uint8_t policy)
{
	struct promotion *p = promotion_new(c);

	if (!p)
		return -ENOMEM;
	for (size_t i = 0; i < 2; i++) {
		p->legs[i].key = *keys[i];
		p->legs[i].has_flow = true;
		adopt_leg(&p->legs[i], &legs[i], &legs[!i]);
	}
	relay_prepare(c, WS_RSV_MASK);
	flow_key_addresses(keys[SL_TO_CLIENT], &p->endpoint, &p->source);
	p->policy = policy;
	p->has_policy = p->has_port = p->has_record = true;
	c->promotion = p;
	spliced_adopt(p);
	return 0;
}

void promotion_take_leave(struct promotion *p)
{
	promotion_entries_delete_record(p);
	if (p->was_reset || p->was_client_first)
		timer_arm(&p->timer, FAREWELL_MS);
	else
		remove_ends(p);
}

void promotion_leave(struct connection *c)
{
	struct promotion *p = TAKE_PTR(c->promotion);

	timer_disarm(&p->timer);
	promoter_remove_spliced(p->promoter, p);
	promotion_entries_drop_policy(p);
	demotion_leave(p);
	free(p);
}

void promotion_end(struct connection *c)
{
	struct promotion *p = TAKE_PTR(c->promotion);

	if (!p)
		return;
	timer_disarm(&p->timer);
	if (promotion_is_spliced(p))
		promoter_remove_spliced(p->promoter, p);
	demotion_cancel(p);
	p->c = NULL;
	if (p->is_over) {
		p->state = PROMOTION_RETIRED;
		promoter_retire(p->promoter, p);
		return;
	}
	/* Any other end of a spliced connection is our decision: nothing more may pass. */
	promotion_entries_delete_record(p);
	promotion_entries_remove(p, SL_TO_ENDPOINT);
	promotion_entries_remove(p, SL_TO_CLIENT);
	spliced_reset_peers(p);
	promotion_entries_drop_port(p, true);
	promotion_entries_drop_policy(p);
	free(p);
}
