/* SPDX-License-Identifier: Apache-2.0 */
/* Over real connections on the loopback interface. */
#include "lib/tcp_pair.h"

/* A connection: both ends are ours. */
struct pair {
	int fds[2];
};

static void set_int(int fd, int level, int option, int value)
{
	assert_int_equal(setsockopt(fd, level, option, &value, sizeof(value)), 0);
}

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

static struct tcp_capture capture(int fd)
{
	struct tcp_capture result;
	bool was_reusable;

	assert_int_equal(tcp_capture_begin(fd, &was_reusable, &result), 0);
	assert_int_equal(tcp_capture_end(fd, was_reusable), 0);
	return result;
}

/* What one end has sent is what the other has received, in numbers, too. */
static void assert_ends_agree(const char *address)
{
	struct pair pair;
	struct tcp_capture first[2], then[2];

	pair_open(&pair, address);
	for (size_t i = 0; i < 2; i++)
		first[i] = capture(pair.fds[i]);
	assert_int_equal(first[0].snd_nxt, first[1].rcv_nxt);
	assert_int_equal(first[1].snd_nxt, first[0].rcv_nxt);
	assert_int_equal(first[0].send_wscale, first[1].recv_wscale);
	assert_int_equal(first[1].send_wscale, first[0].recv_wscale);
	assert_int_equal(first[0].options, first[1].options);
	assert_true(first[0].send_mss >= 536);
	assert_true(first[0].recv_mss >= first[1].send_mss);
	assert_true(first[0].path_mtu >= first[0].send_mss + 40u);

	/* It goes on as if nothing had been. */
	send_all(&pair, 0, 1000);
	send_all(&pair, 1, 77);
	await_acks(&pair);
	for (size_t i = 0; i < 2; i++)
		then[i] = capture(pair.fds[i]);
	assert_int_equal(then[0].snd_nxt - first[0].snd_nxt, 1000);
	assert_int_equal(then[1].rcv_nxt - first[1].rcv_nxt, 1000);
	assert_int_equal(then[1].snd_nxt - first[1].snd_nxt, 77);
	assert_int_equal(then[0].rcv_nxt - first[0].rcv_nxt, 77);
	send_all(&pair, 0, 1);
	send_all(&pair, 1, 1);
	pair_close(&pair);
}

static void begin__both_ends_agree_over_ipv4(void **state)
{
	assert_ends_agree("127.0.0.1:0");
}

static void begin__both_ends_agree_over_ipv6(void **state)
{
	_cleanup_close_ int probe = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct address loopback;

	assert_int_equal(address_parse("[::1]:0", &loopback), 0);
	if (probe < 0 || bind(probe, &loopback.sa, loopback.len) < 0) {
		printf("skipped: no IPv6 loopback here: %s\n", strerror(errno));
		skip();
	}
	assert_ends_agree("[::1]:0");
}

/* One reading, compared with what the peers see on the wire: the timestamp clock is theirs. */
static void begin__timestamp_is_a_clock(void **state)
{
	struct pair pair;
	struct tcp_capture first, then;

	pair_open(&pair, "127.0.0.1:0");
	first = capture(pair.fds[0]);
	(void)poll(NULL, 0, 20);
	then = capture(pair.fds[0]);
	pair_close(&pair);
	if (!(first.options & SL_O_TIMESTAMPS)) {
		assert_int_equal(first.ts_clock, 0);
		printf("skipped: net.ipv4.tcp_timestamps is off\n");
		skip();
	}
	assert_true((int32_t)(then.ts_clock - first.ts_clock) > 0);
}

static void assert_refused(int fd, int error)
{
	struct tcp_capture result = {.rcv_nxt = 4711};
	bool was_reusable = true;

	assert_int_equal(tcp_capture_begin(fd, &was_reusable, &result), error);
	assert_int_equal(result.rcv_nxt, 4711);
	assert_true(was_reusable);
}

static void await_readable(int fd)
{
	struct pollfd wait = {.fd = fd, .events = POLLIN};

	assert_int_equal(poll(&wait, 1, -1), 1);
}

static void begin__refuses_what_was_not_read(void **state)
{
	struct pair pair;
	struct tcp_backlog backlog;
	char bytes[5];

	pair_open(&pair, "127.0.0.1:0");
	assert_int_equal(send(pair.fds[0], "frame", 5, 0), 5);
	await_readable(pair.fds[1]);
	assert_refused(pair.fds[1], -EBUSY);
	assert_int_equal(tcp_backlog_read(pair.fds[1], &backlog), 0);
	assert_int_equal(backlog.unread, 5);
	assert_false(tcp_backlog_is_empty(&backlog));
	/* Refusing has cost nothing. */
	assert_int_equal(recv(pair.fds[1], bytes, sizeof(bytes), MSG_WAITALL), 5);
	assert_memory_equal(bytes, "frame", 5);
	(void)capture(pair.fds[1]);
	pair_close(&pair);
}

/* The peer's window is shut, so some of it stays unsent, and some unacknowledged. */
static void begin__refuses_what_was_not_acknowledged(void **state)
{
	static char bytes[1 << 16];
	struct pair pair;
	struct tcp_backlog backlog;
	size_t sent = 0, received = 0;
	ssize_t n;

	pair_open(&pair, "127.0.0.1:0");
	while ((n = send(pair.fds[0], bytes, sizeof(bytes), MSG_DONTWAIT)) > 0)
		sent += (size_t)n;
	assert_refused(pair.fds[0], -EBUSY);
	assert_int_equal(tcp_backlog_read(pair.fds[0], &backlog), 0);
	assert_true(backlog.unacked > 0);
	while (received < sent) {
		n = recv(pair.fds[1], bytes, sizeof(bytes), 0);
		assert_true(n > 0);
		received += (size_t)n;
	}
	await_acks(&pair);
	(void)capture(pair.fds[0]);
	assert_int_equal(received, sent);
	pair_close(&pair);
}

static void begin__refuses_an_end(void **state)
{
	struct pair pair;
	char byte;

	pair_open(&pair, "127.0.0.1:0");
	assert_int_equal(shutdown(pair.fds[0], SHUT_WR), 0);
	assert_int_equal(recv(pair.fds[1], &byte, 1, 0), 0);
	assert_refused(pair.fds[0], -ENOTCONN);
	assert_refused(pair.fds[1], -ENOTCONN);
	/* The other half is still open. */
	send_all(&pair, 1, 3);
	pair_close(&pair);
}

static void begin__refuses_what_is_no_tcp_socket(void **state)
{
	int fds[2];
	struct tcp_capture result;
	bool was_reusable;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	assert_true(tcp_capture_begin(fds[0], &was_reusable, &result) < 0);
	close(fds[0]);
	close(fds[1]);
}

/* Leaving repair clears SO_REUSEADDR in the kernel. */
static void end__restores_reuse_of_the_address(void **state)
{
	for (int wanted = 0; wanted < 2; wanted++) {
		struct pair pair;

		pair_open(&pair, "127.0.0.1:0");
		set_int(pair.fds[0], SOL_SOCKET, SO_REUSEADDR, wanted);
		(void)capture(pair.fds[0]);
		assert_int_equal(is_reusable(pair.fds[0]), wanted);
		/* A refusal leaves it, too. */
		assert_int_equal(send(pair.fds[1], "x", 1, 0), 1);
		await_readable(pair.fds[0]);
		assert_refused(pair.fds[0], -EBUSY);
		assert_int_equal(is_reusable(pair.fds[0]), wanted);
		pair_close(&pair);
	}
}

/* The peer's kernel delays its acknowledgement, for a program that may answer; asked, it does not.
 */
static void ask__gets_an_acknowledgement(void **state)
{
	struct pair pair;
	struct tcp_backlog backlog;

	pair_open(&pair, "127.0.0.1:0");
	/* It delays only once there has been a conversation. */
	for (int i = 0; i < 20; i++) {
		send_all(&pair, 0, 10);
		send_all(&pair, 1, 10);
	}
	assert_int_equal(send(pair.fds[0], "x", 1, 0), 1);
	await_readable(pair.fds[1]);
	assert_int_equal(tcp_capture_ask(pair.fds[0]), 0);
	await_acks(&pair);
	assert_int_equal(tcp_backlog_read(pair.fds[0], &backlog), 0);
	assert_int_equal(backlog.unacked, 0);
	assert_int_equal(recv(pair.fds[1], (char[1]){0}, 1, 0), 1);
	send_all(&pair, 0, 10);
	send_all(&pair, 1, 10);
	pair_close(&pair);
}

static void ask__keeps_reuse_of_the_address(void **state)
{
	struct pair pair;

	pair_open(&pair, "127.0.0.1:0");
	set_int(pair.fds[0], SOL_SOCKET, SO_REUSEADDR, 1);
	assert_int_equal(tcp_capture_ask(pair.fds[0]), 0);
	assert_true(is_reusable(pair.fds[0]));
	assert_true(tcp_capture_ask(-1) < 0);
	pair_close(&pair);
}

/* After it the peer has seen neither FIN nor RST: only its next byte meets nobody, and so an RST.
 */
static void close__in_repair_tells_the_peer_nothing(void **state)
{
	struct pair pair;
	struct tcp_capture result;
	struct pollfd wait;
	bool was_reusable;

	pair_open(&pair, "127.0.0.1:0");
	assert_int_equal(tcp_capture_begin(pair.fds[0], &was_reusable, &result), 0);
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
	    cmocka_unit_test(begin__both_ends_agree_over_ipv4),
	    cmocka_unit_test(begin__both_ends_agree_over_ipv6),
	    cmocka_unit_test(begin__timestamp_is_a_clock),
	    cmocka_unit_test(begin__refuses_what_was_not_read),
	    cmocka_unit_test(begin__refuses_what_was_not_acknowledged),
	    cmocka_unit_test(begin__refuses_an_end),
	    cmocka_unit_test(begin__refuses_what_is_no_tcp_socket),
	    cmocka_unit_test(end__restores_reuse_of_the_address),
	    cmocka_unit_test(ask__gets_an_acknowledgement),
	    cmocka_unit_test(ask__keeps_reuse_of_the_address),
	    cmocka_unit_test(close__in_repair_tells_the_peer_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
