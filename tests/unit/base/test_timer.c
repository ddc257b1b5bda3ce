/* SPDX-License-Identifier: Apache-2.0 */
/*
 * On a real loop, but never on the clock's word: delays are short and only put events in an order.
 * A loop turn waits for nothing (EVRUN_NOWAIT), and every test ends at its last event.
 */
#include "base/timer.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

struct fixture {
	struct ev_loop *loop;
	char order[64]; /* letters of the timers in the order in which they fired */
	size_t n_fired;
};

struct lettered {
	struct timer timer;
	struct fixture *f;
	char letter;
};

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	if (!f)
		return -1;
	f->loop = ev_loop_new(EVFLAG_NOENV);
	*state = f;
	return f->loop ? 0 : -1;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	ev_loop_destroy(f->loop);
	free(f);
	return 0;
}

static void note(struct lettered *l)
{
	assert_true(l->f->n_fired < sizeof(l->f->order) - 1);
	l->f->order[l->f->n_fired++] = l->letter;
}

static void note_cb(struct timer *timer)
{
	struct lettered *l = container_of(timer, struct lettered, timer);

	assert_false(timer_is_armed(timer));
	note(l);
}

static struct lettered lettered(struct fixture *f, char letter)
{
	return (struct lettered){.f = f, .letter = letter};
}

static void run_until(struct fixture *f, size_t n_fired)
{
	while (f->n_fired < n_fired)
		ev_run(f->loop, EVRUN_NOWAIT);
}

/* Turns the loop until a timer of @delay_ms, armed now, has fired. */
static void run_for(struct fixture *f, uint64_t delay_ms)
{
	struct fixture other = {.loop = f->loop};
	struct lettered end = lettered(&other, '.');

	timer_init(&end.timer, f->loop, note_cb);
	timer_arm(&end.timer, delay_ms);
	run_until(&other, 1);
}

static void init__is_not_armed(void **state)
{
	struct fixture *f = *state;
	struct lettered a = lettered(f, 'a');

	timer_init(&a.timer, f->loop, note_cb);
	assert_false(timer_is_armed(&a.timer));
	timer_disarm(&a.timer);
	run_for(f, 2);
	assert_string_equal(f->order, "");
}

static void arm__fires_once(void **state)
{
	struct fixture *f = *state;
	struct lettered a = lettered(f, 'a');

	timer_init(&a.timer, f->loop, note_cb);
	timer_arm(&a.timer, 1);
	assert_true(timer_is_armed(&a.timer));
	run_until(f, 1);
	assert_false(timer_is_armed(&a.timer));
	run_for(f, 3);
	assert_string_equal(f->order, "a");
}

static void arm__fires_in_the_order_of_the_deadlines(void **state)
{
	static const uint64_t delays_ms[] = {6, 2, 8, 4, 0};
	struct fixture *f = *state;
	struct lettered timers[ARRAY_SIZE(delays_ms)];

	for (size_t i = 0; i < ARRAY_SIZE(timers); i++) {
		timers[i] = lettered(f, (char)('a' + i));
		timer_init(&timers[i].timer, f->loop, note_cb);
		timer_arm(&timers[i].timer, delays_ms[i]);
	}
	run_until(f, ARRAY_SIZE(timers));
	assert_string_equal(f->order, "ebdac");
}

static void arm__again_moves_the_deadline_later(void **state)
{
	struct fixture *f = *state;
	struct lettered moved = lettered(f, 'a'), marker = lettered(f, 'm');

	timer_init(&moved.timer, f->loop, note_cb);
	timer_init(&marker.timer, f->loop, note_cb);
	timer_arm(&moved.timer, 1);
	timer_arm(&marker.timer, 8);
	timer_arm(&moved.timer, 20);
	run_until(f, 2);
	assert_string_equal(f->order, "ma");
}

/* As a connection does with each message: many renewals, some of them across expiries. */
static void arm__renewed_for_long_fires_only_when_renewals_end(void **state)
{
	struct fixture *f = *state;
	struct lettered idle = lettered(f, 'i');

	timer_init(&idle.timer, f->loop, note_cb);
	timer_arm(&idle.timer, 60000);
	timer_arm(&idle.timer, 3);
	for (int i = 0; i < 20; i++) {
		/* Renew first, so that no pause of this process can make a renewal come late. */
		timer_arm(&idle.timer, 60000);
		run_for(f, 1);
		timer_arm(&idle.timer, 3 + (uint64_t)i % 3);
		assert_int_equal(f->n_fired, 0);
	}
	run_until(f, 1);
	assert_string_equal(f->order, "i");
}

static void arm__again_moves_the_deadline_earlier(void **state)
{
	struct fixture *f = *state;
	struct lettered moved = lettered(f, 'a'), marker = lettered(f, 'm');

	timer_init(&moved.timer, f->loop, note_cb);
	timer_init(&marker.timer, f->loop, note_cb);
	timer_arm(&moved.timer, 3600000);
	timer_arm(&marker.timer, 8);
	timer_arm(&moved.timer, 2);
	run_until(f, 2);
	assert_string_equal(f->order, "am");
}

/* Later, then earlier than that but still later than the first: the last word counts. */
static void arm__last_deadline_counts_after_several_moves(void **state)
{
	struct fixture *f = *state;
	struct lettered moved = lettered(f, 'a'), early = lettered(f, 'e'), late = lettered(f, 'l');

	timer_init(&moved.timer, f->loop, note_cb);
	timer_init(&early.timer, f->loop, note_cb);
	timer_init(&late.timer, f->loop, note_cb);
	timer_arm(&moved.timer, 1);
	timer_arm(&early.timer, 6);
	timer_arm(&late.timer, 3600000);
	timer_arm(&moved.timer, 7200000);
	timer_arm(&moved.timer, 20);
	run_until(f, 2);
	assert_string_equal(f->order, "ea");
	timer_disarm(&late.timer);
}

static void disarm__never_fires(void **state)
{
	struct fixture *f = *state;
	struct lettered a = lettered(f, 'a'), moved = lettered(f, 'b');

	timer_init(&a.timer, f->loop, note_cb);
	timer_init(&moved.timer, f->loop, note_cb);
	timer_arm(&a.timer, 1);
	timer_arm(&moved.timer, 1);
	timer_arm(&moved.timer, 3);
	timer_disarm(&a.timer);
	timer_disarm(&moved.timer);
	timer_disarm(&a.timer);
	assert_false(timer_is_armed(&a.timer));
	run_for(f, 6);
	assert_string_equal(f->order, "");
	/* What was stored before counts no more. */
	timer_arm(&moved.timer, 1);
	timer_arm(&a.timer, 8);
	run_until(f, 2);
	assert_string_equal(f->order, "ba");
}

static void rearm_cb(struct timer *timer)
{
	struct lettered *l = container_of(timer, struct lettered, timer);

	assert_false(timer_is_armed(timer));
	note(l);
	if (l->f->n_fired < 5)
		timer_arm(timer, 1);
}

static void fn__may_rearm(void **state)
{
	struct fixture *f = *state;
	struct lettered a = lettered(f, 'a');

	timer_init(&a.timer, f->loop, rearm_cb);
	timer_arm(&a.timer, 0);
	run_until(f, 5);
	run_for(f, 3);
	assert_string_equal(f->order, "aaaaa");
	assert_false(timer_is_armed(&a.timer));
}

static void free_cb(struct timer *timer)
{
	struct lettered *l = container_of(timer, struct lettered, timer);

	note(l);
	timer_disarm(timer);
	free(l);
}

/* AddressSanitizer sees whoever looks at the timer afterwards. */
static void fn__may_free_the_owner(void **state)
{
	struct fixture *f = *state;
	struct lettered *a = malloc(sizeof(*a));

	assert_non_null(a);
	*a = lettered(f, 'a');
	timer_init(&a->timer, f->loop, free_cb);
	timer_arm(&a->timer, 1);
	timer_arm(&a->timer, 2);
	run_until(f, 1);
	run_for(f, 2);
	assert_string_equal(f->order, "a");
}

/* Two timers that expire in one turn of the loop, each of which stops or moves the other. */
struct pair {
	struct fixture *f;
	struct timer first, second;
	int n_first, n_second;
	bool shall_rearm;
};

static void act_on(struct pair *p, struct timer *other)
{
	if (p->shall_rearm)
		timer_arm(other, 3600000);
	else
		timer_disarm(other);
}

static void first_cb(struct timer *timer)
{
	struct pair *p = container_of(timer, struct pair, first);

	p->n_first++;
	act_on(p, &p->second);
}

static void second_cb(struct timer *timer)
{
	struct pair *p = container_of(timer, struct pair, second);

	p->n_second++;
	act_on(p, &p->first);
}

static void run_pair(struct fixture *f, bool shall_rearm)
{
	struct pair p = {.f = f, .shall_rearm = shall_rearm};

	timer_init(&p.first, f->loop, first_cb);
	timer_init(&p.second, f->loop, second_cb);
	timer_arm(&p.first, 1);
	timer_arm(&p.second, 1);
	/* Both are due before the loop looks at either. */
	usleep(5000);
	while (p.n_first + p.n_second == 0)
		ev_run(f->loop, EVRUN_NOWAIT);
	run_for(f, 3);
	assert_int_equal(p.n_first + p.n_second, 1);
	assert_int_equal(timer_is_armed(&p.first) + timer_is_armed(&p.second), shall_rearm);
	timer_disarm(&p.first);
	timer_disarm(&p.second);
}

static void disarm__in_the_turn_in_which_it_is_due(void **state)
{
	run_pair(*state, false);
}

static void arm__in_the_turn_in_which_it_is_due(void **state)
{
	run_pair(*state, true);
}

static void arm__later_does_not_touch_the_heap(void **state)
{
	struct fixture *f = *state;
	struct lettered a = lettered(f, 'a');
	ev_timer before;

	timer_init(&a.timer, f->loop, note_cb);
	timer_arm(&a.timer, 1000);
	before = a.timer.watcher;
	for (uint64_t i = 0; i < 1000; i++)
		timer_arm(&a.timer, 1000 + i);
	assert_memory_equal(&a.timer.watcher, &before, sizeof(before));
	timer_arm(&a.timer, 999);
	assert_memory_not_equal(&a.timer.watcher, &before, sizeof(before));
	timer_disarm(&a.timer);
}

static void arm__takes_any_delay(void **state)
{
	struct fixture *f = *state;
	struct lettered far = lettered(f, 'f'), near = lettered(f, 'n');

	timer_init(&far.timer, f->loop, note_cb);
	timer_init(&near.timer, f->loop, note_cb);
	timer_arm(&far.timer, UINT64_MAX);
	timer_arm(&near.timer, UINT64_MAX);
	timer_arm(&near.timer, 0);
	run_for(f, 3);
	assert_string_equal(f->order, "n");
	assert_true(timer_is_armed(&far.timer));
	timer_disarm(&far.timer);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(init__is_not_armed),
	    TEST(arm__fires_once),
	    TEST(arm__fires_in_the_order_of_the_deadlines),
	    TEST(arm__again_moves_the_deadline_later),
	    TEST(arm__renewed_for_long_fires_only_when_renewals_end),
	    TEST(arm__again_moves_the_deadline_earlier),
	    TEST(arm__last_deadline_counts_after_several_moves),
	    TEST(disarm__never_fires),
	    TEST(fn__may_rearm),
	    TEST(fn__may_free_the_owner),
	    TEST(disarm__in_the_turn_in_which_it_is_due),
	    TEST(arm__in_the_turn_in_which_it_is_due),
	    TEST(arm__later_does_not_touch_the_heap),
	    TEST(arm__takes_any_delay),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
