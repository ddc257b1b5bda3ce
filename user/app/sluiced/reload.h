/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reload: read the configuration file again and serve from it, without ending a connection. The
 * old configuration goes on if the new one is wrong. Main thread only.
 */
#pragma once
#include "base/std.h"
#include "core/config.h"

#include <ev.h>

struct gateway;

struct reload_result {
	struct config_error error; /* on failure */
	char needs_restart[256];   /* keys whose change was not carried out, "" = none */
	uint64_t generation;       /* the new one's number */
	uint64_t duration_us;
};

/** reload_run() - Return: 0, or -errno with ret_result->error; logged either way */
int reload_run(struct gateway *g, struct reload_result *ret_result);

/** reload_drop_retired_cb() - of gateway.drop_retired */
void reload_drop_retired_cb(struct ev_loop *loop, ev_timer *timer, int revents);
