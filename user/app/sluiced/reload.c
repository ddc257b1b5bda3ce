/* SPDX-License-Identifier: Apache-2.0 */
#include "app/sluiced/reload.h"

#include "app/sluiced/commands.h"
#include "app/sluiced/control_server.h"
#include "app/sluiced/gateway.h"
#include "app/sluiced/json_util.h"
#include "base/clock.h"
#include "base/log.h"
#include "core/access_log.h"
#include "core/config_compare.h"
#include "core/events.h"

#include <stdio.h>

#define RETIRED_CHECK_S 1.

/* ---- generations that are left ------------------------------------------------------------- */

/*
 * The main thread keeps a reference on every generation, so that it, and no worker, is the last to
 * let go: to free 10,000 routes takes longer than a message should wait.
 */
static void drop_retired(struct gateway *g)
{
	list_for_each_safe (node, &g->retired) {
		struct routing *routing = container_of(node, struct routing, retired);

		if (atomic_load_explicit(&routing->generation.refs, memory_order_acquire) > 1)
			continue;
		g->n_retired_objects -= routing_count(routing);
		list_remove(node);
		generation_unref(&routing->generation);
	}
}

void reload_drop_retired_cb(struct ev_loop *loop, ev_timer *timer, int revents)
{
	struct gateway *g = container_of(timer, struct gateway, drop_retired);

	drop_retired(g);
	if (!list_is_empty(&g->retired)) {
		ev_timer_set(timer, RETIRED_CHECK_S, 0);
		ev_timer_start(loop, timer);
	}
}

static void retire(struct gateway *g, struct routing *routing)
{
	list_append(&g->retired, &routing->retired);
	g->n_retired_objects += routing_count(routing);
	ev_timer_stop(g->loop, &g->drop_retired);
	ev_timer_set(&g->drop_retired, RETIRED_CHECK_S, 0);
	ev_timer_start(g->loop, &g->drop_retired);
}

/* ---- carrying it out ----------------------------------------------------------------------- */

static int fail(struct reload_result *result, int error, const char *what)
{
	snprintf(result->error.text, sizeof(result->error.text), "%s: %s", what, strerror(-error));
	return error;
}

/* Before connections follow, and as they do on the relay: what is spliced has no other way. */
static void follow_classes(struct gateway *g, struct config *config)
{
	int error = g->splice.is_open ? policies_follow(g->splice.policies, config) : 0;

	if (error < 0)
		log_error("spliced connections are not all held to the classes as they are now: %s",
			  strerror(-error));
}

/* Nothing can fail any more. */
static void carry_out(struct gateway *g, struct config *config, struct routing *routing,
		      struct access_log_file *file)
{
	log_reconfigure(config->log.level, config->log.format, config->log.rate_per_s);
	gateway_apply_limits(g, config);
	follow_classes(g, config);
	for (unsigned int i = 0; i < g->shared.n_workers; i++) {
		worker_set_access_log(g->workers[i], file);
		worker_set_generation(g->workers[i], &routing->generation);
	}
	retire(g, g->routing);
	g->routing = routing;
	config_unref(g->config);
	g->config = config_ref(config);
	g->generation++;
	gateway_follow_endpoints(g);
	takeover_try(&g->takeover);
}

static int prepare_and_carry_out(struct gateway *g, struct config *config,
				 struct reload_result *result)
{
	_cleanup_(cleanup_access_log_file_unref) struct access_log_file *file = NULL;
	struct routing *routing;
	int error = access_log_file_open(config->log.access, &file);

	if (error < 0)
		return fail(result, error, config->log.access);
	error = routing_new(config, g->routing, &routing);
	if (error < 0)
		return fail(result, error, g->config_path);
	carry_out(g, config, routing, file);
	return 0;
}

static int run(struct gateway *g, struct reload_result *result)
{
	_cleanup_(cleanup_config_unref) struct config *config = NULL;
	int error;

	if (!g->config_path) {
		snprintf(result->error.text, sizeof(result->error.text),
			 "the daemon runs without a configuration file: expected sluiced -c FILE");
		return -ENOENT;
	}
	if (g->is_stopping) {
		snprintf(result->error.text, sizeof(result->error.text), "the daemon is stopping");
		return -ESHUTDOWN;
	}
	drop_retired(g);
	if (g->n_retired_objects > RETIRED_OBJECTS_MAX) {
		snprintf(
		    result->error.text, sizeof(result->error.text),
		    "connections whose route or endpoint is gone keep earlier configurations of %zu "
		    "routes, clusters and endpoints in memory: expected at most %d; close some",
		    g->n_retired_objects, RETIRED_OBJECTS_MAX);
		return -EBUSY;
	}
	error = config_load_file(g->config_path, &config, &result->error);
	if (error < 0)
		return error;
	error = prepare_and_carry_out(g, config, result);
	if (error == 0)
		(void)config_needs_restart(g->started_with, config, result->needs_restart,
					   sizeof(result->needs_restart));
	return error;
}

int reload_run(struct gateway *g, struct reload_result *ret_result)
{
	uint64_t began_ns = clock_monotonic_ns();
	int error;

	*ret_result = (struct reload_result){.error = {""}};
	error = run(g, ret_result);
	g->refusal = ret_result->error;
	ret_result->generation = g->generation;
	ret_result->duration_us = (clock_monotonic_ns() - began_ns) / 1000;
	if (error < 0) {
		g->n_refused++;
		log_error("reload refused, the configuration before it stays in force: %s",
			  ret_result->error.text);
		events_emit(EVENT_CONFIG_REFUSED, "{s:s}", "reason", ret_result->error.text);
		return error;
	}
	log_notice("reloaded %s: generation %llu, %llu ms", g->config_path,
		   (unsigned long long)ret_result->generation,
		   (unsigned long long)ret_result->duration_us / 1000);
	events_emit(EVENT_CONFIG_RELOADED, "{s:s, s:I, s:s}", "file", g->config_path, "generation",
		    (json_int_t)ret_result->generation, "needs_restart", ret_result->needs_restart);
	if (ret_result->needs_restart[0])
		log_warning("reload: only a restart changes %s", ret_result->needs_restart);
	return 0;
}

/* ---- the verb ------------------------------------------------------------------------------ */

void command_reload(struct control_call *call, const struct command_args *args)
{
	struct gateway *g = control_call_gateway(call);
	struct reload_result result;

	if (reload_run(g, &result) < 0) {
		control_fail(call, "reload_refused", "%s", result.error.text);
		return;
	}
	control_finish(call, json_pack("{s:s, s:o, s:o, s:s}", "file", g->config_path, "generation",
				       json_u64(result.generation), "duration_us",
				       json_u64(result.duration_us), "needs_restart",
				       result.needs_restart));
}
