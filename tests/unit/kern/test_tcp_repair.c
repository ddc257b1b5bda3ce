/* SPDX-License-Identifier: Apache-2.0 */
/* Over real connections on the loopback interface. */
#include "lib/tcp_pair.h"

/* A connection: both ends are ours. */
struct pair {
	int fds[2];
};

static bool is_reusable(int fd)
{
	int value = 0;
	socklen_t len = sizeof(value);

	assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &value, &len), 0);
	return value != 0;
}

static void pair_open(struct pair *pair, const char *text)
{
	tcp_pair_open(text, pair->fds);
}

static void pair_close(struct pair *pair)
{
	close(pair->fds[0]);
	close(pair->fds[1]);
}

static void send_all(struct pair *pair, size_t from, size_t len)
{
	tcp_pair_send(pair->fds[from], pair->fds[1 - from], len);
}

static void await_acks(const struct pair *pair)
{
	for (size_t i = 0; i < 2; i++)
		tcp_pair_await_ack(pair->fds[i]);
}

static void await_readable(int fd)
{
	struct pollfd wait = {.fd = fd, .events = POLLIN};

	assert_int_equal(poll(&wait, 1, -1), 1);
}

/* It goes on as if nothing had been. */
static void leave__goes_on(void **state)
{
	struct pair pair;
	uint32_t n;

	pair_open(&pair, "127.0.0.1:0");
	for (size_t i = 0; i < 2; i++) {
		assert_int_equal(tcp_repair_enter(pair.fds[i]), 0);
		assert_int_equal(tcp_repair_leave(pair.fds[i], true), 0);
	}
	send_all(&pair, 0, 1000);
	send_all(&pair, 1, 77);
	await_acks(&pair);
	/* What comes in repair is there behind it. */
	assert_int_equal(tcp_repair_enter(pair.fds[1]), 0);
	assert_int_equal(send(pair.fds[0], "frame", 5, 0), 5);
	await_readable(pair.fds[1]);
	assert_int_equal(tcp_unread(pair.fds[1], &n), 0);
	assert_int_equal(n, 5);
	assert_int_equal(tcp_repair_leave(pair.fds[1], true), 0);
	assert_int_equal(recv(pair.fds[1], (char[5]){0}, 5, MSG_WAITALL), 5);
	pair_close(&pair);
}

static void enter__refuses_what_is_no_tcp_socket(void **state)
{
	uint32_t n;
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	assert_true(tcp_repair_enter(fds[0]) < 0);
	close(fds[0]);
	close(fds[1]);
	assert_int_equal(tcp_repair_enter(-1), -EBADF);
	assert_int_equal(tcp_unread(-1, &n), -EBADF);
	assert_int_equal(tcp_unacked(-1, &n), -EBADF);
}

/* Leaving repair clears SO_REUSEADDR in the kernel. */
static void leave__sets_reuse_of_the_address(void **state)
{
	for (int wanted = 0; wanted < 2; wanted++) {
		struct pair pair;

		pair_open(&pair, "127.0.0.1:0");
		assert_int_equal(tcp_repair_enter(pair.fds[0]), 0);
		assert_int_equal(tcp_repair_leave(pair.fds[0], wanted), 0);
		assert_int_equal(is_reusable(pair.fds[0]), wanted);
		pair_close(&pair);
	}
}

/* The peer's kernel delays its acknowledgement, for a program that may answer; asked, it does not.
 */
static void ask__gets_an_acknowledgement(void **state)
{
	struct pair pair;
	uint32_t unacked;

	pair_open(&pair, "127.0.0.1:0");
	/* It delays only once there has been a conversation. */
	for (int i = 0; i < 20; i++) {
		send_all(&pair, 0, 10);
		send_all(&pair, 1, 10);
	}
	assert_int_equal(send(pair.fds[0], "x", 1, 0), 1);
	await_readable(pair.fds[1]);
	assert_int_equal(tcp_repair_ask(pair.fds[0]), 0);
	await_acks(&pair);
	assert_int_equal(tcp_unacked(pair.fds[0], &unacked), 0);
	assert_int_equal(unacked, 0);
	assert_int_equal(recv(pair.fds[1], (char[1]){0}, 1, 0), 1);
	send_all(&pair, 0, 10);
	send_all(&pair, 1, 10);
	pair_close(&pair);
}

static void ask__keeps_reuse_of_the_address(void **state)
{
	struct pair pair;

	pair_open(&pair, "127.0.0.1:0");
	assert_int_equal(tcp_repair_ask(pair.fds[0]), 0);
	assert_true(is_reusable(pair.fds[0]));
	assert_true(tcp_repair_ask(-1) < 0);
	pair_close(&pair);
}

/* After it the peer has seen neither FIN nor RST: only its next byte meets nobody, and so an RST.
 */
static void close__in_repair_tells_the_peer_nothing(void **state)
{
	struct pair pair;
	struct pollfd wait;

	pair_open(&pair, "127.0.0.1:0");
	assert_int_equal(tcp_repair_enter(pair.fds[0]), 0);
	close(pair.fds[0]);
	wait = (struct pollfd){.fd = pair.fds[1], .events = POLLIN | POLLRDHUP};
	/* Loopback delivers before close(2) returns. */
	assert_int_equal(poll(&wait, 1, 0), 0);
	assert_int_equal(send(pair.fds[1], "x", 1, 0), 1);
	assert_int_equal(poll(&wait, 1, -1), 1);
	assert_true(wait.revents & (POLLERR | POLLHUP));
	close(pair.fds[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(leave__goes_on),
	    cmocka_unit_test(leave__sets_reuse_of_the_address),
	    cmocka_unit_test(enter__refuses_what_is_no_tcp_socket),
	    cmocka_unit_test(ask__gets_an_acknowledgement),
	    cmocka_unit_test(ask__keeps_reuse_of_the_address),
	    cmocka_unit_test(close__in_repair_tells_the_peer_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
