/* SPDX-License-Identifier: Apache-2.0 */
#include "core/events.h"

#include "base/clock.h"
#include "base/mailbox.h"

#include <ev.h>
#include <stdarg.h>
#include <stdatomic.h>

#define MAIL_BUDGET 256

_Static_assert((EVENTS_KEPT & (EVENTS_KEPT - 1)) == 0, "numbers become places by their low bits");

/* One for the process, as the log is: what has something to tell need not know to whom. */
static struct {
	struct ev_loop *loop;
	ev_io on_mail;
	struct list watchers;
	uint64_t next;
	struct event ring[EVENTS_KEPT]; /* event N is at N % EVENTS_KEPT */
	_Atomic uint64_t n_lost;
	/* Last: set by events_init(), and the only thing that another thread looks at first. */
	_Atomic(struct mailbox *) mailbox;
} events;

/* ---- telling ------------------------------------------------------------------------------- */

static struct event *take_place(void)
{
	struct event *event = &events.ring[events.next & (EVENTS_KEPT - 1)];

	json_decref(event->fields);
	event->fields = NULL;
	event->number = events.next++;
	return event;
}

/* On the main thread. What was allocated for the way becomes a place in the ring. */
static void arrived(const struct mail *mail)
{
	struct event *from = mail->ptr;
	struct event *event = take_place();

	event->time_ns = from->time_ns;
	event->type = from->type;
	event->fields = from->fields;
	free(from);
}

static struct event *event_new(enum event_type type, const char *fmt, va_list ap)
{
	_cleanup_free_ struct event *event = calloc(1, sizeof(*event));
	json_error_t error;

	if (!event)
		return NULL;
	event->time_ns = clock_realtime_ns();
	event->type = type;
	event->fields = fmt ? json_vpack_ex(&error, 0, fmt, ap) : json_object();
	return json_is_object(event->fields) ? TAKE_PTR(event) : NULL;
}

void events_emit(enum event_type type, const char *fmt, ...)
{
	struct mailbox *mailbox = atomic_load_explicit(&events.mailbox, memory_order_acquire);
	struct event *event;
	va_list ap;

	if (!mailbox)
		return;
	va_start(ap, fmt);
	event = event_new(type, fmt, ap);
	va_end(ap);
	if (event && mailbox_post(mailbox, &(struct mail){.fn = arrived, .ptr = event}) == 0)
		return;
	if (event)
		json_decref(event->fields);
	free(event);
	atomic_fetch_add_explicit(&events.n_lost, 1, memory_order_relaxed);
}

/* ---- the main thread's --------------------------------------------------------------------- */

/* Each one that watched before is told once, whatever becomes of the others meanwhile. */
static void tell_watchers(void)
{
	struct list told;

	list_init(&told);
	while (!list_is_empty(&events.watchers)) {
		struct list *node = events.watchers.next;

		list_remove(node);
		list_append(&told, node);
	}
	while (!list_is_empty(&told)) {
		struct events_watcher *watcher = list_entry(told.next, struct events_watcher, node);

		events_unwatch(watcher);
		events_watch(watcher);
		watcher->on_events(watcher);
	}
}

void events_deliver(void)
{
	struct mailbox *mailbox = atomic_load_explicit(&events.mailbox, memory_order_relaxed);

	if (mailbox && mailbox_run(mailbox, MAIL_BUDGET) > 0)
		tell_watchers();
}

static void mail_cb(struct ev_loop *loop, ev_io *io, int revents)
{
	events_deliver();
}

int events_init(struct ev_loop *loop)
{
	struct mailbox *mailbox;
	int error = mailbox_new(EVENTS_KEPT, &mailbox);

	if (error < 0)
		return error;
	events.loop = loop;
	list_init(&events.watchers);
	ev_io_init(&events.on_mail, mail_cb, mailbox_fd(mailbox), EV_READ);
	ev_io_start(loop, &events.on_mail);
	atomic_store_explicit(&events.mailbox, mailbox, memory_order_release);
	return 0;
}

void events_done(void)
{
	struct mailbox *mailbox = atomic_load_explicit(&events.mailbox, memory_order_relaxed);

	if (!mailbox)
		return;
	ev_io_stop(events.loop, &events.on_mail);
	/* They come into the ring, which then frees them. */
	while (mailbox_run(mailbox, MAIL_BUDGET) > 0)
		;
	atomic_store_explicit(&events.mailbox, NULL, memory_order_relaxed);
	mailbox_free(mailbox);
	for (size_t i = 0; i < EVENTS_KEPT; i++)
		json_decref(TAKE_PTR(events.ring[i].fields));
	events.next = 0;
	atomic_store_explicit(&events.n_lost, 0, memory_order_relaxed);
}

uint64_t events_next(void)
{
	return events.next;
}

uint64_t events_oldest(void)
{
	return events.next > EVENTS_KEPT ? events.next - EVENTS_KEPT : 0;
}

const struct event *events_at(uint64_t number)
{
	assert(number >= events_oldest() && number < events.next);
	return &events.ring[number & (EVENTS_KEPT - 1)];
}

uint64_t events_lost(void)
{
	return atomic_load_explicit(&events.n_lost, memory_order_relaxed);
}

void events_watch(struct events_watcher *watcher)
{
	list_append(&events.watchers, &watcher->node);
}

void events_unwatch(struct events_watcher *watcher)
{
	if (watcher->node.next)
		list_remove(&watcher->node);
}

/* ---- types --------------------------------------------------------------------------------- */

static const struct {
	const char *name;
	enum log_level severity;
} types[EVENT_TYPE_COUNT] = {
#define X(symbol, type_name, level) [symbol] = {type_name, LOG_LEVEL_##level},
    EVENT_TYPES(X)
#undef X
};

const char *event_type_name(enum event_type type)
{
	return types[type].name;
}

enum log_level event_type_severity(enum event_type type)
{
	return types[type].severity;
}

json_t *event_json(const struct event *event)
{
	char time[CLOCK_RFC3339_LEN + 1];

	clock_format_rfc3339(event->time_ns, time);
	return json_pack("{s:I, s:s, s:s, s:s, s:O}", "number", (json_int_t)event->number, "time",
			 time, "type", event_type_name(event->type), "severity",
			 log_level_name(event_type_severity(event->type)), "fields", event->fields);
}
