/* SPDX-License-Identifier: Apache-2.0 */
#include "core/leftovers.h"

#include "base/clock.h"
#include "kern/conn_table.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "lib/bpf_maps.h"

#define NOW_NS (1000 * NS_PER_S)

enum {
	LISTENER = 1,
	ROUTE,
	CLUSTER,
	ENDPOINT,
};

/* Maps as a daemon has left them. */
struct given {
	struct flow_table flows;
	int conns_fd, names_fd;
	struct leftovers_source source;
	struct leftovers left;
	size_t n_complaints;
	char complaint[320]; /* the last one */
};

static void complain(const char *text, void *arg)
{
	struct given *g = arg;

	g->n_complaints++;
	snprintf(g->complaint, sizeof(g->complaint), "%s", text);
}

static void add_name(const struct given *g, enum sl_name_kind kind, const char *text, uint32_t id)
{
	struct sl_name name = {.kind = kind};

	memcpy(name.text, text, strlen(text));
	assert_int_equal(bpf_map_update_elem(g->names_fd, &name, &id, BPF_NOEXIST), 0);
}

static void given_init(struct given *g)
{
	*g = (struct given){
	    .flows = {.fd4 = map_create(SL_MAP_FLOWS4, 64), .fd6 = map_create(SL_MAP_FLOWS6, 64)},
	    .conns_fd = map_create(SL_MAP_CONNS, 64),
	    .names_fd = map_create(SL_MAP_NAMES, 8),
	};
	g->source = (struct leftovers_source){
	    .flows = &g->flows,
	    .conns_fd = g->conns_fd,
	    .names_fd = g->names_fd,
	    .now_ns = NOW_NS,
	    .complain = complain,
	    .arg = g,
	};
	add_name(g, SL_NAME_LISTENER, "l", LISTENER);
	add_name(g, SL_NAME_ROUTE, "r", ROUTE);
	add_name(g, SL_NAME_CLUSTER, "c", CLUSTER);
	add_name(g, SL_NAME_ENDPOINT, "c/a", ENDPOINT);
}

static void given_read(struct given *g)
{
	assert_int_equal(leftovers_read(&g->source, &g->left), 0);
	assert_int_equal(g->left.n_corrupt, g->n_complaints);
}

static void given_done(struct given *g)
{
	leftovers_done(&g->left);
	close(g->flows.fd4);
	close(g->flows.fd6);
	close(g->conns_fd);
	close(g->names_fd);
}

static struct flow_key key_of(uint64_t id, size_t direction, bool is_ipv6)
{
	const struct flow_key key = {
	    .key = {.sport = (uint16_t)id, .dport = (uint16_t)(direction + 1)},
	    .is_ipv6 = is_ipv6,
	};

	return key;
}

static struct sl_conn record_of(uint64_t id)
{
	struct sl_conn conn = {
	    .conn_id = id,
	    .listener = LISTENER,
	    .route = ROUTE,
	    .cluster = CLUSTER,
	    .endpoint = ENDPOINT,
	    .accepted_ns = 1,
	    .opened_ns = 2,
	    .spliced_ns = 3,
	    .path = SLUICE_PATH_SPLICE,
	};

	for (size_t i = 0; i < 2; i++)
		conn.legs[i].key = key_of(id, i, false).key;
	return conn;
}

static void add_flow_of(const struct given *g, uint64_t id, size_t direction, bool is_ipv6,
			uint32_t word)
{
	const struct flow_key key = key_of(id, direction, is_ipv6);
	const struct sl_flow flow = {
	    .state = word,
	    .direction = (uint8_t)direction,
	    .conn_id = id,
	    .end_seq = 10,
	    .ack = 20,
	    .payload_bytes = 30 + direction,
	    .frames = {1, 2, 3, 4},
	};

	assert_int_equal(flow_table_insert(&g->flows, &key, &flow), 0);
}

static void add_flow(const struct given *g, uint64_t id, size_t direction, uint32_t word)
{
	add_flow_of(g, id, direction, false, word);
}

static void add_conn(const struct given *g, const struct sl_conn *conn)
{
	assert_int_equal(conn_table_put(g->conns_fd, conn), 0);
}

static void add_pair(const struct given *g, uint64_t id, uint32_t first, uint32_t second)
{
	const struct sl_conn conn = record_of(id);

	add_conn(g, &conn);
	add_flow(g, id, SL_TO_ENDPOINT, first);
	add_flow(g, id, SL_TO_CLIENT, second);
}

static void assert_counts(const struct given *g, size_t n_whole, size_t n_stray_conns,
			  size_t n_flows)
{
	assert_int_equal(g->left.n_conns, n_whole + n_stray_conns);
	assert_int_equal(g->left.n_stray_conns, n_stray_conns);
	assert_int_equal(g->left.n_flows, n_flows);
}

static void read__of_nothing(void **state)
{
	struct given g;

	given_init(&g);
	given_read(&g);
	assert_counts(&g, 0, 0, 0);
	given_done(&g);
}

static void read__finds_what_goes_on(void **state)
{
	struct sl_conn ipv6 = record_of(30);
	const struct left_conn *left;
	struct given g;

	given_init(&g);
	add_pair(&g, 20, SL_ACTIVE, SL_ACTIVE);
	add_pair(&g, 10, SL_CLOSED, SL_CLOSED); /* not accounted for yet */
	ipv6.flags = SL_CONN_IPV6;
	add_conn(&g, &ipv6);
	add_flow_of(&g, 30, SL_TO_ENDPOINT, true, SL_ACTIVE);
	add_flow_of(&g, 30, SL_TO_CLIENT, true, SL_ACTIVE);
	given_read(&g);
	assert_counts(&g, 3, 0, 0);
	for (size_t i = 0; i < 3; i++) {
		left = &g.left.conns[i];
		assert_int_equal(left->conn.conn_id, 10 * (i + 1));
		assert_int_equal(left->flows[SL_TO_CLIENT].payload_bytes, 31);
		assert_int_equal(left->flows[SL_TO_CLIENT].frames, 10);
		assert_string_equal(left_conn_name(&g.left, left, SL_NAME_ENDPOINT), "c/a");
		assert_string_equal(left_conn_name(&g.left, left, SL_NAME_LISTENER), "l");
	}
	given_done(&g);
}

/* flow.h, rule 3: whoever set it is dead, so it falls back, also where nobody has seen that yet. */
static void read__of_a_hold_that_was_left(void **state)
{
	struct given g;

	given_init(&g);
	add_pair(&g, 1, SL_HOLD_WORD(SL_ACTIVE, 5), SL_HOLD_WORD(SL_ACTIVE, 5));
	add_pair(&g, 2, SL_ACTIVE, SL_HOLD_WORD(SL_ACTIVE, 6));
	add_pair(&g, 3, SL_HOLD_WORD(SL_LEARN, 7), SL_HOLD_WORD(SL_LEARN, 7));
	given_read(&g);
	assert_counts(&g, 2, 1, 2);
	assert_int_equal(g.left.conns[0].flows[0].state, SL_ACTIVE);
	assert_true(g.left.conns[2].is_stray);
	assert_int_equal(g.left.flows[0].state, SL_LEARN);
	given_done(&g);
}

/* Killed before sl_activate, or while it removed what had ended. */
static void read__of_halves(void **state)
{
	const struct sl_conn alone = record_of(2), half = record_of(3);
	struct given g;

	given_init(&g);
	add_pair(&g, 1, SL_LEARN, SL_LEARN);
	add_conn(&g, &alone);
	add_conn(&g, &half);
	add_flow(&g, 3, SL_TO_CLIENT, SL_CLOSED);
	add_flow(&g, 4, SL_TO_CLIENT, SL_CLOSED);
	add_flow(&g, 5, SL_TO_ENDPOINT, SL_LEARN);
	add_flow(&g, 6, SL_TO_ENDPOINT, SL_CLOSED);
	given_read(&g);
	assert_counts(&g, 0, 3, 6);
	for (size_t i = 0; i < g.left.n_flows; i++) {
		const struct left_flow *flow = &g.left.flows[i];

		assert_int_equal(left_flow_is_quarantined(flow),
				 flow->conn_id == 3 || flow->conn_id == 4);
		assert_int_equal(flow->end_seq, 10);
		assert_int_equal(flow->ack, 20);
	}
	given_done(&g);
}

/* Its flows go with it: what they carry could not be accounted for. */
static void read__of_a_record_that_makes_no_sense(void **state)
{
	struct sl_conn conns[] = {record_of(1), record_of(1), record_of(1), record_of(1),
				  record_of(1), record_of(1), record_of(1), record_of(1)};
	static const char *const texts[] = {
	    "no listener has the number 4", "no endpoint has the number 9",
	    "path 0 is not splice",         "reason 200 is none",
	    "flags 0x80 are none",          "the subject has no end",
	    "its times are in no order",    "its times are in no order",
	};

	conns[0].listener = ENDPOINT; /* a name, but no listener's */
	conns[1].endpoint = 9;
	conns[2].path = SLUICE_PATH_RELAY;
	conns[3].reason = 200;
	conns[4].flags = 0x80;
	memset(conns[5].subject, 'x', sizeof(conns[5].subject));
	conns[6].spliced_ns = NOW_NS + 1;
	conns[7].opened_ns = 0;
	for (size_t i = 0; i < ARRAY_SIZE(conns); i++) {
		struct given g;

		given_init(&g);
		add_pair(&g, 1, SL_ACTIVE, SL_ACTIVE);
		add_conn(&g, &conns[i]);
		given_read(&g);
		assert_counts(&g, 0, 1, 2);
		assert_int_equal(g.n_complaints, 1);
		assert_non_null(strstr(g.complaint, "conns "));
		assert_non_null(strstr(g.complaint, texts[i]));
		given_done(&g);
	}
}

static void read__of_a_record_under_another_key(void **state)
{
	const struct sl_conn conn = record_of(1);
	const uint64_t key = 2;
	struct given g;

	given_init(&g);
	assert_int_equal(bpf_map_update_elem(g.conns_fd, &key, &conn, BPF_ANY), 0);
	given_read(&g);
	assert_counts(&g, 0, 1, 0);
	assert_int_equal(g.left.conns[0].conn.conn_id, 2); /* by which it can be deleted */
	given_done(&g);
}

static void read__of_a_flow_that_makes_no_sense(void **state)
{
	static const uint32_t words[] = {4, 0x10u | SL_ACTIVE, SL_HOLD_WORD(SL_CLOSED, 1),
					 SL_HOLD_WORD(SL_HOLD, 1), UINT32_MAX};

	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		struct given g;

		given_init(&g);
		add_pair(&g, 1, words[i], SL_ACTIVE);
		given_read(&g);
		/* The other half is of no use without it. */
		assert_counts(&g, 0, 1, 2);
		assert_int_equal(g.n_complaints, 1);
		assert_non_null(strstr(g.complaint, "flows4 0.0.0.0:"));
		given_done(&g);
	}
}

/* A flow is only a connection's own if it is at the addresses that the record has. */
static void read__of_flows_at_other_addresses(void **state)
{
	struct sl_conn conn = record_of(1);
	struct given g;

	given_init(&g);
	conn.legs[1].key.sport++;
	add_conn(&g, &conn);
	add_flow(&g, 1, SL_TO_ENDPOINT, SL_ACTIVE);
	add_flow(&g, 1, SL_TO_CLIENT, SL_ACTIVE);
	given_read(&g);
	assert_counts(&g, 0, 1, 2);
	assert_int_equal(g.n_complaints, 0);
	given_done(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(read__of_nothing),
	    cmocka_unit_test(read__finds_what_goes_on),
	    cmocka_unit_test(read__of_a_hold_that_was_left),
	    cmocka_unit_test(read__of_halves),
	    cmocka_unit_test(read__of_a_record_that_makes_no_sense),
	    cmocka_unit_test(read__of_a_record_under_another_key),
	    cmocka_unit_test(read__of_a_flow_that_makes_no_sense),
	    cmocka_unit_test(read__of_flows_at_other_addresses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
