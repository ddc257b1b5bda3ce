/* SPDX-License-Identifier: Apache-2.0 */
/* Running the pinned programs of sluice/splice_ctl.h. Any thread. */
#pragma once
#include "base/std.h"
#include "sluice/splice_ctl.h"

/**
 * splice_ctl_capture() - read the two sockets of a connection in this network namespace
 * @keys: by enum sl_direction, of the packets that come in to each
 *
 * Return: 0, and the state of one that is not there is 0; or -errno of bpf(2).
 */
int splice_ctl_capture(int program_fd, const struct sl_key6 *const keys[2], bool is_ipv6,
		       struct sl_socket ret_sockets[2]);
/** splice_ctl_activate() - run sl_activate. Return: 0 with @args->result and what is out of it, or
 *  -errno of bpf(2): then it has not run */
int splice_ctl_activate(int program_fd, struct sl_activate_args *args);
/** splice_ctl_hold() - run sl_hold. Return: likewise */
int splice_ctl_hold(int program_fd, struct sl_hold_args *args);
const char *splice_ctl_result_name(enum sl_ctl_result result);
