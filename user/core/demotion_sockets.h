/* SPDX-License-Identifier: Apache-2.0 */
/* The two sockets of a connection that is spliced, made anew from what its entries say. */
#pragma once
#include "base/std.h"
#include "sluice/flow.h"

struct promotion;

/**
 * demotion_sockets_open() - while both flows are in HOLD
 * @flows: as they stand there
 * @ends: by enum sl_direction, behind the last byte that was sent on: sl_hold_args.got_end
 * @is_last_word: they are for a Close frame, and for nothing behind it
 * @ret_fds: by enum sl_direction: that the packets of come in on. In repair: closed again, they say
 * nothing
 *
 * Return: 0 or as tcp_restore().
 */
int demotion_sockets_open(const struct promotion *p, const struct sl_flow flows[2],
			  const uint32_t ends[2], bool is_last_word, int ret_fds[2]);
/**
 * demotion_socket_begin() - behind the HOLD: @fd, of the packets of @direction, leaves repair; a
 * peer that was told last that there is no room hears of it if there is
 */
void demotion_socket_begin(const struct promotion *p, size_t direction,
			   const struct sl_flow flows[2], int fd);
