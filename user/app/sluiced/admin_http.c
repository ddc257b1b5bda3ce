/* SPDX-License-Identifier: Apache-2.0 */
#include "app/sluiced/admin_http.h"

#include "app/sluiced/admin_api.h"
#include "app/sluiced/commands.h"
#include "app/sluiced/gateway.h"
#include "app/sluiced/metrics.h"
#include "base/address.h"
#include "base/list.h"
#include "base/log.h"
#include "base/unix_socket.h"

#include <microhttpd.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>

#define BACKLOG            64
#define CONNECTIONS_MAX    32u /* on each address */
#define CONNECTIONS_PER_IP 16u
#define REQUEST_BYTES      16384u /* head and what is buffered for a connection */
#define TIMEOUT_S          15u    /* without progress in either direction */
#define API_PREFIX         "/api/v1/"

/* One address: libmicrohttpd's daemons listen on one socket each. */
struct site {
	struct admin_http *http;
	struct address address; /* as bound */
	struct MHD_Daemon *daemon;
	ev_io on_ready;
	ev_timer on_timeout;
};

struct admin_http {
	struct gateway *gateway;
	struct site *sites;
	size_t n_sites;
	struct list requests;
};

struct request {
	struct list node;
	struct site *site;
	struct admin_call *call; /* of /api/v1; else NULL */
};

/* ---- the loop ------------------------------------------------------------------------------ */

static void run_site(struct site *site)
{
	struct ev_loop *loop = site->http->gateway->loop;
	MHD_UNSIGNED_LONG_LONG ms;

	(void)MHD_run(site->daemon);
	ev_timer_stop(loop, &site->on_timeout);
	if (MHD_get_timeout(site->daemon, &ms) != MHD_YES)
		return;
	ev_timer_set(&site->on_timeout, (double)ms / 1000, 0);
	ev_timer_start(loop, &site->on_timeout);
}

static void ready_cb(struct ev_loop *loop, ev_io *io, int revents)
{
	run_site(container_of(io, struct site, on_ready));
}

static void timeout_cb(struct ev_loop *loop, ev_timer *timer, int revents)
{
	run_site(container_of(timer, struct site, on_timeout));
}

static void on_resume(void *arg)
{
	run_site(arg);
}

/* ---- what is there ------------------------------------------------------------------------- */

static enum MHD_Result serve_metrics(struct gateway *g, struct MHD_Connection *connection)
{
	struct MHD_Response *response;
	enum MHD_Result result;
	char *text;
	size_t len;

	if (metrics_write(g, &text, &len) < 0)
		return MHD_NO;
	response = MHD_create_response_from_buffer(len, text, MHD_RESPMEM_MUST_FREE);
	if (!response) {
		free(text);
		return MHD_NO;
	}
	(void)MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, METRICS_CONTENT_TYPE);
	result = MHD_queue_response(connection, MHD_HTTP_OK, response);
	MHD_destroy_response(response);
	return result;
}

static enum MHD_Result serve_health(struct gateway *g, struct MHD_Connection *connection)
{
	return admin_queue_json(connection, MHD_HTTP_OK, json_pack("{s:s}", "status", "ok"));
}

/* For who sends clients here: whether new ones are welcome. */
static enum MHD_Result serve_readiness(struct gateway *g, struct MHD_Connection *connection)
{
	const char *reason = gateway_not_ready(g);

	if (!reason)
		return admin_queue_json(connection, MHD_HTTP_OK,
					json_pack("{s:s}", "status", "ready"));
	return admin_queue_json(connection, MHD_HTTP_SERVICE_UNAVAILABLE,
				json_pack("{s:s, s:s}", "status", "not_ready", "reason", reason));
}

static const struct {
	const char *path;
	enum MHD_Result (*serve)(struct gateway *g, struct MHD_Connection *connection);
} pages[] = {
    {"/metrics", serve_metrics},
    {"/healthz", serve_health},
    {"/readyz", serve_readiness},
};

static enum MHD_Result serve_api(struct request *request, struct MHD_Connection *connection,
				 const char *resource)
{
	struct gateway *g = request->site->http->gateway;
	const char *cmd = commands_of_resource(resource);

	if (!cmd)
		return admin_queue_error(connection, MHD_HTTP_NOT_FOUND, "no_such_resource",
					 "see sluiced(8) for what there is");
	/* The workers may have ended, and would not answer. */
	if (g->is_stopping)
		return admin_queue_error(connection, MHD_HTTP_SERVICE_UNAVAILABLE, "stopping",
					 "the daemon is stopping");
	if (admin_call_new(g, connection, cmd, on_resume, request->site, &request->call) < 0)
		return MHD_NO;
	return admin_call_respond(request->call);
}

static enum MHD_Result route(struct request *request, struct MHD_Connection *connection,
			     const char *path)
{
	if (strncmp(path, API_PREFIX, strlen(API_PREFIX)) == 0)
		return serve_api(request, connection, path + strlen(API_PREFIX));
	for (size_t i = 0; i < ARRAY_SIZE(pages); i++) {
		if (strcmp(pages[i].path, path) == 0)
			return pages[i].serve(request->site->http->gateway, connection);
	}
	return admin_queue_error(connection, MHD_HTTP_NOT_FOUND, "no_such_page",
				 "there are /metrics, /healthz, /readyz and /api/v1/...");
}

/* ---- requests ------------------------------------------------------------------------------ */

static enum MHD_Result refuse_method(struct MHD_Connection *connection)
{
	json_t *body = json_pack("{s:{s:s, s:s}}", "error", "code", "method_not_allowed", "detail",
				 "only GET and HEAD: nothing can be changed here");
	char *text = json_dumps(body, JSON_COMPACT);
	struct MHD_Response *response =
	    text ? MHD_create_response_from_buffer(strlen(text), text, MHD_RESPMEM_MUST_FREE)
		 : NULL;
	enum MHD_Result result;

	json_decref(body);
	if (!response) {
		free(text);
		return MHD_NO;
	}
	/* RFC 9110 s15.5.6: what is allowed must be named. */
	(void)MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
	(void)MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, "application/json");
	result = MHD_queue_response(connection, MHD_HTTP_METHOD_NOT_ALLOWED, response);
	MHD_destroy_response(response);
	return result;
}

/* Called when the head is there, for each part of a body, and once more; and after a resume. */
static enum MHD_Result request_cb(void *arg, struct MHD_Connection *connection, const char *path,
				  const char *method, const char *version, const char *body,
				  size_t *body_len, void **slot)
{
	struct site *site = arg;
	struct request *request = *slot;

	if (!request) {
		if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 &&
		    strcmp(method, MHD_HTTP_METHOD_HEAD) != 0)
			return refuse_method(connection);
		request = calloc(1, sizeof(*request));
		if (!request)
			return MHD_NO;
		request->site = site;
		list_append(&site->http->requests, &request->node);
		*slot = request;
		return MHD_YES;
	}
	if (*body_len > 0) {
		*body_len = 0;
		return MHD_YES;
	}
	return request->call ? admin_call_respond(request->call) : route(request, connection, path);
}

static void completed_cb(void *arg, struct MHD_Connection *connection, void **slot,
			 enum MHD_RequestTerminationCode how)
{
	struct request *request = TAKE_PTR(*slot);

	if (!request)
		return;
	if (request->call)
		admin_call_leave(request->call);
	list_remove(&request->node);
	free(request);
}

__attribute__((format(printf, 2, 0))) static void log_cb(void *arg, const char *fmt, va_list ap)
{
	char text[256];

	vsnprintf(text, sizeof(text), fmt, ap);
	text[strcspn(text, "\n")] = '\0';
	log_debug("admin: %s", text);
}

/* ---- listening ----------------------------------------------------------------------------- */

static int open_tcp(const struct address *address, int *ret_fd)
{
	_cleanup_close_ int fd = -1;
	static const int on = 1;

	fd = socket(address->sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0)
		return -errno;
	/* As for other listeners: [::] beside 0.0.0.0. */
	if (address->sa.sa_family == AF_INET6 &&
	    setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) < 0)
		return -errno;
	if (bind(fd, &address->sa, address->len) < 0 || listen(fd, BACKLOG) < 0)
		return -errno;
	*ret_fd = TAKE_FD(fd);
	return 0;
}

static int open_address(const struct address *address, int *ret_fd)
{
	return address->sa.sa_family == AF_UNIX ? unix_listen(address, BACKLOG, 0660, ret_fd)
						: open_tcp(address, ret_fd);
}

static int start_daemon(struct site *site, int fd)
{
	site->daemon =
	    MHD_start_daemon(MHD_USE_EPOLL | MHD_USE_ERROR_LOG | MHD_ALLOW_SUSPEND_RESUME, 0, NULL,
			     NULL, request_cb, site, MHD_OPTION_EXTERNAL_LOGGER, log_cb, NULL,
			     MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_CONNECTION_LIMIT,
			     CONNECTIONS_MAX, MHD_OPTION_PER_IP_CONNECTION_LIMIT,
			     CONNECTIONS_PER_IP, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
			     (size_t)REQUEST_BYTES, MHD_OPTION_CONNECTION_TIMEOUT, TIMEOUT_S,
			     MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_NOTIFY_COMPLETED,
			     completed_cb, NULL, MHD_OPTION_END);
	return site->daemon ? 0 : -ENOMEM;
}

static int open_site(struct site *site, const struct address *address)
{
	const union MHD_DaemonInfo *info;
	_cleanup_close_ int fd = -1;
	int error = open_address(address, &fd);

	if (error < 0)
		return error;
	site->address.len = sizeof(site->address.un);
	if (getsockname(fd, &site->address.sa, &site->address.len) < 0)
		return -errno;
	error = start_daemon(site, fd);
	if (error < 0)
		return error;
	TAKE_FD(fd); /* the daemon's from now on */
	info = MHD_get_daemon_info(site->daemon, MHD_DAEMON_INFO_EPOLL_FD);
	ev_io_init(&site->on_ready, ready_cb, info->epoll_fd, EV_READ);
	ev_io_start(site->http->gateway->loop, &site->on_ready);
	ev_init(&site->on_timeout, timeout_cb);
	return 0;
}

int admin_http_new(struct gateway *gateway, struct admin_http **ret_http)
{
	const struct config *config = gateway->config;
	struct admin_http *http;

	if (config->admin.n_addresses == 0)
		return 0;
	http = calloc(1, sizeof(*http));
	if (!http)
		return -ENOMEM;
	http->gateway = gateway;
	list_init(&http->requests);
	http->sites = calloc(config->admin.n_addresses, sizeof(*http->sites));
	for (size_t i = 0; i < config->admin.n_addresses; i++) {
		char text[ADDRESS_TEXT_MAX + 1];
		int error = -ENOMEM;

		if (http->sites) {
			http->sites[i].http = http;
			error = open_site(&http->sites[i], &config->admin.addresses[i]);
		}
		if (error < 0) {
			address_format(&config->admin.addresses[i], text);
			log_error("admin.listen: cannot listen on %s: %s", text, strerror(-error));
			admin_http_free(http);
			return error;
		}
		http->n_sites++;
		address_format(&http->sites[i].address, text);
		log_notice("admin: listening on %s", text);
	}
	*ret_http = http;
	return 0;
}

void admin_http_free(struct admin_http *http)
{
	if (!http)
		return;
	/* A daemon cannot stop while any of its connections is suspended. */
	list_for_each (node, &http->requests) {
		struct request *request = list_entry(node, struct request, node);

		if (request->call)
			admin_call_resume(request->call);
	}
	for (size_t i = 0; i < http->n_sites; i++) {
		struct site *site = &http->sites[i];

		ev_io_stop(http->gateway->loop, &site->on_ready);
		ev_timer_stop(http->gateway->loop, &site->on_timeout);
		MHD_stop_daemon(site->daemon);
		if (site->address.sa.sa_family == AF_UNIX)
			unix_unlink(&site->address);
	}
	free(http->sites);
	free(http);
}

json_t *admin_http_addresses(const struct admin_http *http)
{
	json_t *addresses = json_array();

	for (size_t i = 0; http && i < http->n_sites; i++) {
		char text[ADDRESS_TEXT_MAX + 1];

		address_format(&http->sites[i].address, text);
		json_array_append_new(addresses, json_string(text));
	}
	return addresses;
}
