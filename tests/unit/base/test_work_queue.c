/* SPDX-License-Identifier: Apache-2.0 */
/* A real loop, a clock of our own: an item "takes" as long as its test says. */
#include "base/work_queue.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define MANY 10000

static uint64_t now_ns;

static uint64_t fake_clock(void)
{
	return now_ns;
}

struct fixture {
	struct ev_loop *loop;
	struct work_queues work;
	ev_prepare before_wait;
	char order[64]; /* letters of the items in the order in which they ran */
	size_t n_run;   /* items, in all turns */
};

struct lettered {
	struct work_item item;
	struct fixture *f;
	char letter;
	unsigned int n_more;      /* times that it has more to do */
	uint64_t takes_ns;        /* for one run */
	struct work_item *cancel; /* what it cancels when it runs */
};

static bool note(struct work_item *item)
{
	struct lettered *l = container_of(item, struct lettered, item);

	if (l->f->n_run < sizeof(l->f->order) - 1)
		l->f->order[l->f->n_run] = l->letter;
	l->f->n_run++;
	now_ns += l->takes_ns;
	if (l->cancel)
		work_item_cancel(&l->f->work, l->cancel);
	return l->n_more > 0 && l->n_more--;
}

static struct lettered *add(struct fixture *f, unsigned int queue, struct lettered *l, char letter)
{
	l->f = f;
	l->letter = letter;
	work_item_init(&l->item, note);
	work_item_add(&f->work, queue, &l->item);
	return l;
}

static void before_wait_cb(struct ev_loop *loop, ev_prepare *prepare, int revents)
{
	struct fixture *f = container_of(prepare, struct fixture, before_wait);

	(void)work_queues_run(&f->work, now_ns);
}

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	if (!f)
		return -1;
	f->loop = ev_loop_new(EVFLAG_NOENV);
	if (!f->loop)
		return -1;
	work_queues_init(&f->work, f->loop, 3, 10, 1000);
	f->work.clock = fake_clock;
	ev_prepare_init(&f->before_wait, before_wait_cb);
	ev_prepare_start(f->loop, &f->before_wait);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	work_queues_done(&f->work);
	ev_loop_destroy(f->loop);
	free(f);
	return 0;
}

static void run__keeps_the_order_of_a_queue(void **state)
{
	struct fixture *f = *state;
	struct lettered a = {0}, b = {0}, c = {0};

	add(f, 1, &a, 'a');
	add(f, 1, &b, 'b');
	add(f, 1, &c, 'c');
	assert_int_equal(work_queue_depth(&f->work, 1), 3);
	work_queues_run(&f->work, now_ns);
	assert_string_equal(f->order, "abc");
	assert_int_equal(work_queue_depth(&f->work, 1), 0);
}

static void run__puts_what_has_more_to_do_at_the_end(void **state)
{
	struct fixture *f = *state;
	struct lettered a = {.n_more = 2}, b = {0}, c = {.n_more = 1};

	add(f, 0, &a, 'a');
	add(f, 0, &b, 'b');
	add(f, 0, &c, 'c');
	work_queues_run(&f->work, now_ns);
	assert_string_equal(f->order, "abcaca");
}

static void run__lets_queues_take_turns(void **state)
{
	static struct lettered many[MANY];
	struct fixture *f = *state;
	struct lettered x = {0}, y = {0};

	memset(many, 0, sizeof(many));
	for (size_t i = 0; i < MANY; i++)
		add(f, 0, &many[i], 'm');
	add(f, 1, &x, 'x');
	add(f, 2, &y, 'y');
	work_queues_run(&f->work, now_ns);
	assert_string_equal(f->order, "mxymmmmmmm");
	assert_int_equal(work_queue_depth(&f->work, 0), MANY - 8);
	for (size_t i = 0; i < MANY; i++)
		work_item_cancel(&f->work, &many[i].item);
	assert_int_equal(f->work.n_items, 0);
}

/* Also when a budget ended between them: the next turn goes on where this one stopped. */
static void run__goes_on_with_the_next_queue(void **state)
{
	struct fixture *f = *state;
	struct lettered a = {.n_more = 3}, b = {.n_more = 3}, c = {.n_more = 3};

	f->work.budget_items = 2;
	add(f, 0, &a, 'a');
	add(f, 1, &b, 'b');
	add(f, 2, &c, 'c');
	for (int i = 0; i < 6; i++)
		work_queues_run(&f->work, now_ns);
	assert_string_equal(f->order, "abcabcabcabc");
}

static void run__stops_at_the_budget_of_items(void **state)
{
	struct fixture *f = *state;
	struct lettered a = {.n_more = 1000};

	add(f, 0, &a, 'a');
	work_queues_run(&f->work, now_ns);
	assert_int_equal(f->n_run, 10);
	work_queues_run(&f->work, now_ns);
	assert_int_equal(f->n_run, 20);
	work_item_cancel(&f->work, &a.item);
}

static void run__stops_at_the_budget_of_time(void **state)
{
	struct fixture *f = *state;
	struct lettered a = {.n_more = 1000, .takes_ns = 400};
	uint64_t begun_ns = now_ns;

	add(f, 0, &a, 'a');
	/* 400, 800, 1200: the third began within the 1000. */
	assert_int_equal(work_queues_run(&f->work, now_ns), begun_ns + 1200);
	assert_int_equal(f->n_run, 3);
	/* One item is always run, or a slow one would never be. */
	a.takes_ns = 5000;
	work_queues_run(&f->work, now_ns);
	assert_int_equal(f->n_run, 4);
	work_item_cancel(&f->work, &a.item);
}

static void run__without_work_reads_no_clock(void **state)
{
	struct fixture *f = *state;

	f->work.clock = NULL;
	assert_int_equal(work_queues_run(&f->work, 77), 77);
}

static void add__twice_is_once(void **state)
{
	struct fixture *f = *state;
	struct lettered a = {0};

	add(f, 0, &a, 'a');
	work_item_add(&f->work, 1, &a.item);
	assert_int_equal(work_queue_depth(&f->work, 0), 1);
	assert_int_equal(work_queue_depth(&f->work, 1), 0);
	work_queues_run(&f->work, now_ns);
	assert_string_equal(f->order, "a");
}

static void cancel__of_one_that_waits(void **state)
{
	struct fixture *f = *state;
	struct lettered a = {0}, b = {0}, c = {0};

	add(f, 0, &a, 'a');
	add(f, 0, &b, 'b');
	add(f, 0, &c, 'c');
	work_item_cancel(&f->work, &b.item);
	work_item_cancel(&f->work, &b.item);
	assert_false(work_item_is_queued(&b.item));
	work_queues_run(&f->work, now_ns);
	assert_string_equal(f->order, "ac");
}

static void cancel__of_another_from_within(void **state)
{
	struct fixture *f = *state;
	struct lettered a = {0}, b = {0}, c = {0};

	add(f, 0, &a, 'a')->cancel = &b.item;
	add(f, 0, &b, 'b');
	add(f, 0, &c, 'c');
	work_queues_run(&f->work, now_ns);
	assert_string_equal(f->order, "ac");
}

static void cancel__of_itself_outweighs_more_to_do(void **state)
{
	struct fixture *f = *state;
	struct lettered a = {.n_more = 5};

	add(f, 0, &a, 'a')->cancel = &a.item;
	work_queues_run(&f->work, now_ns);
	assert_string_equal(f->order, "a");
	assert_false(work_item_is_queued(&a.item));
	assert_int_equal(f->work.n_items, 0);
}

static bool free_itself(struct work_item *item)
{
	free(container_of(item, struct lettered, item));
	return false;
}

static void run__does_not_touch_what_is_done(void **state)
{
	struct fixture *f = *state;
	struct lettered *l = calloc(1, sizeof(*l));

	assert_non_null(l);
	work_item_init(&l->item, free_itself);
	work_item_add(&f->work, 0, &l->item);
	work_queues_run(&f->work, now_ns); /* the sanitizer watches */
	assert_int_equal(f->work.n_items, 0);
}

struct ping {
	ev_io io;
	int in, out;
	size_t n_pongs, max_run_between, last_run;
	struct fixture *f;
};

/* A socket that always has something again, as under load. */
static void ping_cb(struct ev_loop *loop, ev_io *io, int revents)
{
	struct ping *p = container_of(io, struct ping, io);
	size_t n_run = p->f->n_run - p->last_run;
	char byte;

	assert_int_equal(read(p->in, &byte, 1), 1);
	assert_int_equal(write(p->out, &byte, 1), 1);
	p->n_pongs++;
	p->max_run_between = MAX(p->max_run_between, n_run);
	p->last_run = p->f->n_run;
}

static void loop__serves_sockets_between_ten_thousand_items(void **state)
{
	static struct lettered many[MANY];
	struct fixture *f = *state;
	struct ping p = {.f = f};
	int fds[2];

	assert_int_equal(pipe(fds), 0);
	assert_int_equal(write(fds[1], "x", 1), 1);
	p.in = fds[0];
	p.out = fds[1];
	ev_io_init(&p.io, ping_cb, fds[0], EV_READ);
	ev_io_start(f->loop, &p.io);
	memset(many, 0, sizeof(many));
	for (size_t i = 0; i < MANY; i++)
		add(f, i % 3, &many[i], 'm');
	while (f->work.n_items > 0)
		ev_run(f->loop, EVRUN_ONCE);
	/* Neither waits for the other: every turn has its event, and its ten items. */
	assert_int_equal(f->n_run, MANY);
	assert_int_equal(p.n_pongs, MANY / 10);
	assert_int_equal(p.max_run_between, 10);
	ev_io_stop(f->loop, &p.io);
	close(fds[0]);
	close(fds[1]);
}

static void count_cb(struct ev_loop *loop, ev_timer *timer, int revents)
{
	(*(unsigned int *)timer->data)++;
	ev_break(loop, EVBREAK_ALL);
}

static void turns_cb(struct ev_loop *loop, ev_check *check, int revents)
{
	(*(unsigned int *)check->data)++;
}

/* With work the loop does not wait; without, it waits for its next event alone. */
static void loop__sleeps_only_without_work(void **state)
{
	struct fixture *f = *state;
	struct lettered a = {.n_more = 49};
	unsigned int n_fired = 0, n_turns = 0;
	ev_timer timer;
	ev_check check;

	ev_timer_init(&timer, count_cb, 0.2, 0);
	timer.data = &n_fired;
	ev_timer_start(f->loop, &timer);
	ev_check_init(&check, turns_cb);
	check.data = &n_turns;
	ev_check_start(f->loop, &check);
	add(f, 0, &a, 'a');
	assert_true(ev_is_active(&f->work.keep_turning));
	ev_run(f->loop, 0);
	assert_int_equal(f->n_run, 50);
	assert_int_equal(n_fired, 1);
	assert_false(ev_is_active(&f->work.keep_turning));
	/* 50 items are 5 turns; the last one, or a few, slept until the timer. */
	assert_in_range(n_turns, 5, 10);
	ev_check_stop(f->loop, &check);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)
	static const struct CMUnitTest tests[] = {
	    TEST(run__keeps_the_order_of_a_queue),
	    TEST(run__puts_what_has_more_to_do_at_the_end),
	    TEST(run__lets_queues_take_turns),
	    TEST(run__goes_on_with_the_next_queue),
	    TEST(run__stops_at_the_budget_of_items),
	    TEST(run__stops_at_the_budget_of_time),
	    TEST(run__without_work_reads_no_clock),
	    TEST(add__twice_is_once),
	    TEST(cancel__of_one_that_waits),
	    TEST(cancel__of_another_from_within),
	    TEST(cancel__of_itself_outweighs_more_to_do),
	    TEST(run__does_not_touch_what_is_done),
	    TEST(loop__serves_sockets_between_ten_thousand_items),
	    TEST(loop__sleeps_only_without_work),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
