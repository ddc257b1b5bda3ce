/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"

#include "base/base32.h"
#include "base/clock.h"
#include "base/text_writer.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>

#define MESSAGE_MAX 1024
/* A control character grows to six in JSON; the rest of a line is short. */
#define LINE_MAX_BYTES (6 * MESSAGE_MAX + 256)

static struct {
	struct log_options options;
	/* The rate limit; its lock is held for arithmetic only, and never on the data path. */
	pthread_mutex_t lock;
	uint64_t refilled_ns;
	double tokens;
	uint64_t n_suppressed;
} state = {
    .options = {.level = LOG_LEVEL_NOTICE, .format = LOG_FORMAT_TEXT, .fd = STDERR_FILENO},
    .lock = PTHREAD_MUTEX_INITIALIZER,
};

static const char *const level_names[] = {
    [LOG_LEVEL_ERROR] = "error", [LOG_LEVEL_WARNING] = "warning", [LOG_LEVEL_NOTICE] = "notice",
    [LOG_LEVEL_INFO] = "info",   [LOG_LEVEL_DEBUG] = "debug",
};

void log_init(const struct log_options *options)
{
	state.options = *options;
	state.tokens = options->rate_per_s;
	state.refilled_ns = clock_monotonic_ns();
	state.n_suppressed = 0;
}

bool log_enabled(enum log_level level)
{
	return level <= state.options.level;
}

int log_level_from_name(const char *name, enum log_level *ret_level)
{
	for (size_t i = 0; i < ARRAY_SIZE(level_names); i++) {
		if (strcmp(level_names[i], name) == 0) {
			*ret_level = (enum log_level)i;
			return 0;
		}
	}
	return -EINVAL;
}

/* Takes a token. Return: whether the line may pass, and how many did not before it. */
static bool admit(uint64_t *ret_suppressed)
{
	double rate = state.options.rate_per_s;
	bool passes = true;

	*ret_suppressed = 0;
	if (state.options.rate_per_s == 0)
		return true;
	pthread_mutex_lock(&state.lock);
	uint64_t now_ns = clock_monotonic_ns();

	state.tokens += (double)(now_ns - state.refilled_ns) / (double)NS_PER_S * rate;
	state.tokens = MIN(state.tokens, rate);
	state.refilled_ns = now_ns;
	if (state.tokens >= 1) {
		state.tokens -= 1;
		*ret_suppressed = state.n_suppressed;
		state.n_suppressed = 0;
	} else {
		state.n_suppressed++;
		passes = false;
	}
	pthread_mutex_unlock(&state.lock);
	return passes;
}

static void put_text(struct text_writer *w, enum log_level level, uint64_t conn_id,
		     struct slice message)
{
	text_printf(w, "%-7s ", level_names[level]);
	if (conn_id) {
		char id[BASE32_U64_LEN + 1];

		base32_u64_encode(conn_id, id);
		text_printf(w, "[%s] ", id);
	}
	text_put_escaped(w, message);
}

static void put_json(struct text_writer *w, const char *time, enum log_level level,
		     uint64_t conn_id, struct slice message)
{
	text_printf(w, "{\"time\":\"%s\",\"level\":\"%s\",\"conn\":", time, level_names[level]);
	if (conn_id) {
		char id[BASE32_U64_LEN + 1];

		base32_u64_encode(conn_id, id);
		text_printf(w, "\"%s\"", id);
	} else {
		text_put_str(w, "null");
	}
	text_put_str(w, ",\"msg\":");
	text_put_json_string(w, message);
	text_put_str(w, "}");
}

static void emit(enum log_level level, uint64_t conn_id, struct slice message)
{
	char line[LINE_MAX_BYTES], time[CLOCK_RFC3339_LEN + 1];
	struct text_writer w;
	ssize_t n;

	clock_format_rfc3339(clock_realtime_ns(), time);
	text_writer_init(&w, line, sizeof(line) - 1);
	if (state.options.format == LOG_FORMAT_JSON) {
		put_json(&w, time, level, conn_id, message);
	} else {
		text_printf(&w, "%s ", time);
		put_text(&w, level, conn_id, message);
	}
	line[w.len] = '\n';
	/* One write(2) a line. Where the log cannot be written there is nobody left to tell. */
	n = write(state.options.fd, line, w.len + 1);
	(void)n;
}

void log_write(enum log_level level, uint64_t conn_id, const char *fmt, ...)
{
	static const char cut[] = "...";
	char message[MESSAGE_MAX];
	uint64_t n_suppressed;
	int saved_errno = errno, len;
	va_list ap;

	if (!log_enabled(level) || !admit(&n_suppressed))
		return;
	if (n_suppressed) {
		len = snprintf(message, sizeof(message), "%llu lines suppressed by log.rate",
			       (unsigned long long)n_suppressed);
		emit(LOG_LEVEL_WARNING, 0, (struct slice){message, (size_t)len});
	}
	va_start(ap, fmt);
	len = vsnprintf(message, sizeof(message), fmt, ap);
	va_end(ap);
	if (len >= (int)sizeof(message)) {
		memcpy(message + sizeof(message) - sizeof(cut), cut, sizeof(cut));
		len = sizeof(message) - 1;
	}
	if (len >= 0)
		emit(level, conn_id, (struct slice){message, (size_t)len});
	errno = saved_errno;
}
