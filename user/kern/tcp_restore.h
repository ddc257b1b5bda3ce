/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The reverse of closing one in repair: a socket in the middle of a connection that this kernel
 * does not know (any more). Its peer notices nothing until the socket says something. In
 * TCP_REPAIR, which needs CAP_NET_ADMIN; a local port below 1024 needs CAP_NET_BIND_SERVICE as
 * well.
 */
#pragma once
#include "base/address.h"
#include "base/std.h"
#include "sluice/conn.h"

struct tcp_restore {
	struct address local, peer; /* of one family; @local is an address of this host */
	uint32_t rcv_nxt;           /* behind the last byte that the peer has sent */
	uint32_t snd_nxt;           /* behind the last byte that it has acknowledged */
	uint32_t ts_clock;          /* as in struct sl_socket; with SL_O_TIMESTAMPS */
	uint32_t send_window;       /* bytes that the peer takes behind snd_nxt */
	uint16_t mss;               /* of the peer's SYN, options included; 0 = the smallest */
	uint16_t recv_mss; /* likewise of ours; 0, or over 32767 = as this kernel would choose it */
	uint8_t send_wscale, recv_wscale; /* the peer's, ours; with SL_O_WSCALE */
	uint8_t options;                  /* SL_O_, but for SL_O_ECN, which cannot be restored */
	bool is_shut; /* the peer was told last that there is no room: tcp_restore_tell_window() */
};

/**
 * tcp_restore() - an ESTABLISHED socket with empty queues, non-blocking
 * @ret_fd: still in repair, so closing it tells nobody anything; to go on by tcp_repair_leave()
 *
 * Return: 0; -EADDRNOTAVAIL if the kernel knows a connection of these addresses, or @local is none
 * of its own; -EPERM or -EACCES without the capabilities; another -errno.
 */
int tcp_restore(const struct tcp_restore *what, int *ret_fd);

/**
 * tcp_restore_tell_window() - one that @is_shut has left repair: acknowledge, so that the peer
 * hears of the room that there is now
 *
 * Before anything is read of @fd. The probe that leaving repair can send instead stands before what
 * the peer expects, and a window that is told there does not count (RFC 9293 s3.10.7.4).
 */
void tcp_restore_tell_window(int fd);

/**
 * tcp_restore_reset() - end a connection whose socket is gone: by an RST at exactly the sequence
 * that the peer expects, so that it believes it (RFC 5961 s3.2)
 *
 * Only addresses, rcv_nxt and snd_nxt count. Return: as tcp_restore().
 */
int tcp_restore_reset(const struct tcp_restore *what);
