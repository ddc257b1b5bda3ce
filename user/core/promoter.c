/* SPDX-License-Identifier: Apache-2.0 */
#include "core/promoter.h"

#include "base/clock.h"
#include "core/promotion.h"
#include "core/promotion_entries.h"
#include "core/spliced.h"
#include "core/worker.h"

#include <bpf/bpf.h>

#define REAP_S  1.0  /* how late a quarantine may end */
#define SWEEP_S 10.0 /* should an event have been lost on its way to us, unnoticed */

#define SWEEP_SLICE 32 /* connections, two entries each: some 30 us */

static void release(struct promoter *promoter, struct promotion *p)
{
	timer_disarm(&p->timer);
	for (size_t i = 0; i < 2; i++)
		promotion_entries_remove(p, i);
	/* The port has been out of use as long as its entries were. */
	if (p->has_port)
		port_pool_give_back(promoter->splice->ports, &p->source, &p->endpoint,
				    address_port(&p->source), clock_monotonic_ns());
	promotion_entries_drop_policy(p);
	list_remove(&p->node);
	free(p);
}

static void reap_cb(struct ev_loop *loop, ev_timer *timer, int revents)
{
	struct promoter *promoter = container_of(timer, struct promoter, reap);
	uint64_t now_ns = clock_monotonic_ns();

	list_for_each_safe (node, &promoter->retired) {
		struct promotion *p = list_entry(node, struct promotion, node);

		if (now_ns - p->retired_ns < promoter->splice->quarantine_ns)
			return; /* they are in the order of their ends */
		release(promoter, p);
	}
	ev_timer_stop(loop, timer);
}

/* ---- the sweep ----------------------------------------------------------------------------- */

static bool sweep_slice(struct work_item *item)
{
	struct promoter *promoter = container_of(item, struct promoter, sweep);

	for (int i = 0; i < SWEEP_SLICE && promoter->n_to_check > 0; i++) {
		struct promotion *p;

		/* Some may have ended since it began. */
		if (list_is_empty(&promoter->spliced)) {
			promoter->n_to_check = 0;
			break;
		}
		p = list_entry(promoter->spliced.next, struct promotion, node);
		list_remove(&p->node);
		list_append(&promoter->spliced, &p->node);
		promoter->n_to_check--;
		spliced_check(p->c);
	}
	return promoter->n_to_check > 0;
}

void promoter_sweep(struct promoter *promoter)
{
	promoter->n_to_check = promoter->n_spliced;
	if (promoter->n_to_check > 0)
		work_item_add(&promoter->worker->work, WORKER_QUEUE_HOOK, &promoter->sweep);
}

static void sweep_cb(struct ev_loop *loop, ev_timer *timer, int revents)
{
	struct promoter *promoter = container_of(timer, struct promoter, sweep_again);

	if (promoter->n_spliced == 0)
		ev_timer_stop(loop, timer);
	else
		promoter_sweep(promoter);
}

void promoter_add_spliced(struct promoter *promoter, struct promotion *promotion)
{
	list_append(&promoter->spliced, &promotion->node);
	promoter->n_spliced++;
	if (!ev_is_active(&promoter->sweep_again)) {
		ev_timer_set(&promoter->sweep_again, SWEEP_S, SWEEP_S);
		ev_timer_start(promoter->worker->loop, &promoter->sweep_again);
	}
}

void promoter_remove_spliced(struct promoter *promoter, struct promotion *promotion)
{
	list_remove(&promotion->node);
	promoter->n_spliced--;
}

/* ---- life ---------------------------------------------------------------------------------- */

int promoter_new(struct worker *worker, struct splice *splice, struct promoter **ret_promoter)
{
	_cleanup_free_ struct promoter *promoter = calloc(1, sizeof(*promoter));
	int error;

	if (!promoter)
		return -ENOMEM;
	error = route_lookup_open(&promoter->routes);
	if (error < 0)
		return error;
	promoter->worker = worker;
	promoter->splice = splice;
	name_cache_init(&promoter->names, splice->pins.names_fd, &splice->pins.ids);
	list_init(&promoter->ended);
	list_init(&promoter->retired);
	list_init(&promoter->spliced);
	ev_timer_init(&promoter->reap, reap_cb, REAP_S, REAP_S);
	ev_timer_init(&promoter->sweep_again, sweep_cb, SWEEP_S, SWEEP_S);
	work_item_init(&promoter->sweep, sweep_slice);
	*ret_promoter = TAKE_PTR(promoter);
	return 0;
}

void promoter_free(struct promoter *promoter)
{
	if (!promoter)
		return;
	assert(promoter->n_spliced == 0);
	promoter_settle(promoter);
	work_item_cancel(&promoter->worker->work, &promoter->sweep);
	ev_timer_stop(promoter->worker->loop, &promoter->sweep_again);
	ev_timer_stop(promoter->worker->loop, &promoter->reap);
	list_for_each_safe (node, &promoter->retired) {
		struct promotion *p = list_entry(node, struct promotion, node);

		timer_disarm(&p->timer);
		free(p);
	}
	route_lookup_close(&promoter->routes);
	name_cache_done(&promoter->names);
	free(promoter);
}

void promoter_retire(struct promoter *promoter, struct promotion *promotion)
{
	promotion->retired_ns = clock_monotonic_ns();
	list_append(&promoter->ended, &promotion->node);
	ev_timer_start(promoter->worker->loop, &promoter->reap);
}

void promoter_settle(struct promoter *promoter)
{
	list_for_each_safe (node, &promoter->ended) {
		struct promotion *p = list_entry(node, struct promotion, node);

		list_remove(node);
		list_append(&promoter->retired, node);
		promotion_take_leave(p);
	}
}

int promoter_adopt_retired(struct promoter *promoter, const struct flow_key *key, uint8_t policy)
{
	struct promotion *p = calloc(1, sizeof(*p));

	if (!p)
		return -ENOMEM;
	p->promoter = promoter;
	timer_init(&p->timer, promoter->worker->loop, NULL); /* never armed */
	p->legs[SL_TO_CLIENT].key = *key;
	p->legs[SL_TO_CLIENT].has_flow = true;
	flow_key_addresses(key, &p->endpoint, &p->source);
	p->has_port = true;
	p->policy = policy;
	p->has_policy = true;
	p->state = PROMOTION_RETIRED;
	list_init(&p->node);
	promoter_retire(promoter, p);
	return 0;
}

bool promoter_lacks_hook(const struct promoter *promoter, uint32_t oif, uint32_t other_oif)
{
	const struct splice *splice = promoter->splice;

	return atomic_load_explicit(&splice->n_hooks_lost, memory_order_relaxed) > 0 &&
	       !(promoter_is_hooked(promoter, oif) && promoter_is_hooked(promoter, other_oif));
}

bool promoter_is_hooked(const struct promoter *promoter, uint32_t ifindex)
{
	struct sl_hooked hooked;

	/* Over one without Ethernet headers (a tunnel) the hook passes all packets by. */
	return bpf_map_lookup_elem(promoter->splice->pins.hooked_fd, &ifindex, &hooked) == 0 &&
	       hooked.is_l2;
}
