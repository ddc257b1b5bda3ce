/* SPDX-License-Identifier: Apache-2.0 */
#include "core/policies.h"

#include "core/config_class.h"
#include "kern/kern_ids.h"
#include "kern/policy_table.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "lib/bpf_maps.h"
#include "lib/config_loading.h"

#define BULK \
	"class bulk { rate_bytes = 1mb rate_frames = 50 over_rate = mark pacing = 2mb dscp = EF }\n"

struct given {
	struct sl_ids counters;
	struct kern_ids ids;
	int policies_fd, names_fd;
	struct policies *policies;
};

static void given_init(struct given *g, uint32_t n_names)
{
	*g = (struct given){
	    .counters = {.next_conn_id = 1, .next_name_id = 1},
	    .policies_fd = map_create(SL_MAP_POLICIES, SL_POLICIES),
	    .names_fd = map_create(SL_MAP_NAMES, n_names),
	};
	g->ids.shared = &g->counters;
	assert_int_equal(policies_new(g->policies_fd, g->names_fd, &g->ids, &g->policies), 0);
}

static void given_done(struct given *g)
{
	policies_free(g->policies);
	close(g->policies_fd);
	close(g->names_fd);
}

static unsigned int n_used(const struct given *g)
{
	struct policies_usage usage;

	policies_usage(g->policies, &usage);
	return usage.n_used;
}

/* As a connection on the first route of @config takes it. */
static uint8_t take(const struct given *g, const struct config *config)
{
	const struct config_route *route = &config->routes[0];
	uint8_t row = 0;

	assert_int_equal(policies_take(g->policies, route->class, route, &row), 0);
	assert_int_not_equal(row, 0);
	return row;
}

static struct sl_policy row_of(const struct given *g, uint8_t row)
{
	struct sl_policy policy;

	assert_int_equal(policies_row(g->policies, row, &policy), 0);
	return policy;
}

static void rows__the_first_does_nothing(void **state)
{
	const struct sl_policy nothing = {.dscp = SL_DSCP_KEEP};
	struct sl_policy policy;
	struct given g;

	given_init(&g, 8);
	policy = row_of(&g, 0);
	assert_memory_equal(&policy, &nothing, sizeof(nothing));
	assert_int_equal(n_used(&g), 0);
	given_done(&g);
}

static void take__writes_what_class_and_route_say(void **state)
{
	struct config *config =
	    load_config(LISTENER CLUSTER BULK
			"route r { proxy = c class = bulk max_frame = 1kb max_message = 2kb }");
	const struct sl_policy expected = {
	    .max_frame = 1024,
	    .max_message = 2048,
	    .byte_rate = 1 << 20,
	    .byte_burst = 1 << 20,
	    .frame_rate = 50,
	    .frame_burst = 50,
	    .pacing = 2 << 20,
	    .dscp = 46,
	    .walk = SL_WALK_STRICT,
	    .flags = SL_P_MARK_ECN,
	    .class_id = 1,
	};
	struct sl_policy policy;
	struct given g;

	given_init(&g, 8);
	policy = row_of(&g, take(&g, config));
	assert_memory_equal(&policy, &expected, sizeof(expected));
	config_unref(config);
	given_done(&g);
}

static void assert_walk(const char *keys, uint8_t expected)
{
	struct sl_policy policy;
	struct config *config;
	char text[256];

	snprintf(text, sizeof(text), LISTENER CLUSTER "route r { proxy = c %s }", keys);
	config = load_config(text);
	policy_init(config->routes[0].class, &config->routes[0], 7, &policy);
	assert_int_equal(policy.walk, expected);
	assert_int_equal(policy.class_id, 7);
	assert_int_equal(policy.dscp, SL_DSCP_KEEP);
	config_unref(config);
}

static void init__chooses_how_frames_are_followed(void **state)
{
	assert_walk("", SL_WALK_OBSERVE);
	assert_walk("max_frame = 1mb", SL_WALK_STRICT);
	assert_walk("max_message = 1mb", SL_WALK_STRICT);
	assert_walk("splice_frames = observe", SL_WALK_OBSERVE);
	assert_walk("splice_frames = strict", SL_WALK_STRICT);
	assert_walk("splice_frames = off", SL_WALK_OFF);
}

static void init__can_be_read_back(void **state)
{
	struct config *config = load_config(LISTENER BULK "route r { echo = true class = bulk }");
	const struct config_class *class = config->routes[0].class;
	struct config_class found;
	struct sl_policy policy;

	policy_init(class, &config->routes[0], 7, &policy);
	policy_to_class(&policy, &found);
	assert_int_equal(found.rate_bytes, class->rate_bytes);
	assert_int_equal(found.burst_bytes, class->burst_bytes);
	assert_int_equal(found.rate_frames, class->rate_frames);
	assert_int_equal(found.burst_frames, class->burst_frames);
	assert_int_equal(found.over_rate, class->over_rate);
	assert_int_equal(found.pacing, class->pacing);
	assert_int_equal(found.dscp, class->dscp);
	assert_int_equal(found.priority, class->priority);
	config_unref(config);
}

static void take__shares_rows(void **state)
{
	struct config *config = load_config(LISTENER CLUSTER "route r { proxy = c }");
	struct config *strict = load_config(LISTENER CLUSTER "route r { proxy = c max_frame = 1 }");
	uint8_t first, other;
	struct given g;

	given_init(&g, 8);
	first = take(&g, config);
	assert_int_equal(take(&g, config), first);
	other = take(&g, strict);
	assert_int_not_equal(other, first);
	assert_int_equal(n_used(&g), 2);
	policies_drop(g.policies, first);
	assert_int_equal(n_used(&g), 2); /* one holds it still */
	policies_drop(g.policies, first);
	assert_int_equal(n_used(&g), 1);
	/* Free for others. */
	policies_drop(g.policies, other);
	assert_int_equal(take(&g, strict), first);
	assert_int_equal(row_of(&g, first).max_frame, 1);
	config_unref(config);
	config_unref(strict);
	given_done(&g);
}

static void take__says_when_no_row_is_free(void **state)
{
	struct config *config = load_config(LISTENER CLUSTER "route r { proxy = c }");
	struct config_route route = config->routes[0];
	struct policies_usage usage;
	uint8_t row = 77;
	struct given g;

	given_init(&g, 8);
	for (unsigned int i = 1; i < SL_POLICIES; i++) {
		route.max_frame_bytes = i;
		assert_int_equal(policies_take(g.policies, route.class, &route, &row), 0);
		assert_int_equal(row, i);
	}
	route.max_frame_bytes = SL_POLICIES;
	row = 77;
	assert_int_equal(policies_take(g.policies, route.class, &route, &row), -ENOBUFS);
	assert_int_equal(row, 77);
	/* Those that are there go on being shared. */
	route.max_frame_bytes = 5;
	assert_int_equal(policies_take(g.policies, route.class, &route, &row), 0);
	assert_int_equal(row, 5);
	policies_usage(g.policies, &usage);
	assert_int_equal(usage.n_used, SL_POLICIES - 1);
	assert_int_equal(usage.n_refused, 1);
	policies_drop(g.policies, 9);
	route.max_frame_bytes = SL_POLICIES;
	assert_int_equal(policies_take(g.policies, route.class, &route, &row), 0);
	assert_int_equal(row, 9);
	config_unref(config);
	given_done(&g);
}

static void take__says_when_there_is_no_room_for_the_name(void **state)
{
	struct config *config = load_config(LISTENER CLUSTER BULK "route r { proxy = c }");
	const struct config_route *route = &config->routes[0];
	struct given g;
	uint8_t row;

	given_init(&g, 1);
	(void)take(&g, config);
	assert_int_equal(policies_take(g.policies, config_class_find(config, "bulk"), route, &row),
			 -ENOSPC);
	assert_int_equal(n_used(&g), 1);
	config_unref(config);
	given_done(&g);
}

static void follow__changes_rows_in_place(void **state)
{
	struct config *before =
	    load_config(LISTENER CLUSTER BULK "route r { proxy = c class = bulk max_frame = 1kb }");
	struct config *after =
	    load_config(LISTENER CLUSTER "class bulk { rate_bytes = 4kb dscp = 1 }\n"
					 "route r { proxy = c class = bulk max_frame = 9kb }");
	struct config *gone = load_config(LISTENER CLUSTER "route r { proxy = c }");
	struct sl_policy policy;
	struct given g;
	uint8_t row;

	given_init(&g, 8);
	assert_int_equal(policies_follow(g.policies, before), 0);
	row = take(&g, before);
	assert_int_equal(policies_follow(g.policies, after), 0);
	policy = row_of(&g, row);
	assert_int_equal(policy.byte_rate, 4096);
	assert_int_equal(policy.frame_rate, 0);
	assert_int_equal(policy.dscp, 1);
	assert_int_equal(policy.flags, 0);
	assert_int_equal(policy.max_frame, 1024); /* as at its opening */
	assert_int_equal(policy.walk, SL_WALK_STRICT);
	/* One that was on its way meanwhile has the old pointers: the class is as it is now. */
	assert_int_equal(take(&g, before), row);
	assert_int_equal(row_of(&g, row).byte_rate, 4096);
	assert_int_not_equal(take(&g, after), row); /* another limit */
	/* A class that is there no more does as before. */
	assert_int_equal(policies_follow(g.policies, gone), 0);
	assert_int_equal(row_of(&g, row).byte_rate, 4096);
	config_unref(before);
	config_unref(after);
	config_unref(gone);
	given_done(&g);
}

static void adopt__holds_what_another_process_has_written(void **state)
{
	struct config *config =
	    load_config(LISTENER CLUSTER BULK "route r { proxy = c class = bulk }");
	struct policies *next;
	struct given g;
	uint8_t row;

	given_init(&g, 8);
	(void)policies_adopt(g.policies, 1); /* so that the row is not the first free one */
	row = take(&g, config);
	assert_int_not_equal(row, 1);
	assert_int_equal(policies_new(g.policies_fd, g.names_fd, &g.ids, &next), 0);
	assert_int_equal(policies_adopt(next, row), 0);
	policies_free(g.policies);
	g.policies = next;
	assert_int_equal(n_used(&g), 1);
	assert_int_equal(take(&g, config), row);
	policies_drop(g.policies, row);
	policies_drop(g.policies, row);
	assert_int_equal(n_used(&g), 0);
	config_unref(config);
	given_done(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(rows__the_first_does_nothing),
	    cmocka_unit_test(take__writes_what_class_and_route_say),
	    cmocka_unit_test(init__chooses_how_frames_are_followed),
	    cmocka_unit_test(init__can_be_read_back),
	    cmocka_unit_test(take__shares_rows),
	    cmocka_unit_test(take__says_when_no_row_is_free),
	    cmocka_unit_test(take__says_when_there_is_no_room_for_the_name),
	    cmocka_unit_test(follow__changes_rows_in_place),
	    cmocka_unit_test(adopt__holds_what_another_process_has_written),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
