/* SPDX-License-Identifier: Apache-2.0 */
/* What a reload cannot change while the process runs. */
#pragma once
#include "core/config.h"

/**
 * config_needs_restart() - name the keys that are not reloadable and differ between two trees
 * @ret_text: "worker.count, listener.listen", by the key table; "" = none; cut to @size
 *
 * Return: how many.
 */
size_t config_needs_restart(const struct config *before, const struct config *after, char *ret_text,
			    size_t size);
