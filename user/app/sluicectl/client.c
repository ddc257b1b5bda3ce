/* SPDX-License-Identifier: Apache-2.0 */
#include "app/sluicectl/client.h"

#include <stdio.h>

int client_request(const char *socket, const char *cmd, json_t *args, page_fn *on_page, void *arg)
{
	struct control_client_error error;
	int r = control_client_ask(socket, cmd, args, 0, on_page, arg, &error);

	if (r >= 0)
		return r;
	fprintf(stderr, "sluicectl: %s\n", error.text);
	switch (r) {
	case -EINVAL:
		return EXIT_USAGE_ERROR;
	case -EREMOTEIO:
		return EXIT_REFUSED;
	default:
		return EXIT_UNREACHABLE;
	}
}
