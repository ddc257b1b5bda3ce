/* SPDX-License-Identifier: Apache-2.0 */
/* Routes as a whole: their parts taken apart, and what is wrong with them together. */
#pragma once
#include "base/std.h"
#include "core/config_build.h"

/**
 * config_check_routes() - set what follows from the keys of all routes, and check it
 *
 * Return: 0; -EINVAL with text->error; -ENOMEM.
 */
int config_check_routes(const struct config_text *t, const struct config_place *places,
			struct config *config);

/** config_route_done() - free what was set; the keys' own values are config_clear()'s */
void config_route_done(struct config_route *route);
