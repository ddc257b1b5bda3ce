/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who the daemon is, and what it may do. All of it is given away at the start, before anything is
 * opened: so what could be opened then can be opened again, when the configuration or the access
 * log is, or a socket's file has to be replaced.
 */
#pragma once
#include "base/std.h"

struct config;

struct rights_wish {
	const char *user, *group; /* NULL = stay; NULL = the user's own */
};

/**
 * rights_settle() - become @wish, and give away the rest
 * @config_path: what a reload will read; NULL = nothing
 *
 * Return: 0, or -errno (logged) if it cannot become that user: then it is not to go on as another.
 */
int rights_settle(const struct rights_wish *wish, const struct config *config,
		  const char *config_path);
