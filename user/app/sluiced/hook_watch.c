/* SPDX-License-Identifier: Apache-2.0 */
#include "app/sluiced/hook_watch.h"

#include "app/sluiced/gateway.h"
#include "base/log.h"
#include "core/events.h"
#include "core/promoter.h"
#include "kern/hook_check.h"
#include "kern/map_walk.h"

#include <bpf/bpf.h>
#include <inttypes.h>
#include <stdio.h>

#define AGAIN_S 1.

/* The map as it was read; it may change while it is looked at. */
struct hooked_list {
	struct {
		uint32_t ifindex;
		struct sl_hooked hooked;
	} *entries;
	size_t n;
};

static void cleanup_list(struct hooked_list *list)
{
	free(list->entries);
}

static int add_hooked(const void *key, const void *value, void *arg)
{
	struct hooked_list *list = arg;
	void *more = reallocarray(list->entries, list->n + 1, sizeof(*list->entries));

	if (!more)
		return -ENOMEM;
	list->entries = more;
	memcpy(&list->entries[list->n].ifindex, key, sizeof(uint32_t));
	memcpy(&list->entries[list->n].hooked, value, sizeof(struct sl_hooked));
	list->n++;
	return 0;
}

/* Each of them says whether it is cut off. */
static void sweep(struct worker *w, void *arg)
{
	if (w->promoter)
		promoter_sweep(w->promoter);
}

static void look_at_connections(struct gateway *g)
{
	atomic_fetch_add_explicit(&g->splice.n_hooks_lost, 1, memory_order_relaxed);
	/* A worker whose mailbox is full will do so by itself, every 10 s. */
	for (unsigned int i = 0; i < g->shared.n_workers; i++)
		(void)worker_call(g->workers[i], sweep, NULL);
}

/* ---- names --------------------------------------------------------------------------------- */

static void forget_name(struct hook_watch *w, uint32_t ifindex)
{
	for (size_t i = 0; i < w->n_names; i++) {
		if (w->names[i].ifindex == ifindex)
			w->names[i].ifindex = 0;
	}
}

static const char *known_name(const struct hook_watch *w, uint32_t ifindex)
{
	for (size_t i = 0; i < w->n_names; i++) {
		if (w->names[i].ifindex == ifindex)
			return w->names[i].name;
	}
	return "?";
}

static bool is_listed(const struct hooked_list *list, uint32_t ifindex)
{
	for (size_t i = 0; i < list->n; i++) {
		if (list->entries[i].ifindex == ifindex)
			return true;
	}
	return false;
}

/* Of what comes and goes by the loader, only the connections are told. */
static void notice_changes(struct hook_watch *w, const struct hooked_list *list)
{
	bool has_change = list->n != w->n_names;

	for (size_t i = 0; i < w->n_names; i++)
		has_change |= !is_listed(list, w->names[i].ifindex);
	if (has_change && w->names)
		look_at_connections(w->gateway);
}

static void remember_names(struct hook_watch *w, const struct hooked_list *list)
{
	struct hook_watch_name *names = calloc(list->n + 1, sizeof(*names));
	char name[IF_NAMESIZE];

	for (size_t i = 0; names && i < list->n; i++) {
		uint32_t ifindex = list->entries[i].ifindex;

		names[i].ifindex = ifindex;
		snprintf(names[i].name, sizeof(names[i].name), "%s",
			 if_indextoname(ifindex, name) ? name : known_name(w, ifindex));
	}
	if (!names)
		return;
	free(w->names);
	w->names = names;
	w->n_names = list->n;
}

/* ---- one that is gone ---------------------------------------------------------------------- */

/* Return: false if it was another one: the loader has attached again, or told us before. */
static bool take_out(int hooked_fd, uint32_t ifindex, const struct sl_hooked *hooked)
{
	struct sl_hooked taken;

	if (bpf_map_lookup_and_delete_elem(hooked_fd, &ifindex, &taken) < 0)
		return false;
	if (memcmp(&taken, hooked, sizeof(taken)) == 0)
		return true;
	(void)bpf_map_update_elem(hooked_fd, &ifindex, &taken, BPF_NOEXIST);
	return false;
}

struct over {
	uint32_t ifindex;
	uint64_t n; /* directions whose other side is reached by it */
};

static int count_over(const struct flow_key *key, const struct sl_flow *flow, void *arg)
{
	struct over *over = arg;

	over->n += SL_STATE(flow->state) == SL_ACTIVE && flow->oif == over->ifindex;
	return 0;
}

/* With both legs by one interface a connection counts for each: two ends are cut off. */
static void tell(const struct hook_watch *w, uint32_t ifindex)
{
	struct over over = {.ifindex = ifindex};
	const char *name = known_name(w, ifindex);

	(void)flow_table_walk(&w->gateway->splice.pins.flows, count_over, &over);
	log_warning(
	    "%s (interface %u): the hook is gone. New connections over it stay on the relay "
	    "until sluice-loader attach %s; %" PRIu64
	    " spliced ones had a leg there: those at rest come back to the relay, any other is "
	    "reset as soon as it sends",
	    name, ifindex, name, over.n);
	events_emit(EVENT_HOOK_LOST, "{s:s, s:I, s:I}", "interface", name, "ifindex",
		    (json_int_t)ifindex, "legs", (json_int_t)over.n);
}

static void lose(struct hook_watch *w, uint32_t ifindex, const struct sl_hooked *hooked)
{
	struct gateway *g = w->gateway;

	if (!take_out(g->splice.pins.hooked_fd, ifindex, hooked))
		return;
	w->n_lost++;
	tell(w, ifindex);
	forget_name(w, ifindex); /* should it come back before the next look */
	look_at_connections(g);
}

/* ---- looking ------------------------------------------------------------------------------- */

static void cannot_tell(struct hook_watch *w, uint32_t ifindex, int error)
{
	if (!w->has_failed)
		log_warning("%s (interface %u): cannot tell whether the hook is there: %s",
			    known_name(w, ifindex), ifindex, strerror(-error));
	w->has_failed = true;
}

static void check_pins(struct hook_watch *w)
{
	struct gateway *g = w->gateway;

	if (!splice_lose_pins(&g->splice, g->started_with->kernel.pins))
		return;
	log_warning("%s", g->splice.why);
	events_emit(EVENT_PINS_LOST, "{s:s}", "pins", g->started_with->kernel.pins);
}

static void look(struct hook_watch *w)
{
	_cleanup_(cleanup_list) struct hooked_list list = {0};

	check_pins(w);
	if (map_walk(w->gateway->splice.pins.hooked_fd, sizeof(uint32_t), sizeof(struct sl_hooked),
		     add_hooked, &list) < 0)
		return;
	notice_changes(w, &list);
	remember_names(w, &list);
	for (size_t i = 0; i < list.n; i++) {
		int found = hook_check(list.entries[i].ifindex, &list.entries[i].hooked);

		if (found == 0)
			lose(w, list.entries[i].ifindex, &list.entries[i].hooked);
		else if (found < 0)
			cannot_tell(w, list.entries[i].ifindex, found);
	}
}

void hook_watch_look(struct hook_watch *w)
{
	if (ev_is_active(&w->again))
		look(w);
}

static void news_cb(struct ev_loop *loop, ev_io *io, int revents)
{
	struct hook_watch *w = container_of(io, struct hook_watch, on_news);

	if (hook_news_take(w->news_fd))
		look(w);
}

static void again_cb(struct ev_loop *loop, ev_timer *timer, int revents)
{
	look(container_of(timer, struct hook_watch, again));
}

/* ---- life ---------------------------------------------------------------------------------- */

void hook_watch_init(struct hook_watch *w, struct gateway *g)
{
	*w = (struct hook_watch){.gateway = g, .news_fd = -1};
	ev_init(&w->on_news, news_cb);
	ev_timer_init(&w->again, again_cb, AGAIN_S, AGAIN_S);
}

void hook_watch_begin(struct hook_watch *w)
{
	struct gateway *g = w->gateway;

	if (!g->splice.is_open || ev_is_active(&w->again))
		return;
	ev_timer_start(g->loop, &w->again);
	if (hook_news_open(&w->news_fd) == 0) {
		ev_io_set(&w->on_news, w->news_fd, EV_READ);
		ev_io_start(g->loop, &w->on_news);
	}
	look(w);
}

void hook_watch_done(struct hook_watch *w)
{
	if (w->gateway->loop) {
		ev_io_stop(w->gateway->loop, &w->on_news);
		ev_timer_stop(w->gateway->loop, &w->again);
	}
	if (w->news_fd >= 0)
		close(TAKE_FD(w->news_fd));
	free(TAKE_PTR(w->names));
}
