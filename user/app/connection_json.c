/* SPDX-License-Identifier: Apache-2.0 */
#include "app/connection_json.h"

#include "base/base32.h"
#include "core/connection.h"
#include "core/stats.h"

static json_t *number(uint64_t n)
{
	return json_integer((json_int_t)n);
}

static json_t *rtt(uint32_t us)
{
	return us ? number(us) : json_null();
}

static void add_traffic(json_t *row, const struct connection_traffic *traffic)
{
	json_object_set_new(row, "idle_ms", number(traffic->idle_ms));
	json_object_set_new(row, "bytes_in", number(traffic->bytes_in));
	json_object_set_new(row, "bytes_out", number(traffic->bytes_out));
	json_object_set_new(row, "frames_in", number(traffic->frames_in));
	json_object_set_new(row, "frames_out", number(traffic->frames_out));
	json_object_set_new(row, "frames_exact", json_boolean(traffic->frames_exact));
}

json_t *connection_json(const struct connection_info *info)
{
	bool has_worker = info->worker != CONNECTION_INFO_NO_WORKER;
	char id[BASE32_U64_LEN + 1];
	json_t *row;

	base32_u64_encode(info->id, id);
	row = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "conn", id, "listener",
			info->listener, "route", info->route, "cluster", info->cluster, "endpoint",
			info->endpoint, "tenant", info->tenant, "path",
			sluice_path_name(info->path), "reason", sluice_reason_name(info->reason),
			"state", connection_state_name(info->state));
	json_object_set_new(row, "class", json_string(info->class));
	json_object_set_new(row, "source", json_string(info->source));
	json_object_set_new(row, "local", json_string(info->local));
	json_object_set_new(row, "endpoint_source", json_string(info->endpoint_source));
	json_object_set_new(row, "endpoint_address", json_string(info->endpoint_address));
	json_object_set_new(row, "age_ms", number(info->age_ms));
	add_traffic(row, &info->traffic);
	json_object_set_new(row, "client_rtt_us", rtt(info->client_rtt_us));
	json_object_set_new(row, "endpoint_rtt_us", rtt(info->endpoint_rtt_us));
	json_object_set_new(row, "worker", has_worker ? number(info->worker) : json_null());
	json_object_set_new(row, "adopted", json_boolean(info->is_adopted));
	return row;
}
