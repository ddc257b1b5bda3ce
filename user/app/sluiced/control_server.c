/* SPDX-License-Identifier: Apache-2.0 */
#include "app/sluiced/control_server.h"

#include "app/sluiced/commands.h"
#include "app/sluiced/gateway.h"
#include "base/address.h"
#include "base/byte_queue.h"
#include "base/list.h"
#include "base/log.h"
#include "base/unix_socket.h"
#include "core/control_path.h"
#include "proto/control_message.h"

#include <libgen.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>

#define READ_BYTES     65536
#define OUT_MAX        (16u << 20) /* one answer; lists come in pages far below it */
#define OUT_ENOUGH     (64u << 10) /* the next page, or request, waits until less is unsent */
#define ACCEPT_PAUSE_S 0.1         /* after running out of descriptors or memory */

struct control_server {
	struct gateway *gateway;
	struct address address;
	int fd;
	ev_io on_connect;
	ev_timer accept_pause;
	struct list clients;
	size_t n_clients;
};

struct client {
	struct list node;
	struct control_server *server;
	int fd;
	ev_io on_readable, on_writable;
	ev_timer stall;
	struct byte_queue in, out;
	struct line_call *call; /* being carried out, or NULL */
	bool is_last;           /* close once out is empty */
	bool is_broken;         /* nothing can be sent any more */
	bool is_processing;     /* inside process() */
};

/* A client's request. */
struct line_call {
	struct control_call call;
	struct control_request request;
	struct client *client; /* NULL once it is gone */
};

/* ---- clients ------------------------------------------------------------------------------- */

static struct ev_loop *loop_of(const struct client *client)
{
	return client->server->gateway->loop;
}

static void process(struct client *client);

static bool has_enough_output(const struct client *client)
{
	return byte_queue_len(&client->out) >= OUT_ENOUGH;
}

static void client_free(struct client *client)
{
	struct line_call *call = client->call;

	ev_io_stop(loop_of(client), &client->on_readable);
	ev_io_stop(loop_of(client), &client->on_writable);
	ev_timer_stop(loop_of(client), &client->stall);
	list_remove(&client->node);
	client->server->n_clients--;
	close(client->fd);
	byte_queue_done(&client->in);
	byte_queue_done(&client->out);
	free(client);
	if (!call)
		return;
	call->client = NULL;
	control_leave(&call->call);
}

static void flush(struct client *client)
{
	while (byte_queue_len(&client->out)) {
		ssize_t n = send(client->fd, byte_queue_front(&client->out),
				 byte_queue_len(&client->out), MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN) {
			ev_io_start(loop_of(client), &client->on_writable);
			if (!ev_is_active(&client->stall))
				ev_timer_again(loop_of(client), &client->stall);
			return;
		}
		if (n < 0) {
			byte_queue_done(&client->out);
			client->is_last = client->is_broken = true;
			break;
		}
		byte_queue_consume(&client->out, (size_t)n);
		if (ev_is_active(&client->stall))
			ev_timer_again(loop_of(client), &client->stall);
	}
	ev_io_stop(loop_of(client), &client->on_writable);
	ev_timer_stop(loop_of(client), &client->stall);
}

static void send_line(struct client *client, char *line, size_t len)
{
	_cleanup_free_ char *owned = line;

	if (!owned || byte_queue_append(&client->out, owned, len) < 0) {
		log_error("control: an answer of %zu bytes does not fit", len);
		client->is_last = client->is_broken = true;
	}
	flush(client);
}

static void send_error(struct client *client, uint64_t id, const char *code, const char *detail)
{
	size_t len = 0;
	char *line = control_reply_error(id, code, detail, &len);

	send_line(client, line, len);
}

/* Whether the client waits for an answer that has an end. */
static bool is_waiting(const struct client *client)
{
	return client->call && !client->call->call.is_endless;
}

/*
 * Reads when there is room for a request and none is being carried out. During an answer without an
 * end, too: only so is it known that the client has gone.
 */
static void settle(struct client *client)
{
	if (client->is_last && byte_queue_len(&client->out) == 0) {
		client_free(client);
		return;
	}
	if (is_waiting(client) || client->is_last || (!client->call && has_enough_output(client)))
		ev_io_stop(loop_of(client), &client->on_readable);
	else
		ev_io_start(loop_of(client), &client->on_readable);
}

static const struct control_caller line_caller;

static void run_line(struct client *client, const char *line, size_t len)
{
	struct line_call *call = calloc(1, sizeof(*call));
	struct control_error error;

	if (!call) {
		send_error(client, 0, CONTROL_ERROR_BUSY, "out of memory");
		return;
	}
	if (control_request_parse(line, len, &call->request, &error) < 0) {
		send_error(client, call->request.id, error.code, error.detail);
		free(call);
		return;
	}
	call->call = (struct control_call){.caller = &line_caller,
					   .gateway = client->server->gateway,
					   .args = call->request.args};
	call->client = client;
	client->call = call;
	commands_run(&call->call, call->request.cmd);
}

/* Carries out complete lines until one takes time, or the client has to read first. Ends with the
 * client settled, or gone. */
static void process(struct client *client)
{
	client->is_processing = true;
	while (!client->call && !client->is_last && !has_enough_output(client)) {
		const char *line = (const char *)byte_queue_front(&client->in);
		size_t len = byte_queue_len(&client->in);
		const char *end = len ? memchr(line, '\n', len) : NULL;
		struct byte_queue taken;

		if (!end) {
			if (len > CONTROL_LINE_MAX) {
				send_error(client, 0, CONTROL_ERROR_TOO_LONG,
					   "a line is at most 1 MiB");
				client->is_last = true;
			}
			break;
		}
		/* The line leaves the queue first: a command may answer, and so process, at once.
		 */
		byte_queue_init(&taken, CONTROL_LINE_MAX + READ_BYTES);
		if (byte_queue_append(&taken, line, (size_t)(end - line)) == 0) {
			byte_queue_consume(&client->in, (size_t)(end - line) + 1);
			if (byte_queue_len(&taken) > 0)
				run_line(client, (const char *)byte_queue_front(&taken),
					 byte_queue_len(&taken));
		} else {
			client->is_last = true;
		}
		byte_queue_done(&taken);
	}
	client->is_processing = false;
	settle(client);
}

static void readable_cb(struct ev_loop *loop, ev_io *io, int revents)
{
	struct client *client = container_of(io, struct client, on_readable);
	uint8_t *space;
	ssize_t n;

	if (byte_queue_reserve(&client->in, READ_BYTES, &space) < 0) {
		client_free(client);
		return;
	}
	n = recv(client->fd, space, READ_BYTES, 0);
	byte_queue_commit(&client->in, n > 0 ? (size_t)n : 0);
	if (n > 0) {
		process(client);
	} else if (n == 0 && byte_queue_len(&client->out) &&
		   !(client->call && client->call->call.is_endless)) {
		client->is_last = true; /* half-closed: it may still read its answers */
		settle(client);
	} else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
		client_free(client);
	}
}

static void writable_cb(struct ev_loop *loop, ev_io *io, int revents)
{
	struct client *client = container_of(io, struct client, on_writable);
	struct line_call *call = client->call;

	flush(client);
	if (client->is_broken)
		client_free(client);
	else if (call && call->call.next && !has_enough_output(client))
		control_go_on(&call->call);
	else
		process(client);
}

static void stall_cb(struct ev_loop *loop, ev_timer *timer, int revents)
{
	struct client *client = container_of(timer, struct client, stall);

	log_warning("control: client dropped: it did not read its answer");
	client_free(client);
}

static void resume_accepting(struct ev_loop *loop, ev_timer *timer, int revents)
{
	struct control_server *server = container_of(timer, struct control_server, accept_pause);

	ev_io_start(loop, &server->on_connect);
}

static void connect_cb(struct ev_loop *loop, ev_io *io, int revents)
{
	struct control_server *server = container_of(io, struct control_server, on_connect);
	int fd = accept4(server->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct client *client;

	if (fd < 0) {
		/* A client that cannot be taken would wake the loop again and again. */
		if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
			ev_io_stop(loop, &server->on_connect);
			ev_timer_set(&server->accept_pause, ACCEPT_PAUSE_S, 0);
			ev_timer_start(loop, &server->accept_pause);
		}
		return;
	}
	client = server->n_clients < CONTROL_CLIENTS_MAX ? calloc(1, sizeof(*client)) : NULL;
	if (!client) {
		static const char busy[] = "{\"id\":0,\"ok\":false,\"error\":{\"code\":\"busy\","
					   "\"detail\":\"too many control clients\"}}\n";

		(void)send(fd, busy, sizeof(busy) - 1, MSG_NOSIGNAL);
		close(fd);
		return;
	}
	client->server = server;
	client->fd = fd;
	byte_queue_init(&client->in, CONTROL_LINE_MAX + 2 * READ_BYTES);
	byte_queue_init(&client->out, OUT_MAX);
	ev_io_init(&client->on_readable, readable_cb, fd, EV_READ);
	ev_io_init(&client->on_writable, writable_cb, fd, EV_WRITE);
	ev_init(&client->stall, stall_cb);
	client->stall.repeat = CONTROL_STALL_S;
	list_append(&server->clients, &client->node);
	server->n_clients++;
	ev_io_start(loop_of(client), &client->on_readable);
}

/* ---- calls --------------------------------------------------------------------------------- */

/* Sends @line, ends the call, and lets the client's next request begin. */
static void end_call(struct line_call *call, char *line, size_t len)
{
	struct client *client = call->client;

	control_request_done(&call->request);
	free(call);
	if (!client) {
		free(line);
		return;
	}
	client->call = NULL;
	send_line(client, line, len);
	if (!client->is_processing)
		process(client);
}

static void finish_line(struct control_call *base, json_t *data)
{
	struct line_call *call = container_of(base, struct line_call, call);
	size_t len = 0;
	char *line = control_reply_ok(call->request.id, data, false, &len);

	json_decref(data);
	end_call(call, line, len);
}

static void fail_line(struct control_call *base, const char *code, const char *detail)
{
	struct line_call *call = container_of(base, struct line_call, call);
	size_t len = 0;
	char *line = control_reply_error(call->request.id, code, detail, &len);

	end_call(call, line, len);
}

static bool page_line(struct control_call *base, json_t *data)
{
	struct line_call *call = container_of(base, struct line_call, call);
	struct client *client = call->client;
	size_t len = 0;
	char *line = control_reply_ok(call->request.id, data, true, &len);

	json_decref(data);
	send_line(client, line, len);
	if (!client->is_broken)
		return !has_enough_output(client);
	/* An answer may have many pages, or no end: it is not worth going on. */
	call->call.is_gone = true;
	call->client = NULL;
	client->call = NULL;
	if (!client->is_processing)
		client_free(client);
	return true;
}

static void wait_line(struct control_call *base)
{
	struct client *client = container_of(base, struct line_call, call)->client;

	if (!client->is_processing)
		settle(client);
}

static const struct control_caller line_caller = {
    .finish = finish_line,
    .fail = fail_line,
    .page = page_line,
    .wait = wait_line,
};

/* ---- the socket ---------------------------------------------------------------------------- */

static int listen_on(struct control_server *server, const char *path)
{
	char text[ADDRESS_TEXT_MAX + 1];
	int error;

	snprintf(text, sizeof(text), "unix:%s", path);
	error = address_parse(text, &server->address);
	if (error < 0)
		return error;
	return unix_listen(&server->address, 16, 0660, &server->fd);
}

/* The default directory is made on demand; one that was configured is the operator's. */
static void make_directory(const char *path)
{
	char copy[sizeof(((struct sockaddr_un *)0)->sun_path)];

	snprintf(copy, sizeof(copy), "%s", path);
	(void)mkdir(dirname(copy), 0755);
}

int control_server_new(struct gateway *gateway, struct control_server **ret_server)
{
	_cleanup_free_ struct control_server *server = calloc(1, sizeof(*server));
	const char *configured = gateway->config->admin.control;
	char buf[CONTROL_PATH_MAX + 1];
	const char *path = configured ? configured : control_default_path(buf);
	int error;

	if (!server)
		return -ENOMEM;
	if (!path) {
		log_warning("no control socket: neither /run/sluice nor XDG_RUNTIME_DIR can be "
			    "used; set admin.control");
		return 0;
	}
	if (!configured)
		make_directory(path);
	error = listen_on(server, path);
	if (error < 0 && configured) {
		log_error("admin.control = \"%s\": %s", path, strerror(-error));
		return error;
	}
	if (error < 0) {
		log_warning("no control socket: %s: %s; set admin.control", path, strerror(-error));
		return 0;
	}
	log_notice("control socket: %s", path);
	server->gateway = gateway;
	list_init(&server->clients);
	ev_io_init(&server->on_connect, connect_cb, server->fd, EV_READ);
	ev_io_start(gateway->loop, &server->on_connect);
	ev_init(&server->accept_pause, resume_accepting);
	*ret_server = TAKE_PTR(server);
	return 0;
}

void control_server_free(struct control_server *server)
{
	if (!server)
		return;
	while (!list_is_empty(&server->clients))
		client_free(list_entry(server->clients.next, struct client, node));
	ev_io_stop(server->gateway->loop, &server->on_connect);
	ev_timer_stop(server->gateway->loop, &server->accept_pause);
	unix_unlink(&server->address);
	close(server->fd);
	free(server);
}
