/* SPDX-License-Identifier: Apache-2.0 */
#include "core/promoter.h"

#include "base/clock.h"
#include "core/promotion.h"
#include "core/worker.h"

#include <bpf/bpf.h>

#define REAP_S 1.0 /* how late a quarantine may end */

static void release(struct promoter *promoter, struct promotion *p)
{
	for (size_t i = 0; i < 2; i++) {
		if (p->legs[i].has_flow)
			(void)flow_table_delete(&promoter->splice->pins.flows, &p->legs[i].key);
	}
	/* The port has been out of use as long as its entries were. */
	if (p->has_port)
		port_pool_give_back(promoter->splice->ports, &p->source, &p->endpoint,
				    address_port(&p->source), clock_monotonic_ns());
	list_remove(&p->node);
	free(p);
}

static void reap_cb(struct ev_loop *loop, ev_timer *timer, int revents)
{
	struct promoter *promoter = container_of(timer, struct promoter, reap);
	uint64_t now_ns = clock_monotonic_ns();

	list_for_each_safe (node, &promoter->retired) {
		struct promotion *p = list_entry(node, struct promotion, node);

		if (now_ns - p->retired_ns < PROMOTER_QUARANTINE_NS)
			return; /* they are in the order of their ends */
		release(promoter, p);
	}
	ev_timer_stop(loop, timer);
}

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
	list_init(&promoter->retired);
	ev_timer_init(&promoter->reap, reap_cb, REAP_S, REAP_S);
	*ret_promoter = TAKE_PTR(promoter);
	return 0;
}

void promoter_free(struct promoter *promoter)
{
	if (!promoter)
		return;
	ev_timer_stop(promoter->worker->loop, &promoter->reap);
	list_for_each_safe (node, &promoter->retired)
		free(list_entry(node, struct promotion, node));
	route_lookup_close(&promoter->routes);
	name_cache_done(&promoter->names);
	free(promoter);
}

void promoter_retire(struct promoter *promoter, struct promotion *promotion)
{
	promotion->retired_ns = clock_monotonic_ns();
	list_append(&promoter->retired, &promotion->node);
	ev_timer_start(promoter->worker->loop, &promoter->reap);
}

int promoter_adopt_retired(struct promoter *promoter, const struct flow_key *key)
{
	struct promotion *p = calloc(1, sizeof(*p));

	if (!p)
		return -ENOMEM;
	p->promoter = promoter;
	p->legs[SL_TO_CLIENT].key = *key;
	p->legs[SL_TO_CLIENT].has_flow = true;
	flow_key_addresses(key, &p->endpoint, &p->source);
	p->has_port = true;
	p->state = PROMOTION_RETIRED;
	list_init(&p->node);
	promoter_retire(promoter, p);
	return 0;
}

bool promoter_is_hooked(const struct promoter *promoter, uint32_t ifindex)
{
	struct sl_hooked hooked;

	/* Over one without Ethernet headers (a tunnel) the hook passes all packets by. */
	return bpf_map_lookup_elem(promoter->splice->pins.hooked_fd, &ifindex, &hooked) == 0 &&
	       hooked.is_l2;
}
