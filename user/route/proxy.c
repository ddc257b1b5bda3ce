/* SPDX-License-Identifier: Apache-2.0 */
#include "route/proxy.h"

#include "base/byte_queue.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/text_writer.h"
#include "core/connection.h"
#include "core/promotion.h"
#include "core/relay.h"
#include "core/worker.h"
#include "proto/ws_handshake.h"
#include "route/cluster.h"
#include "route/forward.h"
#include "route/hash_key.h"
#include "route/routing.h"
#include "route/upstream.h"

#define TRIES_MAX        8      /* endpoints that one request may be tried on */
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
	uint64_t key_hash;
	uint64_t breaker_phase; /* 0 = its end was reported */
	int last_error;         /* of the tries so far */
};

/* Once a request: how it ended, for the breaker. */
static void settle(struct proxy *p, enum breaker_outcome outcome)
{
	if (p->breaker_phase == 0) /* then the cluster may be gone already */
		return;
	cluster_settle(p->cluster, p->breaker_phase, outcome, clock_monotonic_ns());
	p->breaker_phase = 0;
}

static void proxy_free(void *stage)
{
	struct proxy *p = stage;

	settle(p, BREAKER_NEITHER);
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

/* The one that the connection is on. */
static struct member *current(const struct proxy *p)
{
	return p->tried[p->n_tried - 1];
}

static void fail_endpoint(struct connection *c, int error, const char *what)
{
	struct proxy *p = c->stage;
	struct member *member = current(p);

	log_conn(LOG_LEVEL_WARNING, c->id, "cluster \"%s\": endpoint \"%s\": %s",
		 p->cluster->config->name, member->config->name, what);
	p->last_error = error;
	if (error == EGW_PORTS) /* no fault of the endpoint */
		return;
	atomic_fetch_add_explicit(&member->endpoint->n_failed, 1, memory_order_relaxed);
	cluster_report(p->cluster, member, false, clock_monotonic_ns());
}

/* The connection is given up on this endpoint and may go to another. */
static void leave_endpoint(struct connection *c)
{
	leg_close(&c->endpoint_leg);
	promotion_leave_endpoint(c, true);
	cluster_release(c->endpoint_state);
	c->endpoint_state = NULL;
	leg_init(&c->endpoint_leg, c);
}

static void give_up(struct connection *c, int error)
{
	bool is_tried = error != EUP_NONE && error != EGW_PORTS;

	settle(c->stage, is_tried ? BREAKER_FAILED : BREAKER_NEITHER);
	connection_refuse(c, error);
}

/* Where to go now, counted on it; NULL if there is none, or were enough. */
static struct member *next_member(const struct proxy *p)
{
	const struct pick pick = {
	    .now_ns = clock_monotonic_ns(),
	    .key_hash = p->key_hash,
	    .tried = p->tried,
	    .n_tried = p->n_tried,
	};

	if (p->n_tried > p->cluster->config->retries || p->n_tried == TRIES_MAX)
		return NULL;
	return cluster_pick(p->cluster, &pick);
}

static int start_connect(struct connection *c, struct member *member)
{
	struct proxy *p = c->stage;
	struct address address;
	int fd = -1, error = endpoint_address(member->endpoint, &address);

	if (error == 0)
		error = upstream_connect(c, p->cluster->config, &p->cluster->state->source,
					 &address, &fd);
	if (error < 0)
		return error;
	leg_open(&c->endpoint_leg, fd);
	timer_arm(&c->timer, p->cluster->config->connect_timeout_ms);
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

static void fail_connect(struct connection *c, int error)
{
	if (error == -EUP_RESOLVE)
		fail_endpoint(c, EUP_RESOLVE, proto_error_info(error)->text);
	else if (error == -EADDRNOTAVAIL)
		fail_endpoint(c, EGW_PORTS, proto_error_info(EGW_PORTS)->text);
	else
		fail_endpoint(c, EUP_CONNECT, strerror(-error));
}

static void try_on(struct connection *c, struct member *member)
{
	struct proxy *p = c->stage;

	connection_set_state(c, CONNECTION_CONNECTING);
	for (; member; member = next_member(p)) {
		int error;

		p->tried[p->n_tried++] = member;
		c->endpoint_state = member->endpoint;
		c->endpoint = member->config;
		error = start_connect(c, member);
		if (error == 0)
			error = send_request(c);
		if (error == 0)
			return;
		fail_connect(c, error);
		leave_endpoint(c);
	}
	give_up(c, p->last_error ? p->last_error : EUP_NONE);
}

static void connect_failed(struct connection *c, int error, const char *what)
{
	fail_endpoint(c, error, what);
	leave_endpoint(c);
	try_on(c, next_member(c->stage));
}

/*
 * Once more, on another endpoint. Nothing has been sent to the client, the request is a GET, which
 * may be repeated (RFC 9110 s9.2.2), and the client's frames are still here.
 */
static void retry_on(struct connection *c, struct member *member)
{
	struct proxy *p = c->stage;

	leave_endpoint(c);
	byte_queue_consume(&p->response, byte_queue_len(&p->response));
	p->scan = (struct http1_scan){0};
	p->n_interim = 0;
	try_on(c, member);
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
	give_up(c, error);
}

/* No answer, which another endpoint may have. */
static void no_answer(struct connection *c, int error)
{
	struct member *member;

	fail_endpoint(c, error, proto_error_info(error)->text);
	member = next_member(c->stage);
	if (member)
		retry_on(c, member);
	else
		give_up(c, error);
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
	cluster_report(p->cluster, current(p), true, clock_monotonic_ns());
	settle(p, BREAKER_OK);
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
		give_up(c, EUP_LARGE);
		return;
	}
	settle(c->stage, head->status >= 500 ? BREAKER_FAILED : BREAKER_OK);
	connection_respond(c, head->status, (struct slice){w.buf, w.len}, EUP_STATUS);
}

static bool is_refusal(const struct http1_head *head)
{
	return head->status >= 300;
}

/*
 * A refusal of the client, 4xx, comes from an endpoint that works. Return: where to go instead,
 * for one that says that it, or what is behind it, does not.
 */
static struct member *judge_refusal(struct connection *c, const struct http1_head *head)
{
	struct proxy *p = c->stage;

	if (head->status < 500) {
		cluster_report(p->cluster, current(p), true, clock_monotonic_ns());
		return NULL;
	}
	fail_endpoint(c, EUP_STATUS, "refused the upgrade");
	return head->status >= 502 && head->status <= 504 ? next_member(p) : NULL;
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
	struct member *member = NULL;
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
	if (is_refusal(&head))
		member = judge_refusal(c, &head);
	if (member) {
		retry_on(c, member);
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
		no_answer(c, EUP_CLOSED);
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
		no_answer(c, EUP_TIMEOUT);
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

/* Whether the breaker lets it through; else it is refused. */
static bool is_admitted(struct connection *c, struct proxy *p)
{
	struct breaker_admission admission = cluster_admit(p->cluster, clock_monotonic_ns());

	if (admission.is_admitted)
		p->breaker_phase = admission.phase;
	else
		connection_refuse_for(c, EGW_BREAKER,
				      (admission.retry_ns + NS_PER_S - 1) / NS_PER_S);
	return admission.is_admitted;
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
	if (cluster->config->balance == CONFIG_BALANCE_HASH)
		p->key_hash = hash_key_of(cluster->config->hash_key, request->head, &c->source.sa);
	byte_queue_init(&p->request, WORKER_SCRATCH_OUT);
	byte_queue_init(&p->early, LEG_READ_MAX);
	byte_queue_init(&p->response, c->config->limits.max_head_bytes + 2 * LEG_READ_MAX);
	connection_set_stage(c, &proxy_ops, p, proxy_free);
	error = keep_request(c, p, request);
	if (error < 0)
		connection_refuse(c, -error);
	else if (is_admitted(c, p))
		try_on(c, next_member(p));
}
