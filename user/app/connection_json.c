/* SPDX-License-Identifier: Apache-2.0 */
#include "app/connection_json.h"

#include "base/base32.h"
#include "core/stats.h"

static json_t *number(uint64_t n)
{
	return json_integer((json_int_t)n);
}

json_t *connection_json(const struct connection_info *info)
{
	char id[BASE32_U64_LEN + 1];

	base32_u64_encode(info->id, id);
	return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:o, s:o, s:o, s:o, s:o, "
			 "s:o, s:o, s:b}",
			 "conn", id, "listener", info->listener, "source", info->source, "route",
			 info->route, "cluster", info->cluster, "endpoint", info->endpoint, "path",
			 sluice_path_name(info->path), "reason", sluice_reason_name(info->reason),
			 "state", connection_state_name(info->state), "age_ms",
			 number(info->age_ms), "idle_ms", number(info->idle_ms), "bytes_in",
			 number(info->bytes_in), "bytes_out", number(info->bytes_out), "frames_in",
			 number(info->frames_in), "frames_out", number(info->frames_out), "worker",
			 info->worker == CONNECTION_INFO_NO_WORKER ? json_null()
								   : number(info->worker),
			 "adopted", (int)info->is_adopted);
}
