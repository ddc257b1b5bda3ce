/* SPDX-License-Identifier: Apache-2.0 */
#include "core/spliced.h"

#include "core/demotion.h"
#include "core/promotion.h"
#include "lib/adoption_fixture.h"

/* ---- closing ------------------------------------------------------------------------------- */

/* A Close frame passes. */
static void close_flow(const struct given *g, uint64_t id, size_t direction)
{
	const struct flow_key key = key_of(id, direction);
	struct sl_flow flow;

	assert_int_equal(flow_table_read(&g->splice.pins.flows, &key, &flow), 0);
	flow.walk.flags |= SL_W_ON | SL_W_CLOSE;
	assert_int_equal(flow_table_delete(&g->splice.pins.flows, &key), 0);
	assert_int_equal(flow_table_insert(&g->splice.pins.flows, &key, &flow), 0);
}

/* As on the relay (RFC 6455 s7.1.1), whether the Close frames come before or after the daemon. */
static void check__limits_who_has_closed_both_ways(void **state)
{
	struct connection *c;
	struct given g;

	given_init(&g, "r");
	add_pair(&g, 5, 0);
	add_pair(&g, 6, 0);
	close_flow(&g, 5, SL_TO_ENDPOINT);
	close_flow(&g, 5, SL_TO_CLIENT);
	close_flow(&g, 6, SL_TO_CLIENT);
	given_start(&g);
	c = worker_find(g.f.worker, 5);
	assert_int_equal(c->state, CONNECTION_CLOSING);
	assert_int_equal(c->error, EEND_CLOSE);
	assert_true(timer_is_armed(&c->timer));
	connection_leave(c); /* as it is to the next daemon's */

	c = worker_find(g.f.worker, 6);
	assert_int_equal(c->state, CONNECTION_OPEN);
	assert_false(timer_is_armed(&c->timer));
	close_flow(&g, 6, SL_TO_ENDPOINT);
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
		close_flow(&g, 5, i);
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
		close_flow(&g, 5, i);
		close_flow(&g, 6, i);
	}
	close_flow(&g, 7, SL_TO_CLIENT);
	given_start(&g);
	assert_int_equal(g.f.worker->stats->closed[proto_error_index(EEND_CLOSE)], 2);
	assert_int_equal(g.f.worker->stats->closed[proto_error_index(EEND_EOF)], 1);
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
	    cmocka_unit_test(check__limits_who_has_closed_both_ways),
	    cmocka_unit_test(check__ends_at_last_who_has_closed_both_ways),
	    cmocka_unit_test(check__names_the_close_frames_as_the_end),
	    cmocka_unit_test(lingering__tells_what_this_promotion_has_cost),
	    cmocka_unit_test(begin__counts_as_far_as_there_is_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
