/* SPDX-License-Identifier: Apache-2.0 */
/* Spliced connections without a network: what stands in maps of the test's own, a worker adopts. */
#pragma once
#include "base/clock.h"
#include "core/adoption.h"
#include "core/promoter.h"
#include "kern/conn_table.h"
#include "kern/policy_table.h"
#include "lib/worker_fixture.h"

#include "lib/bpf_maps.h"

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

static inline void add_name(const struct given *g, enum sl_name_kind kind, const char *text,
			    uint32_t id)
{
	struct sl_name name = {.kind = kind};

	memcpy(name.text, text, strlen(text));
	assert_int_equal(bpf_map_update_elem(g->splice.pins.names_fd, &name, &id, BPF_NOEXIST), 0);
}

/** given_init() - empty maps; @route: the name that connections of ID_ROUTE have theirs by */
static inline void given_init(struct given *g, const char *route)
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

static inline void given_policies(struct given *g)
{
	const struct bpf_pins *pins = &g->splice.pins;

	assert_int_equal(policies_new(pins->policies_fd, pins->names_fd, &g->splice.pins.ids,
				      &g->splice.policies),
			 0);
}

/** given_start() - a daemon starts, and adopts what there is */
static inline void given_start(struct given *g)
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

/** given_stop() - and is over; no connection is left. The maps stay for the next one */
static inline void given_stop(struct given *g)
{
	worker_fixture_done(&g->f);
	adoption_free(TAKE_PTR(g->adoption));
	policies_free(TAKE_PTR(g->splice.policies));
	assert_int_equal(g->f.shared.n_connections, 0);
}

/** given_done() - the maps go */
static inline void given_done(struct given *g)
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

static inline struct flow_key key_of(uint64_t id, size_t direction)
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

static inline void add_flow(const struct given *g, uint64_t id, size_t direction, uint32_t state,
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

static inline void add_conn(const struct given *g, uint64_t id, uint64_t tunnel_timeout_ns)
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

/** add_pair() - an ACTIVE connection: its record and both flows, with @marks */
static inline void add_pair(const struct given *g, uint64_t id, uint8_t marks)
{
	add_conn(g, id, 0);
	add_flow(g, id, SL_TO_ENDPOINT, SL_ACTIVE, marks);
	add_flow(g, id, SL_TO_CLIENT, SL_ACTIVE, marks);
}

static inline bool has_flow(const struct given *g, uint64_t id, size_t direction)
{
	const struct flow_key key = key_of(id, direction);
	struct sl_flow flow;

	return flow_table_read(&g->splice.pins.flows, &key, &flow) == 0;
}

static inline bool has_record(const struct given *g, uint64_t id, struct sl_conn *ret_conn)
{
	return conn_table_read(g->splice.pins.conns_fd, id, ret_conn) == 0;
}
