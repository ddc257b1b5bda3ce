/* SPDX-License-Identifier: Apache-2.0 */
/* Over real connections on the loopback interface: one end dies in repair and comes back. */
#include "kern/tcp_restore.h"

#include "kern/tcp_capture.h"

#include <netinet/tcp.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static void need_repair(void)
{
	_cleanup_close_ int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int on = 1;

	assert_true(fd >= 0);
	if (setsockopt(fd, IPPROTO_TCP, TCP_REPAIR, &on, sizeof(on)) < 0) {
		printf("skipped: TCP_REPAIR: %s (it needs CAP_NET_ADMIN)\n", strerror(errno));
		skip();
	}
}

/* A connection: the peer's end, and what was captured of ours, whose socket is gone. */
struct lost {
	int peer;
	struct tcp_restore what;
};

static void exchange(int from, int to, size_t len)
{
	char bytes[4096] = {0};

	assert_true(len <= sizeof(bytes));
	assert_int_equal(send(from, bytes, len, 0), len);
	assert_int_equal(recv(to, bytes, len, MSG_WAITALL), len);
}

static void await_ack(int fd)
{
	struct tcp_backlog backlog;

	do {
		assert_int_equal(tcp_backlog_read(fd, &backlog), 0);
		(void)poll(NULL, 0, backlog.unacked ? 1 : 0);
	} while (backlog.unacked);
}

static void open_pair(const char *text, int *ret_ours, int *ret_peer)
{
	_cleanup_close_ int listener = -1;
	struct address address;

	need_repair();
	assert_int_equal(address_parse(text, &address), 0);
	listener = socket(address.sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(listener >= 0);
	assert_int_equal(bind(listener, &address.sa, address.len), 0);
	assert_int_equal(listen(listener, 1), 0);
	assert_int_equal(getsockname(listener, &address.sa, &address.len), 0);
	*ret_peer = socket(address.sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(*ret_peer >= 0);
	assert_int_equal(connect(*ret_peer, &address.sa, address.len), 0);
	*ret_ours = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	assert_true(*ret_ours >= 0);
}

static void lose(const char *text, struct lost *ret_lost)
{
	struct tcp_restore what = {.send_window = 32768};
	struct tcp_capture capture;
	bool was_reusable;
	int ours, peer;

	open_pair(text, &ours, &peer);
	exchange(ours, peer, 1000);
	exchange(peer, ours, 2000);
	await_ack(ours);
	await_ack(peer);
	what.local.len = what.peer.len = sizeof(what.local.un);
	assert_int_equal(getsockname(ours, &what.local.sa, &what.local.len), 0);
	assert_int_equal(getpeername(ours, &what.peer.sa, &what.peer.len), 0);
	assert_int_equal(tcp_capture_begin(ours, &was_reusable, &capture), 0);
	what.rcv_nxt = capture.rcv_nxt;
	what.snd_nxt = capture.snd_nxt;
	what.ts_clock = capture.ts_clock;
	what.mss = (uint16_t)(capture.send_mss + 12);
	what.send_wscale = capture.send_wscale;
	what.recv_wscale = capture.recv_wscale;
	what.options = capture.options;
	close(ours);
	*ret_lost = (struct lost){.peer = peer, .what = what};
}

static const char *const addresses[] = {"127.0.0.1:0", "[::1]:0"};

static void restore__goes_on_where_it_was(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(addresses); i++) {
		struct tcp_capture before, after;
		struct lost lost;
		bool was_reusable;
		int fd;

		lose(addresses[i], &lost);
		assert_int_equal(tcp_restore(&lost.what, &fd), 0);
		assert_int_equal(tcp_capture_end(fd, false), 0);
		for (int n = 0; n < 3; n++) {
			exchange(lost.peer, fd, 4096);
			exchange(fd, lost.peer, 4096);
		}
		await_ack(fd);
		await_ack(lost.peer);
		/* And it has the options that were negotiated. */
		assert_int_equal(tcp_capture_begin(lost.peer, &was_reusable, &before), 0);
		assert_int_equal(tcp_capture_begin(fd, &was_reusable, &after), 0);
		assert_int_equal(after.options, lost.what.options);
		assert_int_equal(after.send_wscale, before.recv_wscale);
		assert_int_equal(after.recv_wscale, before.send_wscale);
		assert_int_equal(after.snd_nxt, before.rcv_nxt);
		assert_int_equal(after.rcv_nxt, before.snd_nxt);
		close(fd);
		close(lost.peer);
	}
}

static void restore__sends_nothing_in_repair(void **state)
{
	struct lost lost;
	int fd;

	lose(addresses[0], &lost);
	assert_int_equal(tcp_restore(&lost.what, &fd), 0);
	close(fd);
	/* The peer has heard nothing: it can be restored again, and reads what is sent then. */
	assert_int_equal(tcp_restore(&lost.what, &fd), 0);
	assert_int_equal(tcp_capture_end(fd, false), 0);
	exchange(fd, lost.peer, 10);
	close(fd);
	close(lost.peer);
}

static void restore__of_one_that_lives_is_refused(void **state)
{
	struct tcp_restore what = {0};
	int ours, peer, fd = -1;

	open_pair(addresses[0], &ours, &peer);
	what.local.len = what.peer.len = sizeof(what.local.un);
	assert_int_equal(getsockname(ours, &what.local.sa, &what.local.len), 0);
	assert_int_equal(getpeername(ours, &what.peer.sa, &what.peer.len), 0);
	assert_int_equal(tcp_restore(&what, &fd), -EADDRNOTAVAIL);
	assert_int_equal(tcp_restore_reset(&what), -EADDRNOTAVAIL);
	assert_int_equal(fd, -1);
	exchange(ours, peer, 10);
	exchange(peer, ours, 10);
	close(ours);
	close(peer);
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

		lose(addresses[i], &lost);
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
	    cmocka_unit_test(restore__sends_nothing_in_repair),
	    cmocka_unit_test(restore__of_one_that_lives_is_refused),
	    cmocka_unit_test(reset__is_believed_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
