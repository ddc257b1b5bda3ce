/* SPDX-License-Identifier: Apache-2.0 */
/* The commands about connections, which visit the workers that own them. */
#include "app/sluiced/commands.h"

#include "app/connection_json.h"
#include "app/sluiced/command_args.h"
#include "app/sluiced/control_server.h"
#include "app/sluiced/gateway.h"
#include "app/sluiced/json_util.h"
#include "app/sluiced/survey.h"
#include "core/connection.h"
#include "core/promotion.h"
#include "proto/control_message.h"

/* ---- show.connections ---------------------------------------------------------------------- */

#define PAGE_ROWS   64   /* rows that a worker describes in one go: some system calls each */
#define VISIT_SLICE 32   /* connections to which something is done, in one item of work */
#define PAGE_LOOKS  4096 /* connections that it looks at for them: bounds the delay of traffic */

/* Goes from worker to worker; while on one, it belongs to that worker's thread. */
struct listing {
	struct control_call *call;
	struct gateway *gateway;
	struct connection_filter filter;
	unsigned int worker;
	struct worker_cursor *cursor;
	bool is_worker_done;
	size_t limit; /* of rows still to be shown; 0 = none */
	bool is_full; /* it is reached */
	size_t n_rows;
	struct connection_info rows[PAGE_ROWS];
};

static void listing_step(struct control_call *call, void *arg);

static void listing_end_on_worker(struct worker *w, void *arg)
{
	struct listing *l = arg;

	worker_cursor_free(l->cursor);
	free(l);
}

/* Nobody waits any more, or it failed. The cursor is its worker's to free. */
static void listing_abandon(struct listing *l)
{
	if (l->cursor && worker_call(l->gateway->workers[l->worker], listing_end_on_worker, l) == 0)
		return;
	free(l); /* a cursor that is still there, its worker frees when it stops */
}

/* Main thread: a worker has filled the rows. */
static void listing_filled(const struct mail *mail)
{
	struct listing *l = mail->ptr;
	struct control_call *call = l->call;
	json_t *rows = json_array();

	for (size_t i = 0; i < l->n_rows; i++)
		json_array_append_new(rows, connection_json(&l->rows[i]));
	if (l->is_worker_done)
		l->worker = l->is_full ? l->gateway->shared.n_workers : l->worker + 1;
	if (l->worker == l->gateway->shared.n_workers) {
		free(l);
		control_finish(call, rows);
	} else if (json_array_size(rows) == 0) {
		json_decref(rows);
		listing_step(call, l);
	} else {
		control_page(call, rows, listing_step, l);
	}
}

static void listing_take(struct listing *l, struct connection *c)
{
	connection_describe(c, &l->rows[l->n_rows++]);
	l->is_full = l->limit && --l->limit == 0;
}

static void listing_fill(struct worker *w, void *arg)
{
	struct listing *l = arg;

	if (!l->cursor)
		l->cursor = worker_cursor_new(w);
	l->n_rows = 0;
	l->is_worker_done = l->cursor == NULL;
	for (int looks = 0; l->cursor && l->n_rows < PAGE_ROWS && looks < PAGE_LOOKS; looks++) {
		struct connection *c = l->is_full ? NULL : worker_cursor_next(w, l->cursor);

		if (!c) {
			worker_cursor_free(TAKE_PTR(l->cursor));
			l->is_worker_done = true;
		} else if (connection_filter_matches(&l->filter, c)) {
			listing_take(l, c);
		}
	}
	gateway_post(l->gateway, &(struct mail){.fn = listing_filled, .ptr = l});
}

/* Main thread: on to the next page. */
static void listing_step(struct control_call *call, void *arg)
{
	struct listing *l = arg;

	if (!control_is_wanted(call) || l->gateway->is_stopping) {
		listing_abandon(l);
		control_fail(call, "stopping", "the daemon is stopping");
	} else if (worker_call(l->gateway->workers[l->worker], listing_fill, l) < 0) {
		unsigned int worker = l->worker;

		listing_abandon(l);
		control_fail(call, CONTROL_ERROR_BUSY, "worker %u is too busy", worker);
	}
}

static void show_chosen(struct control_call *call, const struct survey_plan *plan,
			const struct survey_result *result)
{
	json_t *rows = json_array();

	for (size_t i = 0; i < result->n_rows; i++) {
		if (result->rows[i].info.id)
			json_array_append_new(rows, connection_json(&result->rows[i].info));
	}
	control_finish(call, rows);
}

static void start_choosing(struct control_call *call, const struct command_args *args)
{
	struct survey_plan plan = {.filter = args->filter,
				   .order = args->order,
				   .limit = args->limit};

	if (!args->limit)
		control_fail(call, CONTROL_ERROR_ARGUMENT, "sort: only with a limit");
	else if (connection_key_is_of_top(args->order.key))
		control_fail(call, CONTROL_ERROR_ARGUMENT, "sort = %s: only of top",
			     connection_key_name(args->order.key));
	else
		survey_start(call, &plan, show_chosen);
}

void command_show_connections(struct control_call *call, const struct command_args *args)
{
	struct listing *l;

	if (args->has_order) {
		start_choosing(call, args);
		return;
	}
	l = calloc(1, sizeof(*l));
	if (!l) {
		control_fail(call, CONTROL_ERROR_BUSY, "out of memory");
		return;
	}
	l->call = call;
	l->gateway = control_call_gateway(call);
	l->filter = args->filter;
	l->limit = args->limit;
	listing_step(call, l);
}

/* ---- what is done to each of some connections ------------------------------------------------ */

struct visit;

/* On the connection's thread. Return: whether it counts. */
typedef bool visit_fn(const struct visit *visit, struct connection *c);

struct visit {
	struct control_call *call; /* NULL = nobody waits for it */
	struct gateway *gateway;
	struct command_args args;
	visit_fn *fn;
	const char *result;     /* what the count is called in the answer */
	unsigned int n_pending; /* workers that have not answered; main thread only */
	_Atomic uint64_t n_done;
	atomic_bool is_found; /* one that the filter matches, whether or not it counts */
};

static void visit_answer(const struct visit *visit)
{
	uint64_t n_done = atomic_load_explicit(&visit->n_done, memory_order_relaxed);
	bool is_found = atomic_load_explicit(&visit->is_found, memory_order_relaxed);

	if (visit->args.filter.id && !is_found)
		control_fail(visit->call, "no_such_connection", "no connection has that id");
	else
		control_finish(visit->call, json_pack("{s:o}", visit->result, json_u64(n_done)));
}

static void visit_answered(const struct mail *mail)
{
	struct visit *visit = mail->ptr;

	if (--visit->n_pending > 0)
		return;
	if (visit->call)
		visit_answer(visit);
	free(visit);
}

static bool visit_one(struct visit *visit, struct connection *c)
{
	if (!connection_filter_matches(&visit->args.filter, c))
		return false;
	atomic_store_explicit(&visit->is_found, true, memory_order_relaxed);
	return visit->fn(visit, c);
}

/* One worker's share of it, on its thread. */
struct visit_part {
	struct work_item work;
	struct visit *visit;
	struct worker *worker;
	struct worker_cursor *cursor;
	uint64_t n_done;
};

static void visit_end_on_worker(struct visit *visit, uint64_t n_done)
{
	atomic_fetch_add_explicit(&visit->n_done, n_done, memory_order_relaxed);
	gateway_post(visit->gateway, &(struct mail){.fn = visit_answered, .ptr = visit});
}

/* It is more than looking: fewer in one go, so that nobody's frames wait for all of them. */
static bool visit_slice(struct work_item *item)
{
	struct visit_part *part = container_of(item, struct visit_part, work);

	for (int looks = 0; looks < VISIT_SLICE; looks++) {
		struct connection *c = worker_cursor_next(part->worker, part->cursor);

		if (!c) {
			visit_end_on_worker(part->visit, part->n_done);
			worker_cursor_free(part->cursor);
			free(part);
			return false;
		}
		part->n_done += visit_one(part->visit, c);
	}
	return true;
}

static struct visit_part *part_new(struct worker *w, struct visit *visit)
{
	_cleanup_free_ struct visit_part *part = calloc(1, sizeof(*part));

	if (!part)
		return NULL;
	part->cursor = worker_cursor_new(w);
	if (!part->cursor)
		return NULL;
	part->worker = w;
	part->visit = visit;
	work_item_init(&part->work, visit_slice);
	return TAKE_PTR(part);
}

static void visit_run(struct worker *w, void *arg)
{
	struct visit *visit = arg;
	struct visit_part *part;

	if (visit->args.filter.id) {
		struct connection *c = worker_find(w, visit->args.filter.id);

		visit_end_on_worker(visit, c && visit_one(visit, c));
		return;
	}
	part = part_new(w, visit);
	if (part)
		work_item_add(&w->work, WORKER_QUEUE_API, &part->work);
	else
		visit_end_on_worker(visit, 0);
}

static void visit_refuse(struct control_call *call, const char *why)
{
	if (call)
		control_fail(call, CONTROL_ERROR_BUSY, "%s", why);
}

/* @call: to be answered at the end; NULL = none */
static void visit_begin(struct gateway *g, struct control_call *call,
			const struct command_args *args, visit_fn *fn, const char *result)
{
	struct visit *visit = calloc(1, sizeof(*visit));

	if (!visit) {
		visit_refuse(call, "out of memory");
		return;
	}
	visit->call = call;
	visit->gateway = g;
	visit->args = *args;
	visit->fn = fn;
	visit->result = result;
	/* Mail from the workers is taken by this thread, so no answer can come before the end. */
	for (unsigned int i = 0; i < g->shared.n_workers; i++)
		visit->n_pending += worker_call(g->workers[i], visit_run, visit) == 0;
	if (visit->n_pending == 0) {
		free(visit);
		visit_refuse(call, "the workers are too busy");
	}
}

static bool is_told_which(struct control_call *call, const struct command_args *args)
{
	bool is_told = args->has_filter || args->is_all;

	if (!is_told)
		control_fail(call, CONTROL_ERROR_ARGUMENT,
			     "which connections? give conn, a filter, or all = true");
	return is_told;
}

/* ---- close --------------------------------------------------------------------------------- */

static bool close_one(const struct visit *visit, struct connection *c)
{
	if (c->state == CONNECTION_CLOSING)
		return false;
	c->ops->close(c, EGW_ADMIN, visit->args.code, slice_from_str(visit->args.reason));
	return true;
}

void command_close(struct control_call *call, const struct command_args *args)
{
	if (is_told_which(call, args))
		visit_begin(control_call_gateway(call), call, args, close_one, "closed");
}

/* ---- splice.demote, splice.resume ------------------------------------------------------------ */

static void set_pause(struct gateway *g, enum splice_pause pause)
{
	atomic_fetch_or_explicit(&g->shared.splice_pauses, pause, memory_order_relaxed);
}

static void end_pause(struct gateway *g, enum splice_pause pause)
{
	/* Of what has come and gone, before anything is spliced again. */
	hook_watch_look(&g->hook_watch);
	atomic_fetch_and_explicit(&g->shared.splice_pauses, ~(unsigned int)pause,
				  memory_order_relaxed);
}

/* Of all, it is the pause that says so: they are not marked, each, as well. */
static bool demote_one(const struct visit *visit, struct connection *c)
{
	if (!visit->args.is_all)
		promotion_keep(c, true);
	return promotion_recall(c);
}

void command_splice_demote(struct control_call *call, const struct command_args *args)
{
	if (!is_told_which(call, args))
		return;
	/* First: who becomes ready to be spliced behind the visit is not. */
	if (args->is_all)
		set_pause(control_call_gateway(call), SPLICE_PAUSE_OPERATOR);
	visit_begin(control_call_gateway(call), call, args, demote_one, "demoted");
}

static bool resume_one(const struct visit *visit, struct connection *c)
{
	promotion_keep(c, false);
	return promotion_resume(c);
}

void command_splice_resume(struct control_call *call, const struct command_args *args)
{
	end_pause(control_call_gateway(call), SPLICE_PAUSE_OPERATOR);
	visit_begin(control_call_gateway(call), call, args, resume_one, "resumed");
}

/* ---- splice.pause ---------------------------------------------------------------------------- */

struct pause {
	struct control_call *call;
	struct gateway *gateway;
	struct command_args args; /* none: all connections */
	unsigned int n_pending;   /* workers that may not know of it yet */
	bool has_failed;          /* one will not be told */
};

static bool recall_one(const struct visit *visit, struct connection *c)
{
	return promotion_recall(c);
}

static bool release_one(const struct visit *visit, struct connection *c)
{
	return promotion_resume(c);
}

static void pause_end(struct pause *pause)
{
	struct gateway *g = pause->gateway;

	if (--g->n_splice_pauses == 0 && !g->is_stopping) {
		end_pause(g, SPLICE_PAUSE_CALLS);
		visit_begin(g, NULL, &pause->args, release_one, "");
	}
	free(pause);
}

/* Nothing is said, until whoever asked is gone. */
static void pause_step(struct control_call *call, void *arg)
{
	struct pause *pause = arg;

	if (control_is_wanted(call)) {
		control_wait(call, pause_step, pause);
		return;
	}
	pause_end(pause);
	control_fail(call, "gone", "nobody waits for the answer");
}

static void pause_refuse(struct pause *pause)
{
	struct control_call *call = pause->call;

	pause_end(pause);
	control_fail(call, CONTROL_ERROR_BUSY, "the workers are too busy");
}

/* From here on nothing becomes spliced. What is comes back behind the answer, however long that
 * takes. */
static void pause_begun(struct pause *pause)
{
	if (pause->has_failed) {
		pause_refuse(pause);
		return;
	}
	visit_begin(pause->gateway, NULL, &pause->args, recall_one, "");
	control_page(pause->call, json_pack("{s:b}", "paused", true), pause_step, pause);
}

static void pause_noticed(const struct mail *mail)
{
	struct pause *pause = mail->ptr;

	if (--pause->n_pending == 0)
		pause_begun(pause);
}

/* A try that had not seen it is over. */
static void pause_notice(struct worker *w, void *arg)
{
	struct pause *pause = arg;

	gateway_post(pause->gateway, &(struct mail){.fn = pause_noticed, .ptr = pause});
}

void command_splice_pause(struct control_call *call, const struct command_args *args)
{
	struct gateway *g = control_call_gateway(call);
	struct pause *pause = calloc(1, sizeof(*pause));

	if (!pause) {
		control_fail(call, CONTROL_ERROR_BUSY, "out of memory");
		return;
	}
	*pause = (struct pause){.call = call, .gateway = g, .args = *args};
	g->n_splice_pauses++;
	set_pause(g, SPLICE_PAUSE_CALLS);
	for (unsigned int i = 0; i < g->shared.n_workers; i++)
		pause->n_pending += worker_call(g->workers[i], pause_notice, pause) == 0;
	pause->has_failed = pause->n_pending < g->shared.n_workers;
	if (pause->n_pending == 0)
		pause_refuse(pause);
}
