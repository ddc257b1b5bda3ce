/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"

#include "base/base32.h"
#include "base/clock.h"
#include "base/text_writer.h"
#include "base/token_bucket.h"

#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>

#define MESSAGE_MAX 1024
#define CUT_MARK    "[...]"

/* pipe(7): a write of at most PIPE_BUF bytes is not mixed with others', nor done in part. */
#define LINE_MAX_BYTES PIPE_BUF
#define EXPANSION_MAX  6   /* a control character in JSON */
#define ENVELOPE_MAX   256 /* bytes of a line that are not the message */
_Static_assert(EXPANSION_MAX *MESSAGE_MAX / 2 + sizeof(CUT_MARK) + ENVELOPE_MAX <= LINE_MAX_BYTES,
	       "half a message fits whatever is in it");

static struct {
	_Atomic int level, format; /* enum log_level, enum log_format */
	int fd;                    /* constant once there are threads */
	/* Held for a few instructions, never over a system call. */
	pthread_mutex_t lock;
	struct token_bucket bucket;
	uint64_t n_suppressed; /* lines dropped since the last that passed */
} log_state = {
    .level = LOG_LEVEL_NOTICE,
    .format = LOG_FORMAT_TEXT,
    .fd = STDERR_FILENO,
    .lock = PTHREAD_MUTEX_INITIALIZER,
};

static const char *const level_names[] = {
    [LOG_LEVEL_ERROR] = "error", [LOG_LEVEL_WARNING] = "warning", [LOG_LEVEL_NOTICE] = "notice",
    [LOG_LEVEL_INFO] = "info",   [LOG_LEVEL_DEBUG] = "debug",
};

void log_init(const struct log_options *options)
{
	log_state.fd = options->fd;
	log_reconfigure(options->level, options->format, options->rate_per_s);
	log_state.n_suppressed = 0;
}

void log_reconfigure(enum log_level level, enum log_format format, uint32_t rate_per_s)
{
	atomic_store_explicit(&log_state.level, (int)level, memory_order_relaxed);
	atomic_store_explicit(&log_state.format, (int)format, memory_order_relaxed);
	(void)pthread_mutex_lock(&log_state.lock);
	token_bucket_init(&log_state.bucket, rate_per_s, rate_per_s);
	(void)pthread_mutex_unlock(&log_state.lock);
}

bool log_enabled(enum log_level level)
{
	return (int)level <= atomic_load_explicit(&log_state.level, memory_order_relaxed);
}

const char *log_level_name(enum log_level level)
{
	return level_names[level];
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

/* ---- the rate limit -------------------------------------------------------------------------- */

/* Return: whether a line may pass, and how many lines before it did not */
static bool admit(uint64_t *ret_n_suppressed)
{
	uint64_t now_ns = clock_monotonic_ns();
	bool passes;

	(void)pthread_mutex_lock(&log_state.lock);
	/* Threads may come here in another order than they read the clock; an earlier time than
	 * the bucket's only makes it a token's part emptier than it is. */
	passes = token_bucket_take(&log_state.bucket, now_ns);
	if (passes) {
		*ret_n_suppressed = log_state.n_suppressed;
		log_state.n_suppressed = 0;
	} else {
		log_state.n_suppressed++;
	}
	(void)pthread_mutex_unlock(&log_state.lock);
	return passes;
}

static void count_suppressed(uint64_t n)
{
	(void)pthread_mutex_lock(&log_state.lock);
	log_state.n_suppressed += n;
	(void)pthread_mutex_unlock(&log_state.lock);
}

/* ---- one line -------------------------------------------------------------------------------- */

struct line {
	enum log_level level;
	uint64_t conn_id;
	uint64_t n_suppressed;
	uint64_t realtime_ns;
	char message[MESSAGE_MAX + sizeof(CUT_MARK)];
	size_t len; /* of message */
};

/* Of UTF-8: a byte that does not begin a character. */
static bool is_continuation(char byte)
{
	return ((uint8_t)byte & 0xc0) == 0x80;
}

/* Shortens the message to at most @len bytes and the mark, and never inside a character. */
static void cut_message(struct line *line, size_t len)
{
	static const char mark[] = CUT_MARK;

	/* A character has at most three of these; what has more is not UTF-8. */
	for (int i = 0; i < 3 && is_continuation(line->message[len]) && len > 0; i++)
		len--;
	memcpy(line->message + len, mark, sizeof(mark));
	line->len = len + strlen(mark);
}

static void put_text(struct text_writer *w, const struct line *line)
{
	char time[CLOCK_RFC3339_LEN + 1], id[BASE32_U64_LEN + 1];

	clock_format_rfc3339(line->realtime_ns, time);
	text_printf(w, "%s %s ", time, level_names[line->level]);
	if (line->conn_id) {
		base32_u64_encode(line->conn_id, id);
		text_printf(w, "[%s] ", id);
	}
	text_put_escaped(w, (struct slice){line->message, line->len});
	if (line->n_suppressed)
		text_printf(w, " (%llu lines suppressed)", (unsigned long long)line->n_suppressed);
	text_put_str(w, "\n");
}

static void put_json(struct text_writer *w, const struct line *line)
{
	char time[CLOCK_RFC3339_LEN + 1], id[BASE32_U64_LEN + 1];

	clock_format_rfc3339(line->realtime_ns, time);
	text_printf(w, "{\"time\":\"%s\",\"level\":\"%s\",\"conn\":", time,
		    level_names[line->level]);
	if (line->conn_id) {
		base32_u64_encode(line->conn_id, id);
		text_printf(w, "\"%s\"", id);
	} else {
		text_put_str(w, "null");
	}
	text_put_str(w, ",\"msg\":");
	text_put_json_string(w, (struct slice){line->message, line->len});
	if (line->n_suppressed)
		text_printf(w, ",\"suppressed\":%llu", (unsigned long long)line->n_suppressed);
	text_put_str(w, "}\n");
}

static bool build_line(const struct line *line, struct text_writer *ret_w, char *buf, size_t size)
{
	text_writer_init(ret_w, buf, size);
	if (atomic_load_explicit(&log_state.format, memory_order_relaxed) == LOG_FORMAT_JSON)
		put_json(ret_w, line);
	else
		put_text(ret_w, line);
	return !ret_w->is_truncated;
}

static void emit(struct line *line)
{
	char buf[LINE_MAX_BYTES];
	struct text_writer w;
	ssize_t n;

	/* Too long only if nearly all of the message has to be escaped. */
	if (!build_line(line, &w, buf, sizeof(buf))) {
		cut_message(line, MESSAGE_MAX / 2);
		(void)build_line(line, &w, buf, sizeof(buf));
	}
	do {
		n = write(log_state.fd, w.buf, w.len);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		count_suppressed(line->n_suppressed + 1);
}

void log_write(enum log_level level, uint64_t conn_id, const char *fmt, ...)
{
	struct line line = {.level = level, .conn_id = conn_id};
	int saved_errno = errno; /* for "%m", and for the caller, who may still need it */
	va_list args;
	int n;

	if (!log_enabled(level) || !admit(&line.n_suppressed))
		return;
	line.realtime_ns = clock_realtime_ns();
	errno = saved_errno;
	va_start(args, fmt);
	n = vsnprintf(line.message, sizeof(line.message), fmt, args);
	va_end(args);
	line.len = n > 0 ? MIN((size_t)n, (size_t)MESSAGE_MAX) : 0;
	if (n > MESSAGE_MAX)
		cut_message(&line, MESSAGE_MAX);
	emit(&line);
	errno = saved_errno;
}
