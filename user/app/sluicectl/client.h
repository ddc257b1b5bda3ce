/* SPDX-License-Identifier: Apache-2.0 */
/* One request to the daemon and its answer, which may come in pages. */
#pragma once
#include "base/std.h"

#include <jansson.h>

enum exit_status {
	EXIT_DONE = 0,
	EXIT_REFUSED = 1,
	EXIT_USAGE_ERROR = 2,
	EXIT_UNREACHABLE = 3,
};

/* Takes one page of data, borrowed. Return: 0, or an exit status to stop with. */
typedef int page_fn(const json_t *data, void *arg);

/**
 * client_request() - connect, ask, and hand every page to @on_page
 * @socket: path of the control socket
 * @args: borrowed object
 *
 * Return: an exit status; everything but EXIT_DONE has been explained on stderr.
 */
int client_request(const char *socket, const char *cmd, json_t *args, page_fn *on_page, void *arg);
