/* SPDX-License-Identifier: Apache-2.0 */
#include "core/connection.h"

#include "lib/worker_fixture.h"

#define RESPONSE_BYTES 60000

static const char response[RESPONSE_BYTES];

static void respond(struct connection *c, const struct handshake_request *request)
{
	connection_respond(c, 200, (struct slice){response, sizeof(response)}, EEND_RESPONSE);
}

static void init(struct worker_fixture *f)
{
	worker_fixture_init(f, "limits { close_timeout = 10m }\n" LISTENER
			       "route r { respond { status = 200 } }\n");
	f->worker->on_request = respond;
}

/* Return: bytes up to the end of the stream; the loop turns while there are none. */
static size_t read_to_end(struct worker_fixture *f, int fd)
{
	size_t total = 0;
	char buf[4096];
	ssize_t n;

	while ((n = recv(fd, buf, sizeof(buf), 0)) != 0) {
		if (n > 0) {
			total += (size_t)n;
			continue;
		}
		assert_int_equal(errno, EAGAIN);
		ev_run(f->worker->loop, EVRUN_NOWAIT);
	}
	return total;
}

static void linger__delivers_to_a_client_that_has_said_its_last_word(void **state)
{
	static const char request[] = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
	struct worker_fixture f;
	struct connection *c;
	int fd;

	init(&f);
	fd = worker_fixture_client(&f, &c);
	assert_int_equal(send(fd, request, sizeof(request) - 1, 0), sizeof(request) - 1);
	worker_fixture_turn(&f);
	assert_int_equal(c->state, CONNECTION_CLOSING);
	assert_true(leg_has_output(&c->client)); /* or this tests nothing */
	shutdown(fd, SHUT_WR);
	worker_fixture_turn(&f);
	assert_int_equal(read_to_end(&f, fd), RESPONSE_BYTES);
	worker_fixture_done(&f);
	close(fd);
}

static void linger__ends_when_the_client_is_gone(void **state)
{
	static const char request[] = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
	struct worker_fixture f;
	struct connection *c;
	int fd;

	init(&f);
	fd = worker_fixture_client(&f, &c);
	assert_int_equal(send(fd, request, sizeof(request) - 1, 0), sizeof(request) - 1);
	worker_fixture_turn(&f);
	close(fd);
	worker_fixture_done(&f);
}

/* What the queue cannot take is a hole: nothing may be sent behind it. */
static void leg_send__is_write_dead_after_a_loss(void **state)
{
	static const char data[LEG_OUT_MAX + 1];
	struct worker_fixture f;
	struct connection *c;
	char buf[4096];
	int fd;

	init(&f);
	fd = worker_fixture_client(&f, &c);
	assert_int_equal(leg_send(&c->client, data, RESPONSE_BYTES), 0);
	assert_true(leg_has_output(&c->client));
	assert_int_equal(leg_send(&c->client, data, sizeof(data)), -ENOBUFS);
	assert_true(c->client.is_write_dead);
	while (recv(fd, buf, sizeof(buf), 0) > 0)
		;
	assert_int_equal(leg_send(&c->client, "x", 1), 0);
	assert_int_equal(recv(fd, buf, sizeof(buf), 0), -1);
	connection_end(c, EGW_MEMORY);
	worker_fixture_done(&f);
	close(fd);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
	    cmocka_unit_test(linger__delivers_to_a_client_that_has_said_its_last_word),
	    cmocka_unit_test(linger__ends_when_the_client_is_gone),
	    cmocka_unit_test(leg_send__is_write_dead_after_a_loss),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
