/* SPDX-License-Identifier: Apache-2.0 */
#include "core/conn_record.h"

#include "base/clock.h"
#include "core/connection.h"
#include "core/promotion.h"
#include "kern/name_cache.h"

#include <stdio.h>

static int fill_names(const struct connection *c, struct name_cache *names, struct sl_conn *conn)
{
	char endpoint[SL_NAME_MAX + 1];
	const struct {
		enum sl_name_kind kind;
		const char *text;
		uint32_t *id;
	} list[] = {
	    {SL_NAME_LISTENER, c->listener->name, &conn->listener},
	    {SL_NAME_ROUTE, c->route->name, &conn->route},
	    {SL_NAME_CLASS, c->class->name, &conn->class_id},
	    {SL_NAME_CLUSTER, c->cluster->name, &conn->cluster},
	    {SL_NAME_ENDPOINT, endpoint, &conn->endpoint},
	};
	int error = 0;

	snprintf(endpoint, sizeof(endpoint), "%s/%s", c->cluster->name, c->endpoint->name);
	for (size_t i = 0; i < ARRAY_SIZE(list) && error == 0; i++)
		error = name_cache_id(names, list[i].kind, list[i].text, list[i].id);
	return error;
}

static void fill_leg(const struct promotion_leg *leg, struct sl_leg *ret_leg)
{
	const struct sl_socket *socket = &leg->socket;

	*ret_leg = (struct sl_leg){
	    .key = leg->key.key,
	    .mss = promotion_peer_mss(leg),
	    .send_wscale = socket->send_wscale,
	    .recv_wscale = socket->recv_wscale,
	    .options = socket->options,
	    .ifindex_low = (uint16_t)leg->ctl.oif,
	};
}

/* A flow's counters go on where they were when the connection came back from the kernel. */
static struct sl_traffic uncounted(uint64_t bytes, uint64_t frames, const struct promotion_leg *leg)
{
	return (struct sl_traffic){bytes - leg->counted.bytes, frames - leg->counted.frames};
}

static void fill_times(const struct connection *c, struct sl_conn *conn)
{
	uint64_t now_ns = clock_monotonic_ns();

	conn->accepted_time_ns = clock_realtime_ns() - (now_ns - c->accepted_ns);
	conn->accepted_ns = c->accepted_ns;
	conn->opened_ns = c->opened_ns;
	conn->spliced_ns = now_ns;
	conn->handshake_ns = c->opened_ns - c->accepted_ns;
	conn->tunnel_timeout_ns = c->route->tunnel_timeout_ms * NS_PER_MS;
	conn->keepalive_ping_ms = (uint32_t)c->route->keepalive_ping_ms;
	if (c->route->max_duration_ms)
		conn->max_until_ns = c->opened_ns + c->route->max_duration_ms * NS_PER_MS;
}

int conn_record_fill(const struct connection *c, struct name_cache *names, uint32_t epoch,
		     struct sl_conn *ret_conn)
{
	const struct promotion_leg *legs = c->promotion->legs;
	/* Of its opening, as its row of policies has them: a reload may have changed the route's.
	 */
	const struct ws_message_limits *limits = &c->client.walker.limits;
	struct sl_conn conn = {
	    .conn_id = c->id,
	    .epoch = epoch,
	    .flags = legs[0].key.is_ipv6 ? SL_CONN_IPV6 : 0,
	    .max_frame_bytes = limits->max_frame,
	    .max_message_bytes = limits->max_message,
	    .traffic = {[SL_TO_ENDPOINT] = uncounted(c->client.bytes_in, c->frames_in, &legs[0]),
			[SL_TO_CLIENT] = uncounted(c->client.bytes_out, c->frames_out, &legs[1])},
	    .path = SLUICE_PATH_SPLICE,
	    .reason = SLUICE_REASON_NONE,
	    .promotions = promotion_number(c),
	};
	int error = fill_names(c, names, &conn);

	if (error < 0)
		return error;
	fill_times(c, &conn);
	for (size_t i = 0; i < 2; i++)
		fill_leg(&legs[i], &conn.legs[i]);
	*ret_conn = conn;
	return 0;
}

static bool is_terminated(const char *text, size_t size)
{
	return strnlen(text, size) < size;
}

bool conn_record_check(const struct sl_conn *conn, uint64_t conn_id, uint64_t now_ns,
		       char ret_why[CONN_RECORD_WHY_MAX])
{
	const char *why = NULL;

	ret_why[0] = '\0';
	if (conn->conn_id != conn_id || conn_id == 0 || conn_id > INT64_MAX)
		why = "the id in it is not its own";
	else if (conn->path != SLUICE_PATH_SPLICE)
		snprintf(ret_why, CONN_RECORD_WHY_MAX, "path %u is not splice", conn->path);
	else if (conn->reason >= SLUICE_REASON_COUNT)
		snprintf(ret_why, CONN_RECORD_WHY_MAX, "reason %u is none", conn->reason);
	else if (conn->flags & ~(SL_CONN_IPV6 | SL_CONN_ADOPTED))
		snprintf(ret_why, CONN_RECORD_WHY_MAX, "flags %#x are none", conn->flags);
	else if (!is_terminated(conn->tenant, sizeof(conn->tenant)))
		why = "the tenant has no end";
	else if (!is_terminated(conn->subject, sizeof(conn->subject)))
		why = "the subject has no end";
	else if (conn->accepted_ns > conn->opened_ns || conn->opened_ns > conn->spliced_ns ||
		 conn->spliced_ns > now_ns || conn->opened_ns == 0)
		why = "its times are in no order";
	if (why)
		snprintf(ret_why, CONN_RECORD_WHY_MAX, "%s", why);
	return ret_why[0] == '\0';
}
