/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The control socket (contracts.md s6): JSON lines over a unix socket, on the main thread. A
 * client's requests are answered in order, one at a time; what is not yet asked for waits in the
 * socket. Clients, line lengths and waiting output are bounded, and a client that does not take its
 * answer for CONTROL_STALL_S is dropped.
 */
#pragma once
#include "base/std.h"

#include <jansson.h>

#define CONTROL_CLIENTS_MAX 64
#define CONTROL_STALL_S     30.

struct control_call;
struct control_server;
struct gateway;

/** control_server_new() - listen where the configuration says. A default path that cannot be used
 *  is a warning, and the daemon runs without. Return: 0 or -errno (logged) */
int control_server_new(struct gateway *gateway, struct control_server **ret_server);
/** control_server_free() - drop all clients; calls in flight end by themselves. NULL is fine */
void control_server_free(struct control_server *server);

/*
 * One request being carried out. A command owns its call until it has finished it, on the main
 * thread, exactly once, with control_finish() or control_fail(). The client may be gone by then.
 */
struct gateway *control_call_gateway(const struct control_call *call);
const json_t *control_call_args(const struct control_call *call);
/** control_is_wanted() - whether anybody still waits for the answer */
bool control_is_wanted(const struct control_call *call);

/** control_finish() - the (last page of the) answer; takes the reference to @data */
void control_finish(struct control_call *call, json_t *data);
void control_fail(struct control_call *call, const char *code, const char *fmt, ...)
    PRINTF_LIKE(3, 4);
/**
 * control_page() - a page with more to come; takes the reference to @data
 * @next: called when the client has taken enough, or is gone (see control_is_wanted())
 */
void control_page(struct control_call *call, json_t *data,
		  void (*next)(struct control_call *call, void *arg), void *arg);
