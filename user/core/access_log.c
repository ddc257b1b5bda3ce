/* SPDX-License-Identifier: Apache-2.0 */
#include "core/access_log.h"

#include "base/base32.h"
#include "base/clock.h"
#include "base/text_writer.h"
#include "core/connection.h"

#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <sys/stat.h>

#define BUFFER_BYTES   65536
#define LINE_MAX_BYTES 2048 /* six names of at most CONFIG_NAME_MAX, and numbers */

struct access_log_file {
	atomic_uint refs;
	int fd; /* -1 = off */
	bool is_pipe, is_socket;
};

struct access_log {
	struct access_log_file *file; /* one reference, or NULL = off */
	stat_t *dropped;
	size_t len;
	char buf[BUFFER_BYTES];
};

/* ---- where it goes ------------------------------------------------------------------------- */

static int open_target(const char *target)
{
	static const int flags = O_WRONLY | O_APPEND | O_CLOEXEC | O_NONBLOCK;
	int fd;

	if (strcmp(target, "-") != 0) {
		fd = open(target, flags | O_CREAT, 0640);
		return fd < 0 ? -errno : fd;
	}
	/* A description of our own, so that O_NONBLOCK does not reach the other users of a pipe. */
	fd = open("/proc/self/fd/1", flags);
	if (fd < 0) /* sockets cannot be opened (ENXIO); they need not, see write_chunk() */
		fd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 0);
	return fd < 0 ? -errno : fd;
}

int access_log_file_new(int fd, struct access_log_file **ret_file)
{
	struct access_log_file *file = calloc(1, sizeof(*file));
	struct stat st = {0};

	if (!file)
		return -ENOMEM;
	atomic_init(&file->refs, 1);
	file->fd = fd;
	if (fd >= 0)
		(void)fstat(fd, &st);
	file->is_pipe = S_ISFIFO(st.st_mode);
	file->is_socket = S_ISSOCK(st.st_mode);
	*ret_file = file;
	return 0;
}

int access_log_file_open(const char *target, struct access_log_file **ret_file)
{
	int fd = target ? open_target(target) : -1, error;

	if (target && fd < 0)
		return fd;
	error = access_log_file_new(fd, ret_file);
	if (error < 0 && fd >= 0)
		close(fd);
	return error;
}

struct access_log_file *access_log_file_ref(struct access_log_file *file)
{
	atomic_fetch_add_explicit(&file->refs, 1, memory_order_relaxed);
	return file;
}

void access_log_file_unref(struct access_log_file *file)
{
	/* What the others wrote comes before the close. */
	if (!file || atomic_fetch_sub_explicit(&file->refs, 1, memory_order_acq_rel) != 1)
		return;
	if (file->fd >= 0)
		close(file->fd);
	free(file);
}

/* ---- life ---------------------------------------------------------------------------------- */

static bool is_off(const struct access_log *log)
{
	return !log->file || log->file->fd < 0;
}

int access_log_new(stat_t *dropped, struct access_log **ret_log)
{
	struct access_log *log = malloc(sizeof(*log));

	if (!log)
		return -ENOMEM;
	log->file = NULL;
	log->dropped = dropped;
	log->len = 0;
	*ret_log = log;
	return 0;
}

void access_log_set_file(struct access_log *log, struct access_log_file *file)
{
	(void)access_log_flush(log);
	access_log_file_unref(log->file);
	log->file = file;
	/* What is left goes where the rest goes, or nowhere. */
	if (is_off(log))
		log->len = 0;
}

void access_log_free(struct access_log *log)
{
	if (!log)
		return;
	access_log_file_unref(log->file);
	free(log);
}

/* ---- lines --------------------------------------------------------------------------------- */

static void put_key(struct text_writer *w, const char *key)
{
	text_put_str(w, w->len && w->buf[w->len - 1] != '{' ? ",\"" : "\"");
	text_put_str(w, key);
	text_put_str(w, "\":");
}

static void put_string(struct text_writer *w, const char *key, const char *value)
{
	put_key(w, key);
	if (value)
		text_put_json_string(w, slice_from_str(value));
	else
		text_put_str(w, "null");
}

static void put_number(struct text_writer *w, const char *key, uint64_t value)
{
	put_key(w, key);
	text_put_u64(w, value);
}

static void put_number_or_null(struct text_writer *w, const char *key, uint64_t value)
{
	if (value)
		put_number(w, key, value);
	else
		put_string(w, key, NULL);
}

static void put_connection(struct text_writer *w, const struct connection *c)
{
	uint64_t now_ns = clock_monotonic_ns();
	const struct config_route *route = c->route;
	char time[CLOCK_RFC3339_LEN + 1], id[BASE32_U64_LEN + 1], source[64];

	clock_format_rfc3339(clock_realtime_ns(), time);
	base32_u64_encode(c->id, id);
	connection_format_source(c, source, sizeof(source));
	put_string(w, "time", time);
	put_string(w, "conn", id);
	put_string(w, "listener", c->listener->name);
	put_string(w, "source", source);
	put_string(w, "route", route ? route->name : NULL);
	put_string(w, "rule", NULL);
	put_string(w, "class", c->class ? c->class->name : NULL);
	put_string(w, "cluster", c->cluster ? c->cluster->name : NULL);
	put_string(w, "endpoint", c->endpoint ? c->endpoint->name : NULL);
	put_string(w, "path", c->opened_ns ? sluice_path_name(c->path) : NULL);
	put_number(w, "promotions", c->promotions);
	put_string(w, "tls", NULL);
	put_string(w, "subject", NULL);
	put_string(w, "tenant", NULL);
	put_number_or_null(w, "status", c->http_status);
	put_number_or_null(w, "close_code", c->close_code);
	put_string(w, "reason", proto_error_info(c->error)->name);
	put_number(w, "duration_ms", (now_ns - c->accepted_ns) / NS_PER_MS);
	if (c->opened_ns)
		put_number(w, "handshake_ms", (c->opened_ns - c->accepted_ns) / NS_PER_MS);
	else
		put_string(w, "handshake_ms", NULL);
	put_number(w, "bytes_in", c->client.bytes_in);
	put_number(w, "bytes_out", c->client.bytes_out);
	put_number(w, "frames_in", c->frames_in);
	put_number(w, "frames_out", c->frames_out);
	put_key(w, "frames_exact");
	text_put_str(w, c->has_missed_frames ? "false" : "true");
	put_number_or_null(w, "rtt_us", leg_rtt_us(&c->client));
}

void access_log_write(struct access_log *log, const struct connection *c)
{
	struct text_writer w;

	if (is_off(log))
		return;
	if (sizeof(log->buf) - log->len < LINE_MAX_BYTES)
		(void)access_log_flush(log);
	if (sizeof(log->buf) - log->len < LINE_MAX_BYTES) {
		stat_add(log->dropped, 1);
		return;
	}
	text_writer_init(&w, log->buf + log->len, sizeof(log->buf) - log->len);
	text_put_str(&w, "{");
	put_connection(&w, c);
	text_put_str(&w, "}\n");
	assert(!w.is_truncated && w.len <= LINE_MAX_BYTES);
	log->len += w.len;
}

/*
 * What one write(2) may carry without mixing with another worker's lines: anything on a file
 * opened with O_APPEND, whole lines of at most PIPE_BUF bytes on a pipe (pipe(7)). A stream socket
 * takes so little as a whole or not at all, too: it puts a page into one buffer.
 */
static size_t chunk_len(const struct access_log *log, size_t from)
{
	size_t len = log->len - from;
	const char *end;

	if ((!log->file->is_pipe && !log->file->is_socket) || len <= PIPE_BUF)
		return len;
	end = memrchr(log->buf + from, '\n', PIPE_BUF);
	return (size_t)(end + 1 - (log->buf + from));
}

/* Never blocks: a socket, such as the journal's, is shared with others who may want to. */
static ssize_t write_chunk(const struct access_log *log, const char *data, size_t len)
{
	return log->file->is_socket ? send(log->file->fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL)
				    : write(log->file->fd, data, len);
}

bool access_log_flush(struct access_log *log)
{
	size_t done = 0;

	if (log->len == 0)
		return true;
	while (done < log->len) {
		ssize_t n = write_chunk(log, log->buf + done, chunk_len(log, done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			break; /* kept, until the buffer is full */
		done += (size_t)n;
	}
	log->len -= done;
	memmove(log->buf, log->buf + done, log->len);
	return log->len == 0;
}
