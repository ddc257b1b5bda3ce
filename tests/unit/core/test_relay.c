/* SPDX-License-Identifier: Apache-2.0 */
#include "core/relay.h"

#include "core/config_class.h"
#include "core/leg_class.h"
#include "lib/worker_fixture.h"

#define BURST 5
#define TEXT                                                              \
	LISTENER CLUSTER "class c { rate_frames = 1 burst_frames = 5 }\n" \
			 "route r { proxy = c class = c }\n"

/* A connection on the relay between two ends of the test's. */
struct given {
	struct worker_fixture f;
	struct connection *c;
	int client_fd, endpoint_fd;
};

static int pair_with(struct leg *leg)
{
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
	leg_open(leg, fds[0]);
	return fds[1];
}

static void given_init(struct given *g)
{
	static const struct sockaddr nameless = {.sa_family = AF_UNIX};
	int fds[2];

	worker_fixture_init(&g->f, TEXT);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
	g->client_fd = fds[1];
	assert_int_equal(connection_new(g->f.worker, &g->f.config->listeners[0], fds[0], &nameless,
					&g->c),
			 0);
	g->endpoint_fd = pair_with(&g->c->endpoint_leg);
	g->c->route = &g->f.config->routes[0];
	connection_set_class(g->c, g->c->route->class, NULL);
	connection_set_state(g->c, CONNECTION_HANDSHAKE);
	relay_begin(g->c, 0, (struct slice){0}, (struct slice){0});
}

static void given_done(struct given *g)
{
	connection_end(g->c, EEND_EOF);
	close(g->client_fd);
	close(g->endpoint_fd);
	worker_fixture_done(&g->f);
}

/* What the client says in one packet, and the endpoint hears. */
static void say(struct given *g, const char *bytes)
{
	char heard[16];

	assert_true(send(g->client_fd, bytes, strlen(bytes), 0) > 0);
	ev_run(g->f.worker->loop, EVRUN_NOWAIT);
	assert_int_equal(recv(g->endpoint_fd, heard, sizeof(heard), 0), strlen(bytes));
	assert_memory_equal(heard, bytes, strlen(bytes));
}

/* Where frames cannot be told apart, a read counts as one: the rate holds at least for those. */
static void unwalked__pays_a_frame_for_each_read(void **state)
{
	struct given g;

	given_init(&g);
	g.c->client.is_unwalked = true;
	for (int i = 0; i < BURST; i++) {
		assert_false(g.c->client.is_paused);
		say(&g, "no header");
	}
	/* Of what has come back meanwhile a slow machine needs one more. */
	for (int i = 0; i < BURST && !g.c->client.is_paused; i++)
		say(&g, "no header");
	assert_true(g.c->client.is_paused);
	assert_int_equal(g.c->frames_in, 0);
	given_done(&g);
}

static void walked__pays_for_whole_frames_only(void **state)
{
	struct given g;

	given_init(&g);
	say(&g, "\x82\xfe\x01\x01mask"); /* 257 bytes will follow */
	for (int i = 0; i < 4 * BURST; i++) {
		say(&g, "payload");
		assert_false(g.c->client.is_paused);
	}
	assert_int_equal(g.c->frames_in, 1);
	given_done(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(unwalked__pays_a_frame_for_each_read),
	    cmocka_unit_test(walked__pays_for_whole_frames_only),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
