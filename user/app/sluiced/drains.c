/* SPDX-License-Identifier: Apache-2.0 */
#include "app/sluiced/drains.h"

#include "app/sluiced/command_args.h"
#include "app/sluiced/commands.h"
#include "app/sluiced/control_server.h"
#include "app/sluiced/gateway.h"
#include "app/sluiced/json_util.h"
#include "base/clock.h"
#include "base/log.h"
#include "core/drain.h"
#include "core/events.h"
#include "proto/control_message.h"

#include <stdio.h>

#define TICK_S         0.05
#define PROGRESS_TICKS 20

enum scope {
	SCOPE_NODE,
	SCOPE_ROUTE,
	SCOPE_CLUSTER,
	SCOPE_ENDPOINT,
};

static const char *const scope_names[] = {"node", "route", "cluster", "endpoint"};

/* What the operator named, found in the configuration at work. */
struct named {
	enum scope scope;
	struct route *route;     /* ROUTE */
	struct cluster *cluster; /* CLUSTER, ENDPOINT */
	struct member *member;   /* ENDPOINT */
};

struct target {
	struct list node;
	char name[2 * CONFIG_NAME_MAX + 2]; /* "", "ROUTE", "CLUSTER" or "CLUSTER/ENDPOINT" */
	struct named named;
	struct generation *generation; /* of named; NULL once it is finished */
	struct drain_plan *plan;       /* one reference */
	struct control_call *call;     /* who waits, or NULL */
	bool is_paging;                /* the waiting one has not taken the last row yet */
	unsigned int n_ticks;
	uint64_t begun_ns, n_total, n_left;
};

/* ---- targets ------------------------------------------------------------------------------- */

static void set_draining(struct gateway *g, const struct named *named, bool is_draining)
{
	enum endpoint_state state = is_draining ? ENDPOINT_DRAIN : ENDPOINT_READY;
	uint64_t now_ns = clock_monotonic_ns();

	switch (named->scope) {
	case SCOPE_NODE:
		atomic_store_explicit(&g->shared.is_draining, is_draining, memory_order_relaxed);
		break;
	case SCOPE_ROUTE:
		atomic_store_explicit(&named->route->stats->is_draining, is_draining,
				      memory_order_relaxed);
		break;
	case SCOPE_CLUSTER:
		for (size_t i = 0; i < named->cluster->config->n_endpoints; i++)
			endpoint_set_state(named->cluster->members[i].endpoint, state, now_ns);
		break;
	case SCOPE_ENDPOINT:
		endpoint_set_state(named->member->endpoint, state, now_ns);
		break;
	}
}

static uint64_t n_active(const struct endpoint *endpoint)
{
	return atomic_load_explicit(&endpoint->n_active, memory_order_relaxed);
}

static uint64_t count_left(const struct gateway *g, const struct named *named)
{
	struct stats stats;
	uint64_t n = 0;

	switch (named->scope) {
	case SCOPE_NODE:
		/* Those who come now to be refused do not count. */
		gateway_stats(g, &stats);
		for (int path = 0; path < SLUICE_PATH_COUNT; path++)
			n += stat_get(&stats.connections[path]);
		return n;
	case SCOPE_ROUTE:
		return atomic_load_explicit(&named->route->stats->n_active, memory_order_relaxed);
	case SCOPE_CLUSTER:
		for (size_t i = 0; i < named->cluster->config->n_endpoints; i++)
			n += n_active(named->cluster->members[i].endpoint);
		return n;
	case SCOPE_ENDPOINT:
		return n_active(named->member->endpoint);
	}
	return 0;
}

static void format_name(const struct named *named, char *ret_name, size_t size)
{
	switch (named->scope) {
	case SCOPE_NODE:
		ret_name[0] = '\0';
		break;
	case SCOPE_ROUTE:
		snprintf(ret_name, size, "%s", named->route->config->name);
		break;
	case SCOPE_CLUSTER:
		snprintf(ret_name, size, "%s", named->cluster->config->name);
		break;
	case SCOPE_ENDPOINT:
		snprintf(ret_name, size, "%s/%s", named->cluster->config->name,
			 named->member->config->name);
		break;
	}
}

static struct target *find_target(struct drains *d, enum scope scope, const char *name)
{
	list_for_each (node, &d->targets) {
		struct target *t = list_entry(node, struct target, node);

		if (t->named.scope == scope && strcmp(t->name, name) == 0)
			return t;
	}
	return NULL;
}

static json_t *target_json(const struct target *t)
{
	return json_pack("{s:s, s:s, s:s, s:o, s:o, s:o}", "scope", scope_names[t->named.scope],
			 "name", t->name, "state", t->generation ? "draining" : "drained", "total",
			 json_u64(t->n_total), "left", json_u64(t->n_left), "age_ms",
			 json_u64((clock_monotonic_ns() - t->begun_ns) / NS_PER_MS));
}

json_t *drains_json(const struct drains *d)
{
	json_t *array = json_array();

	list_for_each (node, &d->targets)
		json_array_append_new(array, target_json(list_entry(node, struct target, node)));
	return array;
}

/* ---- who waits ----------------------------------------------------------------------------- */

static json_t *row_json(const struct target *t)
{
	json_t *rows = json_array();

	json_array_append_new(rows, target_json(t));
	return rows;
}

static void row_taken(struct control_call *call, void *arg)
{
	((struct target *)arg)->is_paging = false;
}

/* The call's client may go on with its next request at once: nothing of @t is looked at behind. */
static void end_waiting(struct target *t)
{
	t->is_paging = false;
	control_finish(TAKE_PTR(t->call), row_json(t));
}

static void show_progress(struct target *t)
{
	if (!t->call || t->is_paging || ++t->n_ticks % PROGRESS_TICKS != 0)
		return;
	t->is_paging = true;
	control_page(t->call, row_json(t), row_taken, t);
}

static struct target *find_served(struct drains *d)
{
	list_for_each (node, &d->targets) {
		struct target *t = list_entry(node, struct target, node);

		if (t->call && (!t->generation || !control_is_wanted(t->call)))
			return t;
	}
	return NULL;
}

/* ---- life ---------------------------------------------------------------------------------- */

static void let_go(struct target *t)
{
	atomic_store_explicit(&t->plan->is_cancelled, true, memory_order_relaxed);
	generation_unref(TAKE_PTR(t->generation));
}

static void finish(struct target *t)
{
	let_go(t);
	log_notice("drain of %s \"%s\": done, %llu connections", scope_names[t->named.scope],
		   t->name, (unsigned long long)t->n_total);
	events_emit(EVENT_DRAIN_FINISHED, "{s:s, s:s, s:I}", "scope", scope_names[t->named.scope],
		    "name", t->name, "total", (json_int_t)t->n_total);
}

static void target_free(struct target *t)
{
	let_go(t);
	list_remove(&t->node);
	drain_plan_unref(t->plan);
	free(t);
}

static void tick_cb(struct ev_loop *loop, ev_timer *timer, int revents)
{
	struct drains *d = container_of(timer, struct drains, tick);
	bool is_busy = false;
	struct target *served;

	list_for_each (node, &d->targets) {
		struct target *t = list_entry(node, struct target, node);

		if (!t->generation)
			continue;
		t->n_left = count_left(d->gateway, &t->named);
		if (t->n_left == 0)
			finish(t);
		else
			show_progress(t);
		is_busy |= t->generation != NULL;
	}
	if (!is_busy)
		ev_timer_stop(loop, timer);
	/* Searched anew each time: whom it is told may drain or undrain something right away. */
	while ((served = find_served(d)))
		end_waiting(served);
}

void drains_init(struct drains *d, struct gateway *gateway)
{
	d->gateway = gateway;
	list_init(&d->targets);
	ev_timer_init(&d->tick, tick_cb, TICK_S, TICK_S);
}

static void give_up(struct target *t, const char *why)
{
	if (t->call)
		control_fail(TAKE_PTR(t->call), why, "the drain of %s \"%s\" goes on alone",
			     scope_names[t->named.scope], t->name);
}

void drains_stop(struct drains *d)
{
	ev_timer_stop(d->gateway->loop, &d->tick);
	list_for_each (node, &d->targets)
		give_up(list_entry(node, struct target, node), "stopping");
}

void drains_done(struct drains *d)
{
	if (!d->gateway)
		return;
	list_for_each_safe (node, &d->targets)
		target_free(list_entry(node, struct target, node));
}

/* ---- drain --------------------------------------------------------------------------------- */

/* On a worker. */
static void begin_here(struct worker *w, void *arg)
{
	struct drain_plan *plan = arg;

	if (drain_begin(w, plan, clock_monotonic_ns()) < 0)
		log_warning("worker %u: no memory to drain", w->index);
	drain_plan_unref(plan);
}

static int tell_workers(struct gateway *g, struct drain_plan *plan)
{
	for (unsigned int i = 0; i < g->shared.n_workers; i++) {
		int error = worker_call(g->workers[i], begin_here, drain_plan_ref(plan));

		if (error < 0) {
			drain_plan_unref(plan);
			return error;
		}
	}
	return 0;
}

/* Return: 0, or -errno with nothing begun. */
static int begin_target(struct drains *d, const struct named *named, const struct drain_plan *plan,
			struct target **ret_target)
{
	struct target *t = calloc(1, sizeof(*t));

	if (!t)
		return -ENOMEM;
	list_init(&t->node);
	t->named = *named;
	format_name(named, t->name, sizeof(t->name));
	if (drain_plan_new(plan, &t->plan) < 0) {
		free(t);
		return -ENOMEM;
	}
	t->generation = generation_ref(&d->gateway->routing->generation);
	t->begun_ns = clock_monotonic_ns();
	/* First the door, then those inside: a worker that hears of the plan sees the mark. */
	set_draining(d->gateway, named, true);
	t->n_total = t->n_left = count_left(d->gateway, named);
	if (tell_workers(d->gateway, t->plan) < 0) {
		set_draining(d->gateway, named, false);
		target_free(t);
		return -EAGAIN;
	}
	list_append(&d->targets, &t->node);
	ev_timer_again(d->gateway->loop, &d->tick);
	*ret_target = t;
	return 0;
}

/* Called off. The one who waited for it may go on with a next request at once. */
static void end_target(struct target *t)
{
	struct control_call *call = TAKE_PTR(t->call);

	target_free(t);
	if (call)
		control_fail(call, "cancelled", "the drain was called off");
}

/* ---- the verbs ----------------------------------------------------------------------------- */

static void fail_unknown(struct control_call *call, const char *kind, const char *name)
{
	control_fail(call, CONTROL_ERROR_ARGUMENT, "no %s is called \"%s\"", kind, name);
}

/* Return: whether the arguments name exactly one thing that there is; else the call has failed. */
static bool find_named(struct control_call *call, const struct command_args *args,
		       struct named *ret_named)
{
	const struct routing *r = control_call_gateway(call)->routing;
	const struct connection_filter *f = &args->filter;
	struct named named = {.scope = SCOPE_NODE};

	if (f->endpoint[0] && !f->cluster[0]) {
		control_fail(call, CONTROL_ERROR_ARGUMENT, "endpoint: in which cluster?");
		return false;
	}
	if (args->is_all + (f->route[0] != '\0') + (f->cluster[0] != '\0') != 1) {
		control_fail(call, CONTROL_ERROR_ARGUMENT,
			     "expected one of: route; cluster; cluster and endpoint; all = true");
		return false;
	}
	if (f->route[0]) {
		named.scope = SCOPE_ROUTE;
		named.route = routing_route(r, f->route);
	} else if (f->cluster[0]) {
		named.scope = f->endpoint[0] ? SCOPE_ENDPOINT : SCOPE_CLUSTER;
		named.cluster = routing_cluster(r, f->cluster);
		if (named.cluster && f->endpoint[0])
			named.member = cluster_member(named.cluster, f->endpoint);
	}
	if (f->route[0] && !named.route)
		fail_unknown(call, "route", f->route);
	else if (f->cluster[0] && !named.cluster)
		fail_unknown(call, "cluster", f->cluster);
	else if (f->endpoint[0] && !named.member)
		fail_unknown(call, "endpoint of this cluster", f->endpoint);
	else {
		*ret_named = named;
		return true;
	}
	return false;
}

void command_drain(struct control_call *call, const struct command_args *args)
{
	struct gateway *g = control_call_gateway(call);
	struct drain_plan plan = {
	    .filter = args->filter,
	    .time_ms = args->has_time ? args->time_ms : g->config->drain.time_ms,
	    .rate_per_s = args->has_rate ? args->rate_per_s : g->config->drain.rate_per_s,
	    .hard_stop_ms = g->config->drain.hard_stop_ms,
	    .error = EGW_DRAINING,
	};
	struct target *t, *before;
	struct named named;

	if (!find_named(call, args, &named))
		return;
	if (begin_target(&g->drains, &named, &plan, &t) < 0) {
		control_fail(call, CONTROL_ERROR_BUSY, "the workers are too busy");
		return;
	}
	/* Anew, perhaps at another pace: the one under way, ahead in the list, is called off. */
	before = find_target(&g->drains, named.scope, t->name);
	log_notice("drain of %s \"%s\": begins with %llu connections", scope_names[named.scope],
		   t->name, (unsigned long long)t->n_total);
	events_emit(EVENT_DRAIN_STARTED, "{s:s, s:s, s:I}", "scope", scope_names[named.scope],
		    "name", t->name, "total", (json_int_t)t->n_total);
	if (args->is_without_wait)
		control_finish(call, row_json(t));
	else
		t->call = call;
	if (before != t)
		end_target(before);
}

void command_undrain(struct control_call *call, const struct command_args *args)
{
	struct gateway *g = control_call_gateway(call);
	char name[2 * CONFIG_NAME_MAX + 2];
	struct named named;
	struct target *t;

	if (!find_named(call, args, &named))
		return;
	format_name(&named, name, sizeof(name));
	set_draining(g, &named, false);
	t = find_target(&g->drains, named.scope, name);
	log_notice("undrain of %s \"%s\"", scope_names[named.scope], name);
	events_emit(EVENT_DRAIN_CANCELLED, "{s:s, s:s}", "scope", scope_names[named.scope], "name",
		    name);
	control_finish(call, json_pack("{s:s, s:s, s:b}", "scope", scope_names[named.scope], "name",
				       name, "was_draining", t != NULL));
	if (t)
		end_target(t);
}
