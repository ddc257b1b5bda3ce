/* SPDX-License-Identifier: Apache-2.0 */
/* Real TCP connections on the loopback interface, both ends in this process, for TCP_REPAIR. */
#pragma once
#include "base/address.h"
#include "kern/tcp_repair.h"

#include <netinet/tcp.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

/** tcp_pair_open() - @ret_fds: who connected, who accepted. Skips the test without TCP_REPAIR */
static inline void tcp_pair_open(const char *text, int ret_fds[2])
{
	_cleanup_close_ int listener = -1;
	struct address address;
	const int on = 1;

	if (tcp_repair_check() < 0) {
		printf("skipped: TCP_REPAIR: %s (it needs CAP_NET_ADMIN)\n", strerror(EPERM));
		skip();
	}
	assert_int_equal(address_parse(text, &address), 0);
	listener = socket(address.sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(listener >= 0);
	assert_int_equal(bind(listener, &address.sa, address.len), 0);
	assert_int_equal(listen(listener, 1), 0);
	assert_int_equal(getsockname(listener, &address.sa, &address.len), 0);
	ret_fds[0] = socket(address.sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(ret_fds[0] >= 0);
	assert_int_equal(connect(ret_fds[0], &address.sa, address.len), 0);
	ret_fds[1] = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	assert_true(ret_fds[1] >= 0);
	for (size_t i = 0; i < 2; i++)
		assert_int_equal(setsockopt(ret_fds[i], IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)),
				 0);
}

/** tcp_pair_send() - blocks until all of it has come */
static inline void tcp_pair_send(int from, int to, size_t len)
{
	char bytes[4096] = {0};

	assert_true(len <= sizeof(bytes));
	assert_int_equal(send(from, bytes, len, 0), len);
	assert_int_equal(recv(to, bytes, len, MSG_WAITALL), len);
}

/** tcp_pair_await_ack() - it may be delayed, by 40 ms or more: waits until it is there */
static inline void tcp_pair_await_ack(int fd)
{
	uint32_t unacked;

	do {
		assert_int_equal(tcp_unacked(fd, &unacked), 0);
		(void)poll(NULL, 0, unacked ? 1 : 0);
	} while (unacked);
}
