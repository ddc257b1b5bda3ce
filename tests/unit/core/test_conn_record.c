/* SPDX-License-Identifier: Apache-2.0 */
#include "core/conn_record.h"

#include "base/clock.h"
#include "core/connection.h"
#include "core/promotion.h"
#include "kern/kern_ids.h"
#include "kern/name_cache.h"
#include "kern/names.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "lib/bpf_maps.h"

static char listener_name[] = "public", route_name[] = "game", cluster_name[] = "c",
	    endpoint_name[] = "a", class_name[] = "bulk";
static const struct config_listener listener = {.name = listener_name};
static const struct config_class bulk = {.name = class_name};
static const struct config_cluster cluster = {.name = cluster_name};
static const struct config_endpoint endpoint = {.name = endpoint_name};

/* A connection about to be handed over, and what its names are kept in. */
struct given {
	struct sl_ids counters;
	struct kern_ids ids;
	int names_fd;
	struct name_cache names;
	struct config_route route;
	struct promotion promotion;
	struct connection c;
};

static void given_init(struct given *g, uint32_t n_names)
{
	*g = (struct given){
	    .counters = {.next_conn_id = 1, .next_name_id = 1},
	    .names_fd = map_create(SL_MAP_NAMES, n_names),
	    .route = {.name = route_name},
	    .promotion = {.legs = {{.key.key.sport = 1,
				    .key.key.dport = 2,
				    .ctl = {.oif = 70003},
				    .socket = {.send_mss = 1448,
					       .send_wscale = 7,
					       .recv_wscale = 9,
					       .options = SL_O_TIMESTAMPS | SL_O_SACK}},
				   {.key.key.sport = 3,
				    .key.key.dport = 4,
				    .ctl = {.oif = 4},
				    .socket = {.send_mss = 65483, .options = SL_O_WSCALE}}}},
	    .c = {.id = 42,
		  .listener = &listener,
		  .class = &bulk,
		  .cluster = &cluster,
		  .endpoint = &endpoint,
		  .client = {.bytes_in = 100, .bytes_out = 2000},
		  .endpoint_leg = {.bytes_in = 2000, .bytes_out = 100},
		  .frames_in = 3,
		  .frames_out = 4,
		  .promotions = 5},
	};
	g->ids.shared = &g->counters;
	g->c.route = &g->route;
	g->c.promotion = &g->promotion;
	g->c.opened_ns = clock_monotonic_ns() - 10 * NS_PER_S;
	g->c.accepted_ns = g->c.opened_ns - 20 * NS_PER_MS;
	name_cache_init(&g->names, g->names_fd, &g->ids);
}

static void given_done(struct given *g)
{
	name_cache_done(&g->names);
	close(g->names_fd);
}

static void assert_name(const struct given *g, uint32_t id, enum sl_name_kind kind,
			const char *text)
{
	struct sl_name name;

	assert_int_equal(names_find(g->names_fd, id, &name), 0);
	assert_int_equal(name.kind, kind);
	assert_string_equal(name.text, text);
}

static void fill__has_names_and_traffic(void **state)
{
	struct sl_conn conn;
	struct given g;

	given_init(&g, 8);
	assert_int_equal(conn_record_fill(&g.c, &g.names, 7, &conn), 0);
	assert_int_equal(conn.conn_id, 42);
	assert_int_equal(conn.epoch, 7);
	assert_int_equal(conn.flags, 0);
	assert_name(&g, conn.listener, SL_NAME_LISTENER, "public");
	assert_name(&g, conn.route, SL_NAME_ROUTE, "game");
	assert_name(&g, conn.cluster, SL_NAME_CLUSTER, "c");
	assert_name(&g, conn.endpoint, SL_NAME_ENDPOINT, "c/a");
	assert_int_equal(conn.rule, 0);
	assert_name(&g, conn.class_id, SL_NAME_CLASS, "bulk");
	assert_int_equal(conn.traffic[SL_TO_ENDPOINT].bytes, 100);
	assert_int_equal(conn.traffic[SL_TO_ENDPOINT].frames, 3);
	assert_int_equal(conn.traffic[SL_TO_CLIENT].bytes, 2000);
	assert_int_equal(conn.traffic[SL_TO_CLIENT].frames, 4);
	assert_int_equal(conn.path, SLUICE_PATH_SPLICE);
	assert_int_equal(conn.promotions, 6); /* with this one */
	given_done(&g);
}

static void fill__has_both_legs(void **state)
{
	struct sl_conn conn;
	struct given g;

	given_init(&g, 8);
	g.promotion.legs[0].key.is_ipv6 = g.promotion.legs[1].key.is_ipv6 = true;
	assert_int_equal(conn_record_fill(&g.c, &g.names, 7, &conn), 0);
	assert_int_equal(conn.flags, SL_CONN_IPV6);
	for (size_t i = 0; i < 2; i++) {
		assert_memory_equal(&conn.legs[i].key, &g.promotion.legs[i].key.key,
				    sizeof(conn.legs[i].key));
		assert_int_equal(conn.legs[i].options, g.promotion.legs[i].socket.options);
	}
	assert_int_equal(conn.legs[0].mss, 1460); /* RFC 6691: options are not taken off */
	assert_int_equal(conn.legs[1].mss, 65483);
	assert_int_equal(conn.legs[0].send_wscale, 7);
	assert_int_equal(conn.legs[0].recv_wscale, 9);
	assert_int_equal(conn.legs[0].ifindex_low, 70003 & 0xffff);
	given_done(&g);
}

static void fill__has_times_and_deadlines(void **state)
{
	uint64_t now_ns, real_ns;
	struct sl_conn conn;
	struct given g;

	given_init(&g, 8);
	assert_int_equal(conn_record_fill(&g.c, &g.names, 7, &conn), 0);
	assert_int_equal(conn.tunnel_timeout_ns, 0);
	assert_int_equal(conn.max_until_ns, 0);
	assert_int_equal(conn.accepted_ns, g.c.accepted_ns);
	assert_int_equal(conn.opened_ns, g.c.opened_ns);
	assert_int_equal(conn.handshake_ns, 20 * NS_PER_MS);
	now_ns = clock_monotonic_ns();
	real_ns = clock_realtime_ns();
	assert_in_range(conn.spliced_ns, g.c.opened_ns, now_ns);
	assert_true(conn.accepted_time_ns <= real_ns - 10 * NS_PER_S);

	g.route.tunnel_timeout_ms = 1500;
	g.route.max_duration_ms = 60000;
	assert_int_equal(conn_record_fill(&g.c, &g.names, 7, &conn), 0);
	assert_int_equal(conn.tunnel_timeout_ns, 1500 * NS_PER_MS);
	assert_int_equal(conn.max_until_ns, g.c.opened_ns + 60 * NS_PER_S);
	given_done(&g);
}

/* The route's are those of a reload since then. */
static void fill__has_the_limits_of_the_opening(void **state)
{
	struct sl_conn conn;
	struct given g;

	given_init(&g, 8);
	g.c.client.walker.limits = (struct ws_message_limits){.max_frame = 11, .max_message = 12};
	g.route.max_frame_bytes = 1;
	g.route.max_message_bytes = 0;
	assert_int_equal(conn_record_fill(&g.c, &g.names, 7, &conn), 0);
	assert_int_equal(conn.max_frame_bytes, 11);
	assert_int_equal(conn.max_message_bytes, 12);
	given_done(&g);
}

static void fill__counts_promotions_as_far_as_there_is_room(void **state)
{
	struct sl_conn conn;
	struct given g;

	given_init(&g, 8);
	g.c.promotions = UINT16_MAX;
	assert_int_equal(conn_record_fill(&g.c, &g.names, 7, &conn), 0);
	assert_int_equal(conn.promotions, UINT16_MAX);
	given_done(&g);
}

static void fill__says_when_there_is_no_room_for_its_names(void **state)
{
	struct sl_conn conn = {.conn_id = 1};
	struct given g;

	given_init(&g, 3);
	assert_int_equal(conn_record_fill(&g.c, &g.names, 7, &conn), -ENOSPC);
	assert_int_equal(conn.conn_id, 1);
	given_done(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(fill__has_names_and_traffic),
	    cmocka_unit_test(fill__has_both_legs),
	    cmocka_unit_test(fill__has_times_and_deadlines),
	    cmocka_unit_test(fill__has_the_limits_of_the_opening),
	    cmocka_unit_test(fill__counts_promotions_as_far_as_there_is_room),
	    cmocka_unit_test(fill__says_when_there_is_no_room_for_its_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
