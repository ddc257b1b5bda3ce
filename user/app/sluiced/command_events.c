/* SPDX-License-Identifier: Apache-2.0 */
/* The commands about events: those that are kept, and those to come. */
#include "app/sluiced/commands.h"

#include "app/sluiced/command_args.h"
#include "app/sluiced/control_call.h"
#include "core/events.h"
#include "proto/control_message.h"

#define PAGE_ROWS 64

struct watching {
	struct events_watcher watcher;
	struct control_call *call;
	uint64_t next;   /* event to be told */
	uint64_t end;    /* the first one that is not asked for; UINT64_MAX = never */
	bool is_waiting; /* all there is has been told */
};

static void watching_free(struct watching *w)
{
	events_unwatch(&w->watcher);
	free(w);
}

static json_t *take_page(struct watching *w)
{
	json_t *rows = json_array();
	uint64_t end = MIN(events_next(), w->end);

	while (w->next < end && json_array_size(rows) < PAGE_ROWS)
		json_array_append_new(rows, event_json(events_at(w->next++)));
	return rows;
}

static void watching_step(struct control_call *call, void *arg)
{
	struct watching *w = arg;
	json_t *rows;

	w->is_waiting = false;
	if (!control_is_wanted(call)) {
		watching_free(w);
		control_fail(call, "gone", "nobody waits for the answer");
		return;
	}
	if (w->next < events_oldest()) {
		uint64_t n_missed = events_oldest() - w->next;

		watching_free(w);
		control_fail(call, "too_slow", "%llu events were not read in time",
			     (unsigned long long)n_missed);
		return;
	}
	rows = take_page(w);
	if (w->next >= w->end) {
		watching_free(w);
		control_finish(call, rows);
	} else if (json_array_size(rows) > 0) {
		control_page(call, rows, watching_step, w);
	} else {
		json_decref(rows);
		w->is_waiting = true;
		control_wait(call, watching_step, w);
	}
}

/* One whose reader is slow is not waiting, and comes by itself. */
static void on_events(struct events_watcher *watcher)
{
	struct watching *w = container_of(watcher, struct watching, watcher);

	if (w->is_waiting)
		control_go_on(w->call);
}

static void begin(struct control_call *call, uint64_t n_past, uint64_t end)
{
	struct watching *w = calloc(1, sizeof(*w));

	if (!w) {
		control_fail(call, CONTROL_ERROR_BUSY, "out of memory");
		return;
	}
	w->watcher.on_events = on_events;
	w->call = call;
	w->next = events_next() - MIN(n_past, events_next() - events_oldest());
	w->end = end;
	events_watch(&w->watcher);
	watching_step(call, w);
}

void command_show_events(struct control_call *call, const struct command_args *args)
{
	begin(call, args->has_last ? args->last : EVENTS_KEPT, events_next());
}

void command_events(struct control_call *call, const struct command_args *args)
{
	begin(call, args->last, UINT64_MAX);
}
