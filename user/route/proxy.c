/* SPDX-License-Identifier: Apache-2.0 */
#include "route/proxy.h"

#include "base/byte_queue.h"
#include "base/log.h"
#include "base/text_writer.h"
#include "core/connection.h"
#include "core/relay.h"
#include "core/worker.h"
#include "proto/ws_handshake.h"
#include "route/cluster.h"
#include "route/forward.h"
#include "route/routing.h"

#include <netinet/tcp.h>
#include <sys/socket.h>

#define TRIES_MAX        8      /* endpoints that one request may try to connect to */
#define INTERIM_MAX      8      /* 1xx responses ahead of the final one */
#define REFUSAL_BODY_MAX 16384u /* bytes of an endpoint's refusal that are passed on */

struct proxy {
	struct cluster *cluster;
	struct byte_queue request;  /* the head for the endpoint, kept for the next try */
	struct byte_queue early;    /* what the client sent behind its head */
	struct byte_queue response; /* received so far, if it did not come in one piece */
	struct http1_scan scan;
	struct member *tried[TRIES_MAX];
	size_t n_tried, n_interim;
	int last_error; /* of the tries so far */
};

static void proxy_free(void *stage)
{
	struct proxy *p = stage;

	byte_queue_done(&p->request);
	byte_queue_done(&p->early);
	byte_queue_done(&p->response);
	free(p);
}

static struct http1_limits response_limits(const struct connection *c)
{
	return (struct http1_limits){
	    .head_bytes = c->config->limits.max_head_bytes,
	    .target_bytes = c->config->limits.max_head_bytes, /* the reason phrase's line */
	    .fields = c->config->limits.max_headers,
	};
}

/* ---- connecting ---------------------------------------------------------------------------- */

static void try_next(struct connection *c);

static void fail_endpoint(struct connection *c, int error, const char *what)
{
	struct proxy *p = c->stage;
	struct endpoint *endpoint = c->endpoint_state;

	log_conn(LOG_LEVEL_WARNING, c->id, "cluster \"%s\": endpoint \"%s\": %s",
		 p->cluster->config->name, endpoint->name, what);
	atomic_fetch_add_explicit(&endpoint->n_failed, 1, memory_order_relaxed);
	p->last_error = error;
}

/* The connection is given up on this endpoint and may go to another. */
static void leave_endpoint(struct connection *c)
{
	leg_close(&c->endpoint_leg);
	cluster_release(c->endpoint_state);
	c->endpoint_state = NULL;
	leg_init(&c->endpoint_leg, c);
}

static void connect_failed(struct connection *c, int error, const char *what)
{
	fail_endpoint(c, error, what);
	leave_endpoint(c);
	try_next(c);
}

static int start_connect(struct connection *c, const struct address *address)
{
	_cleanup_close_ int fd =
	    socket(address->sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	static const int on = 1;

	if (fd < 0)
		return -errno;
	/* Fails on unix sockets, which have nothing to delay. */
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (connect(fd, &address->sa, address->len) < 0 && errno != EINPROGRESS)
		return -errno;
	leg_open(&c->endpoint_leg, TAKE_FD(fd));
	return 0;
}

static void request_sent(struct connection *c)
{
	connection_set_state(c, CONNECTION_UPGRADING);
	timer_arm(&c->timer, c->cluster->upgrade_timeout_ms);
	leg_start_reading(&c->endpoint_leg);
}

/*
 * The request is sent at once: over loopback connect(2) has already succeeded, which saves a turn
 * of the loop. On a connection still in SYN-SENT, send(2) says EAGAIN and the request waits in
 * the leg's queue, whose first flush then tells whether the connect worked.
 */
static int send_request(struct connection *c)
{
	struct proxy *p = c->stage;
	int error =
	    leg_send(&c->endpoint_leg, byte_queue_front(&p->request), byte_queue_len(&p->request));

	if (error == 0 && byte_queue_len(&c->endpoint_leg.out) < byte_queue_len(&p->request))
		request_sent(c);
	return error;
}

static void try_next(struct connection *c)
{
	struct proxy *p = c->stage;

	connection_set_state(c, CONNECTION_CONNECTING);
	for (;;) {
		struct member *member =
		    p->n_tried < TRIES_MAX ? cluster_pick(p->cluster, p->tried, p->n_tried) : NULL;
		struct address address;
		int error;

		if (!member) {
			connection_refuse(c, p->last_error ? p->last_error : EUP_NONE);
			return;
		}
		p->tried[p->n_tried++] = member;
		c->endpoint_state = member->endpoint;
		c->endpoint = member->config;
		error = endpoint_address(member->endpoint, &address);
		if (error == 0)
			error = start_connect(c, &address);
		if (error == 0) {
			timer_arm(&c->timer, p->cluster->config->connect_timeout_ms);
			error = send_request(c);
		}
		if (error == 0)
			return;
		if (error == -EUP_RESOLVE)
			fail_endpoint(c, EUP_RESOLVE, proto_error_info(error)->text);
		else
			fail_endpoint(c, EUP_CONNECT, strerror(-error));
		leave_endpoint(c);
	}
}

static void on_writable(struct connection *c, struct leg *leg)
{
	size_t before = byte_queue_len(&leg->out);
	int error = leg_flush(leg);

	if (leg == &c->client)
		return; /* nothing is sent there before the answer */
	if (error < 0 && c->state == CONNECTION_CONNECTING)
		connect_failed(c, EUP_CONNECT, strerror(-error));
	else if (error < 0)
		leg_start_reading(leg); /* what it said before it closed counts */
	else if (c->state == CONNECTION_CONNECTING && byte_queue_len(&leg->out) < before)
		request_sent(c);
}

/* ---- the endpoint's answer ----------------------------------------------------------------- */

static void answer_failed(struct connection *c, int error)
{
	fail_endpoint(c, error, proto_error_info(error)->text);
	connection_refuse(c, error);
}

static void upgraded(struct connection *c, struct proxy *p, const struct http1_head *head,
		     const struct ws_upgraded *result, struct slice behind)
{
	struct text_writer w;
	int error;

	text_writer_init(&w, worker_scratch_out(c->worker), WORKER_SCRATCH_OUT);
	ws_handshake_write_forward_response(&w, head);
	if (w.is_truncated) {
		answer_failed(c, EUP_LARGE);
		return;
	}
	error = leg_send(&c->client, w.buf, w.len);
	if (error == -ENOMEM) {
		connection_end(c, EGW_MEMORY);
		return;
	}
	/* Any other error: a client that is gone shows when the relay reads from it. */
	relay_begin(c, result->allowed_rsv,
		    (struct slice){(char *)byte_queue_front(&p->early), byte_queue_len(&p->early)},
		    behind);
	/* What was on its way during a reload follows now. */
	if (!connection_is_closed(c))
		routing_follow(c);
}

/*
 * An endpoint that refuses (401, 403, a redirect) means the client, so its answer goes there, with
 * its headers, and with its body if that is framed by a length and here already; this connection
 * ends behind it.
 */
static void pass_refusal(struct connection *c, const struct http1_head *head, struct slice body)
{
	bool has_body = head->has_content_length && head->content_length <= body.len;
	struct text_writer w;

	text_writer_init(&w, worker_scratch_out(c->worker), WORKER_SCRATCH_OUT);
	text_printf(&w, "HTTP/1.1 %u ", head->status);
	text_put_slice(&w, head->reason);
	text_put_str(&w, "\r\n");
	for (size_t i = 0; i < head->n_fields; i++) {
		const struct http1_field *field = &head->fields[i];

		if (http1_is_hop_by_hop(field->name) ||
		    slice_equal_nocase(field->name, SLICE_LITERAL("Content-Length")) ||
		    http1_list_has(head, SLICE_LITERAL("Connection"), field->name))
			continue;
		text_put_slice(&w, field->name);
		text_put_str(&w, ": ");
		text_put_slice(&w, field->value);
		text_put_str(&w, "\r\n");
	}
	body.len = has_body ? (size_t)head->content_length : 0;
	text_printf(&w, "Content-Length: %zu\r\nConnection: close\r\n\r\n", body.len);
	text_put_slice(&w, body);
	if (w.is_truncated) {
		answer_failed(c, EUP_LARGE);
		return;
	}
	fail_endpoint(c, EUP_STATUS, "refused the upgrade");
	connection_respond(c, head->status, (struct slice){w.buf, w.len}, EUP_STATUS);
}

static bool is_refusal(const struct http1_head *head)
{
	return head->status >= 300;
}

/* Whether more of a refusal's body should be waited for. */
static bool wants_body(const struct http1_head *head, size_t body_len)
{
	/* RFC 9112 s6.3: a 304 has none, whatever its Content-Length says. */
	return is_refusal(head) && head->status != 304 && head->has_content_length &&
	       head->content_length <= REFUSAL_BODY_MAX && body_len < head->content_length;
}

static void answered(struct connection *c, struct proxy *p, const struct http1_head *head,
		     struct slice behind)
{
	struct http1_limits limits = {.head_bytes = UINT32_MAX,
				      .target_bytes = UINT32_MAX,
				      .fields = HTTP1_FIELDS_MAX};
	struct http1_head request;
	struct ws_upgrade offered;
	struct ws_upgraded result;
	int error;

	/* Our own request, which was valid when it was written, tells what was offered. */
	if (http1_request_parse((char *)byte_queue_front(&p->request), byte_queue_len(&p->request),
				&limits, &request) < 0 ||
	    ws_handshake_check_request(&request, &offered) < 0) {
		connection_refuse(c, EGW_INTERNAL);
		return;
	}
	error = ws_handshake_check_response(head, offered.key.ptr, &offered, &result);
	if (error == 0)
		upgraded(c, p, head, &result, behind);
	else if (error == -EUP_STATUS && is_refusal(head))
		pass_refusal(c, head, behind);
	else
		answer_failed(c, -error);
}

/* Takes complete heads off @data until the final one. Return: bytes of interim ones, or -errno. */
static ssize_t skip_interim(struct connection *c, struct proxy *p, const char *data, size_t len,
			    size_t *ret_head_len, struct http1_head *ret_head)
{
	struct http1_limits limits = response_limits(c);
	size_t skipped = 0;

	for (;;) {
		ssize_t head_len =
		    http1_head_scan(&p->scan, data + skipped, len - skipped, &limits);
		int error;

		if (head_len < 0)
			return head_len == -EHTTP_HEAD_LARGE || head_len == -EHTTP_FIELDS_MANY
				   ? -EUP_LARGE
				   : -EUP_SYNTAX;
		*ret_head_len = (size_t)head_len;
		if (head_len == 0)
			return (ssize_t)skipped;
		error = http1_response_parse(data + skipped, (size_t)head_len, &limits, ret_head);
		if (error < 0)
			return -EUP_SYNTAX;
		/* RFC 9110 s15.2: interim responses come first; 101 is this exchange's last. */
		if (ret_head->status >= 200 || ret_head->status == 101)
			return (ssize_t)skipped;
		if (p->n_interim++ == INTERIM_MAX)
			return -EUP_SYNTAX;
		skipped += (size_t)head_len;
		p->scan = (struct http1_scan){0};
	}
}

/* Without memory for it this refuses, which ends the stage. */
static void keep_response(struct connection *c, struct proxy *p, const char *data, size_t len,
			  bool is_kept_already, size_t skip)
{
	if (is_kept_already)
		byte_queue_consume(&p->response, skip);
	else if (byte_queue_append(&p->response, data + skip, len - skip) < 0)
		connection_refuse(c, EGW_MEMORY);
}

static void take_response(struct connection *c, const char *data, size_t len)
{
	struct proxy *p = c->stage;
	bool is_kept = byte_queue_len(&p->response) > 0;
	struct http1_head head;
	size_t head_len = 0;
	ssize_t skipped;

	if (is_kept) {
		if (byte_queue_append(&p->response, data, len) < 0) {
			answer_failed(c, EUP_LARGE);
			return;
		}
		data = (char *)byte_queue_front(&p->response);
		len = byte_queue_len(&p->response);
	}
	skipped = skip_interim(c, p, data, len, &head_len, &head);
	if (skipped < 0) {
		answer_failed(c, (int)-skipped);
		return;
	}
	if (head_len == 0 || wants_body(&head, len - (size_t)skipped - head_len)) {
		if (head_len > 0) /* the head is scanned again with its body */
			p->scan = (struct http1_scan){0};
		keep_response(c, p, data, len, is_kept, (size_t)skipped);
		return;
	}
	/* The stage's successor must not free it: its bytes are still needed. */
	c->free_stage = NULL;
	answered(c, p, &head,
		 (struct slice){data + skipped + head_len, len - (size_t)skipped - head_len});
	proxy_free(p);
}

/* ---- events -------------------------------------------------------------------------------- */

static void endpoint_readable(struct connection *c)
{
	char *scratch = worker_scratch(c->worker);
	ssize_t n = leg_recv(&c->endpoint_leg, scratch, LEG_READ_MAX);

	if (n > 0)
		take_response(c, scratch, (size_t)n);
	else if (n != -EAGAIN)
		answer_failed(c, EUP_CLOSED);
}

/* Frames may not precede the 101, but a hasty client's are kept for the endpoint, within a bound.
 */
static void client_readable(struct connection *c)
{
	struct proxy *p = c->stage;
	char *scratch = worker_scratch(c->worker);
	size_t room = MIN(byte_queue_room(&p->early), LEG_READ_MAX);
	ssize_t n = leg_recv(&c->client, scratch, room);

	if (n == -EAGAIN)
		return;
	if (n <= 0) {
		connection_end(c, n == 0 ? EEND_EOF : EEND_RESET);
		return;
	}
	if (byte_queue_append(&p->early, scratch, (size_t)n) < 0)
		connection_refuse(c, EGW_MEMORY);
	else if (byte_queue_room(&p->early) == 0)
		leg_stop_reading(&c->client);
}

static void on_readable(struct connection *c, struct leg *leg)
{
	if (leg == &c->client)
		client_readable(c);
	else
		endpoint_readable(c);
}

static void on_deadline(struct connection *c)
{
	if (c->state == CONNECTION_CONNECTING)
		connect_failed(c, EUP_TIMEOUT, "connect_timeout passed");
	else
		answer_failed(c, EUP_TIMEOUT);
}

static void on_close(struct connection *c, int error, uint16_t code, struct slice text)
{
	connection_refuse(c, error);
}

static const struct connection_ops proxy_ops = {
    .on_readable = on_readable,
    .on_writable = on_writable,
    .on_deadline = on_deadline,
    .close = on_close,
};

/* ---- start --------------------------------------------------------------------------------- */

static int keep_request(struct connection *c, struct proxy *p,
			const struct handshake_request *request)
{
	struct text_writer w;
	int error;

	text_writer_init(&w, worker_scratch_out(c->worker), WORKER_SCRATCH_OUT);
	error = forward_write(c->route, c->config->limits.max_target_bytes, &c->source.sa,
			      request->head, &w);
	if (error < 0)
		return error;
	if (byte_queue_append(&p->request, w.buf, w.len) < 0 ||
	    byte_queue_append(&p->early, request->early.ptr, request->early.len) < 0)
		return -EGW_MEMORY;
	return 0;
}

void proxy_begin(struct connection *c, struct cluster *cluster,
		 const struct handshake_request *request)
{
	struct ws_upgrade upgrade;
	struct proxy *p;
	int error = ws_handshake_check_request(request->head, &upgrade);

	if (error < 0) {
		connection_refuse(c, -error);
		return;
	}
	p = calloc(1, sizeof(*p));
	if (!p) {
		connection_refuse(c, EGW_MEMORY);
		return;
	}
	p->cluster = cluster;
	c->cluster = cluster->config;
	byte_queue_init(&p->request, WORKER_SCRATCH_OUT);
	byte_queue_init(&p->early, LEG_READ_MAX);
	byte_queue_init(&p->response, c->config->limits.max_head_bytes + 2 * LEG_READ_MAX);
	connection_set_stage(c, &proxy_ops, p, proxy_free);
	error = keep_request(c, p, request);
	if (error < 0)
		connection_refuse(c, -error);
	else
		try_next(c);
}
