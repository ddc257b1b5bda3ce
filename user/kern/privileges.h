/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Giving away what a process may do and does not need, for good. To be called while there is one
 * thread: the threads that it starts inherit what is left.
 *
 *	find --> become --> limit --> refuse_bpf
 *
 * What is left: CAP_NET_ADMIN (TCP_REPAIR, see tcp_repair.h) and CAP_NET_BIND_SERVICE (ports below
 * 1024, also of a socket that is restored), if the process had them.
 */
#pragma once
#include "base/std.h"

struct privileges_user {
	uid_t uid;
	gid_t gid;
	char *name; /* of an entry in passwd(5), which has its other groups; NULL = none. Owned */
};

struct privileges_error {
	char text[160];
};

/**
 * privileges_find() - whom to become
 * @user: name or number
 * @group: name or number; NULL = the user's own
 *
 * Return: 0, -ENOENT if there is no such user or group, or no group is known for a number that is
 * not in passwd(5); -ENOMEM; an -errno of reading either file; with @ret_error.
 */
int privileges_find(const char *user, const char *group, struct privileges_user *ret_user,
		    struct privileges_error *ret_error);
void privileges_user_done(struct privileges_user *user);

/**
 * privileges_become() - be @user, with its groups and no others, and keep the capabilities that are
 * permitted
 *
 * Return: 0 (at once, if that is who it is); -EPERM without the right to change (CAP_SETUID,
 * CAP_SETGID), or another -errno of setgroups(2), setresgid(2), setresuid(2).
 */
int privileges_become(const struct privileges_user *user);

/**
 * privileges_limit() - drop all capabilities but the two, and the way back (no_new_privs, bounding
 * set)
 *
 * For user 0 it does only the latter: without capabilities root is nobody's owner, and cannot even
 * open its files. Return: 0 or -errno of capset(2) or prctl(2).
 */
int privileges_limit(void);

/**
 * privileges_refuse_bpf() - of bpf(2), leave what works on maps and programs that exist
 *
 * All other commands fail with EPERM in this process and its children, whoever they are: loading a
 * program, creating a map, attaching, pinning. By seccomp(2), which costs every other system call
 * some 50 ns (Linux 6.18: getppid(2) 175 -> 230), although the filter is not run for it. Return: 0;
 * -EINVAL or -ENOSYS where the kernel has no filters, another -errno.
 */
int privileges_refuse_bpf(void);
