/* SPDX-License-Identifier: Apache-2.0 */
/* The command about classes. */
#include "app/sluiced/commands.h"

#include "app/sluiced/control_call.h"
#include "app/sluiced/gateway.h"
#include "app/sluiced/json_util.h"
#include "base/dscp.h"
#include "core/class_stats.h"
#include "core/config_class.h"

struct listing {
	const struct config *config;
	json_t *rows;
};

static json_t *dscp_json(uint8_t dscp)
{
	char text[DSCP_TEXT_MAX + 1];

	if (dscp == SL_DSCP_KEEP)
		return json_null();
	dscp_format(dscp, text);
	return json_string(text);
}

static unsigned int count_routes(const struct config *config, const struct config_class *class)
{
	unsigned int n = 0;

	for (size_t i = 0; i < config->n_routes; i++)
		n += config->routes[i].class == class;
	return n;
}

static void add_numbers(json_t *row, const struct config *config, const struct config_class *class)
{
	json_t *numbers =
	    json_pack("{s:o, s:o, s:o, s:o, s:s, s:o, s:o, s:o, s:o}", "rate_bytes",
		      json_u64(class->rate_bytes), "burst_bytes", json_u64(class->burst_bytes),
		      "rate_frames", json_u64(class->rate_frames), "burst_frames",
		      json_u64(class->burst_frames), "over_rate",
		      class->over_rate == CONFIG_OVER_RATE_MARK ? "mark" : "drop", "pacing",
		      json_u64(class->pacing), "dscp", dscp_json(class->dscp), "priority",
		      json_u64(class->priority), "routes", json_u64(count_routes(config, class)));

	json_object_update(row, numbers);
	json_decref(numbers);
}

static uint64_t sum(const struct class_stats *stats)
{
	uint64_t n = 0;

	for (int path = 0; path < SLUICE_PATH_COUNT; path++)
		n += class_stats_read(&stats->n_connections[path]);
	return n;
}

/* One that only connections of an earlier configuration have comes without numbers. */
static void add_row(const struct class_stats *stats, void *arg)
{
	struct listing *l = arg;
	const struct config_class *class = config_class_find(l->config, stats->name);
	json_t *row =
	    json_pack("{s:s, s:b, s:o, s:o, s:o, s:o, s:o}", "class", stats->name, "configured",
		      (int)(class != NULL), "connections", json_u64(sum(stats)), "relay",
		      json_u64(class_stats_read(&stats->n_connections[SLUICE_PATH_RELAY])),
		      "splice",
		      json_u64(class_stats_read(&stats->n_connections[SLUICE_PATH_SPLICE])),
		      "accepted", json_u64(class_stats_read(&stats->n_accepted)), "pauses",
		      json_u64(class_stats_read(&stats->n_pauses)));

	if (class)
		add_numbers(row, l->config, class);
	json_array_append_new(l->rows, row);
}

void command_show_classes(struct control_call *call, const struct command_args *args)
{
	struct listing l = {
	    .config = control_call_gateway(call)->config,
	    .rows = json_array(),
	};

	class_stats_each(add_row, &l);
	control_finish(call, l.rows);
}
