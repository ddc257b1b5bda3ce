/* SPDX-License-Identifier: Apache-2.0 */
/* What can be told without the daemon: by the pinned maps, which outlive it. */
#pragma once
#include "app/sluicectl/client.h"

#define OFFLINE_PINS_DEFAULT "/sys/fs/bpf/sluice"

/**
 * offline_request() - as client_request(), for a verb that can be answered so
 * @pins: the loader's directory
 */
int offline_request(const char *pins, const char *cmd, const json_t *args, page_fn *on_page,
		    void *arg);
