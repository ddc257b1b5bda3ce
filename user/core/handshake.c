/* SPDX-License-Identifier: Apache-2.0 */
#include "core/handshake.h"

#include "base/byte_queue.h"
#include "core/connection.h"
#include "core/worker.h"

/* Exists only when the head did not arrive in one piece. */
struct handshake {
	struct http1_scan scan;
	struct byte_queue received;
};

static void handshake_free(void *stage)
{
	struct handshake *h = stage;

	if (!h)
		return;
	byte_queue_done(&h->received);
	free(h);
}

static struct http1_limits limits_of(const struct connection *c)
{
	return (struct http1_limits){
	    .head_bytes = c->config->limits.max_head_bytes,
	    .target_bytes = c->config->limits.max_target_bytes,
	    .fields = c->config->limits.max_headers,
	};
}

static void dispatch(struct connection *c, const char *buf, size_t head_len, size_t len,
		     const struct http1_limits *limits)
{
	struct http1_head head;
	struct handshake_request request = {
	    .head = &head,
	    .early = {buf + head_len, len - head_len},
	};
	int error = http1_request_parse(buf, head_len, limits, &head);

	c->is_head_request = error == 0 && slice_equal(head.method, SLICE_LITERAL("HEAD"));
	if (error < 0)
		connection_refuse(c, -error);
	else if (c->worker->is_stopping)
		connection_refuse(c, EGW_SHUTDOWN);
	else if (atomic_load_explicit(&c->worker->shared->is_draining, memory_order_relaxed))
		connection_refuse(c, EGW_DRAINING);
	else if (c->is_over_limit)
		connection_refuse(c, EGW_CONNECTIONS);
	else
		c->worker->on_request(c, &request);
}

static struct handshake *keep(struct connection *c)
{
	struct handshake *h = calloc(1, sizeof(*h));

	if (!h)
		return NULL;
	/* One read may bring the end of the longest head and a lot behind it. */
	byte_queue_init(&h->received, c->config->limits.max_head_bytes + LEG_READ_MAX);
	c->stage = h;
	c->free_stage = handshake_free;
	return h;
}

static void take(struct connection *c, char *data, size_t len)
{
	struct http1_limits limits = limits_of(c);
	struct handshake *h = c->stage;
	struct http1_scan scan = {0};
	ssize_t head_len;

	if (h) {
		if (byte_queue_append(&h->received, data, len) < 0) {
			connection_refuse(c, EGW_MEMORY);
			return;
		}
		scan = h->scan;
		data = (char *)byte_queue_front(&h->received);
		len = byte_queue_len(&h->received);
	}
	head_len = http1_head_scan(&scan, data, len, &limits);
	if (head_len < 0) {
		connection_refuse(c, (int)-head_len);
		return;
	}
	if (head_len > 0) {
		/* The head's slices point into the stage, which its successor must not free. */
		c->stage = NULL;
		c->free_stage = NULL;
		dispatch(c, data, (size_t)head_len, len, &limits);
		handshake_free(h);
		return;
	}
	if (!h) {
		h = keep(c);
		if (!h || byte_queue_append(&h->received, data, len) < 0) {
			connection_refuse(c, EGW_MEMORY);
			return;
		}
	}
	h->scan = scan;
}

static void on_readable(struct connection *c, struct leg *leg)
{
	char *scratch = worker_scratch(c->worker);
	ssize_t n = leg_recv(leg, scratch, LEG_READ_MAX);

	if (n == -EAGAIN)
		return;
	if (n <= 0) {
		connection_end(c, n == 0 ? EEND_EOF : EEND_RESET);
		return;
	}
	if (c->state == CONNECTION_ACCEPTED)
		connection_set_state(c, CONNECTION_HANDSHAKE);
	take(c, scratch, (size_t)n);
}

static void on_writable(struct connection *c, struct leg *leg)
{
	(void)leg_flush(leg);
}

static void on_deadline(struct connection *c)
{
	/* Who sent nothing did not ask anything: a browser's spare connection, a port scan. */
	if (c->state == CONNECTION_ACCEPTED)
		connection_end(c, EGW_HANDSHAKE_TIMEOUT);
	else
		connection_refuse(c, EGW_HANDSHAKE_TIMEOUT);
}

static void on_close(struct connection *c, int error, uint16_t code, struct slice text)
{
	if (c->state == CONNECTION_ACCEPTED)
		connection_end(c, error);
	else
		connection_refuse(c, error);
}

static const struct connection_ops handshake_ops = {
    .on_readable = on_readable,
    .on_writable = on_writable,
    .on_deadline = on_deadline,
    .close = on_close,
};

void handshake_begin(struct connection *c)
{
	connection_set_stage(c, &handshake_ops, NULL, NULL);
	timer_arm(&c->timer, c->config->limits.handshake_timeout_ms);
	leg_start_reading(&c->client);
	/* Under load the request is here before accept(2) returns: save the turn. */
	on_readable(c, &c->client);
}
