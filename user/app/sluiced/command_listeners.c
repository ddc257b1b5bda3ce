/* SPDX-License-Identifier: Apache-2.0 */
/* The commands about what connections come in by, and which paths they may take. */
#include "app/sluiced/commands.h"

#include "app/sluiced/control_call.h"
#include "app/sluiced/gateway.h"
#include "app/sluiced/json_util.h"
#include "app/sluiced/offload.h"
#include "app/sluiced/offload_splice.h"
#include "base/address.h"

/* ---- show.listeners ------------------------------------------------------------------------ */

static json_t *listener_json(const struct listener_socket *socket)
{
	char address[ADDRESS_TEXT_MAX + 1];

	address_format(&socket->address, address);
	return json_pack("{s:s, s:s, s:o, s:o, s:b}", "listener", socket->listener->name, "address",
			 address, "backlog", json_u64(socket->listener->backlog), "accepted",
			 json_u64(atomic_load_explicit(&socket->stats->n_accepted,
						       memory_order_relaxed)),
			 "shared", (int)socket->is_shared);
}

void command_show_listeners(struct control_call *call, const struct command_args *args)
{
	const struct listener_set *set = control_call_gateway(call)->listeners;
	json_t *rows = json_array();

	for (size_t i = 0; i < set->n_sockets; i++) {
		/* The others have the same address. */
		if (set->sockets[i].worker == 0)
			json_array_append_new(rows, listener_json(&set->sockets[i]));
	}
	control_finish(call, rows);
}

/* ---- show.offload -------------------------------------------------------------------------- */

void command_show_offload(struct control_call *call, const struct command_args *args)
{
	const struct gateway *g = control_call_gateway(call);
	struct offload_path paths[OFFLOAD_PATHS];
	json_t *rows = json_array();
	struct stats stats;

	gateway_stats(g, &stats);
	offload_list(g, paths);
	for (size_t i = 0; i < OFFLOAD_PATHS; i++) {
		const enum sluice_path path = paths[i].path;

		json_array_append_new(rows,
				      json_pack("{s:s, s:b, s:s, s:s, s:o, s:o, s:o}", "path",
						sluice_path_name(path), "available",
						(int)(paths[i].reason == SLUICE_REASON_NONE),
						"reason", sluice_reason_name(paths[i].reason),
						"detail", paths[i].detail, "connections",
						json_u64(stat_get(&stats.connections[path])),
						"bytes_in",
						json_u64(stat_get(&stats.bytes[path][STATS_IN])),
						"bytes_out",
						json_u64(stat_get(&stats.bytes[path][STATS_OUT]))));
		if (path == SLUICE_PATH_SPLICE)
			json_object_set_new(json_array_get(rows, i), "splice",
					    offload_splice_json(g, &stats));
	}
	control_finish(call, rows);
}
