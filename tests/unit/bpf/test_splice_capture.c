/* SPDX-License-Identifier: Apache-2.0 */
/* sl_capture against what the sockets themselves say, over connections on the loopback interface.
 */
#include "lib/socket_capture.h"
#include "lib/tcp_pair.h"
#include "sluice/conn.h"

static uint32_t get_u32(int fd, int option)
{
	uint32_t value = 0;
	socklen_t len = sizeof(value);

	assert_int_equal(getsockopt(fd, IPPROTO_TCP, option, &value, &len), 0);
	return value;
}

static uint32_t get_sequence(int fd, int queue)
{
	assert_int_equal(setsockopt(fd, IPPROTO_TCP, TCP_REPAIR_QUEUE, &queue, sizeof(queue)), 0);
	return get_u32(fd, TCP_QUEUE_SEQ);
}

static bool has_ipv6(void)
{
	_cleanup_close_ int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct address loopback;

	assert_int_equal(address_parse("[::1]:0", &loopback), 0);
	return fd >= 0 && bind(fd, &loopback.sa, loopback.len) == 0;
}

/* ---- numbers ------------------------------------------------------------------------------- */

/* In repair getsockopt(2) tells. The clock runs, so it is asked before and after. */
static void assert_as_the_socket_says(void **state, const int fds[2])
{
	uint32_t before[2], after[2];
	struct sl_socket sockets[2];

	for (size_t i = 0; i < 2; i++) {
		assert_int_equal(tcp_repair_enter(fds[i]), 0);
		before[i] = get_u32(fds[i], TCP_TIMESTAMP);
	}
	socket_capture_fds(state, fds, sockets);
	for (size_t i = 0; i < 2; i++) {
		enum {
			SENT = 2,
			RECEIVED = 1
		}; /* TCP_SEND_QUEUE, TCP_RECV_QUEUE */

		after[i] = get_u32(fds[i], TCP_TIMESTAMP);
		assert_int_equal(sockets[i].rcv_nxt, get_sequence(fds[i], RECEIVED));
		assert_int_equal(sockets[i].snd_nxt, get_sequence(fds[i], SENT));
		assert_int_equal(tcp_repair_leave(fds[i], true), 0);
		if (!(sockets[i].options & SL_O_TIMESTAMPS)) {
			assert_int_equal(sockets[i].ts_clock, 0);
			continue;
		}
		assert_true((int32_t)(sockets[i].ts_clock - before[i]) >= 0);
		/* Of the answer of Linux 6.7 and later the lowest bit is not a part. */
		assert_true((int32_t)((after[i] | 1) - sockets[i].ts_clock) >= 0);
	}
}

static void numbers__are_those_of_the_sockets(void **state)
{
	for (int is_ipv6 = 0; is_ipv6 < 1 + has_ipv6(); is_ipv6++) {
		int fds[2];

		tcp_pair_open(is_ipv6 ? "[::1]:0" : "127.0.0.1:0", fds);
		assert_as_the_socket_says(state, fds);
		tcp_pair_send(fds[0], fds[1], 1000);
		tcp_pair_send(fds[1], fds[0], 77);
		assert_as_the_socket_says(state, fds);
		close(fds[0]);
		close(fds[1]);
	}
}

static void bytes__on_their_way_are_counted(void **state)
{
	static char bytes[1 << 16];
	size_t sent = 0, received = 0;
	struct sl_socket sockets[2];
	uint32_t unread, unacked;
	int fds[2];
	ssize_t n;

	tcp_pair_open("127.0.0.1:0", fds);
	socket_capture_fds(state, fds, sockets);
	for (size_t i = 0; i < 2; i++)
		assert_true(sockets[i].unread == 0 && sockets[i].unacked == 0);
	/* Until the window is shut. */
	while ((n = send(fds[0], bytes, sizeof(bytes), MSG_DONTWAIT)) > 0)
		sent += (size_t)n;
	socket_capture_fds(state, fds, sockets);
	assert_int_equal(tcp_unacked(fds[0], &unacked), 0);
	assert_int_equal(tcp_unread(fds[1], &unread), 0);
	assert_true(unacked > 0 && unread > 0);
	assert_int_equal(sockets[0].unacked, unacked);
	assert_int_equal(sockets[1].unread, unread);
	while (received < sent) {
		n = recv(fds[1], bytes, sizeof(bytes), 0);
		assert_true(n > 0);
		received += (size_t)n;
	}
	tcp_pair_await_ack(fds[0]);
	socket_capture_fds(state, fds, sockets);
	for (size_t i = 0; i < 2; i++)
		assert_true(sockets[i].unread == 0 && sockets[i].unacked == 0);
	close(fds[0]);
	close(fds[1]);
}

/* ---- what was agreed upon ------------------------------------------------------------------ */

static uint8_t options_of(const struct tcp_info *info)
{
	uint8_t options = 0;

	if (info->tcpi_options & TCPI_OPT_TIMESTAMPS)
		options |= SL_O_TIMESTAMPS;
	if (info->tcpi_options & TCPI_OPT_SACK)
		options |= SL_O_SACK;
	if (info->tcpi_options & TCPI_OPT_WSCALE)
		options |= SL_O_WSCALE;
	if (info->tcpi_options & TCPI_OPT_ECN)
		options |= SL_O_ECN;
	return options;
}

static void options__are_as_tcp_info_has_them(void **state)
{
	for (int is_ipv6 = 0; is_ipv6 < 1 + has_ipv6(); is_ipv6++) {
		struct sl_socket sockets[2];
		int fds[2];

		tcp_pair_open(is_ipv6 ? "[::1]:0" : "127.0.0.1:0", fds);
		socket_capture_fds(state, fds, sockets);
		for (size_t i = 0; i < 2; i++) {
			struct tcp_info info;
			socklen_t len = sizeof(info);

			assert_int_equal(getsockopt(fds[i], IPPROTO_TCP, TCP_INFO, &info, &len), 0);
			assert_int_equal(sockets[i].options, options_of(&info));
			assert_int_equal(sockets[i].state, info.tcpi_state);
			assert_int_equal(sockets[i].send_mss, info.tcpi_snd_mss);
			assert_int_equal(sockets[i].recv_mss, info.tcpi_advmss);
			assert_int_equal(sockets[i].path_mtu, info.tcpi_pmtu);
			assert_int_equal(sockets[i].send_wscale, info.tcpi_snd_wscale);
			assert_int_equal(sockets[i].recv_wscale, info.tcpi_rcv_wscale);
		}
		close(fds[0]);
		close(fds[1]);
	}
}

/* ---- ends ---------------------------------------------------------------------------------- */

static void ends__show_in_the_state(void **state)
{
	struct sl_socket sockets[2];
	struct flow_key keys[2];
	int fds[2];
	char byte;

	tcp_pair_open("127.0.0.1:0", fds);
	socket_capture_keys(fds, keys);
	socket_capture(state, keys, sockets);
	assert_int_equal(sockets[0].state, SL_SOCKET_ESTABLISHED);
	assert_int_equal(sockets[1].state, SL_SOCKET_ESTABLISHED);
	assert_int_equal(shutdown(fds[0], SHUT_WR), 0);
	assert_int_equal(recv(fds[1], &byte, 1, 0), 0);
	socket_capture(state, keys, sockets);
	assert_int_not_equal(sockets[0].state, SL_SOCKET_ESTABLISHED);
	assert_int_not_equal(sockets[1].state, SL_SOCKET_ESTABLISHED);
	close(fds[1]);
	close(fds[0]);
	/* One may be left in TIME-WAIT, which is no socket with numbers. */
	socket_capture(state, keys, sockets);
	assert_true(sockets[0].state == 0 && sockets[1].state == 0);
}

static void absent__is_told_from_present(void **state)
{
	struct sl_socket sockets[2];
	struct flow_key keys[2];
	int fds[2];

	tcp_pair_open("127.0.0.1:0", fds);
	socket_capture_keys(fds, keys);
	keys[1].key.sport ^= 0x101;
	socket_capture(state, keys, sockets);
	assert_int_equal(sockets[0].state, SL_SOCKET_ESTABLISHED);
	assert_int_equal(sockets[1].state, 0);
	/* As if it were of the other family: nothing is. */
	keys[0].is_ipv6 = true;
	socket_capture(state, keys, sockets);
	assert_int_equal(sockets[0].state, 0);
	close(fds[0]);
	close(fds[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(numbers__are_those_of_the_sockets),
	    cmocka_unit_test(bytes__on_their_way_are_counted),
	    cmocka_unit_test(options__are_as_tcp_info_has_them),
	    cmocka_unit_test(ends__show_in_the_state),
	    cmocka_unit_test(absent__is_told_from_present),
	};

	return cmocka_run_group_tests(tests, socket_capture_setup, socket_capture_teardown);
}
