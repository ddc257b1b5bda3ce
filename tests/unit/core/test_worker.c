/* SPDX-License-Identifier: Apache-2.0 */
#include "core/worker.h"

#include "lib/worker_fixture.h"

#define CONFIG "limits { close_timeout = 10m }\n" LISTENER "route r { echo = true }\n"

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
	worker_stop(f.worker, note_stop, &has_stopped);
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
	worker_stop(f.worker, note_stop, &has_stopped);
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

int main(void)
{
	static const struct CMUnitTest tests[] = {
	    cmocka_unit_test(stop__needs_no_room_in_the_mailbox),
	    cmocka_unit_test(kill__ends_what_a_stop_waits_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
