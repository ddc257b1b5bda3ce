/* SPDX-License-Identifier: Apache-2.0 */
#include "core/drain.h"

#include "base/clock.h"
#include "base/random.h"
#include "core/connection.h"
#include "core/worker.h"

#define SLICE 256 /* connections that are looked at in one item of work */

/* ---- pace ---------------------------------------------------------------------------------- */

uint64_t drain_interval_ns(uint64_t n, unsigned int n_workers, uint64_t time_ms,
			   uint64_t rate_per_s)
{
	uint64_t by_time = n ? time_ms * NS_PER_MS / n : 0, by_rate = 0;

	/* Rounded up: never faster. */
	if (rate_per_s)
		by_rate = (n_workers * NS_PER_S + rate_per_s - 1) / rate_per_s;
	return MAX(by_time, by_rate);
}

static void choose_instant(struct drain_pace *pace, uint64_t random)
{
	pace->due_ns = pace->slot_ns + (pace->interval_ns ? random % pace->interval_ns : 0);
}

void drain_pace_init(struct drain_pace *pace, uint64_t interval_ns, uint64_t now_ns,
		     uint64_t random)
{
	*pace = (struct drain_pace){.interval_ns = interval_ns, .slot_ns = now_ns};
	choose_instant(pace, random);
}

bool drain_pace_take(struct drain_pace *pace, uint64_t now_ns, uint64_t random)
{
	uint64_t end_ns = pace->slot_ns + pace->interval_ns;

	if (now_ns < pace->due_ns)
		return false;
	/* Slots that passed unused while the loop was late are lost, but for a few. */
	if (now_ns > end_ns + DRAIN_CATCH_UP_NS)
		end_ns = now_ns - DRAIN_CATCH_UP_NS;
	pace->slot_ns = end_ns;
	choose_instant(pace, random);
	return true;
}

/* ---- plan ---------------------------------------------------------------------------------- */

int drain_plan_new(const struct drain_plan *plan, struct drain_plan **ret_plan)
{
	struct drain_plan *copy = calloc(1, sizeof(*copy));

	if (!copy)
		return -ENOMEM;
	copy->filter = plan->filter;
	copy->time_ms = plan->time_ms;
	copy->rate_per_s = plan->rate_per_s;
	copy->hard_stop_ms = plan->hard_stop_ms;
	copy->error = plan->error;
	atomic_init(&copy->refs, 1);
	*ret_plan = copy;
	return 0;
}

struct drain_plan *drain_plan_ref(struct drain_plan *plan)
{
	atomic_fetch_add_explicit(&plan->refs, 1, memory_order_relaxed);
	return plan;
}

void drain_plan_unref(struct drain_plan *plan)
{
	/* Release and acquire: who frees it comes behind all others' use. */
	if (plan && atomic_fetch_sub_explicit(&plan->refs, 1, memory_order_acq_rel) == 1)
		free(plan);
}

/* ---- at work ------------------------------------------------------------------------------- */

static uint64_t chance(void)
{
	uint64_t random;

	random_secure(&random, sizeof(random));
	return random;
}

static void enter(struct drain *d, enum drain_phase phase)
{
	d->phase = (uint8_t)phase;
	worker_cursor_rewind(d->worker, d->cursor);
}

/* The next that the plan means, within the slice. *ret_c: NULL at the end of the list. */
static bool next_matching(struct drain *d, int *looks, struct connection **ret_c)
{
	while (*looks < SLICE) {
		struct connection *c = worker_cursor_next(d->worker, d->cursor);

		++*looks;
		if (!c || connection_filter_matches(&d->plan->filter, c)) {
			*ret_c = c;
			return true;
		}
	}
	return false;
}

/* Return, like the other steps: whether there is more to do at once. */
static bool count(struct drain *d, uint64_t now_ns)
{
	struct connection *c;

	for (int looks = 0; next_matching(d, &looks, &c);) {
		if (c) {
			d->n_matching++;
			continue;
		}
		drain_pace_init(&d->pace,
				drain_interval_ns(d->n_matching, d->worker->shared->n_workers,
						  d->plan->time_ms, d->plan->rate_per_s),
				now_ns, chance());
		enter(d, DRAIN_EVICT);
		break;
	}
	return true;
}

static bool evict(struct drain *d, uint64_t now_ns)
{
	const struct proto_error_info *info = proto_error_info(d->plan->error);
	struct connection *c;

	for (int looks = 0; now_ns >= d->pace.due_ns;) {
		if (!next_matching(d, &looks, &c))
			return true;
		if (!c) {
			d->phase = DRAIN_HOLD;
			return false;
		}
		if (c->state == CONNECTION_CLOSING)
			continue;
		(void)drain_pace_take(&d->pace, now_ns, chance());
		c->ops->close(c, d->plan->error, info->close_code, slice_from_str(info->name));
	}
	return false;
}

static bool end(struct drain *d)
{
	struct connection *c;

	for (int looks = 0; next_matching(d, &looks, &c);) {
		if (!c) {
			d->phase = DRAIN_DONE;
			return false;
		}
		connection_end(c, d->plan->error);
	}
	return true;
}

static bool step(struct drain *d, uint64_t now_ns)
{
	if (atomic_load_explicit(&d->plan->is_cancelled, memory_order_relaxed))
		d->phase = DRAIN_DONE;
	else if (d->phase < DRAIN_END && now_ns >= d->deadline_ns)
		enter(d, DRAIN_END);
	switch ((enum drain_phase)d->phase) {
	case DRAIN_COUNT:
		return count(d, now_ns);
	case DRAIN_EVICT:
		return evict(d, now_ns);
	case DRAIN_END:
		return end(d);
	case DRAIN_HOLD:
	case DRAIN_DONE:
		break;
	}
	return false;
}

static void sleep_until(struct drain *d, uint64_t when_ns, uint64_t now_ns)
{
	if (when_ns == UINT64_MAX)
		return;
	ev_timer_set(&d->timer, (double)(when_ns > now_ns ? when_ns - now_ns : 0) / NS_PER_S, 0);
	ev_timer_start(d->worker->loop, &d->timer);
}

static bool work_cb(struct work_item *item)
{
	struct drain *d = container_of(item, struct drain, work);
	uint64_t now_ns = clock_monotonic_ns();

	if (step(d, now_ns))
		return true;
	if (d->phase == DRAIN_DONE)
		drain_free(d);
	else
		sleep_until(d,
			    d->phase == DRAIN_EVICT ? MIN(d->pace.due_ns, d->deadline_ns)
						    : d->deadline_ns,
			    now_ns);
	return false;
}

static void timer_cb(struct ev_loop *loop, ev_timer *timer, int revents)
{
	struct drain *d = container_of(timer, struct drain, timer);

	work_item_add(&d->worker->work, WORKER_QUEUE_DRAIN, &d->work);
}

int drain_begin(struct worker *worker, struct drain_plan *plan, uint64_t now_ns)
{
	_cleanup_free_ struct drain *d = calloc(1, sizeof(*d));

	if (!d)
		return -ENOMEM;
	d->cursor = worker_cursor_new(worker);
	if (!d->cursor)
		return -ENOMEM;
	d->worker = worker;
	d->plan = drain_plan_ref(plan);
	d->deadline_ns = plan->hard_stop_ms
			     ? now_ns + (plan->time_ms + plan->hard_stop_ms) * NS_PER_MS
			     : UINT64_MAX;
	work_item_init(&d->work, work_cb);
	ev_init(&d->timer, timer_cb);
	list_append(&worker->drains, &d->node);
	work_item_add(&worker->work, WORKER_QUEUE_DRAIN, &d->work);
	(void)TAKE_PTR(d);
	return 0;
}

void drain_free(struct drain *d)
{
	work_item_cancel(&d->worker->work, &d->work);
	ev_timer_stop(d->worker->loop, &d->timer);
	list_remove(&d->node);
	worker_cursor_free(d->cursor);
	drain_plan_unref(d->plan);
	free(d);
}
