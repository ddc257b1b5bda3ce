/* SPDX-License-Identifier: Apache-2.0 */
/* Keys of where clients connect. */
#include "core/config_sections.h"

#include "core/config.h"

static const struct config_key listener_keys[] = {
    {
	.name = "listen",
	.type = CONFIG_ADDRESSES,
	.example = "{\"0.0.0.0:8080\", \"[::]:8080\"}",
	.is_required = true,
	.offset = offsetof(struct config_listener, addresses),
	.count_offset = offsetof(struct config_listener, n_addresses),
	.help = "Addresses to listen on, IPv4, IPv6 or unix:/path. An IPv6 address takes no "
		"IPv4 connections. With port 0 the kernel chooses the port.",
    },
    {
	.name = "backlog",
	.type = CONFIG_NUMBER,
	.fallback = "4096",
	.min = 1,
	.max = 65535,
	FIELD(struct config_listener, backlog),
	.help = "Connections that may wait to be accepted, on each address and worker. The "
		"kernel caps it at net.core.somaxconn.",
    },
};

const struct config_section config_section_listener = {
    .name = "listener",
    .parent = &config_section_file,
    .title = "public",
    KEYS(listener_keys),
    ELEMENTS(struct config, listeners, n_listeners, struct config_listener),
    .help = "Where clients connect. At least one is needed.",
};

/* The name of an element is where the name of every element is. */
_Static_assert(offsetof(struct config_listener, name) == 0, "name first");
