/* SPDX-License-Identifier: Apache-2.0 */
#include "route/echo.h"

#include "lib/worker_fixture.h"
#include "proto/ws_frame.h"

#define CONFIG                                         \
	"limits { close_timeout = 1500ms }\n" LISTENER \
	"route r { echo = true  tunnel_timeout = 0 }\n"

static size_t put_frame(uint8_t *buf, uint8_t opcode, size_t payload_len)
{
	struct ws_frame_header header = {.fin = true,
					 .masked = true,
					 .opcode = opcode,
					 .payload_len = payload_len};
	size_t len = ws_frame_header_encode(&header, buf);

	memset(buf + len, 0, payload_len); /* the mask is zero, too */
	return len + payload_len;
}

/* Sends messages enough to be waiting for the client to read, with @last behind them. */
static int send_much(struct worker_fixture *f, struct connection **ret_c, uint8_t last)
{
	static uint8_t data[LEG_READ_MAX];
	int fd = worker_fixture_client(f, ret_c);
	size_t len = 0;

	memcpy(data, WORKER_FIXTURE_UPGRADE, sizeof(WORKER_FIXTURE_UPGRADE) - 1);
	len += sizeof(WORKER_FIXTURE_UPGRADE) - 1;
	for (int i = 0; i < 30; i++)
		len += put_frame(data + len, WS_OP_BINARY, 1000);
	len += put_frame(data + len, last, 0);
	assert_int_equal(send(fd, data, len, 0), len);
	worker_fixture_turn(f);
	assert_true(leg_has_output(&(*ret_c)->client)); /* or this tests nothing */
	return fd;
}

/* Without traffic, and without tunnel_timeout, it would be here for ever. */
static void closing__is_limited_for_a_client_that_does_not_read(void **state)
{
	static const uint8_t last[] = {WS_OP_CLOSE, 3 /* reserved: breaks the rules */};

	for (size_t i = 0; i < ARRAY_SIZE(last); i++) {
		struct worker_fixture f;
		struct connection *c;
		int fd;

		worker_fixture_init(&f, CONFIG);
		fd = send_much(&f, &c, last[i]);
		assert_int_equal(c->state, CONNECTION_CLOSING);
		assert_true(timer_is_armed(&c->timer));
		worker_fixture_run(&f);
		worker_fixture_done(&f);
		close(fd);
	}
}

static void open__is_not_limited_for_a_client_that_is_slow(void **state)
{
	struct worker_fixture f;
	struct connection *c;
	int fd;

	worker_fixture_init(&f, CONFIG);
	fd = send_much(&f, &c, WS_OP_PING);
	assert_int_equal(c->state, CONNECTION_OPEN);
	assert_false(timer_is_armed(&c->timer));
	close(fd);
	worker_fixture_done(&f);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
	    cmocka_unit_test(closing__is_limited_for_a_client_that_does_not_read),
	    cmocka_unit_test(open__is_not_limited_for_a_client_that_is_slow),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
