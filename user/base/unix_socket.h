/* SPDX-License-Identifier: Apache-2.0 */
/* Listening unix sockets that survive a predecessor's crash. */
#pragma once
#include "base/address.h"
#include "base/std.h"

/**
 * unix_listen() - bind and listen, non-blocking
 * @mode: permissions of the socket file (less the umask), e.g. 0660
 *
 * A socket file that nobody accepts on any more is replaced; anything else at the path is left
 * alone.
 * Return: 0; -EADDRINUSE if a process listens there, -EEXIST if the path is not a socket, or
 * another -errno.
 */
int unix_listen(const struct address *address, int backlog, mode_t mode, int *ret_fd);
/** unix_unlink() - remove the file of a socket that unix_listen() made; nothing for an abstract one
 */
void unix_unlink(const struct address *address);
