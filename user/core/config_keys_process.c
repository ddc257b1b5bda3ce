/* SPDX-License-Identifier: Apache-2.0 */
/* Keys of the process: its threads, rights, log, and how it is looked at. */
#include "core/config_sections.h"

#include "core/config.h"
#include "core/config_syntax.h"

static const char *const log_levels[] = {
    [LOG_LEVEL_ERROR] = "error", [LOG_LEVEL_WARNING] = "warning", [LOG_LEVEL_NOTICE] = "notice",
    [LOG_LEVEL_INFO] = "info",   [LOG_LEVEL_DEBUG] = "debug",     NULL,
};

static const char *const log_formats[] = {
    [LOG_FORMAT_TEXT] = "text",
    [LOG_FORMAT_JSON] = "json",
    NULL,
};

static const struct config_key worker_keys[] = {
    {
	.name = "count",
	.type = CONFIG_NUMBER,
	.fallback = "auto",
	.none = "auto",
	.min = 1,
	.max = 64,
	FIELD(struct config, worker.count),
	.help = "Worker threads. With auto there is one for each CPU that the process may "
		"use.",
    },
};

const struct config_section config_section_worker = {
    .name = "worker",
    .parent = &config_section_file,
    KEYS(worker_keys),
    .help = "The threads that serve connections.",
};

static const struct config_key process_keys[] = {
    {
	.name = "user",
	.type = CONFIG_TEXT,
	.example = "\"sluice\"",
	.min = 1,
	.max = 63,
	.is_valid = config_is_name,
	.expected = "a name or number of [A-Za-z0-9_.-]",
	FIELD(struct config, process.user),
	.help = "User, by name or number, that the process becomes when it is started as root, "
		"before it opens anything. It keeps CAP_NET_ADMIN, for packet splice, and "
		"CAP_NET_BIND_SERVICE, for ports below 1024. By default it stays who it is.",
    },
    {
	.name = "group",
	.type = CONFIG_TEXT,
	.example = "\"sluice\"",
	.min = 1,
	.max = 63,
	.is_valid = config_is_name,
	.expected = "a name or number of [A-Za-z0-9_.-]",
	FIELD(struct config, process.group),
	.help =
	    "Group, by name or number, to go with user, and not without it: the one that sluice-loader gave the "
	    "pins to, unless the user is a member of it. By default the user's own.",
    },
};

const struct config_section config_section_process = {
    .name = "process",
    .parent = &config_section_file,
    KEYS(process_keys),
    .help = "Who the process is.",
};

static const struct config_key admin_keys[] = {
    {
	.name = "control",
	.type = CONFIG_TEXT,
	.example = "\"/run/sluice/control.sock\"",
	.min = 1,
	.max = 107,
	.is_valid = config_is_path,
	.expected = "an absolute path",
	FIELD(struct config, admin.control),
	.help = "Path of the unix socket that sluicectl talks to. By default it is "
		"/run/sluice/control.sock if the process is root or may write to "
		"/run/sluice, otherwise sluice/control.sock in $XDG_RUNTIME_DIR.",
    },
    {
	.name = "listen",
	.type = CONFIG_ADDRESSES,
	.example = "{\"127.0.0.1:9810\"}",
	.offset = offsetof(struct config, admin.addresses),
	.count_offset = offsetof(struct config, admin.n_addresses),
	.help = "Addresses for HTTP requests about the daemon, IPv4, IPv6 or unix:/path: "
		"/metrics, /healthz, /readyz, /api/v1. Nothing can be changed there, but there is "
		"no access control either. By default there are none.",
    },
};

const struct config_section config_section_admin = {
    .name = "admin",
    .parent = &config_section_file,
    KEYS(admin_keys),
    .help = "How the running process is looked at and told what to do.",
};

static const struct config_key log_keys[] = {
    {
	.name = "level",
	.type = CONFIG_WORD,
	.fallback = "notice",
	.words = log_levels,
	.is_reloadable = true,
	FIELD(struct config, log.level),
	.help = "The least important events that are logged.",
    },
    {
	.name = "format",
	.type = CONFIG_WORD,
	.fallback = "text",
	.words = log_formats,
	.is_reloadable = true,
	FIELD(struct config, log.format),
	.help = "Lines for people, or one JSON object on each line.",
    },
    {
	.name = "rate",
	.type = CONFIG_NUMBER,
	.fallback = "100",
	.zero = "unlimited",
	.min = 1,
	.max = 1000000,
	.is_reloadable = true,
	FIELD(struct config, log.rate_per_s),
	.help = "Lines that are logged in a second at most. Those beyond are counted, and "
		"the next line says how many were left out.",
    },
    {
	.name = "access",
	.type = CONFIG_TEXT,
	.fallback = "off",
	.none = "off",
	.min = 1,
	.max = PATH_LEN,
	.is_valid = config_is_log_target,
	.expected = "an absolute path, or - for standard output",
	.is_reloadable = true,
	FIELD(struct config, log.access),
	.help = "File of the access log: one JSON line for each connection, written at its "
		"end.",
    },
};

const struct config_section config_section_log = {
    .name = "log",
    .parent = &config_section_file,
    KEYS(log_keys),
    .help = "The log on standard error, and the access log.",
};
