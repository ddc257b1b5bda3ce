/* SPDX-License-Identifier: Apache-2.0 */
#include "client_worker.h"

#include "base/clock.h"
#include "client_conn.h"
#include "client_load.h"
#include "process.h"
#include "schedule.h"

#include <inttypes.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <time.h>

#define EVENTS_MAX 256
/* Openings on their way at once: enough to keep a server busy, few enough for any backlog. */
#define OPENING_MAX     128
#define REOPEN_DELAY_NS (50 * NS_PER_MS) /* after an error: a dead target is no storm */
#define BARREN_MAX      20               /* errors in a row before a slot is given up */
#define DESCRIBED_MAX   10               /* errors on stderr */
#define INTERRUPT_NS    (10 * NS_PER_S)  /* for answers and closing handshakes after a signal */
#define FINISH_TIMEOUTS 10               /* FINISH lasts as many --timeout at most */

/* ---- life ----------------------------------------------------------------------------------- */

static int worker_allocate(struct client_worker *w)
{
	size_t depth = MAX(w->options->depth, 1);

	w->conns = calloc(w->n_conns, sizeof(*w->conns));
	w->sent_ns = calloc(w->n_conns * depth, sizeof(*w->sent_ns));
	w->tx = malloc(CLIENT_TX_BYTES);
	w->rx = malloc(CLIENT_RX_RESERVE + CLIENT_RX_BYTES);
	if (!w->conns || !w->sent_ns || !w->tx || !w->rx)
		return -ENOMEM;
	for (uint32_t i = 0; i < w->n_conns; i++) {
		client_conn_init(&w->conns[i], w, w->first_ordinal + i, &w->sent_ns[i * depth]);
		list_append(&w->waiting, &w->conns[i].node);
	}
	return 0;
}

int client_worker_new(struct client_run *run, uint32_t index, uint32_t first, uint32_t n,
		      uint64_t quota, struct client_worker **ret_worker)
{
	_cleanup_(cleanup_client_worker_free) struct client_worker *w = calloc(1, sizeof(*w));
	struct epoll_event wake = {.events = EPOLLIN, .data.ptr = NULL};
	int r;

	if (!w)
		return -ENOMEM;
	w->run = run;
	w->options = run->options;
	w->index = index;
	w->first_ordinal = first;
	w->n_conns = n;
	w->quota = quota;
	w->load_ns = w->measure_ns = w->end_ns = UINT64_MAX;
	list_init(&w->waiting);
	list_init(&w->ended);
	bench_stats_init(&w->stats);
	w->masks.is_secure = w->options->secure_masks;
	random_fast_seed(&w->masks.fast, payload_identity(w->options->seed, UINT64_MAX, index));
	deadline_wheel_init(&w->wheel, clock_monotonic_ns());
	w->wake_fd = -1;
	w->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (w->epoll_fd < 0)
		return -errno;
	w->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (w->wake_fd < 0 || epoll_ctl(w->epoll_fd, EPOLL_CTL_ADD, w->wake_fd, &wake) < 0)
		return -errno;
	r = worker_allocate(w);
	if (r < 0)
		return r;
	*ret_worker = TAKE_PTR(w);
	return 0;
}

void client_worker_free(struct client_worker *w)
{
	if (!w)
		return;
	for (uint32_t i = 0; w->conns && i < w->n_conns; i++) {
		if (w->conns[i].worker)
			client_conn_done(&w->conns[i]);
	}
	if (w->epoll_fd >= 0)
		close(w->epoll_fd);
	if (w->wake_fd >= 0)
		close(w->wake_fd);
	free(w->conns);
	free(w->sent_ns);
	free(w->tx);
	free(w->rx);
	free(w);
}

void client_worker_wake(struct client_worker *w)
{
	/* Fails only when the counter is full, and then a wakeup is pending anyway. */
	(void)eventfd_write(w->wake_fd, 1);
}

/* ---- what connections tell ------------------------------------------------------------------ */

void client_worker_count_error(struct client_worker *w, const struct client_conn *c,
			       enum bench_error error, const char *fmt, va_list ap)
{
	char text[256];

	counter_add(&w->stats.errors[error], 1);
	if (__atomic_fetch_add(&w->run->n_described, 1, __ATOMIC_RELAXED) >= DESCRIBED_MAX)
		return;
	vsnprintf(text, sizeof(text), fmt, ap);
	/* One write, so that lines of several threads stay whole. */
	fprintf(stderr, "sluice-bench client: connection %u: %s: %s\n", c->ordinal,
		bench_error_name(error), text);
}

void client_worker_opening_over(struct client_worker *w, struct client_conn *c)
{
	w->n_opening--;
	if (c->is_failed)
		counter_add(&w->stats.failed, 1);
	if (c->is_first_life)
		w->n_settled++;
	c->is_first_life = false;
}

void client_worker_ended(struct client_worker *w, struct client_conn *c)
{
	list_remove(&c->node); /* it may have been waiting */
	list_append(&w->ended, &c->node);
}

/* ---- opening and reaping -------------------------------------------------------------------- */

static bool may_reopen(const struct client_worker *w, const struct client_conn *c)
{
	if (w->phase != CLIENT_PHASE_LOAD)
		return false;
	if (w->options->mode == CLIENT_HANDSHAKE)
		return true;
	/* A run that only --messages ends would never end against a dead target. */
	return w->options->churn && (w->options->duration_ns || c->n_barren < BARREN_MAX);
}

static void reap(struct client_worker *w)
{
	while (!list_is_empty(&w->ended)) {
		struct client_conn *c = list_entry(w->ended.next, struct client_conn, node);
		bool was_failed = c->is_failed;

		list_remove(&c->node);
		if (!may_reopen(w, c)) {
			client_conn_done(c);
			w->n_over++;
			continue;
		}
		client_conn_reset(c);
		c->reopen_ns = was_failed ? w->now_ns + REOPEN_DELAY_NS : 0;
		list_append(&w->waiting, &c->node);
	}
}

/* Thread t of T begins the openings t, T + t, 2T + t, … of the run's schedule. */
static uint64_t next_open_ns(const struct client_worker *w)
{
	const struct client_options *o = w->options;
	uint64_t at = 0;

	if (list_is_empty(&w->waiting) ||
	    (w->n_opening >= OPENING_MAX && o->mode != CLIENT_HANDSHAKE))
		return UINT64_MAX;
	if (o->ramp_per_s)
		at =
		    schedule_time_ns(w->open_ns, w->n_opens * o->threads + w->index, o->ramp_per_s);
	return MAX(at, list_entry(w->waiting.next, struct client_conn, node)->reopen_ns);
}

static bool may_open(const struct client_worker *w)
{
	if (w->phase == CLIENT_PHASE_OPEN)
		return w->options->mode != CLIENT_HANDSHAKE;
	return w->phase == CLIENT_PHASE_LOAD && w->quota > 0;
}

static void open_some(struct client_worker *w)
{
	while (may_open(w) && next_open_ns(w) <= w->now_ns) {
		struct client_conn *c = list_entry(w->waiting.next, struct client_conn, node);

		list_remove(&c->node);
		w->now_ns = clock_monotonic_ns();
		if (w->options->mode == CLIENT_HANDSHAKE && client_worker_measures(w, w->now_ns))
			w->quota--;
		w->n_opening++;
		client_conn_open(c);
		w->n_opens++;
		client_conn_advance(c);
	}
}

/* ---- phases --------------------------------------------------------------------------------- */

static uint64_t thread_cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

/* The last thread to be ready starts all. */
static void become_ready(struct client_worker *w)
{
	struct client_run *run = w->run;

	w->phase = CLIENT_PHASE_WAIT;
	if (__atomic_add_fetch(&run->n_ready, 1, __ATOMIC_ACQ_REL) < run->n_workers)
		return;
	__atomic_store_n(&run->start_ns, clock_monotonic_ns(), __ATOMIC_RELEASE);
	for (uint32_t i = 0; i < run->n_workers; i++)
		client_worker_wake(run->workers[i]);
}

static void learn_start(struct client_worker *w)
{
	const struct client_options *o = w->options;
	uint64_t start = __atomic_load_n(&w->run->start_ns, __ATOMIC_ACQUIRE);

	if (start == 0 || w->load_ns != UINT64_MAX)
		return;
	w->load_ns = start + o->hold_ns;
	w->measure_ns = w->load_ns + o->warmup_ns;
	if (o->duration_ns)
		w->end_ns = w->measure_ns + o->duration_ns;
}

static void begin_load(struct client_worker *w)
{
	w->phase = CLIENT_PHASE_LOAD;
	w->open_ns = w->now_ns; /* a new schedule for --ramp, if connections are reopened */
	w->n_opens = 0;
	for (uint32_t i = 0; i < w->n_conns; i++) {
		struct client_conn *c = &w->conns[i];

		w->now_ns = clock_monotonic_ns(); /* there may be many before it */
		if (w->options->stall_ns)
			client_conn_stall(c);
		client_conn_resume(c);
		client_conn_advance(c);
	}
}

static void begin_measuring(struct client_worker *w)
{
	w->is_measuring = true;
	w->last_ns = w->measure_ns;
	w->system_from_ns = w->index == 0 ? process_system_busy_ns() : 0;
	w->cpu_from_ns = thread_cpu_ns();
}

static void begin_finish(struct client_worker *w, bool is_interrupted)
{
	client_load_count_unsent(w);
	if (w->is_measuring) {
		w->stats.cpu_ns = thread_cpu_ns() - w->cpu_from_ns;
		if (w->system_from_ns)
			w->stats.system_cpu_ns = process_system_busy_ns() - w->system_from_ns;
	}
	w->phase = CLIENT_PHASE_FINISH;
	w->is_interrupted = is_interrupted;
	w->finish_ns = w->now_ns;
	w->give_up_ns =
	    w->now_ns + (is_interrupted ? INTERRUPT_NS : FINISH_TIMEOUTS * w->options->timeout_ns);
	for (uint32_t i = 0; i < w->n_conns; i++)
		client_conn_finish(&w->conns[i]);
}

/* A signal that comes when the run is finishing anyway, or another one. */
static void hurry_finish(struct client_worker *w, uint64_t within_ns)
{
	w->is_interrupted = true;
	w->give_up_ns = MIN(w->give_up_ns, w->now_ns + within_ns);
}

static bool is_load_over(const struct client_worker *w)
{
	return w->now_ns >= w->end_ns || w->quota == 0 || w->n_over == w->n_conns;
}

static void give_up(struct client_worker *w)
{
	for (uint32_t i = 0; i < w->n_conns; i++) {
		struct client_conn *c = &w->conns[i];

		if (c->state == CLIENT_CONN_ENDED)
			continue;
		if (w->is_interrupted)
			client_conn_abandon(c);
		else
			client_conn_fail(c, BENCH_ERROR_TIMEOUT, "not finished in time");
	}
}

static void advance_phase(struct client_worker *w)
{
	uint32_t n_stops = __atomic_load_n(&w->run->n_stops, __ATOMIC_RELAXED);

	learn_start(w);
	if (w->phase == CLIENT_PHASE_OPEN &&
	    (w->options->mode == CLIENT_HANDSHAKE || w->n_settled == w->n_conns))
		become_ready(w);
	if (w->phase == CLIENT_PHASE_WAIT && w->now_ns >= w->load_ns)
		begin_load(w);
	if (w->phase == CLIENT_PHASE_LOAD && !w->is_measuring && w->now_ns >= w->measure_ns)
		begin_measuring(w);
	if (w->phase < CLIENT_PHASE_FINISH && n_stops > 0)
		begin_finish(w, true);
	if (w->phase == CLIENT_PHASE_LOAD && is_load_over(w))
		begin_finish(w, false);
	if (w->phase == CLIENT_PHASE_FINISH && n_stops > 0 && !w->is_interrupted)
		hurry_finish(w, INTERRUPT_NS);
	if (w->phase == CLIENT_PHASE_FINISH && n_stops > 1)
		hurry_finish(w, 0);
	if (w->phase == CLIENT_PHASE_FINISH && w->now_ns >= w->give_up_ns)
		give_up(w);
	if (w->phase == CLIENT_PHASE_FINISH && w->n_over == w->n_conns)
		w->phase = CLIENT_PHASE_DONE;
}

/* ---- the loop ------------------------------------------------------------------------------- */

static uint64_t next_wakeup_ns(const struct client_worker *w)
{
	uint64_t next = deadline_wheel_next_ns(&w->wheel);

	if (!list_is_empty(&w->ended))
		return 0;
	if (may_open(w))
		next = MIN(next, next_open_ns(w));
	next = MIN(next, client_load_next_ns(w));
	switch (w->phase) {
	case CLIENT_PHASE_WAIT:
		return MIN(next, w->load_ns);
	case CLIENT_PHASE_LOAD:
		return MIN(next, w->is_measuring ? w->end_ns : w->measure_ns);
	case CLIENT_PHASE_FINISH:
		return MIN(next, w->give_up_ns);
	case CLIENT_PHASE_OPEN:
	case CLIENT_PHASE_DONE:
		break;
	}
	return next;
}

static int wait_events(struct client_worker *w, struct epoll_event *events)
{
	uint64_t next = next_wakeup_ns(w), wait_ns = next > w->now_ns ? next - w->now_ns : 0;
	struct timespec timeout = {.tv_sec = (time_t)(wait_ns / NS_PER_S),
				   .tv_nsec = (long)(wait_ns % NS_PER_S)};

	return epoll_pwait2(w->epoll_fd, events, EVENTS_MAX, next == UINT64_MAX ? NULL : &timeout,
			    NULL);
}

static void run_deadlines(struct client_worker *w)
{
	struct deadline *d;

	while ((d = deadline_pop(&w->wheel, w->now_ns)))
		client_conn_expire(list_entry(d, struct client_conn, deadline));
}

static void run_events(struct client_worker *w, const struct epoll_event *events, int n)
{
	for (int i = 0; i < n; i++) {
		eventfd_t ignored;

		if (events[i].data.ptr)
			client_conn_event(events[i].data.ptr, events[i].events);
		else
			(void)eventfd_read(w->wake_fd, &ignored);
	}
}

void *client_worker_main(void *worker)
{
	struct client_worker *w = worker;
	struct epoll_event events[EVENTS_MAX];

	/* Open-loop messages are due at exact times; the default slack is 50 us. */
	(void)prctl(PR_SET_TIMERSLACK, 1);
	w->now_ns = clock_monotonic_ns();
	w->open_ns = w->now_ns;
	advance_phase(w); /* in handshake mode there is nothing to wait for first */
	while (w->phase != CLIENT_PHASE_DONE) {
		int n = wait_events(w, events);

		w->now_ns = clock_monotonic_ns();
		run_events(w, events, n);
		w->now_ns = clock_monotonic_ns();
		run_deadlines(w);
		client_load_run_schedule(w);
		open_some(w);
		reap(w);
		advance_phase(w);
	}
	(void)eventfd_write(w->run->done_fd, 1);
	return NULL;
}
