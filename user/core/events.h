/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What happens to the daemon as a whole: endpoints come and go, configurations change. Any thread
 * tells; the main thread numbers what it is told and keeps the latest, for those who watch.
 *
 * A watcher has no queue of its own. It remembers the number of the event that it wants next and
 * takes events from the ring at its own pace; one that falls behind by more than the ring holds
 * has lost some, and can tell how many from the numbers.
 */
#pragma once
#include "base/list.h"
#include "base/log.h"
#include "base/std.h"

#include <jansson.h>

struct ev_loop;

#define EVENTS_KEPT 1024u

/* X(symbol, name, severity) */
#define EVENT_TYPES(X)                                            \
	X(EVENT_STARTED, "started", NOTICE)                       \
	X(EVENT_STOPPING, "stopping", NOTICE)                     \
	X(EVENT_CONFIG_RELOADED, "config_reloaded", NOTICE)       \
	X(EVENT_CONFIG_REFUSED, "config_refused", ERROR)          \
	X(EVENT_LISTENER_OPENED, "listener_opened", NOTICE)       \
	X(EVENT_LISTENER_CLOSED, "listener_closed", NOTICE)       \
	X(EVENT_LISTENER_FAILED, "listener_failed", ERROR)        \
	X(EVENT_ENDPOINT_UP, "endpoint_up", NOTICE)               \
	X(EVENT_ENDPOINT_DOWN, "endpoint_down", WARNING)          \
	X(EVENT_ENDPOINT_STATE, "endpoint_state", NOTICE)         \
	X(EVENT_ENDPOINT_EJECTED, "endpoint_ejected", WARNING)    \
	X(EVENT_ENDPOINT_READMITTED, "endpoint_readmitted", INFO) \
	X(EVENT_NAME_RESOLVED, "name_resolved", INFO)             \
	X(EVENT_NAME_UNRESOLVED, "name_unresolved", WARNING)      \
	X(EVENT_BREAKER_OPEN, "breaker_open", WARNING)            \
	X(EVENT_BREAKER_HALF_OPEN, "breaker_half_open", NOTICE)   \
	X(EVENT_BREAKER_CLOSED, "breaker_closed", NOTICE)         \
	X(EVENT_DRAIN_STARTED, "drain_started", NOTICE)           \
	X(EVENT_DRAIN_FINISHED, "drain_finished", NOTICE)         \
	X(EVENT_DRAIN_CANCELLED, "drain_cancelled", NOTICE)       \
	X(EVENT_HOOK_LOST, "hook_lost", WARNING)                  \
	X(EVENT_PINS_LOST, "pins_lost", WARNING)

enum event_type {
#define X(symbol, name, severity) symbol,
	EVENT_TYPES(X)
#undef X
	EVENT_TYPE_COUNT,
};

const char *event_type_name(enum event_type type);
enum log_level event_type_severity(enum event_type type);

/**
 * events_emit() - any thread: say that something has happened
 * @fmt: json_pack()'s of an object, such as "{s:s, s:i}", and what it takes; NULL = no fields.
 *       Strings are copied and must be UTF-8.
 *
 * Never blocks. An event that finds no room (EVENTS_KEPT wait for the main thread), or no memory,
 * is counted as lost. Without events_init(), as in unit tests, nothing happens.
 */
void events_emit(enum event_type type, const char *fmt, ...);

/* ---- main thread --------------------------------------------------------------------------- */

struct event {
	uint64_t number;  /* 0, 1, 2, ... */
	uint64_t time_ns; /* CLOCK_REALTIME, when it was emitted */
	enum event_type type;
	json_t *fields; /* an object */
};

/** events_init() - once a process, before any thread emits. Return: 0 or -errno */
int events_init(struct ev_loop *loop);
/** events_done() - nobody else emits any more. What still waits is forgotten. May be repeated */
void events_done(void);

/** events_deliver() - number what waits, and tell the watchers, now: the loop is about to end */
void events_deliver(void);

/** events_next() - the number that the next event will have */
uint64_t events_next(void);
/** events_oldest() - the number of the oldest one that is kept; events_next() if none is */
uint64_t events_oldest(void);
/** events_at() - event @number, good until the loop goes on; events_oldest() <= @number <
 * events_next() */
const struct event *events_at(uint64_t number);
/** events_lost() - never numbered, since the start */
uint64_t events_lost(void);
/** event_json() - {"number", "time", "type", "severity", "fields"}, or NULL without memory */
json_t *event_json(const struct event *event);

struct events_watcher {
	struct list node;
	/* There are new events. It may watch and unwatch, itself included. */
	void (*on_events)(struct events_watcher *watcher);
};

/** events_watch() - from now on; @watcher stays the caller's. One at a time goes on the list */
void events_watch(struct events_watcher *watcher);
/** events_unwatch() - of one that watches, or is zeroed */
void events_unwatch(struct events_watcher *watcher);
