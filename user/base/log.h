/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The process's log: one line an event, text or JSON, written with one write(2) so that lines of
 * different threads never mix. L0-L2 never log above debug; L3 logs a failure once, with the
 * connection id.
 *
 *	2026-11-21T02:01:55.123456Z warning [00000000000FZ] message (7 lines suppressed)
 *	{"time":"2026-...Z","level":"warning","conn":"00000000000FZ","msg":"message","suppressed":7}
 *
 * Without a connection there is no "[...] ", and "conn" is null; what was not suppressed is not
 * mentioned. Messages may quote a peer: control characters and invalid UTF-8 are escaped. A message
 * beyond 1024 bytes is cut and ends in "[...]".
 */
#pragma once
#include "base/std.h"

enum log_level {
	LOG_LEVEL_ERROR = 0,
	LOG_LEVEL_WARNING = 1,
	LOG_LEVEL_NOTICE = 2,
	LOG_LEVEL_INFO = 3,
	LOG_LEVEL_DEBUG = 4,
};

enum log_format {
	LOG_FORMAT_TEXT = 0,
	LOG_FORMAT_JSON = 1,
};

struct log_options {
	enum log_level level; /* more verbose levels are dropped */
	enum log_format format;
	int fd;              /* borrowed; 2 is usual */
	uint32_t rate_per_s; /* lines a second and burst, 0 = no limit; what is dropped is counted
			      * and reported by the next line that passes */
};

/** log_init() - set the process's log up; call before threads start. Default: notice, text, 2 */
void log_init(const struct log_options *options);
/** log_reconfigure() - any thread, at any time; the descriptor stays */
void log_reconfigure(enum log_level level, enum log_format format, uint32_t rate_per_s);
bool log_enabled(enum log_level level);
/** log_level_from_name() - "error".."debug". Return: 0 or -EINVAL */
int log_level_from_name(const char *name, enum log_level *ret_level);
const char *log_level_name(enum log_level level);

/* Prefer the macros below. Any thread. @conn_id 0 = not about a connection. Keeps errno. */
void log_write(enum log_level level, uint64_t conn_id, const char *fmt, ...) PRINTF_LIKE(3, 4);

#define log_error(...)   log_write(LOG_LEVEL_ERROR, 0, __VA_ARGS__)
#define log_warning(...) log_write(LOG_LEVEL_WARNING, 0, __VA_ARGS__)
#define log_notice(...)  log_write(LOG_LEVEL_NOTICE, 0, __VA_ARGS__)
#define log_info(...)    log_write(LOG_LEVEL_INFO, 0, __VA_ARGS__)
#define log_debug(...)                                              \
	do {                                                        \
		if (log_enabled(LOG_LEVEL_DEBUG))                   \
			log_write(LOG_LEVEL_DEBUG, 0, __VA_ARGS__); \
	} while (0)
#define log_conn(level, conn_id, ...)                           \
	do {                                                    \
		if (log_enabled(level))                         \
			log_write(level, conn_id, __VA_ARGS__); \
	} while (0)
