/* SPDX-License-Identifier: Apache-2.0 */
#include "app/sluicectl/client.h"

#include "base/address.h"
#include "proto/control_message.h"

#include <stdio.h>
#include <sys/socket.h>

static int connect_to(const char *path, int *ret_fd)
{
	_cleanup_close_ int fd = -1;
	char text[ADDRESS_TEXT_MAX + 1];
	struct address address;

	snprintf(text, sizeof(text), "unix:%s", path);
	if (strlen(path) >= sizeof(address.un.sun_path) || address_parse(text, &address) < 0) {
		fprintf(stderr, "sluicectl: \"%s\": not a socket path\n", path);
		return EXIT_USAGE_ERROR;
	}
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, &address.sa, address.len) < 0) {
		fprintf(stderr, "sluicectl: cannot reach the daemon at %s: %s\n", path,
			strerror(errno));
		return EXIT_UNREACHABLE;
	}
	*ret_fd = TAKE_FD(fd);
	return EXIT_DONE;
}

/* Return: 0 or -errno. */
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

static int send_request(int fd, const char *cmd, json_t *args)
{
	_cleanup_free_ char *text = NULL;
	json_t *request = json_pack("{s:i, s:i, s:s, s:O}", "v", CONTROL_VERSION, "id", 1, "cmd",
				    cmd, "args", args);
	int error = -ENOMEM;

	text = json_dumps(request, JSON_COMPACT);
	json_decref(request);
	if (text)
		error = send_all(fd, text, strlen(text));
	if (error == 0)
		error = send_all(fd, "\n", 1);
	/* A daemon that has closed already may have said why. */
	if (error < 0 && error != -EPIPE) {
		fprintf(stderr, "sluicectl: cannot send the request: %s\n", strerror(-error));
		return EXIT_UNREACHABLE;
	}
	return EXIT_DONE;
}

/* Return: an exit status; *ret_more tells whether another page follows. */
static int take_reply(const char *line, page_fn *on_page, void *arg, bool *ret_more)
{
	json_error_t error;
	json_t *reply = json_loads(line, 0, &error);
	int status;

	*ret_more = json_is_true(json_object_get(reply, "more"));
	if (json_is_true(json_object_get(reply, "ok"))) {
		status = on_page(json_object_get(reply, "data"), arg);
	} else if (json_is_false(json_object_get(reply, "ok"))) {
		const json_t *what = json_object_get(reply, "error");

		fprintf(stderr, "sluicectl: %s: %s\n",
			json_string_value(json_object_get(what, "code")),
			json_string_value(json_object_get(what, "detail")));
		status = EXIT_REFUSED;
	} else {
		fprintf(stderr, "sluicectl: the daemon's answer makes no sense: %s\n",
			reply ? "no \"ok\"" : error.text);
		status = EXIT_REFUSED;
	}
	json_decref(reply);
	return status;
}

int client_request(const char *socket, const char *cmd, json_t *args, page_fn *on_page, void *arg)
{
	_cleanup_free_ char *line = NULL;
	bool has_more = true;
	size_t cap = 0;
	FILE *stream;
	int status, fd;

	status = connect_to(socket, &fd);
	if (status != EXIT_DONE)
		return status;
	stream = fdopen(fd, "r");
	if (!stream) {
		close(fd);
		fprintf(stderr, "sluicectl: %s\n", strerror(errno));
		return EXIT_UNREACHABLE;
	}
	status = send_request(fd, cmd, args);
	while (status == EXIT_DONE && has_more) {
		if (getline(&line, &cap, stream) < 0) {
			fprintf(stderr, "sluicectl: the daemon closed the connection\n");
			status = EXIT_UNREACHABLE;
			break;
		}
		status = take_reply(line, on_page, arg, &has_more);
	}
	fclose(stream);
	return status;
}
