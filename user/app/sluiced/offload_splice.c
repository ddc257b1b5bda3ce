/* SPDX-License-Identifier: Apache-2.0 */
#include "app/sluiced/offload_splice.h"

#include "app/sluiced/gateway.h"
#include "app/sluiced/json_util.h"
#include "kern/kern_events.h"

#include <bpf/bpf.h>
#include <net/if.h>

/* Only what has happened. */
static json_t *reasons_json(const stat_t counters[SLUICE_REASON_COUNT])
{
	json_t *object = json_object();

	for (int reason = 1; reason < SLUICE_REASON_COUNT; reason++) {
		if (stat_get(&counters[reason]))
			json_object_set_new(object, sluice_reason_name((enum sluice_reason)reason),
					    json_u64(stat_get(&counters[reason])));
	}
	return object;
}

static json_t *interfaces_json(int hooked_fd)
{
	json_t *array = json_array();
	uint32_t ifindex, *before = NULL;
	char name[IF_NAMESIZE];

	while (bpf_map_get_next_key(hooked_fd, before, &ifindex) == 0) {
		if (if_indextoname(ifindex, name))
			json_array_append_new(array, json_string(name));
		before = &ifindex;
	}
	return array;
}

static void add_map(json_t *maps, const char *name, int fd, uint64_t entries)
{
	struct bpf_map_info info = {0};
	uint32_t size = sizeof(info);

	if (bpf_map_get_info_by_fd(fd, &info, &size) == 0)
		json_object_set_new(maps, name,
				    json_pack("{s:o, s:o}", "entries", json_u64(entries), "max",
					      json_u64(info.max_entries)));
}

static json_t *maps_json(const struct splice *splice, const struct stats *stats)
{
	json_t *maps = json_object();
	struct policies_usage policies;

	policies_usage(splice->policies, &policies);
	add_map(maps, SL_MAP_FLOWS4, splice->pins.flows.fd4,
		atomic_load_explicit(&splice->counts.n4, memory_order_relaxed));
	add_map(maps, SL_MAP_FLOWS6, splice->pins.flows.fd6,
		atomic_load_explicit(&splice->counts.n6, memory_order_relaxed));
	add_map(maps, SL_MAP_CONNS, splice->pins.conns_fd,
		stat_get(&stats->connections[SLUICE_PATH_SPLICE]));
	add_map(maps, SL_MAP_POLICIES, splice->pins.policies_fd, policies.n_used);
	return maps;
}

static json_t *hook_json(int stats_fd)
{
	uint64_t counts[SL_STAT_COUNT];
	json_t *object = json_object();

	if (kern_stats_read(stats_fd, counts) < 0)
		return object;
	for (int stat = 0; stat < SL_STAT_COUNT; stat++)
		json_object_set_new(object, kern_stat_name((enum sl_stat)stat),
				    json_u64(counts[stat]));
	return object;
}

static json_t *ports_json(const struct splice *splice)
{
	struct port_pool_usage usage;

	port_pool_usage(splice->ports, &usage);
	return json_pack("{s:i, s:i, s:o, s:o}", "first", splice->port_range.first, "last",
			 splice->port_range.last, "used", json_u64(usage.n_used), "quarantined",
			 json_u64(usage.n_quarantined));
}

json_t *offload_splice_json(const struct gateway *g, const struct stats *stats)
{
	const struct splice *splice = &g->splice;
	json_t *object = json_pack("{s:o, s:o, s:o}", "promoted",
				   json_u64(stat_get(&stats->promotions[SLUICE_REASON_NONE])),
				   "refused", reasons_json(stats->promotions), "retried",
				   reasons_json(stats->promotion_retries));

	json_object_set_new(object, "pins", json_string(g->routing->config->kernel.pins));
	if (!splice->is_open)
		return object;
	json_object_set_new(object, "abi", json_integer(SL_ABI_VERSION));
	json_object_set_new(object, "interfaces", interfaces_json(splice->pins.hooked_fd));
	json_object_set_new(object, "maps", maps_json(splice, stats));
	json_object_set_new(object, "ports", ports_json(splice));
	json_object_set_new(object, "hook", hook_json(splice->pins.stats_fd));
	return object;
}
