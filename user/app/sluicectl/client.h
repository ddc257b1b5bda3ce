/* SPDX-License-Identifier: Apache-2.0 */
/* Requests to the daemon, and what their failure makes of the exit status. */
#pragma once
#include "app/control_client.h"

enum exit_status {
	EXIT_DONE = 0,
	EXIT_REFUSED = 1,
	EXIT_USAGE_ERROR = 2,
	EXIT_UNREACHABLE = 3,
};

/* Return: 0, or an exit status to stop with. */
typedef control_page_fn page_fn;

/**
 * client_request() - connect, ask, and hand every page to @on_page
 * @socket: path of the control socket
 * @args: borrowed object
 *
 * Return: an exit status; everything but EXIT_DONE has been explained on stderr.
 */
int client_request(const char *socket, const char *cmd, json_t *args, page_fn *on_page, void *arg);
