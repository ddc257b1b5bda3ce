/* SPDX-License-Identifier: Apache-2.0 */
#include "app/sluiced/takeover.h"

#include "app/sluiced/gateway.h"
#include "app/sluiced/splice_events.h"
#include "base/log.h"
#include "core/adoption.h"
#include "core/promoter.h"

#define AGAIN_S .25

static void again_later(struct takeover *t)
{
	ev_timer_stop(t->gateway->loop, &t->again);
	ev_timer_set(&t->again, AGAIN_S, 0);
	ev_timer_start(t->gateway->loop, &t->again);
}

/* ---- handing out --------------------------------------------------------------------------- */

/* On the worker's thread. Nothing of it has been spliced before. */
static void take_promoter(struct worker *w, void *arg)
{
	w->promoter = arg;
}

static void free_promoters(struct takeover *t)
{
	for (unsigned int i = t->n_given; t->promoters && i < t->gateway->shared.n_workers; i++)
		promoter_free(t->promoters[i]);
	free(TAKE_PTR(t->promoters));
}

static int make_promoters(struct takeover *t)
{
	struct gateway *g = t->gateway;
	int error = 0;

	t->n_given = 0;
	t->promoters = calloc(g->shared.n_workers, sizeof(struct promoter *));
	if (!t->promoters)
		return -ENOMEM;
	for (unsigned int i = 0; error == 0 && i < g->shared.n_workers; i++)
		error = promoter_new(g->workers[i], &g->splice, &t->promoters[i]);
	if (error < 0)
		free_promoters(t);
	return error;
}

/* Each worker must have its own before it is given work for it. */
static void hand_out(struct takeover *t)
{
	struct gateway *g = t->gateway;

	assert(t->promoters);
	while (t->n_given < g->shared.n_workers) {
		if (worker_call(g->workers[t->n_given], take_promoter, t->promoters[t->n_given]) <
		    0) {
			again_later(t); /* it is too busy */
			return;
		}
		t->n_given++;
	}
	free_promoters(t);
	hook_watch_begin(&g->hook_watch);
	if (adoption_begin(g->adoption, g->workers, g->shared.n_workers) < 0)
		log_error("what is spliced already is not adopted: %s", strerror(ENOMEM));
	log_notice("%s is this daemon's now: %s", g->started_with->kernel.pins,
		   g->splice.takes_new ? "new connections are spliced" : g->splice.why);
}

/* ---- taking over --------------------------------------------------------------------------- */

static int read_leftovers(struct takeover *t)
{
	struct gateway *g = t->gateway;
	int error = splice_events_new(g, &g->splice_events);

	if (error == 0)
		error = adoption_new(&g->splice, &g->routing->generation, &g->adoption);
	if (error == 0)
		error = make_promoters(t);
	if (error == 0)
		conn_id_source_pass(&g->shared.conn_ids, adoption_last_id(g->adoption));
	return error;
}

static void give_up(struct takeover *t, int error)
{
	struct gateway *g = t->gateway;

	log_error("%s cannot be taken over: %s", g->started_with->kernel.pins, strerror(-error));
	adoption_free(TAKE_PTR(g->adoption));
	splice_events_free(TAKE_PTR(g->splice_events));
	splice_abandon(&g->splice, error);
}

void takeover_try(struct takeover *t)
{
	struct gateway *g = t->gateway;
	int error;

	if (g->splice.is_open)
		return;
	splice_retry(g->started_with, &g->splice);
	if (g->splice.is_contended) {
		again_later(t);
		return;
	}
	if (!g->splice.is_open)
		return;
	error = read_leftovers(t);
	if (error < 0)
		give_up(t, error);
	else
		hand_out(t);
}

static void again_cb(struct ev_loop *loop, ev_timer *timer, int revents)
{
	struct takeover *t = container_of(timer, struct takeover, again);

	if (t->promoters)
		hand_out(t);
	else
		takeover_try(t);
}

/* ---- life ---------------------------------------------------------------------------------- */

void takeover_init(struct takeover *t, struct gateway *g)
{
	*t = (struct takeover){.gateway = g};
	ev_init(&t->again, again_cb);
}

void takeover_begin(struct takeover *t)
{
	if (!t->gateway->splice.is_contended)
		return;
	log_notice("no splice for now: %s", t->gateway->splice.why);
	again_later(t);
}

void takeover_stop(struct takeover *t)
{
	ev_timer_stop(t->gateway->loop, &t->again);
}

void takeover_done(struct takeover *t)
{
	if (t->gateway->loop)
		takeover_stop(t);
	free_promoters(t);
}
