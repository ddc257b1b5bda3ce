/* SPDX-License-Identifier: Apache-2.0 */
/* Over real connections on the loopback interface: one end dies in repair and comes back. */
#include "kern/tcp_restore.h"

#include "lib/socket_capture.h"
#include "lib/tcp_pair.h"

/* A connection: the peer's end, and what was captured of ours, whose socket is gone. */
struct lost {
	int peer;
	struct tcp_restore what;
};

static void lose_pair(void **state, const int fds[2], struct lost *ret_lost)
{
	struct tcp_restore what = {.send_window = 32768};
	struct sl_socket sockets[2];
	const struct sl_socket *mine = &sockets[1];
	int peer = fds[0], ours = fds[1];

	what.local.len = what.peer.len = sizeof(what.local.un);
	assert_int_equal(getsockname(ours, &what.local.sa, &what.local.len), 0);
	assert_int_equal(getpeername(ours, &what.peer.sa, &what.peer.len), 0);
	assert_int_equal(tcp_repair_enter(ours), 0);
	socket_capture_fds(state, fds, sockets);
	what.rcv_nxt = mine->rcv_nxt;
	what.snd_nxt = mine->snd_nxt;
	what.ts_clock = mine->ts_clock;
	what.mss = (uint16_t)(mine->send_mss + 12);
	what.send_wscale = mine->send_wscale;
	what.recv_wscale = mine->recv_wscale;
	what.options = mine->options;
	close(ours);
	*ret_lost = (struct lost){.peer = peer, .what = what};
}

static void lose(void **state, const char *text, struct lost *ret_lost)
{
	int fds[2];

	tcp_pair_open(text, fds);
	tcp_pair_send(fds[1], fds[0], 1000);
	tcp_pair_send(fds[0], fds[1], 2000);
	tcp_pair_await_ack(fds[1]);
	tcp_pair_await_ack(fds[0]);
	lose_pair(state, fds, ret_lost);
}

static const char *const addresses[] = {"127.0.0.1:0", "[::1]:0"};

static void restore__goes_on_where_it_was(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(addresses); i++) {
		struct sl_socket sockets[2], *before = &sockets[0], *after = &sockets[1];
		struct lost lost;
		int fd;

		lose(state, addresses[i], &lost);
		assert_int_equal(tcp_restore(&lost.what, &fd), 0);
		assert_int_equal(tcp_repair_leave(fd, false), 0);
		for (int n = 0; n < 3; n++) {
			tcp_pair_send(lost.peer, fd, 4096);
			tcp_pair_send(fd, lost.peer, 4096);
		}
		tcp_pair_await_ack(fd);
		tcp_pair_await_ack(lost.peer);
		/* And it has the options that were negotiated. */
		socket_capture_fds(state, (const int[2]){lost.peer, fd}, sockets);
		assert_int_equal(after->options, lost.what.options);
		assert_int_equal(after->send_wscale, before->recv_wscale);
		assert_int_equal(after->recv_wscale, before->send_wscale);
		assert_int_equal(after->snd_nxt, before->rcv_nxt);
		assert_int_equal(after->rcv_nxt, before->snd_nxt);
		close(fd);
		close(lost.peer);
	}
}

/* The lowest bit of what TCP_TIMESTAMP takes is a switch (Linux 6.7). */
static void restore__has_a_clock_that_goes_on_in_its_unit(void **state)
{
	for (uint32_t odd = 0; odd < 2; odd++) {
		struct sl_socket sockets[2];
		struct lost lost;
		int fd;

		lose(state, addresses[0], &lost);
		lost.what.ts_clock = (lost.what.ts_clock & ~1u) + odd;
		assert_int_equal(tcp_restore(&lost.what, &fd), 0);
		assert_int_equal(tcp_repair_leave(fd, false), 0);
		socket_capture_fds(state, (const int[2]){lost.peer, fd}, sockets);
		assert_int_equal(sockets[1].options, lost.what.options);
		if (lost.what.options & SL_O_TIMESTAMPS)
			assert_true((int32_t)(sockets[1].ts_clock - lost.what.ts_clock) >= 0);
		close(fd);
		close(lost.peer);
	}
}

static void restore__sends_nothing_in_repair(void **state)
{
	struct lost lost;
	int fd;

	lose(state, addresses[0], &lost);
	assert_int_equal(tcp_restore(&lost.what, &fd), 0);
	close(fd);
	/* The peer has heard nothing: it can be restored again, and reads what is sent then. */
	assert_int_equal(tcp_restore(&lost.what, &fd), 0);
	assert_int_equal(tcp_repair_leave(fd, false), 0);
	tcp_pair_send(fd, lost.peer, 10);
	close(fd);
	close(lost.peer);
}

static void restore__of_one_that_lives_is_refused(void **state)
{
	struct tcp_restore what = {0};
	int fds[2], ours, peer, fd = -1;

	tcp_pair_open(addresses[0], fds);
	peer = fds[0];
	ours = fds[1];
	what.local.len = what.peer.len = sizeof(what.local.un);
	assert_int_equal(getsockname(ours, &what.local.sa, &what.local.len), 0);
	assert_int_equal(getpeername(ours, &what.peer.sa, &what.peer.len), 0);
	assert_int_equal(tcp_restore(&what, &fd), -EADDRNOTAVAIL);
	assert_int_equal(tcp_restore_reset(&what), -EADDRNOTAVAIL);
	assert_int_equal(fd, -1);
	tcp_pair_send(ours, peer, 10);
	tcp_pair_send(peer, ours, 10);
	close(ours);
	close(peer);
}

#define SEGMENT 536u

/* What the peer of @fd has told it to have room for. */
static uint32_t window_of(int fd)
{
	/* Of struct tcp_info in linux/tcp.h, which netinet/tcp.h cannot stand: tcpi_snd_wnd. */
	enum {
		AT = 228
	};
	uint8_t info[AT + sizeof(uint32_t)];
	socklen_t len = sizeof(info);
	uint32_t window;

	assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_INFO, info, &len), 0);
	assert_int_equal(len, sizeof(info));
	memcpy(&window, info + AT, sizeof(window));
	return window;
}

/* Never more than there is room for: nothing is left to be sent, and no timer runs for it. */
static void shut_window(const int fds[2])
{
	static const char bytes[4096];
	uint32_t window;

	while ((window = window_of(fds[0])) >= SEGMENT) {
		uint32_t n = MIN(window, (uint32_t)sizeof(bytes));

		assert_int_equal(send(fds[0], bytes, n, 0), n);
		tcp_pair_await_ack(fds[0]);
	}
}

static void restore__tells_a_peer_that_there_is_room_now(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(addresses); i++) {
		struct lost lost;
		char bytes[4];
		int fds[2], fd;

		tcp_pair_open(addresses[i], fds);
		shut_window(fds);
		lose_pair(state, fds, &lost);
		lost.what.is_shut = true;
		assert_int_equal(tcp_restore(&lost.what, &fd), 0);
		close(fd); /* nobody hears of it */
		assert_int_equal(tcp_restore(&lost.what, &fd), 0);
		assert_int_equal(tcp_repair_leave(fd, false), 0);
		assert_true(window_of(lost.peer) < SEGMENT);
		tcp_restore_tell_window(fd);
		for (int n = 0; n < 5000 && window_of(lost.peer) < SEGMENT; n++)
			(void)poll(NULL, 0, 1);
		assert_true(window_of(lost.peer) >= SEGMENT);
		assert_int_equal(send(lost.peer, "next", 4, 0), 4);
		assert_int_equal(recv(fd, bytes, sizeof(bytes), MSG_WAITALL), 4);
		assert_memory_equal(bytes, "next", 4);
		close(fd);
		close(lost.peer);
	}
}

static int error_of(int fd)
{
	char byte;

	return recv(fd, &byte, 1, 0) < 0 ? -errno : 0;
}

static void reset__is_believed_at_once(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(addresses); i++) {
		struct lost lost;

		lose(state, addresses[i], &lost);
		lost.what.options = 0;
		assert_int_equal(tcp_restore_reset(&lost.what), 0);
		assert_int_equal(error_of(lost.peer), -ECONNRESET);
		close(lost.peer);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(restore__goes_on_where_it_was),
	    cmocka_unit_test(restore__has_a_clock_that_goes_on_in_its_unit),
	    cmocka_unit_test(restore__sends_nothing_in_repair),
	    cmocka_unit_test(restore__tells_a_peer_that_there_is_room_now),
	    cmocka_unit_test(restore__of_one_that_lives_is_refused),
	    cmocka_unit_test(reset__is_believed_at_once),
	};

	return cmocka_run_group_tests(tests, socket_capture_setup, socket_capture_teardown);
}
