/* SPDX-License-Identifier: Apache-2.0 */
#include "core/spliced.h"

#include "base/clock.h"
#include "base/log.h"
#include "core/connection.h"
#include "core/connection_info.h"
#include "core/demotion.h"
#include "core/flow_pair.h"
#include "core/promoter.h"
#include "core/promotion.h"
#include "core/promotion_entries.h"
#include "core/worker.h"
#include "kern/tcp_repair.h"
#include "kern/tcp_restore.h"

#include <net/if.h>

#define LINGER_MS 20

/* ---- what the kernel has counted ----------------------------------------------------------- */

bool spliced_is(const struct connection *c)
{
	const struct promotion *p = c->promotion;

	return p && promotion_is_spliced(p);
}

/* Once the kernel has seen the end, no byte comes behind what was counted. Any other end is our
 * decision: the entries go by the same call that reads them, so that nothing passes in between. */
static bool read_last(struct promotion *p, struct sl_flow ret_flows[2])
{
	return p->is_over ? promotion_entries_read(p, ret_flows)
			  : promotion_entries_take(p, ret_flows);
}

static void keep_last(struct promotion *p, const struct sl_flow flows[2])
{
	for (size_t i = 0; i < 2; i++) {
		p->last[i].snd_nxt = flow_pair_expected(flows, i);
		p->last[i].rcv_nxt = flows[i].end_seq;
	}
	p->has_last = true;
}

void spliced_reset_peers(const struct promotion *p)
{
	for (size_t i = 0; i < 2 && p->has_last; i++) {
		struct tcp_restore what = {
		    .snd_nxt = p->last[i].snd_nxt,
		    .rcv_nxt = p->last[i].rcv_nxt,
		};

		flow_key_addresses(&p->legs[i].key, &what.peer, &what.local);
		/* Without it, its next packet is answered so by the kernel, which knows nothing. */
		(void)tcp_restore_reset(&what);
	}
}

/* What a flow has counted since that was last asked. */
static struct sl_traffic news_of(const struct promotion_leg *leg, const struct sl_flow *flow)
{
	return (struct sl_traffic){
	    .bytes = flow->payload_bytes - leg->counted.bytes,
	    .frames = flow_pair_frames(flow) - leg->counted.frames,
	};
}

void spliced_count(struct connection *c, const struct sl_flow flows[2])
{
	struct stats *stats = c->worker->stats;

	for (size_t i = 0; i < 2; i++) {
		struct promotion_leg *leg = &c->promotion->legs[i];
		struct sl_traffic news = news_of(leg, &flows[i]);
		struct leg *from = promotion_leg_of(c, i);

		from->bytes_in += news.bytes;
		connection_other_leg(c, from)->bytes_out += news.bytes;
		stat_add(&stats->bytes[SLUICE_PATH_SPLICE]
				      [i == SL_TO_ENDPOINT ? STATS_IN : STATS_OUT],
			 news.bytes);
		*(i == SL_TO_ENDPOINT ? &c->frames_in : &c->frames_out) += news.frames;
		c->has_missed_frames |= !flow_is_counted(&flows[i]);
		leg->counted.bytes += news.bytes;
		leg->counted.frames += news.frames;
	}
}

void spliced_settle(struct connection *c)
{
	struct sl_flow flows[2];

	if (!spliced_is(c))
		return;
	if (!read_last(c->promotion, flows)) {
		c->has_missed_frames = true;
		return;
	}
	if (!c->promotion->is_over)
		keep_last(c->promotion, flows);
	spliced_count(c, flows);
}

void spliced_add_traffic(const struct connection *c, struct connection_traffic *traffic)
{
	struct sl_traffic in, out;
	struct sl_flow flows[2];

	if (!spliced_is(c) || !promotion_entries_read(c->promotion, flows))
		return;
	in = news_of(&c->promotion->legs[SL_TO_ENDPOINT], &flows[SL_TO_ENDPOINT]);
	out = news_of(&c->promotion->legs[SL_TO_CLIENT], &flows[SL_TO_CLIENT]);
	traffic->bytes_in += in.bytes;
	traffic->bytes_out += out.bytes;
	traffic->frames_in += in.frames;
	traffic->frames_out += out.frames;
	traffic->frames_exact &= flow_is_counted(&flows[0]) && flow_is_counted(&flows[1]);
	traffic->idle_ms = flow_pair_idle_ms(flows, clock_monotonic_ns());
}

static bool is_there(uint32_t ifindex)
{
	char name[IF_NAMESIZE];

	return if_indextoname(ifindex, name) != NULL;
}

/* A leg whose hook is gone is reset as soon as its peer sends. Return: has it just gone, and
 * could a socket still do without? */
static bool is_newly_cut(struct connection *c, const struct sl_flow flows[2])
{
	enum sluice_reason reason =
	    promoter_lacks_hook(c->promotion->promoter, flows[0].oif, flows[1].oif)
		? SLUICE_REASON_NO_HOOK
		: SLUICE_REASON_NONE;

	if (c->reason == reason ||
	    (c->reason != SLUICE_REASON_NONE && c->reason != SLUICE_REASON_NO_HOOK))
		return false;
	connection_set_path(c, SLUICE_PATH_SPLICE, reason);
	return reason == SLUICE_REASON_NO_HOOK && is_there(flows[0].oif) && is_there(flows[1].oif);
}

void spliced_limit_closing(struct connection *c, const struct sl_flow flows[2])
{
	/* What the gateway has decided before is the first cause, and has a limit of its own. */
	if (c->state == CONNECTION_OPEN && flow_pair_is_closed(flows) &&
	    !demotion_is_to_close(c->promotion))
		connection_limit_closing(c);
}

void spliced_check(struct connection *c)
{
	struct sl_flow flows[2];
	int end;

	if (!spliced_is(c))
		return;
	/* Without its entries nothing of it is left: they were removed by force. */
	if (!promotion_entries_read(c->promotion, flows)) {
		connection_end(c, EGW_INTERNAL);
		return;
	}
	end = flow_pair_end(flows, clock_monotonic_ns());
	if (end) {
		c->promotion->is_over = true;
		c->promotion->was_reset = end == EEND_RESET;
		c->promotion->was_client_first = flows[SL_TO_ENDPOINT].flags & SL_F_FIN_FIRST;
		connection_end(c, flow_pair_is_closed(flows) ? EEND_CLOSE : end);
		return;
	}
	spliced_limit_closing(c, flows);
	if ((flows[0].walk.flags | flows[1].walk.flags) & SL_W_WRONG)
		demotion_begin(c, DEMOTION_VIOLATION, c->config->limits.close_timeout_ms);
	/* Who sends such packets sends them again, and the relay's sockets take them. */
	else if ((flows[0].marks | flows[1].marks) & SL_M_DROPPED)
		demotion_begin(c, DEMOTION_UNTRANSLATABLE, 0);
	else if (is_newly_cut(c, flows))
		demotion_begin(c, DEMOTION_HOOK, c->config->limits.close_timeout_ms);
}

/* ---- spliced ------------------------------------------------------------------------------- */

static void spliced_on_event(struct connection *c, struct leg *leg)
{
	/* The sockets are not watched any more. */
}

/* There is no socket to send a Close frame by: they have to be made again for it. */
static void spliced_close(struct connection *c, int error, uint16_t code, struct slice text)
{
	if (!c->worker->is_stopping && c->state == CONNECTION_OPEN)
		demotion_close(c, error, code, text);
	/* The next daemon adopts it. What came to its sockets late is looked at before that. */
	else if (c->worker->is_stopping && c->promotion->state != PROMOTION_LINGERING)
		connection_leave(c);
}

static void limit_idle(struct connection *c)
{
	struct sl_flow flows[2];
	uint64_t idle, limit = c->route->tunnel_timeout_ms;

	if (!limit || !promotion_entries_read(c->promotion, flows))
		return;
	idle = flow_pair_idle_ms(flows, clock_monotonic_ns());
	if (idle >= limit)
		spliced_close(c, EGW_IDLE, proto_error_info(EGW_IDLE)->close_code,
			      slice_from_str(proto_error_info(EGW_IDLE)->name));
	else
		timer_arm(&c->timer, limit - idle);
}

static void spliced_on_deadline(struct connection *c)
{
	if (c->state == CONNECTION_OPEN)
		limit_idle(c);
	else
		demotion_finish(c);
}

static const struct connection_ops spliced_ops = {
    .on_readable = spliced_on_event,
    .on_writable = spliced_on_event,
    .on_deadline = spliced_on_deadline,
    .close = spliced_close,
};

void spliced_begin(struct promotion *p)
{
	struct connection *c = p->c;

	leg_stop_reading(&c->client);
	leg_stop_reading(&c->endpoint_leg);
	p->state = PROMOTION_LINGERING;
	c->promotions = promotion_number(c);
	connection_set_path(c, SLUICE_PATH_SPLICE, SLUICE_REASON_NONE);
	connection_set_stage(c, &spliced_ops, NULL, NULL);
	promoter_add_spliced(p->promoter, p);
	timer_arm(&p->timer, LINGER_MS);
	log_conn(LOG_LEVEL_DEBUG, c->id, "spliced, at try %u", p->tries);
}

void spliced_end_lingering(struct promotion *p)
{
	uint64_t begin_ns = clock_monotonic_ns();
	struct connection *c = p->c;
	uint32_t unread;

	for (size_t i = 0; i < 2; i++) {
		if (tcp_unread(promotion_leg_of(c, i)->fd, &unread) == 0 && unread)
			log_conn(LOG_LEVEL_ERROR, c->id,
				 "%u bytes came to a socket after the kernel had taken over",
				 unread);
	}
	/* Whoever has sockets has to close them at last: that is not counted. */
	promotion_spend(p, begin_ns);
	/* In repair: their peers are told nothing. */
	leg_close(&c->client);
	leg_close(&c->endpoint_leg);
	c->is_socketless = true;
	worker_release_sockets(c->worker);
	p->state = PROMOTION_SPLICED;
	stats_add_promotion(c->worker->stats, p->spent_ns);
	/* Should it come back, the next one is another. */
	p->spent_ns = p->tries = 0;
	if (c->worker->is_stopping)
		connection_leave(c);
	else if (p->demotion)
		demotion_try(p);
}

void spliced_adopt(struct promotion *p)
{
	struct connection *c = p->c;

	p->state = PROMOTION_SPLICED;
	connection_set_stage(c, &spliced_ops, NULL, NULL);
	promoter_add_spliced(p->promoter, p);
	spliced_check(c);
	if (spliced_is(c) && c->state == CONNECTION_OPEN)
		limit_idle(c);
}
