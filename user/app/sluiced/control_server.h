/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The control socket (contracts.md s6): JSON lines over a unix socket, on the main thread. A
 * client's requests are answered in order, one at a time; what is not yet asked for waits in the
 * socket. Clients, line lengths and waiting output are bounded, and a client that does not take its
 * answer for CONTROL_STALL_S is dropped.
 */
#pragma once
#include "app/sluiced/control_call.h"
#include "base/std.h"

#define CONTROL_CLIENTS_MAX 64
#define CONTROL_STALL_S     30.

struct control_server;
struct gateway;

/** control_server_new() - listen where the configuration says. A default path that cannot be used
 *  is a warning, and the daemon runs without. Return: 0 or -errno (logged) */
int control_server_new(struct gateway *gateway, struct control_server **ret_server);
/** control_server_free() - drop all clients; calls in flight end by themselves. NULL is fine */
void control_server_free(struct control_server *server);
