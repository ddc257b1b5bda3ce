/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections that only the kernel can carry: their packets would meet a kernel without a socket
 * if a hook went, and be answered by RST. Before that they are demoted, which is the daemon's work,
 * or it is said what becomes of them.
 */
#pragma once
#include "app/sluice-loader/install.h"

/* Interfaces that connections are reached by; none = all that there are. */
struct in_use_over {
	const uint32_t *ifindexes;
	size_t n;
};

/**
 * in_use_count() - spliced connections with a leg on one of @over
 *
 * Of another version the flows cannot be read; then it is the records of connections that are
 * counted, which the daemon keeps for as long as they are spliced. Return: 0, or -errno
 */
int in_use_count(const struct install *install, struct in_use_over over, uint64_t *ret_n);
/**
 * in_use_settle() - let nothing be in use, as far as the command line goes
 *
 * --demote: ask the daemon, and wait; --force: say what will happen to them; else refuse. What
 * stands in the way is said.
 * @ret_pause: written if the daemon promotes nothing until that is closed, however that happens:
 * at the end of what hooks and pins are gone for, or by our own end; only with -1
 *
 * Return: -1 to go on, else an exit status
 */
int in_use_settle(const struct command_line *line, const struct install *install,
		  struct in_use_over over, int *ret_pause);
