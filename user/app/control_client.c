/* SPDX-License-Identifier: Apache-2.0 */
#include "app/control_client.h"

#include "base/address.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/time.h>

static int fail(struct control_client_error *error, int code, const char *fmt, ...)
    PRINTF_LIKE(3, 4);

static int fail(struct control_client_error *error, int code, const char *fmt, ...)
{
	va_list args;

	error->code[0] = '\0';
	va_start(args, fmt);
	vsnprintf(error->text, sizeof(error->text), fmt, args);
	va_end(args);
	return code;
}

static int set_timeout(int fd, uint64_t timeout_ms)
{
	const struct timeval timeout = {
	    .tv_sec = (time_t)(timeout_ms / 1000),
	    .tv_usec = (suseconds_t)(timeout_ms % 1000 * 1000),
	};

	return setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)) < 0 ||
		       setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout)) < 0
		   ? -errno
		   : 0;
}

static int connect_to(const char *path, uint64_t timeout_ms, int *ret_fd,
		      struct control_client_error *error)
{
	_cleanup_close_ int fd = -1;
	char text[ADDRESS_TEXT_MAX + 1];
	struct address address;

	snprintf(text, sizeof(text), "unix:%s", path);
	if (strlen(path) >= sizeof(address.un.sun_path) || address_parse(text, &address) < 0)
		return fail(error, -EINVAL, "\"%s\": not a socket path", path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || (timeout_ms && set_timeout(fd, timeout_ms) < 0) ||
	    connect(fd, &address.sa, address.len) < 0)
		return fail(error, -errno, "cannot reach the daemon at %s: %s", path,
			    strerror(errno));
	*ret_fd = TAKE_FD(fd);
	return 0;
}

static int send_all(int fd, const char *data, size_t len)
{
	while (len > 0) {
		ssize_t n = send(fd, data, len, MSG_NOSIGNAL);

		if (n < 0 && errno != EINTR)
			return -errno;
		data += MAX(n, 0);
		len -= (size_t)MAX(n, 0);
	}
	return 0;
}

static int send_request(int fd, const char *cmd, json_t *args, struct control_client_error *error)
{
	_cleanup_free_ char *text = NULL;
	json_t *request = json_pack("{s:i, s:i, s:s, s:O}", "v", CONTROL_VERSION, "id", 1, "cmd",
				    cmd, "args", args);
	int r = -ENOMEM;

	text = json_dumps(request, JSON_COMPACT);
	json_decref(request);
	if (text)
		r = send_all(fd, text, strlen(text));
	if (r == 0)
		r = send_all(fd, "\n", 1);
	/* A daemon that has closed already may have said why. */
	if (r < 0 && r != -EPIPE)
		return fail(error, r, "cannot send the request: %s", strerror(-r));
	return 0;
}

static int take_refusal(const json_t *what, struct control_client_error *error)
{
	const char *code = json_string_value(json_object_get(what, "code"));
	const char *detail = json_string_value(json_object_get(what, "detail"));
	int r = fail(error, -EREMOTEIO, "%s: %s", code ? code : "?", detail ? detail : "?");

	snprintf(error->code, sizeof(error->code), "%s", code ? code : "?");
	return r;
}

int control_client_take(const char *line, control_page_fn *on_page, void *arg, bool *ret_more,
			struct control_client_error *error)
{
	json_error_t json_error;
	json_t *reply = json_loads(line, 0, &json_error);
	int r;

	*ret_more = json_is_true(json_object_get(reply, "more"));
	if (json_is_true(json_object_get(reply, "ok")))
		r = on_page(json_object_get(reply, "data"), arg);
	else if (json_is_false(json_object_get(reply, "ok")))
		r = take_refusal(json_object_get(reply, "error"), error);
	else
		r = fail(error, -EREMOTEIO, "the daemon's answer makes no sense: %s",
			 reply ? "no \"ok\"" : json_error.text);
	json_decref(reply);
	return r;
}

static int send_to(const char *socket, const char *cmd, json_t *args, uint64_t timeout_ms,
		   int *ret_fd, struct control_client_error *error)
{
	_cleanup_close_ int fd = -1;
	int r = connect_to(socket, timeout_ms, &fd, error);

	if (r == 0)
		r = send_request(fd, cmd, args, error);
	if (r == 0)
		*ret_fd = TAKE_FD(fd);
	return r;
}

int control_client_send(const char *socket, const char *cmd, json_t *args, int *ret_fd,
			struct control_client_error *error)
{
	return send_to(socket, cmd, args, 0, ret_fd, error);
}

static int no_line(FILE *stream, uint64_t timeout_ms, struct control_client_error *error)
{
	if (ferror(stream) && (errno == EAGAIN || errno == EWOULDBLOCK))
		return fail(error, -ETIMEDOUT, "the daemon does not answer within %llu ms",
			    (unsigned long long)timeout_ms);
	return fail(error, -ECONNRESET, "the daemon closed the connection");
}

static int open_stream(const char *socket, const char *cmd, json_t *args, uint64_t timeout_ms,
		       FILE **ret_stream, struct control_client_error *error)
{
	_cleanup_close_ int fd = -1;
	FILE *stream;
	int r = send_to(socket, cmd, args, timeout_ms, &fd, error);

	if (r < 0)
		return r;
	stream = fdopen(fd, "r");
	if (!stream)
		return fail(error, -ENOMEM, "%s", strerror(ENOMEM));
	(void)TAKE_FD(fd);
	*ret_stream = stream;
	return 0;
}

static int take_page(FILE *stream, uint64_t timeout_ms, control_page_fn *on_page, void *arg,
		     bool *ret_more, struct control_client_error *error)
{
	_cleanup_free_ char *line = NULL;
	size_t cap = 0;

	if (getline(&line, &cap, stream) < 0)
		return no_line(stream, timeout_ms, error);
	return control_client_take(line, on_page, arg, ret_more, error);
}

int control_client_ask(const char *socket, const char *cmd, json_t *args, uint64_t timeout_ms,
		       control_page_fn *on_page, void *arg, struct control_client_error *ret_error)
{
	bool has_more = true;
	FILE *stream = NULL;
	int r = open_stream(socket, cmd, args, timeout_ms, &stream, ret_error);

	if (r < 0)
		return r;
	while (r == 0 && has_more)
		r = take_page(stream, timeout_ms, on_page, arg, &has_more, ret_error);
	fclose(stream);
	return r;
}

static int ignore_page(const json_t *data, void *arg)
{
	return 0;
}

int control_client_begin(const char *socket, const char *cmd, json_t *args, uint64_t timeout_ms,
			 int *ret_fd, struct control_client_error *ret_error)
{
	bool has_more = false;
	FILE *stream = NULL;
	int r = open_stream(socket, cmd, args, timeout_ms, &stream, ret_error), fd;

	if (r < 0)
		return r;
	r = take_page(stream, timeout_ms, ignore_page, NULL, &has_more, ret_error);
	if (r == 0 && !has_more)
		r = fail(ret_error, -EREMOTEIO, "%s: the daemon has ended it", cmd);
	if (r == 0) {
		fd = fcntl(fileno(stream), F_DUPFD_CLOEXEC, 0);
		if (fd < 0)
			r = fail(ret_error, -errno, "%s", strerror(errno));
		else
			*ret_fd = fd;
	}
	fclose(stream);
	return r;
}
