/* SPDX-License-Identifier: Apache-2.0 */
#include "app/sluiced/metrics.h"

#include "app/sluiced/gateway.h"
#include "base/clock.h"
#include "base/version.h"
#include "core/class_stats.h"
#include "core/loop_lag.h"
#include "kern/kern_events.h"
#include "route/health_checker.h"

#include <inttypes.h>
#include <stdio.h>

/*
 * Labels have few values, none with a character that would have to be escaped: names in the
 * configuration (config_is_name()) and words of our own.
 */

static void family(FILE *out, const char *name, const char *type, const char *help)
{
	fprintf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static uint64_t relaxed(const _Atomic uint64_t *counter)
{
	return atomic_load_explicit(counter, memory_order_relaxed);
}

static double seconds(uint64_t ns)
{
	return (double)ns / NS_PER_S;
}

/* ---- connections --------------------------------------------------------------------------- */

static void put_build_info(FILE *out)
{
	family(out, "sluice_build_info", "gauge", "Version and commit of the daemon; always 1.");
	fprintf(out, "sluice_build_info{version=\"%s\",commit=\"%s\"} 1\n", sluice_version,
		sluice_commit);
}

static void put_config(FILE *out, const struct gateway *g)
{
	family(out, "sluice_config_generation", "gauge",
	       "Number of the configuration in force; 1 is that of the start.");
	fprintf(out, "sluice_config_generation %" PRIu64 "\n", g->generation);
	family(out, "sluice_config_reloads_total", "counter", "Reloads by their result.");
	fprintf(out, "sluice_config_reloads_total{result=\"done\"} %" PRIu64 "\n",
		g->generation - 1);
	fprintf(out, "sluice_config_reloads_total{result=\"refused\"} %" PRIu64 "\n", g->n_refused);
	family(out, "sluice_config_last_reload_successful", "gauge",
	       "1, or 0 if the last reload was refused.");
	fprintf(out, "sluice_config_last_reload_successful %d\n", g->refusal.text[0] == '\0');
}

static void put_class_connections(const struct class_stats *stats, void *arg)
{
	FILE *out = arg;

	for (int path = 0; path < SLUICE_PATH_COUNT; path++)
		fprintf(out, "sluice_connections{path=\"%s\",class=\"%s\"} %" PRIu64 "\n",
			sluice_path_name(path), stats->name,
			class_stats_read(&stats->n_connections[path]));
}

static void put_class_pauses(const struct class_stats *stats, void *arg)
{
	fprintf((FILE *)arg, "sluice_class_pauses_total{class=\"%s\"} %" PRIu64 "\n", stats->name,
		class_stats_read(&stats->n_pauses));
}

static void put_connections(FILE *out)
{
	family(out, "sluice_connections", "gauge", "Open WebSocket connections.");
	class_stats_each(put_class_connections, out);
	family(out, "sluice_class_pauses_total", "counter",
	       "Times that a side of a connection was over a rate of its class in userspace, and "
	       "was not read for a while.");
	class_stats_each(put_class_pauses, out);
}

static void put_accepted(FILE *out, const struct listener_set *set)
{
	const struct config_listener *last = NULL;

	family(out, "sluice_accepted_total", "counter", "Connections accepted.");
	for (size_t i = 0; i < set->n_sockets; i++) {
		const struct listener_socket *socket = &set->sockets[i];

		if (socket->listener == last)
			continue;
		last = socket->listener;
		fprintf(out, "sluice_accepted_total{listener=\"%s\"} %" PRIu64 "\n",
			socket->listener->name, relaxed(&socket->stats->n_accepted));
	}
}

/* A reason shows from the start, as 0, where it may come up: a rate needs a value before. */
static void put_reasons(FILE *out, const char *name, const stat_t counters[PROTO_ERROR_COUNT],
			bool is_refusal)
{
	for (size_t i = 0; i < PROTO_ERROR_COUNT; i++) {
		const struct proto_error_info *info = proto_error_at(i);
		bool may_be =
		    is_refusal ? info->http_status : info->close_code || !info->http_status;
		uint64_t n = stat_get(&counters[i]);

		if (may_be || n)
			fprintf(out, "%s{reason=\"%s\"} %" PRIu64 "\n", name, info->name, n);
	}
}

static void put_ends(FILE *out, const struct stats *stats)
{
	family(out, "sluice_refused_total", "counter",
	       "Connections that ended before their upgrade, by reason.");
	put_reasons(out, "sluice_refused_total", stats->refused, true);
	family(out, "sluice_closed_total", "counter",
	       "Connections that ended after their upgrade, by reason.");
	put_reasons(out, "sluice_closed_total", stats->closed, false);
}

static void put_histogram(FILE *out, const char *name, const stat_t *buckets,
			  const uint32_t *bounds_us, size_t n_bounds, const stat_t *sum_ns)
{
	uint64_t n = 0;

	for (size_t i = 0; i < n_bounds; i++) {
		n += stat_get(&buckets[i]);
		fprintf(out, "%s_bucket{le=\"%g\"} %" PRIu64 "\n", name, bounds_us[i] / 1e6, n);
	}
	n += stat_get(&buckets[n_bounds]);
	fprintf(out, "%s_bucket{le=\"+Inf\"} %" PRIu64 "\n%s_sum %.9g\n%s_count %" PRIu64 "\n",
		name, n, name, seconds(stat_get(sum_ns)), name, n);
}

static void put_handshakes(FILE *out, const struct stats *stats)
{
	static const char name[] = "sluice_handshake_seconds";

	family(out, name, "histogram", "Time from accept to the answered upgrade.");
	put_histogram(out, name, stats->handshakes, stats_handshake_bounds_us,
		      STATS_HANDSHAKE_BOUNDS, &stats->handshakes_sum_ns);
}

/* ---- traffic ------------------------------------------------------------------------------- */

static const char *const directions[STATS_DIRECTIONS] = {[STATS_IN] = "in", [STATS_OUT] = "out"};

static void put_traffic(FILE *out, const struct stats *stats)
{
	family(out, "sluice_bytes_total", "counter",
	       "Bytes of WebSocket streams, from (in) and to (out) clients.");
	for (int path = 0; path < SLUICE_PATH_COUNT; path++) {
		for (int d = 0; d < STATS_DIRECTIONS; d++)
			fprintf(out,
				"sluice_bytes_total{path=\"%s\",direction=\"%s\"} %" PRIu64 "\n",
				sluice_path_name(path), directions[d],
				stat_get(&stats->bytes[path][d]));
	}
	family(out, "sluice_frames_total", "counter", "WebSocket frames, likewise, by kind.");
	for (int path = 0; path < SLUICE_PATH_COUNT; path++) {
		for (int d = 0; d < STATS_DIRECTIONS; d++) {
			for (int kind = 0; kind < WS_KIND_COUNT; kind++)
				fprintf(out,
					"sluice_frames_total{path=\"%s\",direction=\"%s\",kind="
					"\"%s\"} %" PRIu64 "\n",
					sluice_path_name(path), directions[d],
					ws_frame_kind_name(kind),
					stat_get(&stats->frames[path][d][kind]));
		}
	}
}

/* ---- packet splice ------------------------------------------------------------------------- */

static void put_promotions(FILE *out, const struct stats *stats)
{
	static const char name[] = "sluice_promotion_seconds";

	family(out, "sluice_promotions_total", "counter",
	       "Proxied connections that left the relay (done) and that stay there for good "
	       "(refused), and tries that are made again (retry), by reason.");
	fprintf(out, "sluice_promotions_total{result=\"done\",reason=\"none\"} %" PRIu64 "\n",
		stat_get(&stats->promotions[SLUICE_REASON_NONE]));
	for (int reason = 1; reason < SLUICE_REASON_COUNT; reason++)
		fprintf(out,
			"sluice_promotions_total{result=\"refused\",reason=\"%s\"} %" PRIu64 "\n",
			sluice_reason_name(reason), stat_get(&stats->promotions[reason]));
	for (int reason = 1; reason < SLUICE_REASON_COUNT; reason++)
		fprintf(out,
			"sluice_promotions_total{result=\"retry\",reason=\"%s\"} %" PRIu64 "\n",
			sluice_reason_name(reason), stat_get(&stats->promotion_retries[reason]));
	family(out, name, "histogram",
	       "What a connection that left the relay has cost its worker: entries, port, all "
	       "tries. Not closing its sockets, which every connection has to do at last.");
	put_histogram(out, name, stats->promotion_times, stats_promotion_bounds_us,
		      STATS_PROMOTION_BOUNDS, &stats->promotion_times_sum_ns);
	family(out, "sluice_promotion_switch_seconds_total", "counter",
	       "Of that, the tries that succeeded: reading both sockets, and changing over.");
	fprintf(out, "sluice_promotion_switch_seconds_total %.9f\n",
		(double)stat_get(&stats->promotion_switch_ns) / NS_PER_S);
}

static void put_demotions(FILE *out, const struct stats *stats)
{
	static const char name[] = "sluice_demotion_seconds";

	family(
	    out, "sluice_demotions_total", "counter",
	    "Spliced connections that were to come back to the relay, by reason, and what came of "
	    "it: done; both peers were reset (reset), as it was to be closed but never at rest; it "
	    "is spliced still (gave_up); it has ended by itself before (ended).");
	for (int reason = 0; reason < DEMOTION_REASON_COUNT; reason++) {
		for (int result = 0; result < DEMOTION_RESULT_COUNT; result++)
			fprintf(out,
				"sluice_demotions_total{reason=\"%s\",result=\"%s\"} %" PRIu64 "\n",
				demotion_reason_name((enum demotion_reason)reason),
				demotion_result_name((enum demotion_result)result),
				stat_get(&stats->demotions[reason][result]));
	}
	family(
	    out, name, "histogram",
	    "What a connection that came back to the relay has cost its worker: all tries, making "
	    "its sockets.");
	put_histogram(out, name, stats->demotion_times, stats_promotion_bounds_us,
		      STATS_PROMOTION_BOUNDS, &stats->demotion_times_sum_ns);
}

static void put_maps(FILE *out, const struct splice *splice, const struct stats *stats)
{
	struct policies_usage policies;

	family(out, "sluice_map_entries", "gauge",
	       "Entries of the pinned maps, as the daemon has inserted and removed them; those in "
	       "quarantine included.");
	fprintf(out, "sluice_map_entries{map=\"%s\"} %" PRIu64 "\n", SL_MAP_FLOWS4,
		relaxed(&splice->counts.n4));
	fprintf(out, "sluice_map_entries{map=\"%s\"} %" PRIu64 "\n", SL_MAP_FLOWS6,
		relaxed(&splice->counts.n6));
	fprintf(out, "sluice_map_entries{map=\"%s\"} %" PRIu64 "\n", SL_MAP_CONNS,
		stat_get(&stats->connections[SLUICE_PATH_SPLICE]));
	policies_usage(splice->policies, &policies);
	fprintf(out, "sluice_map_entries{map=\"%s\"} %u\n", SL_MAP_POLICIES, policies.n_used);
}

/* "drop_ttl" is a packet that was dropped, for the reason "ttl"; NULL = it was not. */
static const char *drop_reason(enum sl_stat stat)
{
	static const char prefix[] = "drop_";
	const char *name = kern_stat_name(stat);

	return strncmp(name, prefix, sizeof(prefix) - 1) == 0 ? name + sizeof(prefix) - 1 : NULL;
}

static void put_hook(FILE *out, const uint64_t counts[SL_STAT_COUNT])
{
	static const struct {
		enum sl_stat stat;
		const char *result;
	} packets[] = {
	    {SL_STAT_LEARNED, "learned"},
	    {SL_STAT_FORWARDED, "forwarded"},
	    {SL_STAT_CLOSED, "late"},
	};

	family(out, "sluice_splice_packets_total", "counter",
	       "Packets at the hook: passed to the stack (learned), translated and sent on "
	       "(forwarded), also behind the end of their connection (late). Since it was loaded.");
	for (size_t i = 0; i < ARRAY_SIZE(packets); i++)
		fprintf(out, "sluice_splice_packets_total{result=\"%s\"} %" PRIu64 "\n",
			packets[i].result, counts[packets[i].stat]);
	family(out, "sluice_splice_dropped_total", "counter",
	       "Packets of spliced connections that the hook has dropped, by reason.");
	for (int stat = 0; stat < SL_STAT_COUNT; stat++) {
		const char *reason = drop_reason((enum sl_stat)stat);

		if (reason)
			fprintf(out, "sluice_splice_dropped_total{reason=\"%s\"} %" PRIu64 "\n",
				reason, counts[stat]);
	}
	family(out, "sluice_splice_events_lost_total", "counter",
	       "Events that found no room in the ring buffer; each has all spliced connections "
	       "looked at.");
	fprintf(out, "sluice_splice_events_lost_total %" PRIu64 "\n", counts[SL_STAT_EVENT_LOST]);
}

static void put_hooks_lost(FILE *out, uint64_t n_lost)
{
	family(out, "sluice_hooks_lost_total", "counter",
	       "Interfaces whose hook was removed by other means than sluice-loader.");
	fprintf(out, "sluice_hooks_lost_total %" PRIu64 "\n", n_lost);
}

static void put_splice(FILE *out, const struct splice *splice, const struct stats *stats)
{
	uint64_t counts[SL_STAT_COUNT];

	put_promotions(out, stats);
	put_demotions(out, stats);
	if (!splice->is_open)
		return;
	put_maps(out, splice, stats);
	if (kern_stats_read(splice->pins.stats_fd, counts) == 0)
		put_hook(out, counts);
}

/* ---- endpoints ----------------------------------------------------------------------------- */

static void put_endpoints(FILE *out, const struct routing *routing, const char *name,
			  uint64_t (*value_of)(const struct endpoint *endpoint))
{
	for (size_t c = 0; c < routing->config->n_clusters; c++) {
		const struct cluster *cluster = &routing->clusters[c];

		for (size_t e = 0; e < cluster->config->n_endpoints; e++)
			fprintf(out, "%s{cluster=\"%s\",endpoint=\"%s\"} %" PRIu64 "\n", name,
				cluster->config->name, cluster->config->endpoints[e].name,
				value_of(cluster->members[e].endpoint));
	}
}

static uint64_t is_up(const struct endpoint *endpoint)
{
	return endpoint_is_available(endpoint, clock_monotonic_ns());
}

static uint64_t count_connections(const struct endpoint *endpoint)
{
	return relaxed(&endpoint->n_active);
}

static void put_clusters(FILE *out, const struct routing *routing)
{
	family(out, "sluice_endpoint_up", "gauge",
	       "Whether new connections may go to the endpoint: it is ready, not known to be down, "
	       "and not ejected.");
	put_endpoints(out, routing, "sluice_endpoint_up", is_up);
	family(out, "sluice_endpoint_connections", "gauge",
	       "Connections on the endpoint, or on their way to it.");
	put_endpoints(out, routing, "sluice_endpoint_connections", count_connections);
}

static void put_health_checks(FILE *out, const struct health_checker *checker)
{
	struct health_checker_stats stats;

	if (!checker)
		return; /* the daemon stops: rather nothing than counters that go back to 0 */
	health_checker_stats(checker, &stats);
	family(out, "sluice_health_checks_total", "counter", "Health checks by what they found.");
	fprintf(out, "sluice_health_checks_total{result=\"good\"} %" PRIu64 "\n", stats.n_good);
	fprintf(out, "sluice_health_checks_total{result=\"failed\"} %" PRIu64 "\n", stats.n_failed);
	family(out, "sluice_health_checks_waiting", "gauge",
	       "Endpoints whose check is due while as many as may be are on their way.");
	fprintf(out, "sluice_health_checks_waiting %zu\n", stats.n_waiting);
}

/* ---- workers ------------------------------------------------------------------------------- */

static void put_lag(FILE *out, unsigned int worker, const struct loop_lag *lag)
{
	static const char name[] = "sluice_loop_lag_seconds";
	uint64_t n = 0;

	for (unsigned int i = 0; i < LOOP_LAG_BOUNDS; i++) {
		n += relaxed(&lag->counts[i]);
		fprintf(out, "%s_bucket{worker=\"%u\",le=\"%.9g\"} %" PRIu64 "\n", name, worker,
			seconds(loop_lag_bound_ns(i)), n);
	}
	n += relaxed(&lag->counts[LOOP_LAG_BOUNDS]);
	fprintf(out,
		"%s_bucket{worker=\"%u\",le=\"+Inf\"} %" PRIu64 "\n"
		"%s_sum{worker=\"%u\"} %.9g\n%s_count{worker=\"%u\"} %" PRIu64 "\n",
		name, worker, n, name, worker, seconds(relaxed(&lag->sum_ns)), name, worker, n);
}

static void put_workers(FILE *out, const struct gateway *g)
{
	family(out, "sluice_loop_lag_seconds", "histogram",
	       "How long a worker's loop was busy between two waits.");
	for (unsigned int i = 0; i < g->shared.n_workers; i++)
		put_lag(out, i, &g->workers[i]->stats->lag);
	family(out, "sluice_queue_depth", "gauge", "Work that waits in a worker, by queue.");
	for (unsigned int i = 0; i < g->shared.n_workers; i++) {
		for (unsigned int queue = 0; queue < WORKER_QUEUES; queue++)
			fprintf(out, "sluice_queue_depth{worker=\"%u\",queue=\"%s\"} %" PRIu64 "\n",
				i, worker_queue_name((enum worker_queue)queue),
				(uint64_t)work_queue_depth(&g->workers[i]->work, queue));
	}
}

int metrics_write(const struct gateway *g, char **ret_text, size_t *ret_len)
{
	_cleanup_free_ char *text = NULL;
	struct stats stats;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);
	bool has_failed;

	if (!out)
		return -ENOMEM;
	gateway_stats(g, &stats);
	put_build_info(out);
	put_config(out, g);
	put_connections(out);
	put_accepted(out, g->listeners);
	put_ends(out, &stats);
	put_handshakes(out, &stats);
	put_traffic(out, &stats);
	put_splice(out, &g->splice, &stats);
	if (g->splice.is_open)
		put_hooks_lost(out, g->hook_watch.n_lost);
	put_clusters(out, g->routing);
	put_health_checks(out, g->health);
	put_workers(out, g);
	has_failed = ferror(out);
	/* The text is ours only from here on. */
	if (fclose(out) != 0 || has_failed)
		return -ENOMEM;
	*ret_text = TAKE_PTR(text);
	*ret_len = len;
	return 0;
}
