/* SPDX-License-Identifier: Apache-2.0 */
#include "app/sluicectl/offline.h"

#include "app/connection_json.h"
#include "base/address.h"
#include "base/clock.h"
#include "core/connection.h"
#include "core/connection_filter.h"
#include "core/leftovers.h"
#include "core/stats.h"
#include "kern/bpf_pins.h"

#include <stdio.h>

static void cleanup_view(struct bpf_pins_view *view)
{
	bpf_pins_view_close(view);
}

static void complain(const char *text, void *arg)
{
	fprintf(stderr, "sluicectl: %s\n", text);
}

static int read_pins(const char *pins, struct leftovers *ret_left)
{
	_cleanup_(cleanup_view) struct bpf_pins_view view = {{-1, -1, NULL}, -1, -1, -1, -1};
	struct bpf_pins_error why;
	struct leftovers_source source = {.flows = &view.flows, .complain = complain};
	int error = bpf_pins_view(pins, &view, &why);

	if (error < 0) {
		fprintf(stderr, "sluicectl: %s\n", why.text);
		return EXIT_REFUSED;
	}
	source.conns_fd = view.conns_fd;
	source.names_fd = view.names_fd;
	source.now_ns = clock_monotonic_ns();
	error = leftovers_read(&source, ret_left);
	if (error < 0) {
		fprintf(stderr, "sluicectl: %s: %s\n", pins, strerror(-error));
		return EXIT_REFUSED;
	}
	return EXIT_DONE;
}

/* ---- show connections ---------------------------------------------------------------------- */

static void copy_name(char ret_name[CONFIG_NAME_MAX + 1], const char *name)
{
	snprintf(ret_name, CONFIG_NAME_MAX + 1, "%s", name);
}

static uint64_t ms_since(uint64_t then_ns, uint64_t now_ns)
{
	return now_ns > then_ns ? (now_ns - then_ns) / NS_PER_MS : 0;
}

static void describe_legs(const struct left_conn *conn, struct connection_info *info)
{
	struct address from, to;
	char text[ADDRESS_TEXT_MAX + 1];

	flow_key_addresses(&conn->flows[SL_TO_ENDPOINT].key, &from, &to);
	address_format(&from, text);
	snprintf(info->source, sizeof(info->source), "%.*s", (int)sizeof(info->source) - 1, text);
	connection_info_set_address(&to, info->local);
	flow_key_addresses(&conn->flows[SL_TO_CLIENT].key, &from, &to);
	connection_info_set_address(&to, info->endpoint_source);
	connection_info_set_address(&from, info->endpoint_address);
}

static void describe(const struct leftovers *left, const struct left_conn *conn, uint64_t now_ns,
		     struct connection_info *ret_info)
{
	const struct left_flow *in = &conn->flows[SL_TO_ENDPOINT],
			       *out = &conn->flows[SL_TO_CLIENT];
	const char *endpoint = left_conn_name(left, conn, SL_NAME_ENDPOINT);
	const char *slash = strchr(endpoint, '/');

	*ret_info = (struct connection_info){
	    .id = conn->conn.conn_id,
	    .worker = CONNECTION_INFO_NO_WORKER,
	    .state = in->is_closed && out->is_closed ? CONNECTION_CLOSING : CONNECTION_OPEN,
	    .path = conn->conn.path,
	    .reason = conn->conn.reason,
	    .is_adopted = (conn->conn.flags & SL_CONN_ADOPTED) != 0,
	    .age_ms = ms_since(conn->conn.accepted_ns, now_ns),
	    .traffic =
		{
		    .idle_ms = ms_since(MAX(in->last_ns, out->last_ns), now_ns),
		    .bytes_in = conn->conn.traffic[SL_TO_ENDPOINT].bytes + in->payload_bytes,
		    .bytes_out = conn->conn.traffic[SL_TO_CLIENT].bytes + out->payload_bytes,
		    .frames_in = conn->conn.traffic[SL_TO_ENDPOINT].frames + in->frames,
		    .frames_out = conn->conn.traffic[SL_TO_CLIENT].frames + out->frames,
		    .frames_exact = in->is_counted && out->is_counted,
		},
	};
	copy_name(ret_info->listener, left_conn_name(left, conn, SL_NAME_LISTENER));
	copy_name(ret_info->route, left_conn_name(left, conn, SL_NAME_ROUTE));
	copy_name(ret_info->class, left_conn_name(left, conn, SL_NAME_CLASS));
	copy_name(ret_info->cluster, left_conn_name(left, conn, SL_NAME_CLUSTER));
	copy_name(ret_info->endpoint, slash ? slash + 1 : endpoint);
	copy_name(ret_info->tenant, conn->conn.tenant);
	describe_legs(conn, ret_info);
}

static json_t *list_connections(const struct leftovers *left,
				const struct connection_filter *filter)
{
	uint64_t now_ns = clock_monotonic_ns();
	json_t *rows = json_array();

	for (size_t i = 0; i < left->n_conns; i++) {
		const struct left_conn *conn = &left->conns[i];
		struct connection_info info;
		struct address source, local;

		if (conn->is_stray)
			continue;
		describe(left, conn, now_ns, &info);
		flow_key_addresses(&conn->flows[SL_TO_ENDPOINT].key, &source, &local);
		if (connection_filter_fits(filter, &info, &source.sa))
			json_array_append_new(rows, connection_json(&info));
	}
	return rows;
}

static int parse_filter(const json_t *args, struct connection_filter *ret_filter)
{
	const char *key;
	json_t *value;

	connection_filter_init(ret_filter);
	json_object_foreach((json_t *)args, key, value)
	{
		if (connection_filter_set(ret_filter, key, json_string_value(value)) == 0)
			continue;
		fprintf(stderr, "sluicectl: %s = \"%s\": expected %s\n", key,
			json_string_value(value), connection_filter_expected(key));
		return EXIT_REFUSED;
	}
	return EXIT_DONE;
}

static int show_connections(const struct leftovers *left, const json_t *args, json_t **ret_data)
{
	struct connection_filter filter;
	int status = parse_filter(args, &filter);

	if (status == EXIT_DONE)
		*ret_data = list_connections(left, &filter);
	return status;
}

/* ---- show offload -------------------------------------------------------------------------- */

/* The paths that need a daemon have none; splice goes on. */
static int show_offload(const struct leftovers *left, const json_t *args, json_t **ret_data)
{
	uint64_t n = 0, in = 0, out = 0;

	for (size_t i = 0; i < left->n_conns; i++) {
		const struct left_flow *flows = left->conns[i].flows;

		if (left->conns[i].is_stray)
			continue;
		n++;
		in += flows[SL_TO_ENDPOINT].payload_bytes;
		out += flows[SL_TO_CLIENT].payload_bytes;
	}
	*ret_data =
	    json_pack("[{s:s, s:b, s:s, s:I, s:I, s:I, s:s}]", "path",
		      sluice_path_name(SLUICE_PATH_SPLICE), "available", 1, "reason",
		      sluice_reason_name(SLUICE_REASON_NONE), "connections", (json_int_t)n,
		      "bytes_in", (json_int_t)in, "bytes_out", (json_int_t)out, "detail", "");
	return EXIT_DONE;
}

/* ---- verbs --------------------------------------------------------------------------------- */

static const struct {
	const char *cmd;
	int (*show)(const struct leftovers *left, const json_t *args, json_t **ret_data);
} shows[] = {
    {"show.connections", show_connections},
    {"show.offload", show_offload},
};

int offline_request(const char *pins, const char *cmd, const json_t *args, page_fn *on_page,
		    void *arg)
{
	struct leftovers left = {0};
	json_t *data = NULL;
	int status = read_pins(pins, &left);

	for (size_t i = 0; i < ARRAY_SIZE(shows) && status == EXIT_DONE; i++) {
		if (strcmp(shows[i].cmd, cmd) == 0)
			status = shows[i].show(&left, args, &data);
	}
	if (status == EXIT_DONE)
		status = on_page(data, arg);
	json_decref(data);
	leftovers_done(&left);
	return status;
}
