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

#define RETIRED_CHECK_S 5.

/* ---- generations that are left ------------------------------------------------------------- */

/*
 * The main thread keeps a reference on every generation, so that it, and no worker, is the last to
 * let go: to free 10,000 routes takes longer than a message should wait.
 */
static void drop_retired(struct gateway *g)
{
	size_t n_kept = 0;

	for (size_t i = 0; i < g->n_retired; i++) {
		struct generation *generation = &g->retired[i]->generation;

		if (atomic_load_explicit(&generation->refs, memory_order_acquire) == 1)
			generation_unref(generation);
		else
			g->retired[n_kept++] = g->retired[i];
	}
	g->n_retired = n_kept;
}

void reload_drop_retired_cb(struct ev_loop *loop, ev_timer *timer, int revents)
{
	struct gateway *g = container_of(timer, struct gateway, drop_retired);

	drop_retired(g);
	if (g->n_retired > 0) {
		ev_timer_set(timer, RETIRED_CHECK_S, 0);
		ev_timer_start(loop, timer);
	}
}

static void retire(struct gateway *g, struct routing *routing)
{
	g->retired[g->n_retired++] = routing;
	ev_timer_stop(g->loop, &g->drop_retired);
	ev_timer_set(&g->drop_retired, RETIRED_CHECK_S, 0);
	ev_timer_start(g->loop, &g->drop_retired);
}

/* ---- carrying it out ----------------------------------------------------------------------- */

int reload_open_access_log(const struct config *config, int *ret_fd)
{
	int fd = config->log.access ? access_log_open(config->log.access) : -1;

	if (config->log.access && fd < 0)
		return fd;
	*ret_fd = fd;
	return 0;
}

static int fail(struct reload_result *result, int error, const char *what)
{
	snprintf(result->error.text, sizeof(result->error.text), "%s: %s", what, strerror(-error));
	return error;
}

static int prepare(struct gateway *g, struct config *config, struct routing **ret_routing,
		   struct reload_result *result)
{
	struct routing *routing;
	int error = routing_new(config, g->routing, &routing);

	if (error < 0)
		return fail(result, error, g->config_path);
	error = reload_open_access_log(config, &routing->generation.access_log_fd);
	if (error < 0) {
		generation_unref(&routing->generation);
		return fail(result, error, config->log.access);
	}
	*ret_routing = routing;
	return 0;
}

/* Nothing can fail any more. */
static void carry_out(struct gateway *g, struct config *config, struct routing *routing)
{
	log_reconfigure(config->log.level, config->log.format, config->log.rate_per_s);
	gateway_apply_limits(g, config);
	for (unsigned int i = 0; i < g->shared.n_workers; i++)
		worker_set_generation(g->workers[i], &routing->generation);
	retire(g, g->routing);
	g->routing = routing;
	config_unref(g->config);
	g->config = config_ref(config);
	g->generation++;
	gateway_follow_endpoints(g);
}

static int run(struct gateway *g, struct reload_result *result)
{
	_cleanup_(cleanup_config_unref) struct config *config = NULL;
	struct routing *routing = NULL;
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
	if (g->n_retired == GENERATIONS_MAX) {
		snprintf(result->error.text, sizeof(result->error.text),
			 "connections of routes or endpoints that are gone keep %d earlier "
			 "configurations in memory: expected them to be closed first",
			 GENERATIONS_MAX);
		return -EBUSY;
	}
	error = config_load_file(g->config_path, &config, &result->error);
	if (error == 0)
		error = prepare(g, config, &routing, result);
	if (error < 0)
		return error;
	(void)config_needs_restart(g->started_with, config, result->needs_restart,
				   sizeof(result->needs_restart));
	carry_out(g, config, routing);
	return 0;
}

int reload_run(struct gateway *g, struct reload_result *ret_result)
{
	uint64_t began_ns = clock_monotonic_ns();
	int error;

	*ret_result = (struct reload_result){.error = {""}};
	error = run(g, ret_result);
	ret_result->generation = g->generation;
	ret_result->duration_us = (clock_monotonic_ns() - began_ns) / 1000;
	if (error < 0) {
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
