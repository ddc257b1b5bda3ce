/* SPDX-License-Identifier: Apache-2.0 */
/* sl_capture over real connections, both ends of which are on this host. */
#pragma once
#include "kern/flow_table.h"
#include "kern/splice_ctl.h"
#include "lib/splice_programs.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>

#include <cmocka.h>

static inline int socket_capture_setup(void **state)
{
	static struct splice_programs programs;
	int error = splice_programs_load(&programs);

	*state = error == 0 ? &programs : NULL;
	return error == -EPERM ? 0 : error;
}

static inline int socket_capture_teardown(void **state)
{
	if (*state)
		splice_programs_close(*state);
	return 0;
}

/** socket_capture() - of two sockets, open or not any more: of those of these keys. Skips the test
 *  where programs cannot be loaded */
static inline void socket_capture(void **state, const struct flow_key keys[2],
				  struct sl_socket ret_sockets[2])
{
	const struct sl_key6 *const both[2] = {&keys[0].key, &keys[1].key};
	const struct splice_programs *programs = *state;

	if (!programs) {
		printf("skipped: kernel programs: %s (they need CAP_BPF)\n", strerror(EPERM));
		skip();
	}
	assert_int_equal(splice_ctl_capture(programs->capture_fd, both, keys[0].is_ipv6,
					    ret_sockets),
			 0);
}

static inline void socket_capture_keys(const int fds[2], struct flow_key ret_keys[2])
{
	for (size_t i = 0; i < 2; i++) {
		struct address local = {.len = sizeof(local.un)}, peer = {.len = sizeof(peer.un)};

		assert_int_equal(getsockname(fds[i], &local.sa, &local.len), 0);
		assert_int_equal(getpeername(fds[i], &peer.sa, &peer.len), 0);
		assert_int_equal(flow_key_init(&peer, &local, &ret_keys[i]), 0);
	}
}

static inline void socket_capture_fds(void **state, const int fds[2],
				      struct sl_socket ret_sockets[2])
{
	struct flow_key keys[2];

	socket_capture_keys(fds, keys);
	socket_capture(state, keys, ret_sockets);
}
