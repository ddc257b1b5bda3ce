/* SPDX-License-Identifier: Apache-2.0 */
/* Questions to rtnetlink(7). */
#pragma once
#include "base/std.h"

#include <linux/netlink.h>

/** netlink_open() - Return: 0, or -errno */
int netlink_open(int *ret_fd);
/**
 * netlink_ask() - send a request, and take the messages of the answer one by one
 * @take: returns 1 at the last message, 0 if more are to come, or -errno
 *
 * Return: 0, the kernel's own -errno, or that of @take
 */
int netlink_ask(int fd, const struct nlmsghdr *request,
		int (*take)(const struct nlmsghdr *message, void *context), void *context);
