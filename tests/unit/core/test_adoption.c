/* SPDX-License-Identifier: Apache-2.0 */
/* A worker takes over what stands in maps of the test's own. */
#include "core/adoption.h"

#include "base/clock.h"
#include "core/class_stats.h"
#include "core/config_class.h"
#include "core/connection_info.h"
#include "core/demotion.h"
#include "core/promoter.h"
#include "core/promotion.h"
#include "core/spliced.h"
#include "kern/conn_table.h"
#include "kern/policy_table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include <cmocka.h>

#include "lib/bpf_maps.h"
#include "lib/worker_fixture.h"

#define CLASSLESS LISTENER CLUSTER "route r { proxy = c }\n"
#define TEXT      CLASSLESS "class bulk { }\n"
#define ENDPOINT  "127.0.0.1:2" /* as CLUSTER has it */

#define QUARANTINE_NS (60 * NS_PER_S)

enum {
	ID_LISTENER = 1,
	ID_ROUTE,
	ID_CLUSTER,
	ID_ENDPOINT,
	ID_CLASS,
};

#define ROW  200 /* of the flows that were left */
#define RATE 12345

struct given {
	struct worker_fixture f;
	struct splice splice;
	struct adoption *adoption;
	const char *text; /* of the configuration */
	void (*adopt)(struct connection *c, struct generation *base,
		      const struct address *endpoint);
};

static void add_name(const struct given *g, enum sl_name_kind kind, const char *text, uint32_t id)
{
	struct sl_name name = {.kind = kind};

	memcpy(name.text, text, strlen(text));
	assert_int_equal(bpf_map_update_elem(g->splice.pins.names_fd, &name, &id, BPF_NOEXIST), 0);
}

static void given_init(struct given *g, const char *route)
{
	static const struct port_pool_options ports = {
	    .first = 16384,
	    .last = 32767,
	    .quarantine_ns = QUARANTINE_NS,
	    .spaces_max = 4,
	};
	static const struct sl_policy policy = {
	    .byte_rate = RATE,
	    .byte_burst = 65536,
	    .dscp = 34,
	    .class_id = ID_CLASS,
	};
	static const struct sl_ids ids = {.next_conn_id = 1, .next_name_id = 100};

	*g = (struct given){
	    .splice = {.is_open = true, .epoch = 7, .quarantine_ns = QUARANTINE_NS},
	    .text = TEXT,
	    .adopt = routing_adopt,
	};
	g->splice.pins.flows.fd4 = map_create(SL_MAP_FLOWS4, 64);
	g->splice.pins.flows.fd6 = map_create(SL_MAP_FLOWS6, 64);
	g->splice.pins.conns_fd = map_create(SL_MAP_CONNS, 64);
	g->splice.pins.names_fd = map_create(SL_MAP_NAMES, 8);
	g->splice.pins.policies_fd = map_create(SL_MAP_POLICIES, SL_POLICIES);
	g->splice.pins.ids_fd = map_create(SL_MAP_IDS, 1);
	assert_int_equal(bpf_map_update_elem(g->splice.pins.ids_fd, &(uint32_t){0}, &ids, BPF_ANY),
			 0);
	assert_int_equal(kern_ids_open(g->splice.pins.ids_fd, &g->splice.pins.ids), 0);
	assert_int_equal(port_pool_new(&ports, &g->splice.ports), 0);
	add_name(g, SL_NAME_LISTENER, "l", ID_LISTENER);
	add_name(g, SL_NAME_ROUTE, route, ID_ROUTE);
	add_name(g, SL_NAME_CLUSTER, "c", ID_CLUSTER);
	add_name(g, SL_NAME_ENDPOINT, "c/e", ID_ENDPOINT);
	add_name(g, SL_NAME_CLASS, "bulk", ID_CLASS);
	assert_int_equal(policy_table_write(g->splice.pins.policies_fd, ROW, &policy), 0);
}

static void given_policies(struct given *g)
{
	const struct bpf_pins *pins = &g->splice.pins;

	assert_int_equal(policies_new(pins->policies_fd, pins->names_fd, &g->splice.pins.ids,
				      &g->splice.policies),
			 0);
}

/* A daemon starts. */
static void given_start(struct given *g)
{
	given_policies(g);
	g->splice.pins.flows.counts = &g->splice.counts;
	assert_int_equal(flow_table_count(&g->splice.pins.flows), 0);
	worker_fixture_init(&g->f, g->text);
	g->f.shared.splice = &g->splice;
	g->f.shared.adopt = g->adopt;
	assert_int_equal(promoter_new(g->f.worker, &g->splice, &g->f.worker->promoter), 0);
	assert_int_equal(adoption_new(&g->splice, &g->f.routing->generation, &g->adoption), 0);
	assert_int_equal(adoption_begin(g->adoption, &g->f.worker, 1), 0);
	worker_fixture_turn(&g->f);
}

static void given_stop(struct given *g)
{
	worker_fixture_done(&g->f);
	adoption_free(TAKE_PTR(g->adoption));
	policies_free(TAKE_PTR(g->splice.policies));
	assert_int_equal(g->f.shared.n_connections, 0);
}

static void given_done(struct given *g)
{
	port_pool_free(g->splice.ports);
	close(g->splice.pins.flows.fd4);
	close(g->splice.pins.flows.fd6);
	close(g->splice.pins.conns_fd);
	close(g->splice.pins.names_fd);
	close(g->splice.pins.policies_fd);
	kern_ids_close(&g->splice.pins.ids);
	close(g->splice.pins.ids_fd);
	assert_int_equal(generation_count(), 0);
}

static struct flow_key key_of(uint64_t id, size_t direction)
{
	char from[32], to[32];
	struct address ends[2];
	struct flow_key key;

	snprintf(from, sizeof(from), "%s", direction == SL_TO_ENDPOINT ? "127.0.0.9:0" : ENDPOINT);
	snprintf(to, sizeof(to), "127.0.0.1:%llu",
		 direction == SL_TO_ENDPOINT ? 1 : (unsigned long long)(20000 + id));
	assert_int_equal(address_parse(from, &ends[0]), 0);
	if (direction == SL_TO_ENDPOINT)
		address_set_port(&ends[0], (uint16_t)(30000 + id));
	assert_int_equal(address_parse(to, &ends[1]), 0);
	assert_int_equal(flow_key_init(&ends[0], &ends[1], &key), 0);
	return key;
}

static void add_flow(const struct given *g, uint64_t id, size_t direction, uint32_t state,
		     uint8_t marks)
{
	const struct flow_key key = key_of(id, direction);
	const struct sl_flow flow = {
	    .state = state,
	    .marks = marks,
	    .direction = (uint8_t)direction,
	    .conn_id = id,
	    .policy = ROW,
	    .last_ns = clock_monotonic_ns(),
	    .payload_bytes = 1000 + direction,
	};

	assert_int_equal(flow_table_insert(&g->splice.pins.flows, &key, &flow), 0);
}

static void add_conn(const struct given *g, uint64_t id, uint64_t tunnel_timeout_ns)
{
	uint64_t now_ns = clock_monotonic_ns();
	struct sl_conn conn = {
	    .conn_id = id,
	    .epoch = 6,
	    .listener = ID_LISTENER,
	    .route = ID_ROUTE,
	    .class_id = ID_CLASS,
	    .cluster = ID_CLUSTER,
	    .endpoint = ID_ENDPOINT,
	    .accepted_ns = now_ns - 3 * NS_PER_MS,
	    .opened_ns = now_ns - 2 * NS_PER_MS,
	    .spliced_ns = now_ns,
	    .tunnel_timeout_ns = tunnel_timeout_ns,
	    .traffic = {{10, 1}, {20, 2}},
	    .path = SLUICE_PATH_SPLICE,
	    .promotions = 1,
	};

	for (size_t i = 0; i < 2; i++)
		conn.legs[i].key = key_of(id, i).key;
	assert_int_equal(conn_table_put(g->splice.pins.conns_fd, &conn), 0);
}

static void add_pair(const struct given *g, uint64_t id, uint8_t marks)
{
	add_conn(g, id, 0);
	add_flow(g, id, SL_TO_ENDPOINT, SL_ACTIVE, marks);
	add_flow(g, id, SL_TO_CLIENT, SL_ACTIVE, marks);
}

/* What the hook knows of a flow changes. */
static void change_flow(const struct given *g, uint64_t id, size_t direction, uint8_t marks,
			uint8_t walk_flags)
{
	const struct flow_key key = key_of(id, direction);
	struct sl_flow flow;

	assert_int_equal(flow_table_read(&g->splice.pins.flows, &key, &flow), 0);
	flow.marks |= marks;
	flow.walk.flags |= walk_flags;
	assert_int_equal(flow_table_delete(&g->splice.pins.flows, &key), 0);
	assert_int_equal(flow_table_insert(&g->splice.pins.flows, &key, &flow), 0);
}

static bool has_flow(const struct given *g, uint64_t id, size_t direction)
{
	const struct flow_key key = key_of(id, direction);
	struct sl_flow flow;

	return flow_table_read(&g->splice.pins.flows, &key, &flow) == 0;
}

static bool has_record(const struct given *g, uint64_t id, struct sl_conn *ret_conn)
{
	return conn_table_read(g->splice.pins.conns_fd, id, ret_conn) == 0;
}

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

/* As on the relay (RFC 6455 s7.1.1), whether the Close frames come before or after the daemon. */
static void check__limits_who_has_closed_both_ways(void **state)
{
	const uint8_t closed = SL_W_ON | SL_W_CLOSE;
	struct connection *c;
	struct given g;

	given_init(&g, "r");
	add_pair(&g, 5, 0);
	add_pair(&g, 6, 0);
	change_flow(&g, 5, SL_TO_ENDPOINT, 0, closed);
	change_flow(&g, 5, SL_TO_CLIENT, 0, closed);
	change_flow(&g, 6, SL_TO_CLIENT, 0, closed);
	given_start(&g);
	c = worker_find(g.f.worker, 5);
	assert_int_equal(c->state, CONNECTION_CLOSING);
	assert_int_equal(c->error, EEND_CLOSE);
	assert_true(timer_is_armed(&c->timer));
	connection_leave(c); /* as it is to the next daemon's */

	c = worker_find(g.f.worker, 6);
	assert_int_equal(c->state, CONNECTION_OPEN);
	assert_false(timer_is_armed(&c->timer));
	change_flow(&g, 6, SL_TO_ENDPOINT, 0, closed);
	promoter_sweep(g.f.worker->promoter); /* the event was lost */
	worker_fixture_turn(&g.f);
	assert_int_equal(c->state, CONNECTION_CLOSING);
	c->ops->close(c, EGW_ADMIN, 1001, (struct slice){0});
	assert_false(demotion_is_to_close(c->promotion)); /* it is limited already */
	connection_leave(c);
	given_stop(&g);
	given_done(&g);
}

static void check__ends_at_last_who_has_closed_both_ways(void **state)
{
	const struct stats *stats;
	struct connection *c;
	struct given g;

	given_init(&g, "r");
	g.splice.pins.hold_fd = -1; /* they are not at rest */
	add_pair(&g, 5, 0);
	for (size_t i = 0; i < 2; i++)
		change_flow(&g, 5, i, 0, SL_W_ON | SL_W_CLOSE);
	given_start(&g);
	stats = g.f.worker->stats;
	c = worker_find(g.f.worker, 5);
	assert_int_equal(c->state, CONNECTION_CLOSING);
	timer_disarm(&c->timer);
	c->ops->on_deadline(c);
	worker_fixture_run(&g.f);
	assert_int_equal(stats->closed[proto_error_index(EEND_CLOSE)], 1);
	assert_int_equal(stats->demotions[DEMOTION_CLOSE_TIMEOUT][DEMOTION_RESET], 1);
	assert_false(has_flow(&g, 5, SL_TO_ENDPOINT) || has_flow(&g, 5, SL_TO_CLIENT));
	given_stop(&g);
	given_done(&g);
}

static void check__names_the_close_frames_as_the_end(void **state)
{
	struct given g;

	given_init(&g, "r");
	add_pair(&g, 5, SL_M_FIN | SL_M_FIN_ACKED);
	add_pair(&g, 6, SL_M_RST);
	add_pair(&g, 7, SL_M_FIN | SL_M_FIN_ACKED);
	for (size_t i = 0; i < 2; i++) {
		change_flow(&g, 5, i, 0, SL_W_ON | SL_W_CLOSE);
		change_flow(&g, 6, i, 0, SL_W_ON | SL_W_CLOSE);
	}
	change_flow(&g, 7, SL_TO_CLIENT, 0, SL_W_ON | SL_W_CLOSE);
	given_start(&g);
	assert_int_equal(g.f.worker->stats->closed[proto_error_index(EEND_CLOSE)], 2);
	assert_int_equal(g.f.worker->stats->closed[proto_error_index(EEND_EOF)], 1);
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

/* ---- spliced once more --------------------------------------------------------------------- */

#define SPENT_NS UINT32_C(4000000000)

static uint64_t told_ns(const struct given *g)
{
	return stat_get(&g->f.worker->stats->promotion_times_sum_ns);
}

static void splice_again(struct connection *c)
{
	promoter_remove_spliced(c->promotion->promoter, c->promotion);
	worker_take_sockets(c->worker);
	spliced_begin(c->promotion);
	assert_int_equal(c->promotion->state, PROMOTION_LINGERING);
	spliced_end_lingering(c->promotion);
	assert_int_equal(c->promotion->state, PROMOTION_SPLICED);
}

static void lingering__tells_what_this_promotion_has_cost(void **state)
{
	struct connection *c;
	uint64_t before_ns;
	struct given g;

	given_init(&g, "r");
	add_pair(&g, 5, 0);
	given_start(&g);
	c = worker_find(g.f.worker, 5);
	c->promotion->spent_ns = SPENT_NS;
	c->promotion->tries = 7;
	splice_again(c);
	before_ns = told_ns(&g);
	assert_true(before_ns >= SPENT_NS);
	assert_int_equal(c->promotion->spent_ns, 0);
	assert_int_equal(c->promotion->tries, 0);
	c->promotion->spent_ns = 1000;
	splice_again(c);
	assert_true(told_ns(&g) - before_ns >= 1000);
	assert_int_equal(c->promotions, 3);
	connection_leave(c);
	given_stop(&g);
	given_done(&g);
}

static void begin__counts_as_far_as_there_is_room(void **state)
{
	struct connection *c;
	struct given g;

	given_init(&g, "r");
	add_pair(&g, 5, 0);
	given_start(&g);
	c = worker_find(g.f.worker, 5);
	c->promotions = UINT16_MAX - 1;
	for (int i = 0; i < 2; i++) {
		splice_again(c);
		assert_int_equal(c->promotions, UINT16_MAX);
	}
	connection_leave(c);
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
	    cmocka_unit_test(check__limits_who_has_closed_both_ways),
	    cmocka_unit_test(check__ends_at_last_who_has_closed_both_ways),
	    cmocka_unit_test(check__names_the_close_frames_as_the_end),
	    cmocka_unit_test(adopt__removes_what_belongs_to_nothing),
#ifndef __SANITIZE_ADDRESS__
	    cmocka_unit_test(adopt__without_memory_leaves_nothing_behind),
#endif
	    cmocka_unit_test(adopt__of_a_worker_that_stops_leaves_the_rest),
	    cmocka_unit_test(adopt__may_never_begin),
	    cmocka_unit_test(lingering__tells_what_this_promotion_has_cost),
	    cmocka_unit_test(begin__counts_as_far_as_there_is_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
