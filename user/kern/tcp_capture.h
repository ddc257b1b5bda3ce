/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the kernel knows of a connected TCP socket and the splice must go on from: sequence
 * numbers, timestamp clock, negotiated options, and whether anything is under way. Read in
 * TCP_REPAIR, which needs CAP_NET_ADMIN.
 *
 *	begin --> in repair --> end        nothing has happened: the socket goes on
 *	             |
 *	             '--------> close(2)   the socket is gone, and its peer is told nothing
 *
 * In repair the kernel still takes what comes and acknowledges it, but what is written is not
 * sent. Nothing is sent by begin and end either.
 */
#pragma once
#include "base/std.h"
#include "sluice/conn.h"

struct tcp_capture {
	uint32_t rcv_nxt;  /* behind the last byte received, read or not */
	uint32_t snd_nxt;  /* behind the last byte written, sent or not */
	uint32_t ts_clock; /* what a segment sent now would carry as TSval; 0 without the option */
	uint16_t send_mss; /* bytes of payload in a segment that we send, options not counted */
	uint16_t recv_mss; /* that we told the peer: its segments with their options, less 20 */
	uint32_t path_mtu; /* towards the peer: of what we send */
	uint8_t send_wscale, recv_wscale; /* the peer's, ours; 0 without the option */
	uint8_t options;                  /* SL_O_ */
};

/* Bytes that are neither here nor there. */
struct tcp_backlog {
	uint32_t unread;  /* SIOCINQ: received, not read */
	uint32_t unacked; /* SIOCOUTQ: written, not acknowledged, sent or not */
};

/** tcp_backlog_read() - of a socket in repair or not. Return: 0 or -errno of ioctl(2) */
int tcp_backlog_read(int fd, struct tcp_backlog *ret_backlog);
static inline bool tcp_backlog_is_empty(const struct tcp_backlog *backlog)
{
	return backlog->unread == 0 && backlog->unacked == 0;
}

/** tcp_capture_check() - Return: 0 if this process may; -EPERM without CAP_NET_ADMIN, or another
 *  -errno of a socket */
int tcp_capture_check(void);
/**
 * tcp_capture_begin() - enter repair and read
 * @ret_was_reusable: SO_REUSEADDR, which repair loses; for tcp_capture_end()
 *
 * Return: 0, and the socket is in repair; else it is as it was before: -EPERM without
 * CAP_NET_ADMIN, -ENOTCONN if it is not ESTABLISHED (a FIN has passed, or an RST), -EBUSY if
 * something is under way (struct tcp_backlog), another -errno of the calls.
 */
int tcp_capture_begin(int fd, bool *ret_was_reusable, struct tcp_capture *ret_capture);
/**
 * tcp_capture_ask() - have the peer's kernel acknowledge at once what it has received, without
 * waiting for its program's answer: by the window probe that leaving repair sends
 *
 * The peer answers one such segment in 500 ms (tcp_invalid_ratelimit). Return: 0 or -errno.
 */
int tcp_capture_ask(int fd);
/** tcp_capture_end() - leave repair without a window probe. Return: 0 or -errno */
int tcp_capture_end(int fd, bool was_reusable);
