/* SPDX-License-Identifier: Apache-2.0 */
#include "core/worker.h"

#include "core/drain.h"

#include "lib/worker_fixture.h"

#define CONFIG "limits { close_timeout = 10m }\n" LISTENER "route r { echo = true }\n"

static struct drain_plan at_once = {.refs = 1, .filter = {.path = -1}, .error = EGW_SHUTDOWN};

static void nothing(struct worker *w, void *arg)
{
}

static void note_stop(struct worker *w, void *arg)
{
	*(bool *)arg = true;
}

static void fill_mailbox(struct worker *w)
{
	while (worker_call(w, nothing, NULL) == 0)
		;
}

static void stop__needs_no_room_in_the_mailbox(void **state)
{
	struct worker_fixture f;
	bool has_stopped = false;

	worker_fixture_init(&f, CONFIG);
	fill_mailbox(f.worker);
	worker_stop(f.worker, &at_once, note_stop, &has_stopped);
	assert_int_equal(worker_start(f.worker), 0);
	worker_join(f.worker); /* or never */
	assert_true(has_stopped);
	while (worker_run_mail(f.worker) > 0)
		;
	worker_fixture_done(&f);
}

static void kill__ends_what_a_stop_waits_for(void **state)
{
	struct worker_fixture f;
	struct connection *c;
	bool has_stopped = false;
	int fd;

	worker_fixture_init(&f, CONFIG);
	fd = worker_fixture_client(&f, &c);
	assert_true(send(fd, WORKER_FIXTURE_UPGRADE, sizeof(WORKER_FIXTURE_UPGRADE) - 1, 0) > 0);
	worker_fixture_turn(&f);
	assert_int_equal(c->state, CONNECTION_OPEN);
	worker_stop(f.worker, &at_once, note_stop, &has_stopped);
	worker_fixture_turn(&f);
	assert_int_equal(c->state, CONNECTION_CLOSING); /* and so for close_timeout */
	fill_mailbox(f.worker);
	worker_kill(f.worker);
	assert_int_equal(worker_start(f.worker), 0);
	worker_join(f.worker);
	assert_true(has_stopped);
	assert_int_equal(f.worker->by_id.n_nodes, 0);
	while (worker_run_mail(f.worker) > 0)
		;
	worker_fixture_done(&f);
	close(fd);
}

static void count_call(struct worker *w, void *arg)
{
	++*(unsigned int *)arg;
}

/* A turn takes its mail, but does not do all that is asked: the next turn's sockets come first. */
static void call__is_ordinary_work(void **state)
{
	struct worker_fixture f;
	unsigned int n_run = 0;

	worker_fixture_init(&f, CONFIG);
	f.worker->work.budget_items = 3;
	f.worker->work.budget_ns = UINT64_MAX;
	for (int i = 0; i < 10; i++)
		assert_int_equal(worker_call(f.worker, count_call, &n_run), 0);
	ev_run(f.worker->loop, EVRUN_NOWAIT); /* the mail */
	assert_int_equal(n_run, 0);
	assert_int_equal(work_queue_depth(&f.worker->work, WORKER_QUEUE_API), 10);
	ev_run(f.worker->loop, EVRUN_NOWAIT);
	assert_int_equal(n_run, 3);
	assert_int_equal(work_queue_depth(&f.worker->work, WORKER_QUEUE_API), 7);
	worker_fixture_turn(&f);
	assert_int_equal(n_run, 10);
	worker_fixture_done(&f);
}

static void run_mail__leaves_no_call_behind(void **state)
{
	struct worker_fixture f;
	unsigned int n_run = 0;

	worker_fixture_init(&f, CONFIG);
	f.worker->work.budget_items = 1;
	for (int i = 0; i < 10; i++)
		assert_int_equal(worker_call(f.worker, count_call, &n_run), 0);
	assert_true(worker_run_mail(f.worker) > 0);
	assert_int_equal(n_run, 10);
	assert_int_equal(worker_run_mail(f.worker), 0);
	worker_fixture_done(&f);
}

static void turn__is_counted_as_lag(void **state)
{
	struct worker_fixture f;

	worker_fixture_init(&f, CONFIG);
	for (int i = 0; i < 5; i++)
		ev_run(f.worker->loop, EVRUN_NOWAIT);
	assert_int_equal(loop_lag_count(&f.worker->stats->lag), 5);
	worker_fixture_done(&f);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
	    cmocka_unit_test(stop__needs_no_room_in_the_mailbox),
	    cmocka_unit_test(kill__ends_what_a_stop_waits_for),
	    cmocka_unit_test(call__is_ordinary_work),
	    cmocka_unit_test(run_mail__leaves_no_call_behind),
	    cmocka_unit_test(turn__is_counted_as_lag),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
