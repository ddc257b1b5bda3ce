/* SPDX-License-Identifier: Apache-2.0 */
#include "core/demotion.h"

#include "base/clock.h"
#include "base/log.h"
#include "core/connection.h"
#include "core/demotion_sockets.h"
#include "core/flow_pair.h"
#include "core/keepalive.h"
#include "core/promoter.h"
#include "core/promotion.h"
#include "core/promotion_entries.h"
#include "core/relay.h"
#include "core/spliced.h"
#include "core/walk_resume.h"
#include "core/worker.h"
#include "kern/splice_ctl.h"

/* Longer than making two sockets takes, and than most preemptions; shorter than the first
 * retransmission of whatever comes meanwhile. */
#define HOLD_NS (50 * NS_PER_MS)

#define FOR_EVER UINT64_MAX

/* What a promotion has while it is to be demoted. */
struct demotion {
	/* By reason: until when it is wanted for that. FOR_EVER = as long as it takes, 0 = not */
	uint64_t until_ns[DEMOTION_REASON_COUNT];
	uint64_t spent_ns; /* on this worker, by all tries */
	uint64_t passed;   /* SUSPECT: what had come until then from whom the frame was */
	uint32_t acks[2];  /* of both flows, when PING began */
	struct demotion_pace pace;
	uint8_t suspect; /* SUSPECT: enum sl_direction */
	/* to be closed, if error is not 0 */
	uint8_t text_len;
	uint16_t code;
	int error;
	char text[WS_CONTROL_MAX];
};

const char *demotion_reason_name(enum demotion_reason reason)
{
	static const char *const names[DEMOTION_REASON_COUNT] = {
#define X(symbol, name) [DEMOTION_##symbol] = (name),
	    DEMOTION_REASONS(X)
#undef X
	};

	return reason < DEMOTION_REASON_COUNT ? names[reason] : "?";
}

const char *demotion_result_name(enum demotion_result result)
{
	static const char *const names[DEMOTION_RESULT_COUNT] = {
	    [DEMOTION_DONE] = "done",
	    [DEMOTION_RESET] = "reset",
	    [DEMOTION_GAVE_UP] = "gave_up",
	    [DEMOTION_ENDED] = "ended",
	};

	return result < DEMOTION_RESULT_COUNT ? names[result] : "?";
}

/* ---- pace ---------------------------------------------------------------------------------- */

#define QUICK_TRIES   5 /* 1 to 16 ms apart */
#define STOPPED_TRIES 4 /* 10 to 80 ms apart, within DEMOTION_STOP_MS */
#define PAUSE_MS      500u
#define PAUSE_MAX_MS  4000u

struct demotion_step demotion_pace_next(struct demotion_pace *pace)
{
	unsigned int n = pace->n_tries++;

	if (n < QUICK_TRIES)
		return (struct demotion_step){.delay_ms = UINT64_C(1) << n};
	if (n < QUICK_TRIES + STOPPED_TRIES)
		return (struct demotion_step){
		    .delay_ms = UINT64_C(10) << (n - QUICK_TRIES),
		    .is_stop = n == QUICK_TRIES,
		};
	n = MIN(pace->n_rounds, 3u);
	pace->n_rounds = (uint8_t)(n + 1);
	pace->n_tries = 0;
	return (struct demotion_step){.delay_ms = MIN(PAUSE_MS << n, PAUSE_MAX_MS)};
}

/* ---- what is wanted ------------------------------------------------------------------------ */

static bool wants(const struct demotion *d, enum demotion_reason reason)
{
	return d->until_ns[reason] != 0;
}

/* COUNT = nothing is wanted */
static enum demotion_reason strongest(const struct demotion *d)
{
	unsigned int reason = 0;

	while (reason < DEMOTION_REASON_COUNT && !d->until_ns[reason])
		reason++;
	return (enum demotion_reason)reason;
}

/* Nothing else is wanted beside it. */
static bool is_final(enum demotion_reason reason)
{
	return reason <= DEMOTION_VIOLATION;
}

static void want_nothing(struct demotion *d)
{
	memset(d->until_ns, 0, sizeof(d->until_ns));
}

/* The first of several times that is over. */
static uint64_t next_ns(const struct demotion *d)
{
	uint64_t next = FOR_EVER;

	for (size_t i = 0; i < DEMOTION_REASON_COUNT; i++) {
		if (d->until_ns[i])
			next = MIN(next, d->until_ns[i]);
	}
	return next;
}

/* ---- ends ---------------------------------------------------------------------------------- */

static void count(struct promotion *p, enum demotion_reason reason, enum demotion_result result)
{
	struct stats *stats = p->promoter->worker->stats;

	stat_add(&stats->demotions[reason][result], 1);
}

static void forget(struct promotion *p)
{
	free(TAKE_PTR(p->demotion));
}

void demotion_cancel(struct promotion *p)
{
	if (!p->demotion)
		return;
	if (p->state != PROMOTION_SUSPECT)
		count(p, strongest(p->demotion),
		      p->is_over || !p->demotion->error ? DEMOTION_ENDED : DEMOTION_RESET);
	forget(p);
}

void demotion_leave(struct promotion *p)
{
	if (!p->demotion)
		return;
	count(p, strongest(p->demotion), DEMOTION_GAVE_UP);
	forget(p);
}

/* Of all that it was wanted for, @reason was the last. */
static void stay(struct promotion *p, enum demotion_reason reason)
{
	count(p, reason, DEMOTION_GAVE_UP);
	forget(p);
	if (p->state != PROMOTION_DEMOTING)
		return;
	timer_disarm(&p->timer);
	p->state = PROMOTION_SPLICED;
}

static void drop(struct promotion *p, enum demotion_reason reason)
{
	struct demotion *d = p->demotion;

	d->until_ns[reason] = 0;
	if (strongest(d) == DEMOTION_REASON_COUNT)
		stay(p, reason);
	if (reason == DEMOTION_PING)
		keepalive_on_demotion(p->c);
}

void demotion_call_off(struct promotion *p, enum demotion_reason reason)
{
	if (promotion_is_spliced(p) && p->demotion && wants(p->demotion, reason))
		drop(p, reason);
}

static bool is_peer_gone(const struct promotion *p)
{
	struct sl_flow flows[2];

	return promotion_entries_read(p, flows) && flow_pair_is_unheard(flows, p->demotion->acks);
}

/* It has never rested. Return: what ends it for that; 0 = it may stay spliced */
static int error_of(const struct promotion *p, enum demotion_reason reason, bool is_late)
{
	if (p->demotion->error)
		return p->demotion->error;
	/* What the walker has refused never passes: nobody will miss what the peers have not. */
	if (reason == DEMOTION_VIOLATION)
		return EGW_CLOSE_TIMEOUT;
	/* The relay would not have heard of it either. */
	if (reason == DEMOTION_PING && is_late && is_peer_gone(p))
		return EGW_KEEPALIVE;
	return 0;
}

/* What there is no more time for; or all, as nothing will help. */
static void give_up(struct promotion *p, bool is_hopeless)
{
	struct connection *c = p->c;
	uint64_t now_ns = clock_monotonic_ns();

	for (unsigned int i = 0; i < DEMOTION_REASON_COUNT && p->demotion; i++) {
		enum demotion_reason reason = (enum demotion_reason)i;
		bool is_late = now_ns >= p->demotion->until_ns[i];
		int error;

		if (!wants(p->demotion, reason) || !(is_late || is_hopeless))
			continue;
		error = error_of(p, reason, is_late);
		if (error) {
			want_nothing(p->demotion);
			p->demotion->until_ns[reason] = FOR_EVER;
			p->demotion->error = error;
			connection_end(c, error); /* which counts it, too */
			return;
		}
		log_conn(LOG_LEVEL_DEBUG, c->id, "does not come to rest: %s is given up",
			 demotion_reason_name(reason));
		drop(p, reason);
	}
}

/* ---- on the relay -------------------------------------------------------------------------- */

/* A peer that ECN was negotiated with would go on with it, and the kernel's socket knows nothing of
 * that any more: if the other one has never agreed to it, nobody would clear its bits. */
static bool has_mixed_ecn(const struct promotion *p)
{
	return (p->legs[0].socket.options ^ p->legs[1].socket.options) & SL_O_ECN;
}

static void begin_suspicion(struct promotion *p, const struct sl_flow flows[2])
{
	struct demotion *d = p->demotion;

	d->suspect = flows[SL_TO_ENDPOINT].walk.flags & SL_W_WRONG ? SL_TO_ENDPOINT : SL_TO_CLIENT;
	d->passed = promotion_leg_of(p->c, d->suspect)->bytes_in;
	promotion_demoted(p, SLUICE_REASON_INSPECT);
	p->state = PROMOTION_SUSPECT;
	timer_arm(&p->timer, p->c->config->limits.close_timeout_ms);
}

void demotion_end_suspicion(struct promotion *p)
{
	struct connection *c = p->c;
	struct demotion *d = p->demotion;
	struct leg *suspect = promotion_leg_of(c, d->suspect);
	bool is_silent = suspect->bytes_in == d->passed;

	forget(p);
	p->state = PROMOTION_REFUSED;
	if (c->state != CONNECTION_OPEN)
		return;
	if (!is_silent) {
		log_conn(LOG_LEVEL_WARNING, c->id,
			 "a frame that the kernel has refused has passed here");
		keepalive_on_demotion(c);
		return;
	}
	leg_reset(&c->client);
	leg_reset(&c->endpoint_leg);
	connection_end(c, EGW_CLOSE_TIMEOUT);
}

/* What no reload takes back comes first. */
static enum sluice_reason reason_to_stay(const struct promotion *p)
{
	const struct demotion *d = p->demotion;

	if (wants(d, DEMOTION_MTU))
		return SLUICE_REASON_MTU;
	if (wants(d, DEMOTION_UNTRANSLATABLE) || has_mixed_ecn(p))
		return SLUICE_REASON_OPTIONS;
	if (wants(d, DEMOTION_POLICY))
		return SLUICE_REASON_POLICY;
	return wants(d, DEMOTION_HOOK) ? SLUICE_REASON_NO_HOOK : SLUICE_REASON_BUSY;
}

/* What it has come back for. */
static void act(struct promotion *p, const struct sl_flow flows[2])
{
	struct connection *c = p->c;
	_cleanup_free_ struct demotion *d = NULL;

	if (wants(p->demotion, DEMOTION_VIOLATION)) {
		begin_suspicion(p, flows);
		return;
	}
	promotion_demoted(p, reason_to_stay(p));
	d = TAKE_PTR(p->demotion);
	if (d->error) {
		connection_set_path(c, SLUICE_PATH_RELAY,
				    wants(d, DEMOTION_DRAIN) ? SLUICE_REASON_DRAINING
							     : SLUICE_REASON_DEMOTED);
		if (c->state == CONNECTION_OPEN)
			c->ops->close(c, d->error, d->code, (struct slice){d->text, d->text_len});
		else /* the peers have said it all: demotion_finish() */
			c->ops->on_deadline(c);
		return;
	}
	keepalive_on_demotion(c);
}

static void resume_leg(struct connection *c, size_t direction, const struct sl_flow flows[2],
		       int fd)
{
	const struct sl_flow *flow = &flows[direction], *other = &flows[!direction];
	struct sl_ctl_leg *way = &c->promotion->legs[direction].ctl;
	struct leg *leg = promotion_leg_of(c, direction);
	struct walk_header header = {0};

	demotion_socket_begin(c->promotion, direction, flows, fd);
	leg_open(leg, fd);
	/* How packets leave by it: of one that is adopted, only its flows know. */
	way->oif = other->oif;
	way->flags = other->flags & SL_F_TO_LOCAL;
	leg->is_unwalked = !walk_resume(&flow->walk, &leg->walker, &header);
	leg->held_len = leg->held_passed = header.len;
	memcpy(leg->held, header.bytes, header.len);
}

static void resume(struct promotion *p, const struct sl_flow flows[2], const int fds[2])
{
	struct connection *c = p->c;

	spliced_count(c, flows);
	spliced_limit_closing(c, flows);
	promoter_remove_spliced(p->promoter, p);
	promotion_entries_delete_record(p);
	worker_take_sockets(c->worker);
	c->is_socketless = false;
	for (size_t i = 0; i < 2; i++)
		resume_leg(c, i, flows, fds[i]);
	relay_resume(c, flow_pair_idle_ms(flows, clock_monotonic_ns()));
}

/* ---- a try --------------------------------------------------------------------------------- */

static int control(const struct promotion *p, enum sl_hold_verb verb, uint64_t ns,
		   struct sl_hold_args *ret_args)
{
	*ret_args = (struct sl_hold_args){
	    .keys = {p->legs[0].key.key, p->legs[1].key.key},
	    .hold_ns = ns,
	    .is_ipv6 = p->legs[0].key.is_ipv6,
	    .verb = (uint32_t)verb,
	};
	return splice_ctl_hold(p->promoter->splice->pins.hold_fd, ret_args);
}

/* In HOLD. Return: 0, and the sockets are the connection's; else the HOLD is as it was. */
static int change_over(struct promotion *p, const uint32_t ends[2], struct sl_flow ret_flows[2],
		       int ret_fds[2])
{
	struct sl_hold_args args;
	int fds[2], error;

	if (!promotion_entries_read(p, ret_flows))
		return -ENOENT;
	error = demotion_sockets_open(p, ret_flows, ends, p->demotion->error != 0, fds);
	if (error < 0)
		return error;
	error = control(p, SL_HOLD_TO_LEARN, 0, &args);
	if (error == 0 && args.result == SL_CTL_DONE) {
		ret_fds[0] = fds[0];
		ret_fds[1] = fds[1];
		return 0;
	}
	/* The HOLD was over before: packets pass in the kernel. In repair, they say nothing. */
	close(fds[0]);
	close(fds[1]);
	return error < 0 ? error : -EAGAIN;
}

/* Return: 0; -EAGAIN if it is not at rest; or what prevents it for good. */
static int try_now(struct promotion *p, struct sl_flow ret_flows[2], int ret_fds[2])
{
	struct sl_hold_args args, release;
	int error = control(p, SL_HOLD_BEGIN, HOLD_NS, &args);

	if (error < 0)
		return error;
	if (args.result != SL_CTL_DONE)
		return -EAGAIN;
	error = change_over(p, args.got_end, ret_flows, ret_fds);
	if (error < 0)
		(void)control(p, SL_HOLD_TO_ACTIVE, 0, &release);
	return error;
}

static bool is_hopeless(int error)
{
	return error == -EPERM || error == -EACCES || error == -EADDRNOTAVAIL;
}

/* At least 1, for one more try at the very end. */
static uint64_t left_ms(const struct demotion *d)
{
	uint64_t now_ns = clock_monotonic_ns(), until_ns = next_ns(d);

	return until_ns > now_ns ? (until_ns - now_ns) / NS_PER_MS + 1 : 1;
}

static void try_later(struct promotion *p)
{
	struct demotion_step step = demotion_pace_next(&p->demotion->pace);
	struct sl_hold_args args;

	if (step.is_stop)
		(void)control(p, SL_HOLD_STOP, DEMOTION_STOP_MS * NS_PER_MS, &args);
	timer_arm(&p->timer, MIN(step.delay_ms, left_ms(p->demotion)));
}

void demotion_try(struct promotion *p)
{
	uint64_t begin_ns = clock_monotonic_ns();
	struct demotion *d = p->demotion;
	struct connection *c = p->c;
	struct sl_flow flows[2];
	int fds[2], error;

	assert(d);
	p->state = PROMOTION_DEMOTING;
	error = try_now(p, flows, fds);
	if (error == 0)
		resume(p, flows, fds);
	d->spent_ns += clock_monotonic_ns() - begin_ns;
	if (error == 0) {
		log_conn(LOG_LEVEL_DEBUG, c->id, "demoted: %s", demotion_reason_name(strongest(d)));
		count(p, strongest(d), DEMOTION_DONE);
		stats_add_demotion(c->worker->stats, d->spent_ns);
		act(p, flows);
		return;
	}
	/* Its end may have come first. */
	spliced_check(c);
	if (connection_is_closed(c))
		return;
	if (is_hopeless(error))
		log_conn(LOG_LEVEL_ERROR, c->id, "its sockets cannot be restored: %s",
			 strerror(-error));
	give_up(p, is_hopeless(error));
	if (!connection_is_closed(c) && p->demotion)
		try_later(p);
}

/* ---- begin --------------------------------------------------------------------------------- */

static void remember_acks(const struct promotion *p)
{
	struct sl_flow flows[2];

	if (!promotion_entries_read(p, flows))
		return;
	for (size_t i = 0; i < 2; i++)
		p->demotion->acks[i] = flows[i].ack;
}

static struct demotion *want(struct connection *c, enum demotion_reason reason,
			     uint64_t patience_ms)
{
	struct promotion *p = c->promotion;
	struct demotion *d = p->demotion;
	uint64_t until_ns;

	if (!d)
		d = p->demotion = calloc(1, sizeof(*d));
	if (!d || wants(d, reason))
		return d;
	until_ns = patience_ms ? clock_monotonic_ns() + patience_ms * NS_PER_MS : FOR_EVER;
	if (is_final(reason))
		want_nothing(d);
	d->until_ns[reason] = until_ns;
	if (reason == DEMOTION_PING)
		remember_acks(p);
	d->pace = (struct demotion_pace){0};
	return d;
}

/* One that lingers has sockets: as soon as they are gone. */
static void start(struct promotion *p)
{
	if (p->state == PROMOTION_SPLICED)
		demotion_try(p);
	else if (p->state == PROMOTION_DEMOTING)
		timer_arm(&p->timer, 1); /* not behind the pause that it may be in */
}

void demotion_begin(struct connection *c, enum demotion_reason reason, uint64_t patience_ms)
{
	struct promotion *p = c->promotion;

	if (!spliced_is(c) || (p->demotion && is_final(strongest(p->demotion))))
		return;
	if (want(c, reason, patience_ms))
		start(p);
}

static enum demotion_reason reason_of(int error)
{
	switch (error) {
	case EGW_DRAINING:
	case EGW_SHUTDOWN:
		return DEMOTION_DRAIN;
	case EGW_IDLE:
		return DEMOTION_IDLE;
	case EGW_DURATION:
		return DEMOTION_DURATION;
	default:
		return DEMOTION_CLOSE;
	}
}

void demotion_close(struct connection *c, int error, uint16_t code, struct slice text)
{
	struct promotion *p = c->promotion;
	struct demotion *d;

	if (!spliced_is(c) || (p->demotion && p->demotion->error))
		return;
	d = want(c, reason_of(error), c->config->limits.close_timeout_ms);
	if (!d) {
		connection_end(c, EGW_MEMORY);
		return;
	}
	d->error = error;
	d->code = code;
	d->text_len = (uint8_t)MIN(text.len, sizeof(d->text));
	memcpy(d->text, text.ptr, d->text_len);
	timer_disarm(&c->timer);
	start(p);
}

void demotion_finish(struct connection *c)
{
	struct promotion *p = c->promotion;
	struct demotion *d = want(c, DEMOTION_CLOSE_TIMEOUT, 1);

	if (!d) {
		connection_end(c, EGW_MEMORY);
		return;
	}
	d->error = EGW_CLOSE_TIMEOUT;
	/* Also of one that pauses between two tries. */
	if (p->state != PROMOTION_LINGERING)
		demotion_try(p);
}

bool demotion_is_to_close(const struct promotion *p)
{
	return p->demotion && p->demotion->error;
}
