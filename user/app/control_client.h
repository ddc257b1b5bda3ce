/* SPDX-License-Identifier: Apache-2.0 */
/* One request to the daemon and its answer, which may come in pages. Blocking. */
#pragma once
#include "base/std.h"
#include "proto/control_message.h"

#include <jansson.h>

/* Takes one page of data, borrowed. Return: 0, or a positive number to stop with. */
typedef int control_page_fn(const json_t *data, void *arg);

struct control_client_error {
	char code[sizeof(((struct control_error *)NULL)->code)]; /* the daemon's, or "" */
	char text[512];                                          /* one line, for people */
};

/**
 * control_client_ask() - connect, ask, and hand every page to @on_page
 * @socket: path of the control socket
 * @args: borrowed object
 * @timeout_ms: for each page; 0 = wait for ever
 *
 * Return: 0, what @on_page stopped with, or with @ret_error -EINVAL (@socket is no path of one),
 * -EREMOTEIO (the daemon refuses, or its answer makes no sense), or another -errno: it cannot be
 * reached, has closed the connection, or does not answer in time (-ETIMEDOUT).
 */
int control_client_ask(const char *socket, const char *cmd, json_t *args, uint64_t timeout_ms,
		       control_page_fn *on_page, void *arg, struct control_client_error *ret_error);
/**
 * control_client_begin() - connect, ask for what lasts as long as somebody wants it, and wait until
 * the daemon says that it has begun
 * @timeout_ms: for that; 0 = wait for ever
 * @ret_fd: to be closed when it is not wanted any more. The kernel does so, too, should we die
 *
 * Return: 0, or a negative value as control_client_ask(); then it is not wanted any more.
 */
int control_client_begin(const char *socket, const char *cmd, json_t *args, uint64_t timeout_ms,
			 int *ret_fd, struct control_client_error *ret_error);

/* The same in steps, for those who have something else to do while they wait. */

/**
 * control_client_send() - connect and ask
 * @ret_fd: readable once there is (part of) a line; the caller's to close
 *
 * Return: 0, or a negative value as control_client_ask().
 */
int control_client_send(const char *socket, const char *cmd, json_t *args, int *ret_fd,
			struct control_client_error *ret_error);
/** control_client_take() - hand the page that @line is to @on_page. Return: as
 *  control_client_ask(), and whether another one follows */
int control_client_take(const char *line, control_page_fn *on_page, void *arg, bool *ret_more,
			struct control_client_error *ret_error);
