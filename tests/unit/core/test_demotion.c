/* SPDX-License-Identifier: Apache-2.0 */
/* Connections that are spliced by maps of the test's own, and never rest: sl_hold is not there. */
#include "core/demotion.h"

#include "base/clock.h"
#include "core/class_stats.h"
#include "core/keepalive.h"
#include "core/promoter.h"
#include "core/promotion.h"
#include "core/spliced.h"

#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "lib/bpf_maps.h"
#include "lib/worker_fixture.h"

/* One round: so many tries, until the pace is back at its beginning. */
struct round {
	unsigned int n_tries, n_stops;
	uint64_t before_stop_ms, stopped_ms, pause_ms;
};

static struct round next_round(struct demotion_pace *pace)
{
	struct round round = {0};

	do {
		struct demotion_step step = demotion_pace_next(pace);

		round.n_tries++;
		round.n_stops += step.is_stop;
		if (pace->n_tries == 0)
			round.pause_ms = step.delay_ms;
		else if (round.n_stops)
			round.stopped_ms += step.delay_ms;
		else
			round.before_stop_ms += step.delay_ms;
	} while (pace->n_tries != 0);
	return round;
}

static void pace__stops_a_stream_only_after_it_had_its_chance(void **state)
{
	struct demotion_pace pace = {0};
	struct demotion_step step = demotion_pace_next(&pace);
	uint64_t before_ms = step.delay_ms;

	assert_int_equal(step.delay_ms, 1);
	while (!step.is_stop) {
		step = demotion_pace_next(&pace);
		assert_true(step.delay_ms >= 1);
		if (!step.is_stop)
			before_ms += step.delay_ms;
	}
	assert_in_range(before_ms, 20, 100);
}

static void pace__makes_its_last_tries_while_the_stop_lasts(void **state)
{
	struct demotion_pace pace = {0};

	for (int i = 0; i < 10; i++) {
		struct round round = next_round(&pace);

		assert_int_equal(round.n_stops, 1);
		assert_true(round.stopped_ms < DEMOTION_STOP_MS);
		assert_true(round.stopped_ms > DEMOTION_STOP_MS / 3);
		assert_true(round.n_tries >= 5);
	}
}

static void pace__lets_a_stream_flow_in_between(void **state)
{
	struct demotion_pace pace = {0};
	uint64_t last_ms = DEMOTION_STOP_MS;

	for (int i = 0; i < 300; i++) {
		struct round round = next_round(&pace);

		assert_true(round.pause_ms >= last_ms && round.pause_ms <= 4000);
		last_ms = round.pause_ms;
	}
	assert_int_equal(last_ms, 4000);
}

static void names__are_all_there(void **state)
{
	for (int reason = 0; reason < DEMOTION_REASON_COUNT; reason++)
		assert_string_not_equal(demotion_reason_name((enum demotion_reason)reason), "?");
	for (int result = 0; result < DEMOTION_RESULT_COUNT; result++)
		assert_string_not_equal(demotion_result_name((enum demotion_result)result), "?");
	assert_string_equal(demotion_reason_name(DEMOTION_REASON_COUNT), "?");
	assert_string_equal(demotion_result_name(DEMOTION_RESULT_COUNT), "?");
}

/* ---- what it is wanted for ------------------------------------------------------------------- */

#define TEXT                                                               \
	"limits { close_timeout = 100ms }\n" LISTENER CLUSTER              \
	"route off { match { path = \"/off\" } proxy = c splice = off }\n" \
	"route on { proxy = c keepalive_ping = 100ms }\n"

struct given {
	struct worker_fixture f;
	struct splice splice;
	struct class_stats *class_stats;
	struct flow_key keys[2];
	struct connection *c;
	struct promotion *p;
};

/* How it has ended. */
static struct {
	int error;
	uint16_t close_code;
} end;

static void on_end(struct connection *c)
{
	end.error = c->error;
	end.close_code = c->close_code;
}

static void make_key(const char *from, const char *to, struct flow_key *ret_key)
{
	struct address ends[2];

	assert_int_equal(address_parse(from, &ends[0]), 0);
	assert_int_equal(address_parse(to, &ends[1]), 0);
	assert_int_equal(flow_key_init(&ends[0], &ends[1], ret_key), 0);
}

/* Of one direction @n bytes have passed that its receiver has not acknowledged. */
static void put_flows(const struct given *g, size_t direction, uint64_t n)
{
	struct sl_flow flows[2] = {
	    [SL_TO_ENDPOINT] = {.base_seq = 1000, .ack = 5000},
	    [SL_TO_CLIENT] = {.base_seq = 5000, .ack = 1000},
	};

	flows[direction].payload_bytes = n;
	for (size_t i = 0; i < 2; i++) {
		flows[i].state = SL_ACTIVE;
		flows[i].direction = (uint8_t)i;
		flows[i].conn_id = 5;
		flows[i].last_ns = clock_monotonic_ns();
		assert_int_equal(flow_table_insert(&g->splice.pins.flows, &g->keys[i], &flows[i]),
				 0);
	}
}

static const struct config_route *route_of(const struct given *g, const char *name)
{
	return routing_route(g->f.routing, name)->config;
}

static void given_init(struct given *g, size_t direction, uint64_t n_unacked)
{
	const struct flow_key *keys[2] = {&g->keys[0], &g->keys[1]};
	static const struct sl_leg legs[2];
	struct address source, local;

	memset(&end, 0, sizeof(end));
	*g = (struct given){.splice = {.is_open = true}};
	g->splice.pins.hold_fd = -1;
	g->splice.pins.flows.fd4 = map_create(SL_MAP_FLOWS4, 4);
	make_key("127.0.0.9:30005", "127.0.0.1:1", &g->keys[SL_TO_ENDPOINT]);
	make_key("127.0.0.1:2", "127.0.0.1:20005", &g->keys[SL_TO_CLIENT]);
	put_flows(g, direction, n_unacked);
	worker_fixture_init(&g->f, TEXT);
	g->f.shared.splice = &g->splice;
	assert_int_equal(promoter_new(g->f.worker, &g->splice, &g->f.worker->promoter), 0);
	flow_key_addresses(keys[0], &source, &local);
	assert_int_equal(connection_adopt(g->f.worker, &g->f.routing->generation, 5, &source.sa,
					  &g->c),
			 0);
	g->class_stats = class_stats_get("test");
	g->c->route = route_of(g, "on");
	g->c->on_end = on_end;
	connection_set_class(g->c, g->c->route->class, g->class_stats);
	assert_int_equal(promotion_adopt(g->c, keys, legs, 0), 0);
	g->p = g->c->promotion;
	/* There are no maps of such. */
	g->p->has_policy = g->p->has_port = g->p->has_record = false;
	assert_int_equal(g->p->state, PROMOTION_SPLICED);
}

static void given_done(struct given *g)
{
	if (!end.error)
		connection_end(g->c, EGW_ADMIN);
	worker_fixture_done(&g->f);
	class_stats_unref(g->class_stats);
	close(g->splice.pins.flows.fd4);
	assert_int_equal(generation_count(), 0);
}

static uint64_t counted(const struct given *g, enum demotion_reason reason,
			enum demotion_result result)
{
	return stat_get(&g->f.worker->stats->demotions[reason][result]);
}

static uint64_t counted_in_all(const struct given *g)
{
	uint64_t n = 0;

	for (unsigned int i = 0; i < DEMOTION_REASON_COUNT * DEMOTION_RESULT_COUNT; i++)
		n += counted(g, (enum demotion_reason)(i / DEMOTION_RESULT_COUNT),
			     (enum demotion_result)(i % DEMOTION_RESULT_COUNT));
	return n;
}

static void turn(const struct given *g)
{
	(void)poll(NULL, 0, 1);
	ev_run(g->f.worker->loop, EVRUN_NOWAIT);
}

static void run_to_the_end(const struct given *g)
{
	while (!end.error)
		turn(g);
}

/* Twice as long as anything here has time. */
static void run_past_all(const struct given *g)
{
	uint64_t until_ns = clock_monotonic_ns() + 200 * NS_PER_MS;

	while (clock_monotonic_ns() < until_ns)
		turn(g);
}

/* A change of a flow, as the hook makes it. */
typedef void change_fn(struct sl_flow *flow);

static void change(const struct given *g, size_t direction, change_fn *fn)
{
	const struct flow_table *flows = &g->splice.pins.flows;
	struct sl_flow flow;

	assert_int_equal(flow_table_take(flows, &g->keys[direction], &flow), 0);
	fn(&flow);
	assert_int_equal(flow_table_insert(flows, &g->keys[direction], &flow), 0);
}

static void order__outlives_a_ping(void **state)
{
	struct given g;

	given_init(&g, SL_TO_CLIENT, 0);
	demotion_begin(g.c, DEMOTION_OPERATOR, 0);
	demotion_begin(g.c, DEMOTION_PING, 1);
	run_past_all(&g);
	assert_int_equal(g.p->state, PROMOTION_DEMOTING);
	assert_int_equal(counted_in_all(&g), 0);
	promotion_resume(g.c);
	assert_int_equal(g.p->state, PROMOTION_SPLICED);
	assert_int_equal(counted(&g, DEMOTION_OPERATOR, DEMOTION_GAVE_UP), 1);
	given_done(&g);
}

static void order__that_is_called_off_takes_no_ping_with_it(void **state)
{
	struct given g;

	given_init(&g, SL_TO_CLIENT, 0);
	demotion_begin(g.c, DEMOTION_PING, 100);
	demotion_begin(g.c, DEMOTION_OPERATOR, 0);
	promotion_resume(g.c);
	assert_int_equal(g.p->state, PROMOTION_DEMOTING);
	run_past_all(&g);
	assert_int_equal(g.p->state, PROMOTION_SPLICED);
	assert_int_equal(counted(&g, DEMOTION_PING, DEMOTION_GAVE_UP), 1);
	assert_int_equal(counted_in_all(&g), 1);
	given_done(&g);
}

static void policy__outlives_all_but_the_next_reload(void **state)
{
	struct given g;

	given_init(&g, SL_TO_CLIENT, 0);
	g.c->route = route_of(&g, "off");
	promotion_follow(g.c);
	assert_int_equal(g.p->state, PROMOTION_DEMOTING);
	demotion_begin(g.c, DEMOTION_OPERATOR, 0);
	demotion_begin(g.c, DEMOTION_PING, 1);
	run_past_all(&g);
	promotion_resume(g.c);
	assert_int_equal(g.p->state, PROMOTION_DEMOTING);
	assert_int_equal(counted_in_all(&g), 0);
	g.c->route = route_of(&g, "on");
	promotion_follow(g.c);
	assert_int_equal(g.p->state, PROMOTION_SPLICED);
	assert_int_equal(counted(&g, DEMOTION_POLICY, DEMOTION_GAVE_UP), 1);
	given_done(&g);
}

/* Whatever it has come back for, and whatever was said while it was on its way. */
static void policy__is_asked_again_on_the_relay(void **state)
{
	struct given g;

	given_init(&g, SL_TO_CLIENT, 0);
	promoter_remove_spliced(g.p->promoter, g.p);
	g.c->route = route_of(&g, "off");
	promotion_demoted(g.p, SLUICE_REASON_BUSY);
	assert_int_equal(g.p->state, PROMOTION_REFUSED);
	assert_int_equal(g.c->path, SLUICE_PATH_RELAY);
	assert_int_equal(g.c->reason, SLUICE_REASON_POLICY);
	assert_false(promotion_resume(g.c));
	g.c->route = route_of(&g, "on");
	promotion_follow(g.c);
	assert_int_equal(g.p->state, PROMOTION_WAITING);
	given_done(&g);
}

static void violation__is_all_that_counts(void **state)
{
	struct given g;

	given_init(&g, SL_TO_CLIENT, 0);
	demotion_begin(g.c, DEMOTION_OPERATOR, 0);
	demotion_begin(g.c, DEMOTION_VIOLATION, 100);
	demotion_begin(g.c, DEMOTION_MTU, 0);
	promotion_resume(g.c);
	run_to_the_end(&g);
	assert_int_equal(end.error, EGW_CLOSE_TIMEOUT);
	assert_int_equal(counted(&g, DEMOTION_VIOLATION, DEMOTION_RESET), 1);
	assert_int_equal(counted_in_all(&g), 1);
	given_done(&g);
}

static void drop_a_packet(struct sl_flow *flow)
{
	flow->marks |= SL_M_DROPPED;
}

static void untranslatable__is_found_by_its_mark_and_stands(void **state)
{
	for (size_t direction = 0; direction < 2; direction++) {
		struct given g;

		given_init(&g, SL_TO_CLIENT, 0);
		change(&g, direction, drop_a_packet);
		promoter_sweep(g.p->promoter);
		turn(&g);
		assert_int_equal(g.p->state, PROMOTION_DEMOTING);
		demotion_begin(g.c, DEMOTION_PING, 1);
		run_past_all(&g);
		promotion_resume(g.c);
		assert_int_equal(g.p->state, PROMOTION_DEMOTING);
		given_done(&g);
		assert_int_equal(end.error, EGW_ADMIN);
	}
}

/* ---- how it ends ----------------------------------------------------------------------------- */

static void close__that_nobody_was_told_of_has_no_code(void **state)
{
	struct given g;

	given_init(&g, SL_TO_CLIENT, 0);
	demotion_close(g.c, EGW_DRAINING, 1001, slice_from_str("bye"));
	demotion_begin(g.c, DEMOTION_PING, 1);
	run_to_the_end(&g);
	assert_int_equal(end.error, EGW_DRAINING);
	assert_int_equal(end.close_code, 0);
	assert_int_equal(counted(&g, DEMOTION_DRAIN, DEMOTION_RESET), 1);
	assert_int_equal(counted_in_all(&g), 1);
	given_done(&g);
}

static void leave__is_counted(void **state)
{
	struct given g;

	given_init(&g, SL_TO_CLIENT, 0);
	demotion_close(g.c, EGW_DRAINING, 1001, slice_from_str("bye"));
	g.f.worker->is_stopping = true;
	g.c->ops->close(g.c, EGW_SHUTDOWN, 1001, slice_from_str("bye"));
	assert_int_equal(counted(&g, DEMOTION_DRAIN, DEMOTION_GAVE_UP), 1);
	assert_int_equal(counted_in_all(&g), 1);
	end.error = EGW_SHUTDOWN; /* it has gone without one */
	given_done(&g);
}

/* ---- Pings ----------------------------------------------------------------------------------- */

static void ping__to_a_peer_that_is_gone_ends_it(void **state)
{
	for (size_t direction = 0; direction < 2; direction++) {
		struct given g;

		given_init(&g, direction, 1);
		keepalive_begin(g.c);
		demotion_begin(g.c, DEMOTION_OPERATOR,
			       0); /* which does not have it wait any longer */
		run_to_the_end(&g);
		assert_int_equal(end.error, EGW_KEEPALIVE);
		assert_int_equal(end.close_code, 0);
		assert_int_equal(counted(&g, DEMOTION_PING, DEMOTION_RESET), 1);
		assert_int_equal(counted_in_all(&g), 1);
		given_done(&g);
	}
}

static void acknowledge_one(struct sl_flow *flow)
{
	flow->ack++;
}

static void ping__to_a_peer_that_has_acknowledged_something_ends_nothing(void **state)
{
	for (size_t direction = 0; direction < 2; direction++) {
		struct given g;

		given_init(&g, direction, 2);
		demotion_begin(g.c, DEMOTION_PING, 100);
		change(&g, !direction, acknowledge_one);
		run_past_all(&g);
		assert_int_equal(g.p->state, PROMOTION_SPLICED);
		assert_int_equal(counted(&g, DEMOTION_PING, DEMOTION_GAVE_UP), 1);
		given_done(&g);
	}
}

/* As to one that is half closed. */
static void ping__that_nothing_is_on_its_way_for_comes_again(void **state)
{
	struct given g;

	given_init(&g, SL_TO_CLIENT, 0);
	keepalive_begin(g.c);
	while (counted(&g, DEMOTION_PING, DEMOTION_GAVE_UP) < 2)
		turn(&g);
	given_done(&g);
}

static void send_again(struct sl_flow *flow)
{
	flow->last_ns = clock_monotonic_ns() + 3600 * NS_PER_S; /* and so it does in an hour */
}

static void ping__is_sent_though_packets_come_that_bring_nothing(void **state)
{
	struct given g;

	given_init(&g, SL_TO_CLIENT, 10);
	change(&g, SL_TO_CLIENT, send_again);
	keepalive_begin(g.c);
	for (int i = 0; i < 2000 && g.p->state != PROMOTION_DEMOTING; i++)
		turn(&g);
	assert_int_equal(g.p->state, PROMOTION_DEMOTING);
	given_done(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(pace__stops_a_stream_only_after_it_had_its_chance),
	    cmocka_unit_test(pace__makes_its_last_tries_while_the_stop_lasts),
	    cmocka_unit_test(pace__lets_a_stream_flow_in_between),
	    cmocka_unit_test(names__are_all_there),
	    cmocka_unit_test(order__outlives_a_ping),
	    cmocka_unit_test(order__that_is_called_off_takes_no_ping_with_it),
	    cmocka_unit_test(policy__outlives_all_but_the_next_reload),
	    cmocka_unit_test(policy__is_asked_again_on_the_relay),
	    cmocka_unit_test(violation__is_all_that_counts),
	    cmocka_unit_test(untranslatable__is_found_by_its_mark_and_stands),
	    cmocka_unit_test(close__that_nobody_was_told_of_has_no_code),
	    cmocka_unit_test(leave__is_counted),
	    cmocka_unit_test(ping__to_a_peer_that_is_gone_ends_it),
	    cmocka_unit_test(ping__to_a_peer_that_has_acknowledged_something_ends_nothing),
	    cmocka_unit_test(ping__that_nothing_is_on_its_way_for_comes_again),
	    cmocka_unit_test(ping__is_sent_though_packets_come_that_bring_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
