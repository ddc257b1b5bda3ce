/* SPDX-License-Identifier: Apache-2.0 */
#include "app/sluiced/splice_events.h"

#include "app/sluiced/gateway.h"
#include "base/log.h"
#include "core/demotion.h"
#include "core/promoter.h"
#include "core/spliced.h"
#include "core/worker.h"
#include "kern/kern_events.h"

#include <inttypes.h>

#define BATCH 256 /* events in one turn of the loop */

/* Of a connection. */
struct news {
	uint64_t conn_id;
	bool is_deaf; /* a peer goes on sending too much; else its entries say what it is */
};

struct splice_events {
	struct gateway *gateway;
	struct kern_events *ring;
	ev_io on_events;
	size_t n;
	struct news news[BATCH]; /* to be told */
};

/* A copy for one worker. */
struct batch {
	size_t n;
	struct news news[];
};

/* On the worker's thread. Those that are another's are not found, which costs little. */
static void check_batch(struct worker *w, void *arg)
{
	_cleanup_free_ struct batch *batch = arg;

	for (size_t i = 0; i < batch->n; i++) {
		struct connection *c = worker_find(w, batch->news[i].conn_id);

		if (c && batch->news[i].is_deaf)
			demotion_begin(c, DEMOTION_MTU, 0);
		else if (c)
			spliced_check(c);
	}
}

static void sweep(struct worker *w, void *arg)
{
	if (w->promoter)
		promoter_sweep(w->promoter);
}

static void tell(const struct splice_events *events, struct worker *w)
{
	size_t size = sizeof(struct batch) + events->n * sizeof(struct news);
	struct batch *batch = malloc(size);

	if (!batch)
		return;
	batch->n = events->n;
	memcpy(batch->news, events->news, events->n * sizeof(struct news));
	if (worker_call(w, check_batch, batch) < 0)
		free(batch);
}

/* Ends and what is refused stand in the entries as well. That a peer is deaf does not: of that the
 * hook tells again for as long as it goes on. */
static void look_for_lost(struct splice_events *events)
{
	uint64_t n;

	if (kern_events_take_lost(events->ring, &n) < 0 || n == 0)
		return;
	log_warning("%" PRIu64
		    " events of the kernel were lost (sluice-loader load --events BYTES): "
		    "looking at all spliced connections",
		    n);
	/* A worker whose mailbox is full will do so by itself, every 10 s. */
	for (unsigned int i = 0; i < events->gateway->shared.n_workers; i++)
		(void)worker_call(events->gateway->workers[i], sweep, NULL);
}

/* The walker lets nothing more pass, or has let a Close frame pass. */
static bool is_of_walker(const struct sl_event *event)
{
	uint32_t what = event->detail % (1u << SL_WALK_FAULT_SHIFT);

	return event->type == SL_EVENT_WALK &&
	       (what == SL_WALK_EVENT_WRONG || what == SL_WALK_EVENT_CLOSE);
}

static void on_event(const struct sl_event *event, void *arg)
{
	struct splice_events *events = arg;

	if (event->type == SL_EVENT_CLOSED || event->type == SL_EVENT_DEAF ||
	    event->type == SL_EVENT_UNTRANSLATABLE || is_of_walker(event))
		events->news[events->n++] =
		    (struct news){event->conn_id, event->type == SL_EVENT_DEAF};
}

static void events_cb(struct ev_loop *loop, ev_io *io, int revents)
{
	struct splice_events *events = container_of(io, struct splice_events, on_events);

	events->n = 0;
	(void)kern_events_consume(events->ring, BATCH);
	if (events->n > 0) {
		for (unsigned int i = 0; i < events->gateway->shared.n_workers; i++)
			tell(events, events->gateway->workers[i]);
	}
	/* The ring was full when one was lost, so this comes behind every loss. */
	look_for_lost(events);
}

int splice_events_new(struct gateway *g, struct splice_events **ret_events)
{
	struct splice_events *events = calloc(1, sizeof(*events));
	const struct bpf_pins *pins = &g->splice.pins;
	int error;

	if (!events)
		return -ENOMEM;
	events->gateway = g;
	error = kern_events_new(pins->events_fd, pins->stats_fd, on_event, events, &events->ring);
	if (error < 0) {
		free(events);
		return error;
	}
	ev_io_init(&events->on_events, events_cb, kern_events_fd(events->ring), EV_READ);
	ev_io_start(g->loop, &events->on_events);
	*ret_events = events;
	return 0;
}

void splice_events_free(struct splice_events *events)
{
	if (!events)
		return;
	ev_io_stop(events->gateway->loop, &events->on_events);
	kern_events_free(events->ring);
	free(events);
}
