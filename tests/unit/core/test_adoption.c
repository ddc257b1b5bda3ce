/* SPDX-License-Identifier: Apache-2.0 */
#include "core/adoption.h"

#include "core/class_stats.h"
#include "core/config_class.h"
#include "core/connection_info.h"
#include "core/promotion.h"
#include "core/spliced.h"

#include <setjmp.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include <cmocka.h>

#include "lib/adoption_fixture.h"

/* As the metrics have it. */
static uint64_t n_flows(const struct given *g)
{
	return g->splice.counts.n4;
}

static size_t used_ports(const struct given *g)
{
	struct port_pool_usage usage;

	port_pool_usage(g->splice.ports, &usage);
	return usage.n_used;
}

static uint64_t on_route(const struct given *g)
{
	return routing_route(g->f.routing, "r")->stats->n_active;
}

static uint64_t on_endpoint(const struct given *g)
{
	return cluster_member(routing_cluster(g->f.routing, "c"), "e")->endpoint->n_active;
}

static void adopt__takes_over_and_leaves_again(void **state)
{
	struct connection_info info;
	struct connection *c;
	struct sl_conn conn;
	struct given g;

	given_init(&g, "r");
	add_pair(&g, 5, 0);
	for (int i = 0; i < 2; i++) { /* and so does the next one */
		given_start(&g);
		c = worker_find(g.f.worker, 5);
		assert_non_null(c);
		connection_describe(c, &info);
		assert_true(info.is_adopted);
		assert_int_equal(info.state, CONNECTION_OPEN);
		assert_string_equal(info.listener, "l");
		assert_string_equal(info.route, "r");
		assert_string_equal(info.class, "bulk");
		assert_string_equal(info.cluster, "c");
		assert_string_equal(info.endpoint, "e");
		assert_string_equal(info.source, "127.0.0.9:30005");
		assert_string_equal(info.local, "127.0.0.1:1");
		assert_string_equal(info.endpoint_source, "127.0.0.1:20005");
		assert_string_equal(info.endpoint_address, ENDPOINT);
		assert_int_equal(info.client_rtt_us, 0);
		assert_false(info.traffic.frames_exact); /* no walker runs */
		assert_int_equal(info.traffic.bytes_in, 1010);
		assert_int_equal(info.traffic.bytes_out, 1021);
		assert_int_equal(on_route(&g), 1);
		assert_int_equal(on_endpoint(&g), 1);
		assert_int_equal(used_ports(&g), 1);
		assert_true(has_record(&g, 5, &conn));
		assert_int_equal(conn.epoch, 7);
		assert_true(conn.flags & SL_CONN_ADOPTED);
		connection_leave(c);
		assert_int_equal(on_route(&g), 0);
		assert_int_equal(on_endpoint(&g), 0);
		given_stop(&g);
		assert_true(has_flow(&g, 5, SL_TO_ENDPOINT) && has_flow(&g, 5, SL_TO_CLIENT));
		assert_true(has_record(&g, 5, &conn));
	}
	given_done(&g);
}

static void adopt__follows_a_reload(void **state)
{
	struct routing *next;
	struct connection *c;
	struct given g;

	given_init(&g, "r");
	add_conn(&g, 5, 3600 * NS_PER_S + 4711 * NS_PER_MS);
	add_flow(&g, 5, SL_TO_ENDPOINT, SL_ACTIVE, 0);
	add_flow(&g, 5, SL_TO_CLIENT, SL_ACTIVE, 0);
	given_start(&g);
	c = worker_find(g.f.worker, 5);
	assert_int_equal(c->route->tunnel_timeout_ms, 3604711); /* its own */
	assert_int_equal(routing_new(g.f.config, g.f.routing, &next), 0);
	worker_set_generation(g.f.worker, &next->generation);
	worker_fixture_turn(&g.f);
	assert_ptr_equal(c->generation, &next->generation);
	assert_int_equal(c->route->tunnel_timeout_ms, g.f.config->routes[0].tunnel_timeout_ms);
	assert_int_equal(on_route(&g), 1); /* once */
	assert_int_equal(on_endpoint(&g), 1);
	connection_leave(c);
	assert_int_equal(on_route(&g), 0);
	generation_unref(&next->generation);
	given_stop(&g);
	given_done(&g);
}

static unsigned int held_rows(const struct given *g)
{
	struct policies_usage usage;

	policies_usage(g->splice.policies, &usage);
	return usage.n_used;
}

static void adopt__keeps_the_rows_of_flows(void **state)
{
	const struct config_class *class;
	struct sl_policy policy;
	struct connection *c;
	uint8_t row = 0;
	struct given g;

	given_init(&g, "r");
	add_pair(&g, 5, 0);
	add_pair(&g, 6, 0);
	add_flow(&g, 7, SL_TO_CLIENT, SL_CLOSED, 0); /* in quarantine */
	g.text = CLASSLESS;
	given_start(&g);
	assert_int_equal(held_rows(&g), 1);
	c = worker_find(g.f.worker, 5);
	/* The configuration has no such class: what its row says. */
	assert_string_equal(c->class->name, "bulk");
	assert_int_equal(c->class->rate_bytes, RATE);
	assert_int_equal(c->class->dscp, 34);
	assert_int_equal(c->class_stats->n_connections[SLUICE_PATH_SPLICE], 2);
	/* Nobody else gets it; it serves for more of the same. */
	class = g.f.config->routes[0].class;
	assert_int_equal(policies_take(g.splice.policies, class, c->route, &row), 0);
	assert_int_not_equal(row, ROW);
	policies_drop(g.splice.policies, row);
	assert_int_equal(policies_take(g.splice.policies, c->class, c->route, &row), 0);
	assert_int_equal(row, ROW);
	policies_drop(g.splice.policies, row);
	connection_end(c, EGW_ADMIN);
	connection_leave(worker_find(g.f.worker, 6));
	assert_int_equal(held_rows(&g), 1); /* the one in quarantine */
	assert_int_equal(policies_row(g.splice.policies, ROW, &policy), 0);
	assert_int_equal(policy.byte_rate, RATE);
	given_stop(&g);
	given_done(&g);
}

/* Its class is configured again: that counts for the connection, and in the row of its flows. */
static void adopt__goes_by_the_configuration_s_class(void **state)
{
	struct sl_policy policy;
	struct config *config;
	struct routing *next;
	struct connection *c;
	struct given g;

	given_init(&g, "r");
	add_pair(&g, 5, 0);
	given_start(&g);
	c = worker_find(g.f.worker, 5);
	config = load_config(CLASSLESS "class bulk { rate_bytes = 1mb priority = 2 }\n");
	assert_int_equal(routing_new(config, g.f.routing, &next), 0);
	assert_int_equal(policies_follow(g.splice.policies, config), 0);
	worker_set_generation(g.f.worker, &next->generation);
	worker_fixture_turn(&g.f);
	assert_ptr_equal(c->class, config_class_find(config, "bulk"));
	assert_int_equal(policies_row(g.splice.policies, ROW, &policy), 0);
	assert_int_equal(policy.byte_rate, 1 << 20);
	assert_int_equal(policy.priority, 2);
	assert_int_equal(policy.dscp, SL_DSCP_KEEP);
	assert_int_equal(policy.class_id, ID_CLASS);
	connection_leave(c);
	given_stop(&g);
	generation_unref(&next->generation);
	config_unref(config);
	given_done(&g);
}

/* As a reload would say it. Until it is at rest, which nobody can tell here, it tries. */
static void adopt__goes_by_the_configuration_s_splice(void **state)
{
	struct connection *c;
	struct given g;

	given_init(&g, "r");
	add_pair(&g, 5, 0);
	g.text = LISTENER CLUSTER "route r { proxy = c splice = off }\n class bulk { }\n";
	given_start(&g);
	c = worker_find(g.f.worker, 5);
	assert_int_equal(c->promotion->state, PROMOTION_DEMOTING);
	assert_int_equal(c->route->splice, CONFIG_KERNEL_OFF); /* nor will it leave it again */
	connection_leave(c);
	given_stop(&g);
	given_done(&g);
}

static void adopt__names_what_is_not_configured(void **state)
{
	struct routing *next;
	struct connection *c;
	struct given g;

	given_init(&g, "gone");
	add_pair(&g, 5, 0);
	given_start(&g);
	c = worker_find(g.f.worker, 5);
	assert_string_equal(c->route->name, "gone");
	assert_int_equal(on_route(&g), 0);
	assert_int_equal(on_endpoint(&g), 1);
	/* A reload has no place for it either. */
	assert_int_equal(routing_new(g.f.config, g.f.routing, &next), 0);
	worker_set_generation(g.f.worker, &next->generation);
	worker_fixture_turn(&g.f);
	assert_string_equal(c->route->name, "gone");
	assert_int_equal(n_flows(&g), 2);
	connection_end(c, EGW_ADMIN);
	assert_int_equal(n_flows(&g), 0);
	generation_unref(&next->generation);
	given_stop(&g);
	given_done(&g);
}

static void adopt__accounts_for_what_has_ended(void **state)
{
	struct sl_conn conn;
	struct given g;

	given_init(&g, "r");
	add_pair(&g, 1, SL_M_FIN | SL_M_FIN_ACKED);
	add_pair(&g, 2, SL_M_RST);
	given_start(&g);
	assert_null(worker_find(g.f.worker, 1));
	assert_int_equal(g.f.worker->stats->closed[proto_error_index(EEND_EOF)], 1);
	assert_int_equal(g.f.worker->stats->closed[proto_error_index(EEND_RESET)], 1);
	assert_int_equal(g.f.worker->stats->bytes[SLUICE_PATH_SPLICE][STATS_IN], 2000);
	for (uint64_t id = 1; id <= 2; id++) {
		assert_false(has_record(&g, id, &conn));
		assert_true(has_flow(&g, id, SL_TO_CLIENT));
	}
	assert_int_equal(used_ports(&g), 2);
	given_stop(&g);
	given_done(&g);
}

/* Should this process be killed in the turn in which it ends, the next one must find it. */
static void adopt__keeps_what_has_ended_until_its_line_is_written(void **state)
{
	_cleanup_close_ int fd = memfd_create("access", MFD_CLOEXEC);
	struct access_log_file *file;
	struct sl_conn conn;
	struct given g;

	given_init(&g, "r");
	add_pair(&g, 5, 0);
	given_start(&g);
	assert_int_equal(access_log_file_new(dup(fd), &file), 0);
	worker_set_access_log(g.f.worker, file);
	access_log_file_unref(file);
	worker_fixture_turn(&g.f);
	for (size_t i = 0; i < 2; i++) {
		const struct flow_key key = key_of(5, i);

		assert_int_equal(flow_table_delete(&g.splice.pins.flows, &key), 0);
		add_flow(&g, 5, i, SL_CLOSED, SL_M_FIN | SL_M_FIN_ACKED);
	}
	spliced_check(worker_find(g.f.worker, 5));
	assert_null(worker_find(g.f.worker, 5));
	assert_int_equal(lseek(fd, 0, SEEK_END), 0);
	assert_true(has_record(&g, 5, &conn));
	assert_true(has_flow(&g, 5, SL_TO_ENDPOINT) && has_flow(&g, 5, SL_TO_CLIENT));

	worker_fixture_turn(&g.f);
	assert_true(lseek(fd, 0, SEEK_END) > 0);
	assert_false(has_record(&g, 5, &conn));
	assert_false(has_flow(&g, 5, SL_TO_ENDPOINT));
	assert_true(has_flow(&g, 5, SL_TO_CLIENT)); /* in quarantine */
	given_stop(&g);
	given_done(&g);
}

static void adopt__removes_what_belongs_to_nothing(void **state)
{
	struct sl_conn conn;
	struct given g;

	given_init(&g, "r");
	add_conn(&g, 1, 0);
	add_flow(&g, 2, SL_TO_ENDPOINT, SL_LEARN, 0);
	add_flow(&g, 2, SL_TO_CLIENT, SL_LEARN, 0);
	add_flow(&g, 3, SL_TO_CLIENT, SL_CLOSED, 0);
	given_start(&g);
	assert_int_equal(g.f.worker->by_id.n_nodes, 0);
	assert_false(has_record(&g, 1, &conn));
	assert_false(has_flow(&g, 2, SL_TO_ENDPOINT) || has_flow(&g, 2, SL_TO_CLIENT));
	assert_true(has_flow(&g, 3, SL_TO_CLIENT));
	assert_int_equal(used_ports(&g), 1); /* and one is in the pool's quarantine */
	assert_int_equal(n_flows(&g), 1);
	given_stop(&g);
	given_done(&g);
}

#ifndef __SANITIZE_ADDRESS__ /* whose allocator does not return without memory */
#define HELD_MAX 100000

static void *held[HELD_MAX];
static size_t n_held;

/* From here on there is no memory for a promotion. */
static void adopt_at_the_end_of_memory(struct connection *c, struct generation *base,
				       const struct address *endpoint)
{
	struct rlimit limit;

	routing_adopt(c, base, endpoint);
	assert_int_equal(getrlimit(RLIMIT_AS, &limit), 0);
	limit.rlim_cur = 0;
	assert_int_equal(setrlimit(RLIMIT_AS, &limit), 0);
	while (n_held < HELD_MAX && (held[n_held] = calloc(1, sizeof(struct promotion))))
		n_held++;
}

static void give_memory_back(void)
{
	struct rlimit limit;

	assert_int_equal(getrlimit(RLIMIT_AS, &limit), 0);
	limit.rlim_cur = limit.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_AS, &limit), 0);
	while (n_held > 0)
		free(held[--n_held]);
}

static void adopt__without_memory_leaves_nothing_behind(void **state)
{
	struct sl_conn conn;
	struct given g;

	given_init(&g, "r");
	add_pair(&g, 5, 0);
	g.adopt = adopt_at_the_end_of_memory;
	given_start(&g);
	give_memory_back();
	assert_null(worker_find(g.f.worker, 5));
	assert_int_equal(g.f.worker->stats->closed[proto_error_index(EGW_MEMORY)], 1);
	assert_false(has_record(&g, 5, &conn));
	assert_int_equal(n_flows(&g), 0);
	assert_int_equal(held_rows(&g), 0);
	assert_int_equal(on_route(&g), 0);
	given_stop(&g);
	given_done(&g);
}
#endif

static void adopt__of_a_worker_that_stops_leaves_the_rest(void **state)
{
	struct sl_conn conn;
	struct given g;

	given_init(&g, "r");
	add_pair(&g, 5, 0);
	given_policies(&g);
	worker_fixture_init(&g.f, TEXT);
	g.f.shared.adopt = routing_adopt;
	assert_int_equal(promoter_new(g.f.worker, &g.splice, &g.f.worker->promoter), 0);
	assert_int_equal(adoption_new(&g.splice, &g.f.routing->generation, &g.adoption), 0);
	assert_int_equal(adoption_last_id(g.adoption), 5);
	g.f.worker->is_stopping = true;
	assert_int_equal(adoption_begin(g.adoption, &g.f.worker, 1), 0);
	(void)worker_run_mail(g.f.worker); /* as a daemon that stops does at the end */
	assert_true(has_record(&g, 5, &conn) && has_flow(&g, 5, SL_TO_CLIENT));
	assert_int_equal(conn.epoch, 6);
	given_stop(&g);
	given_done(&g);
}

static void adopt__may_never_begin(void **state)
{
	struct given g;

	given_init(&g, "r");
	add_pair(&g, 5, 0);
	given_policies(&g);
	worker_fixture_init(&g.f, TEXT);
	assert_int_equal(adoption_new(&g.splice, &g.f.routing->generation, &g.adoption), 0);
	given_stop(&g);
	given_done(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(adopt__takes_over_and_leaves_again),
	    cmocka_unit_test(adopt__follows_a_reload),
	    cmocka_unit_test(adopt__keeps_the_rows_of_flows),
	    cmocka_unit_test(adopt__goes_by_the_configuration_s_class),
	    cmocka_unit_test(adopt__goes_by_the_configuration_s_splice),
	    cmocka_unit_test(adopt__names_what_is_not_configured),
	    cmocka_unit_test(adopt__accounts_for_what_has_ended),
	    cmocka_unit_test(adopt__keeps_what_has_ended_until_its_line_is_written),
	    cmocka_unit_test(adopt__removes_what_belongs_to_nothing),
#ifndef __SANITIZE_ADDRESS__
	    cmocka_unit_test(adopt__without_memory_leaves_nothing_behind),
#endif
	    cmocka_unit_test(adopt__of_a_worker_that_stops_leaves_the_rest),
	    cmocka_unit_test(adopt__may_never_begin),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
