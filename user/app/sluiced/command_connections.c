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
#include "proto/control_message.h"

/* ---- show.connections ---------------------------------------------------------------------- */

#define PAGE_ROWS   64   /* rows that a worker describes in one go: some system calls each */
#define CLOSE_SLICE 32   /* connections looked at, and perhaps closed, in one item of work */
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

/* ---- close --------------------------------------------------------------------------------- */

struct closing {
	struct control_call *call;
	struct gateway *gateway;
	struct command_args args;
	unsigned int n_pending; /* workers that have not answered; main thread only */
	_Atomic uint64_t n_closed;
};

static void closing_answered(const struct mail *mail)
{
	struct closing *closing = mail->ptr;
	uint64_t n_closed;

	if (--closing->n_pending > 0)
		return;
	n_closed = atomic_load_explicit(&closing->n_closed, memory_order_relaxed);
	if (n_closed == 0 && closing->args.filter.id)
		control_fail(closing->call, "no_such_connection", "no connection has that id");
	else
		control_finish(closing->call, json_pack("{s:o}", "closed", json_u64(n_closed)));
	free(closing);
}

static bool close_one(const struct closing *closing, struct connection *c)
{
	if (c->state == CONNECTION_CLOSING || !connection_filter_matches(&closing->args.filter, c))
		return false;
	c->ops->close(c, EGW_ADMIN, closing->args.code, slice_from_str(closing->args.reason));
	return true;
}

/* One worker's share of it, on its thread. */
struct closing_part {
	struct work_item work;
	struct closing *closing;
	struct worker *worker;
	struct worker_cursor *cursor;
	uint64_t n_closed;
};

static void closing_end_on_worker(struct closing *closing, uint64_t n_closed)
{
	atomic_fetch_add_explicit(&closing->n_closed, n_closed, memory_order_relaxed);
	gateway_post(closing->gateway, &(struct mail){.fn = closing_answered, .ptr = closing});
}

/* Closing is more than looking: fewer in one go, so that nobody's frames wait for all of them. */
static bool closing_slice(struct work_item *item)
{
	struct closing_part *part = container_of(item, struct closing_part, work);

	for (int looks = 0; looks < CLOSE_SLICE; looks++) {
		struct connection *c = worker_cursor_next(part->worker, part->cursor);

		if (!c) {
			closing_end_on_worker(part->closing, part->n_closed);
			worker_cursor_free(part->cursor);
			free(part);
			return false;
		}
		part->n_closed += close_one(part->closing, c);
	}
	return true;
}

static struct closing_part *part_new(struct worker *w, struct closing *closing)
{
	_cleanup_free_ struct closing_part *part = calloc(1, sizeof(*part));

	if (!part)
		return NULL;
	part->cursor = worker_cursor_new(w);
	if (!part->cursor)
		return NULL;
	part->worker = w;
	part->closing = closing;
	work_item_init(&part->work, closing_slice);
	return TAKE_PTR(part);
}

static void closing_run(struct worker *w, void *arg)
{
	struct closing *closing = arg;
	struct closing_part *part;

	if (closing->args.filter.id) {
		struct connection *c = worker_find(w, closing->args.filter.id);

		closing_end_on_worker(closing, c && close_one(closing, c));
		return;
	}
	part = part_new(w, closing);
	if (part)
		work_item_add(&w->work, WORKER_QUEUE_API, &part->work);
	else
		closing_end_on_worker(closing, 0);
}

void command_close(struct control_call *call, const struct command_args *args)
{
	struct gateway *g = control_call_gateway(call);
	struct closing *closing;

	if (!args->has_filter && !args->is_all) {
		control_fail(call, CONTROL_ERROR_ARGUMENT,
			     "which connections? give conn, a filter, or all = true");
		return;
	}
	closing = calloc(1, sizeof(*closing));
	if (!closing) {
		control_fail(call, CONTROL_ERROR_BUSY, "out of memory");
		return;
	}
	closing->call = call;
	closing->gateway = g;
	closing->args = *args;
	/* Mail from the workers is taken by this thread, so no answer can come before the end. */
	for (unsigned int i = 0; i < g->shared.n_workers; i++)
		closing->n_pending += worker_call(g->workers[i], closing_run, closing) == 0;
	if (closing->n_pending == 0) {
		free(closing);
		control_fail(call, CONTROL_ERROR_BUSY, "the workers are too busy");
	}
}
