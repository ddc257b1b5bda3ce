/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TCP_REPAIR of a connected socket, so that the splice can take it over: what it knows is read by
 * sl_capture (sluice/splice_ctl.h). Needs CAP_NET_ADMIN.
 *
 *	enter --> in repair --> leave      nothing has happened: the socket goes on
 *	             |
 *	             '--------> close(2)   the socket is gone, and its peer is told nothing; also
 *	                                   when this process is killed
 *
 * In repair the kernel still takes what comes and acknowledges it, but what is written is not
 * sent. Nothing is sent by entering and leaving either.
 */
#pragma once
#include "base/std.h"

/** tcp_unread() - bytes received, not read (SIOCINQ), in repair or not. Return: 0 or -errno */
int tcp_unread(int fd, uint32_t *ret_bytes);
/** tcp_unacked() - bytes written, not acknowledged, sent or not (SIOCOUTQ). Return: likewise */
int tcp_unacked(int fd, uint32_t *ret_bytes);

/** tcp_repair_check() - Return: 0 if this process may; -EPERM without CAP_NET_ADMIN, or another
 *  -errno of a socket */
int tcp_repair_check(void);
/** tcp_repair_enter() - Return: 0; -EPERM without CAP_NET_ADMIN, or another -errno */
int tcp_repair_enter(int fd);
/**
 * tcp_repair_leave() - without a window probe
 * @is_reusable: SO_REUSEADDR, which repair loses, as it shall be
 *
 * Return: 0 or -errno
 */
int tcp_repair_leave(int fd, bool is_reusable);
/**
 * tcp_repair_ask() - have the peer's kernel acknowledge at once what it has received, without
 * waiting for its program's answer: by the window probe that leaving repair sends. SO_REUSEADDR
 * is set behind it
 *
 * The peer answers one such segment in 500 ms (tcp_invalid_ratelimit). Return: 0 or -errno.
 */
int tcp_repair_ask(int fd);
