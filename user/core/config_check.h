/* SPDX-License-Identifier: Apache-2.0 */
/* What is right in each place and wrong together, and what follows from several keys. */
#pragma once
#include "base/std.h"
#include "core/config_build.h"

/**
 * config_check() - check a built tree as a whole; set actions, clusters and prefixes of routes
 *
 * Return: 0; -EINVAL or -ENOMEM, both with text->error.
 */
int config_check(const struct config_text *t, const struct config_place *places,
		 struct config *config);
