/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mailbox.h"

#include "base/random.h"

#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>

#include <cmocka.h>

/* Far longer than anything here takes: who waits this long waits for a wakeup that was lost. */
#define LOST_AFTER_MS 30000

/* ---- one thread -------------------------------------------------------------------------------
 */

static uint64_t taken[64];
static size_t n_taken;

static void note_arg(const struct mail *mail)
{
	assert_true(n_taken < ARRAY_SIZE(taken));
	assert_null(mail->ptr);
	taken[n_taken++] = mail->arg;
}

static int post_number(struct mailbox *box, uint64_t arg)
{
	return mailbox_post(box, &(struct mail){.fn = note_arg, .arg = arg});
}

static bool is_readable(const struct mailbox *box)
{
	struct pollfd p = {.fd = mailbox_fd(box), .events = POLLIN};

	assert_true(poll(&p, 1, 0) >= 0);
	return p.revents & POLLIN;
}

/* Writes to the eventfd that nobody has read. */
static uint64_t n_wakeups(const struct mailbox *box)
{
	uint64_t n = 0;

	return read(mailbox_fd(box), &n, sizeof(n)) == sizeof(n) ? n : 0;
}

static int set_up(void **state)
{
	struct mailbox *box;

	n_taken = 0;
	assert_int_equal(mailbox_new(8, &box), 0);
	*state = box;
	return 0;
}

static int tear_down(void **state)
{
	mailbox_free(*state);
	return 0;
}

static void new__rounds_the_capacity_up(void **state)
{
	static const size_t capacities[][2] = {{1, 2}, {2, 2}, {3, 4}, {4, 4}, {1000, 1024}};

	for (size_t i = 0; i < ARRAY_SIZE(capacities); i++) {
		_cleanup_(cleanup_mailbox_free) struct mailbox *box = NULL;
		size_t n = 0;

		assert_int_equal(mailbox_new(capacities[i][0], &box), 0);
		while (post_number(box, n) == 0)
			n++;
		assert_int_equal(n, capacities[i][1]);
	}
}

static void new__refuses_other_capacities(void **state)
{
	struct mailbox *box = NULL;

	assert_int_equal(mailbox_new(0, &box), -EINVAL);
	assert_int_equal(mailbox_new((1 << 20) + 1, &box), -EINVAL);
	assert_int_equal(mailbox_new(SIZE_MAX, &box), -EINVAL);
	assert_null(box);
	assert_int_equal(mailbox_new(1 << 20, &box), 0);
	mailbox_free(box);
	mailbox_free(NULL);
}

static void run__takes_mails_in_order(void **state)
{
	struct mailbox *box = *state;

	for (uint64_t i = 0; i < 5; i++)
		assert_int_equal(post_number(box, 100 + i), 0);
	assert_int_equal(mailbox_run(box, 64), 5);
	assert_int_equal(n_taken, 5);
	for (uint64_t i = 0; i < 5; i++)
		assert_int_equal(taken[i], 100 + i);
	assert_int_equal(mailbox_run(box, 64), 0);
}

static void post__refuses_when_full_and_takes_again_after_a_run(void **state)
{
	struct mailbox *box = *state;

	/* Many laps, at every offset. */
	for (uint64_t lap = 0; lap < 100; lap++) {
		size_t n = lap % 8 + 1;

		for (uint64_t i = 0; i < 8; i++)
			assert_int_equal(post_number(box, i), 0);
		assert_int_equal(post_number(box, 99), -EAGAIN);
		assert_int_equal(mailbox_run(box, n), n);
		for (size_t i = 0; i < n; i++)
			assert_int_equal(post_number(box, 50 + i), 0);
		assert_int_equal(post_number(box, 99), -EAGAIN);
		assert_int_equal(mailbox_run(box, 64), 8);
		assert_int_equal(n_taken, n + 8);
		for (size_t i = 0; i < n_taken; i++)
			assert_int_equal(taken[i], i < 8 ? i : 50 + i - 8);
		n_taken = 0;
	}
}

static void fd__is_readable_while_there_is_mail(void **state)
{
	struct mailbox *box = *state;

	assert_false(is_readable(box));
	for (int round = 0; round < 3; round++) {
		n_taken = 0;
		assert_int_equal(post_number(box, 1), 0);
		assert_true(is_readable(box));
		assert_int_equal(post_number(box, 2), 0);
		assert_true(is_readable(box));
		assert_int_equal(mailbox_run(box, 64), 2);
		assert_false(is_readable(box));
	}
}

static void post__a_batch_costs_one_wakeup(void **state)
{
	struct mailbox *box = *state;

	for (uint64_t i = 0; i < 8; i++)
		assert_int_equal(post_number(box, i), 0);
	assert_int_equal(post_number(box, 8), -EAGAIN);
	assert_int_equal(n_wakeups(box), 1);
}

static void run__a_budget_never_strands_a_mail(void **state)
{
	struct mailbox *box = *state;

	for (uint64_t i = 0; i < 5; i++)
		assert_int_equal(post_number(box, i), 0);
	assert_int_equal(mailbox_run(box, 0), 0);
	assert_true(is_readable(box));
	assert_int_equal(mailbox_run(box, 2), 2);
	assert_true(is_readable(box));
	/* Mail that comes meanwhile needs no second wakeup, but is not forgotten. */
	assert_int_equal(post_number(box, 5), 0);
	assert_int_equal(mailbox_run(box, 2), 2);
	assert_true(is_readable(box));
	/* A budget that is just enough: nothing is left, and nobody is woken for nothing. */
	assert_int_equal(mailbox_run(box, 2), 2);
	assert_false(is_readable(box));
	assert_int_equal(n_taken, 6);
	assert_int_equal(taken[5], 5);
}

static void run__without_a_wakeup_is_harmless(void **state)
{
	struct mailbox *box = *state;

	assert_int_equal(mailbox_run(box, 64), 0);
	assert_int_equal(mailbox_run(box, 0), 0);
	assert_false(is_readable(box));
	assert_int_equal(post_number(box, 1), 0);
	assert_true(is_readable(box));
	assert_int_equal(mailbox_run(box, 64), 1);
	assert_int_equal(mailbox_run(box, 64), 0);
	assert_int_equal(post_number(box, 2), 0);
	assert_true(is_readable(box));
	assert_int_equal(mailbox_run(box, 64), 1);
	assert_int_equal(n_taken, 2);
}

static void post_again(const struct mail *mail)
{
	struct mailbox *box = mail->ptr;

	n_taken++;
	if (mail->arg > 0) {
		const struct mail next = {.fn = post_again, .ptr = box, .arg = mail->arg - 1};

		assert_int_equal(mailbox_post(box, &next), 0);
	}
}

static void fn__may_post_to_its_own_box(void **state)
{
	struct mailbox *box = *state;
	const struct mail mail = {.fn = post_again, .ptr = box, .arg = 9};

	assert_int_equal(mailbox_post(box, &mail), 0);
	assert_int_equal(mailbox_run(box, 3), 3);
	assert_true(is_readable(box));
	assert_int_equal(mailbox_run(box, 64), 7);
	assert_false(is_readable(box));
	assert_int_equal(n_taken, 10);
}

/* ---- many threads -----------------------------------------------------------------------------
 */

struct stress {
	struct mailbox *box;
	uint64_t n_mails;       /* of each producer */
	bool awaits_each;       /* a producer posts the next mail only when the last was taken */
	_Atomic bool may_start; /* the consumer: somebody was refused, or nobody will be */
	_Atomic uint64_t n_refused;
};

struct producer {
	struct stress *stress;
	pthread_t thread;
	/* Not atomic: what was written before a post must be there for the consumer. */
	uint64_t *payload;
	uint64_t n_taken;                /* consumer only */
	_Atomic uint64_t n_acknowledged; /* by the consumer */
};

static uint64_t payload_of(uint64_t i)
{
	return i * 0x9e3779b97f4a7c15;
}

static void take_one(const struct mail *mail)
{
	struct producer *p = mail->ptr;

	/* In order, none lost, none twice. */
	assert_true(mail->arg == p->n_taken);
	assert_true(p->payload[mail->arg] == payload_of(mail->arg));
	p->payload[mail->arg] = 0;
	p->n_taken++;
	atomic_store_explicit(&p->n_acknowledged, p->n_taken, memory_order_relaxed);
}

static void post_until_taken(struct stress *s, const struct mail *mail)
{
	while (mailbox_post(s->box, mail) < 0) {
		atomic_fetch_add(&s->n_refused, 1);
		atomic_store(&s->may_start, true);
		sched_yield();
	}
}

static void *produce(void *arg)
{
	struct producer *p = arg;
	struct stress *s = p->stress;

	for (uint64_t i = 0; i < s->n_mails; i++) {
		p->payload[i] = payload_of(i);
		post_until_taken(s, &(struct mail){.fn = take_one, .ptr = p, .arg = i});
		while (s->awaits_each &&
		       atomic_load_explicit(&p->n_acknowledged, memory_order_relaxed) <= i)
			sched_yield();
	}
	return NULL;
}

/* Sleeps in poll(2) like an event loop, and takes with budgets of all sizes. */
static void consume(struct stress *s, uint64_t n_total)
{
	struct pollfd p = {.fd = mailbox_fd(s->box), .events = POLLIN};
	struct random_fast random;
	uint64_t n = 0;

	random_fast_seed(&random, 1);
	while (!atomic_load(&s->may_start))
		sched_yield();
	while (n < n_total) {
		int n_ready = poll(&p, 1, LOST_AFTER_MS);

		if (n_ready < 0 && errno == EINTR)
			continue;
		if (n_ready != 1)
			fail_msg("a wakeup was lost: %llu of %llu mails taken",
				 (unsigned long long)n, (unsigned long long)n_total);
		n += mailbox_run(s->box, random_fast_below(&random, 9));
	}
	assert_true(n == n_total);
}

#define PRODUCERS_MAX 8

static void run_stress(struct stress *s, size_t n_producers, size_t capacity)
{
	struct producer producers[PRODUCERS_MAX] = {0};

	assert_int_equal(mailbox_new(capacity, &s->box), 0);
	for (size_t i = 0; i < n_producers; i++) {
		producers[i].stress = s;
		producers[i].payload = calloc(s->n_mails, sizeof(uint64_t));
		assert_non_null(producers[i].payload);
		assert_int_equal(pthread_create(&producers[i].thread, NULL, produce, &producers[i]),
				 0);
	}
	consume(s, n_producers * s->n_mails);
	for (size_t i = 0; i < n_producers; i++) {
		assert_int_equal(pthread_join(producers[i].thread, NULL), 0);
		assert_true(producers[i].n_taken == s->n_mails);
		free(producers[i].payload);
	}
	/* At most a wakeup that came late is left, and no mail. */
	assert_int_equal(mailbox_run(s->box, 64), 0);
	assert_false(is_readable(s->box));
	mailbox_free(s->box);
}

/* The consumer comes only when the box has been full: so there are refusals, however it is timed.
 */
static void stress__a_flood_into_small_boxes(void **state)
{
	static const size_t capacities[] = {2, 4, 64, 1024};

	for (size_t i = 0; i < ARRAY_SIZE(capacities); i++) {
		struct stress s = {.n_mails = 10000};

		run_stress(&s, 4, capacities[i]);
		assert_true(atomic_load(&s.n_refused) > 0);
	}
}

/* Every mail may find the consumer falling asleep: the race that the wakeup protocol is about. */
static void stress__producers_that_await_each_mail(void **state)
{
	for (size_t n_producers = 1; n_producers <= 3; n_producers++) {
		struct stress s = {.n_mails = 5000, .awaits_each = true, .may_start = true};

		run_stress(&s, n_producers, 64);
		assert_int_equal(atomic_load(&s.n_refused), 0);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(new__rounds_the_capacity_up),
	    cmocka_unit_test(new__refuses_other_capacities),
	    TEST(run__takes_mails_in_order),
	    TEST(post__refuses_when_full_and_takes_again_after_a_run),
	    TEST(fd__is_readable_while_there_is_mail),
	    TEST(post__a_batch_costs_one_wakeup),
	    TEST(run__a_budget_never_strands_a_mail),
	    TEST(run__without_a_wakeup_is_harmless),
	    TEST(fn__may_post_to_its_own_box),
	    cmocka_unit_test(stress__a_flood_into_small_boxes),
	    cmocka_unit_test(stress__producers_that_await_each_mail),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
