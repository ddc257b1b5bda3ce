/* SPDX-License-Identifier: Apache-2.0 */
#include "route/health_probe.h"

#include "base/byte_queue.h"
#include "base/random.h"
#include "base/text_writer.h"
#include "base/timer.h"
#include "proto/ws_handshake.h"
#include "proto/ws_mask.h"
#include "proto/ws_message.h"

#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>

#define READ_BYTES    4096u
#define REQUEST_BYTES 8192u
#define INTERIM_MAX   8 /* 1xx responses ahead of the final one */
#define PING_BYTES    8u

enum stage {
	STAGE_CONNECTING,
	STAGE_HEAD,
	STAGE_PONG,
	STAGE_CLOSE,
};

struct health_probe {
	struct ev_loop *loop;
	int fd;
	ev_io on_readable, on_writable;
	struct timer timer;
	enum config_health_type type;
	enum stage stage;
	struct byte_queue in, out;
	size_t n_received, n_interim;
	struct http1_scan scan;
	char key[WS_KEY_LEN + 1];
	uint8_t ping[PING_BYTES];
	struct ws_receiver receiver;
	struct health_result result; /* good, in STAGE_CLOSE */
	bool is_over;                /* the callback that runs ends it */
	health_probe_fn *done;
	void *arg;
};

static const struct http1_limits head_limits = {
    .head_bytes = 16u << 10,
    .target_bytes = 16u << 10,
    .fields = HTTP1_FIELDS_MAX,
};

/* ---- the end ------------------------------------------------------------------------------- */

void health_probe_cancel(struct health_probe *p)
{
	if (!p)
		return;
	ev_io_stop(p->loop, &p->on_readable);
	ev_io_stop(p->loop, &p->on_writable);
	timer_disarm(&p->timer);
	if (p->fd >= 0)
		close(p->fd);
	byte_queue_done(&p->in);
	byte_queue_done(&p->out);
	free(p);
}

/* The peer may have written a part of it: what is shown is plain ASCII. */
static void PRINTF_LIKE(3, 4) set_result(struct health_probe *p, bool is_good, const char *fmt, ...)
{
	va_list args;

	p->result.is_good = is_good;
	va_start(args, fmt);
	vsnprintf(p->result.text, sizeof(p->result.text), fmt, args);
	va_end(args);
	for (char *c = p->result.text; *c; c++) {
		if (*c < ' ' || *c > '~')
			*c = '?';
	}
}

/* What the peer does while we part in peace changes nothing. */
#define fail(p, ...)                                         \
	do {                                                 \
		if ((p)->stage != STAGE_CLOSE)               \
			set_result((p), false, __VA_ARGS__); \
		(p)->is_over = true;                         \
	} while (0)

static void fail_if(struct health_probe *p, int error, const char *what)
{
	if (error < 0)
		fail(p, "%s: %s", what, strerror(-error));
}

/* At the end of every callback: nothing touches the probe behind it. */
static void settle(struct health_probe *p)
{
	struct health_result result = p->result;
	health_probe_fn *done = p->done;
	void *arg = p->arg;

	if (!p->is_over)
		return;
	health_probe_cancel(p);
	done(arg, &result);
}

static void timer_cb(struct timer *timer)
{
	static const char *const waiting_for[] = {
	    [STAGE_CONNECTING] = "a connection",
	    [STAGE_HEAD] = "an answer",
	    [STAGE_PONG] = "a pong",
	    [STAGE_CLOSE] = "a Close frame",
	};
	struct health_probe *p = container_of(timer, struct health_probe, timer);

	fail(p, "timeout waiting for %s", waiting_for[p->stage]);
	settle(p);
}

/* ---- sending ------------------------------------------------------------------------------- */

/* Return: 0, also with a rest that waits for the socket; or -errno. */
static int flush(struct health_probe *p)
{
	while (byte_queue_len(&p->out)) {
		ssize_t n =
		    send(p->fd, byte_queue_front(&p->out), byte_queue_len(&p->out), MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN) {
			ev_io_start(p->loop, &p->on_writable);
			return 0;
		}
		if (n < 0)
			return -errno;
		byte_queue_consume(&p->out, (size_t)n);
	}
	ev_io_stop(p->loop, &p->on_writable);
	return 0;
}

/* RFC 6455 s5.1: a client masks, with a key that nobody can foresee (s5.3). */
static int send_control(struct health_probe *p, uint8_t opcode, const uint8_t *data, size_t len)
{
	struct ws_frame_header header = {.opcode = opcode,
					 .payload_len = len,
					 .fin = true,
					 .masked = true};
	uint8_t frame[WS_FRAME_HEADER_MAX + WS_CONTROL_MAX];
	size_t header_len;
	int error;

	random_secure(header.mask, sizeof(header.mask));
	header_len = ws_frame_header_encode(&header, frame);
	memcpy(frame + header_len, data, len);
	ws_mask_apply(frame + header_len, len, header.mask, 0);
	error = byte_queue_append(&p->out, frame, header_len + len);
	return error < 0 ? error : flush(p);
}

static int send_close(struct health_probe *p)
{
	uint8_t frame[WS_CLOSE_FRAME_MAX], mask[4];
	size_t len;
	int error;

	random_secure(mask, sizeof(mask));
	len = ws_close_encode(1000, (struct slice){"", 0}, mask, frame);
	error = byte_queue_append(&p->out, frame, len);
	return error < 0 ? error : flush(p);
}

static int write_request(struct health_probe *p, const struct config_cluster *cluster,
			 const char *address)
{
	struct slice host =
	    slice_from_str(cluster->health.host[0] ? cluster->health.host : address);
	struct slice path = slice_from_str(cluster->health.path);
	struct slice agent = SLICE_LITERAL("User-Agent: sluice-health\r\n");
	char request[REQUEST_BYTES];
	struct text_writer w;

	text_writer_init(&w, request, sizeof(request));
	if (p->type == CONFIG_HEALTH_WEBSOCKET) {
		ws_handshake_new_key(p->key);
		ws_handshake_write_request(&w, host, path, p->key, (struct slice){"", 0}, agent);
	} else if (p->type == CONFIG_HEALTH_HTTP) {
		text_put_str(&w, "GET ");
		text_put_slice(&w, path);
		text_put_str(&w, " HTTP/1.1\r\nHost: ");
		text_put_slice(&w, host);
		text_put_str(&w, "\r\n");
		text_put_slice(&w, agent);
		text_put_str(&w, "Connection: close\r\n\r\n");
	}
	assert(!w.is_truncated); /* the configuration bounds path and host */
	return byte_queue_append(&p->out, w.buf, w.len);
}

/* ---- what comes back ----------------------------------------------------------------------- */

static void take_pong(struct health_probe *p, const struct ws_event *event)
{
	/* RFC 6455 s5.5.3: an unsolicited pong means nothing. */
	if (p->stage != STAGE_PONG || event->len != sizeof(p->ping) ||
	    memcmp(event->data, p->ping, sizeof(p->ping)) != 0)
		return;
	set_result(p, true, "pong");
	p->stage = STAGE_CLOSE;
	fail_if(p, send_close(p), "send");
}

static void take_event(struct health_probe *p, const struct ws_event *event)
{
	switch (event->kind) {
	case WS_EVENT_PING:
		/* RFC 6455 s5.5.2: MUST be answered; behind our own Close nothing may be sent
		 * (s5.5.1).
		 */
		if (p->stage == STAGE_PONG)
			fail_if(p, send_control(p, WS_OP_PONG, event->data, event->len), "send");
		break;
	case WS_EVENT_PONG:
		take_pong(p, event);
		break;
	case WS_EVENT_CLOSE:
		fail(p, "closed with code %u instead of a pong", event->close_code);
		break;
	case WS_EVENT_DATA: /* a server may speak first */
	case WS_EVENT_NONE:
		break;
	}
}

static void take_frames(struct health_probe *p)
{
	while (!p->is_over && byte_queue_len(&p->in)) {
		struct ws_event event;
		ssize_t n = ws_receiver_next(&p->receiver, byte_queue_front(&p->in),
					     byte_queue_len(&p->in), &event);

		if (n == 0)
			return;
		if (n < 0) {
			fail(p, "%s", proto_error_info((int)n)->text);
			return;
		}
		take_event(p, &event);
		byte_queue_consume(&p->in, (size_t)n);
	}
}

static void take_upgrade(struct health_probe *p, const struct http1_head *head)
{
	static const struct ws_upgrade nothing_offered;
	struct ws_upgraded result;
	int error = ws_handshake_check_response(head, p->key, &nothing_offered, &result);

	if (error == -EUP_STATUS) {
		fail(p, "%u %.*s instead of 101", head->status, SLICE_ARG(head->reason));
		return;
	}
	if (error < 0) {
		fail(p, "%s", proto_error_info(error)->text);
		return;
	}
	p->stage = STAGE_PONG;
	ws_receiver_init(&p->receiver, WS_ROLE_CLIENT, &(struct ws_message_limits){0});
	random_secure(p->ping, sizeof(p->ping));
	fail_if(p, send_control(p, WS_OP_PING, p->ping, sizeof(p->ping)), "send");
}

static void take_status(struct health_probe *p, const struct http1_head *head)
{
	set_result(p, head->status >= 200 && head->status < 400, "%u %.*s", head->status,
		   SLICE_ARG(head->reason));
	p->is_over = true;
}

static void take_head(struct health_probe *p, const struct http1_head *head)
{
	p->scan = (struct http1_scan){0};
	/* RFC 9110 s15.2: interim responses come first; 101 is this exchange's last. */
	if (head->status < 200 && head->status != 101) {
		if (p->n_interim++ == INTERIM_MAX)
			fail(p, "too many interim responses");
	} else if (p->type == CONFIG_HEALTH_HTTP) {
		take_status(p, head);
	} else {
		take_upgrade(p, head);
	}
}

static void take_heads(struct health_probe *p)
{
	while (!p->is_over && p->stage == STAGE_HEAD && byte_queue_len(&p->in)) {
		const char *data = (const char *)byte_queue_front(&p->in);
		ssize_t n = http1_head_scan(&p->scan, data, byte_queue_len(&p->in), &head_limits);
		struct http1_head head;
		int error = n < 0 ? (int)n : 0;

		if (n == 0)
			return;
		if (n > 0)
			error = http1_response_parse(data, (size_t)n, &head_limits, &head);
		if (error < 0) {
			fail(p, "not HTTP: %s", proto_error_info(error)->text);
			return;
		}
		take_head(p, &head);
		byte_queue_consume(&p->in, (size_t)n);
	}
}

static void readable_cb(struct ev_loop *loop, ev_io *io, int revents)
{
	struct health_probe *p = container_of(io, struct health_probe, on_readable);
	uint8_t *space;
	int error = byte_queue_reserve(&p->in, READ_BYTES, &space);
	ssize_t n = error < 0 ? 0 : recv(p->fd, space, READ_BYTES, 0);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (error < 0 || n < 0) {
		fail_if(p, error < 0 ? error : -errno, "receive");
	} else if (n == 0) {
		fail(p, "closed the connection");
	} else {
		byte_queue_commit(&p->in, (size_t)n);
		p->n_received += (size_t)n;
		take_heads(p);
		if (p->stage >= STAGE_PONG)
			take_frames(p);
		if (!p->is_over && p->n_received > HEALTH_PROBE_BYTES)
			fail(p, "sent more than %u bytes", HEALTH_PROBE_BYTES);
	}
	settle(p);
}

/* ---- connecting ---------------------------------------------------------------------------- */

static void connected(struct health_probe *p)
{
	int error = 0;
	socklen_t len = sizeof(error);

	(void)getsockopt(p->fd, SOL_SOCKET, SO_ERROR, &error, &len);
	fail_if(p, -error, "connect");
	if (p->is_over)
		return;
	if (p->type == CONFIG_HEALTH_TCP) {
		set_result(p, true, "connected");
		p->is_over = true;
		return;
	}
	p->stage = STAGE_HEAD;
	ev_io_start(p->loop, &p->on_readable);
}

static void writable_cb(struct ev_loop *loop, ev_io *io, int revents)
{
	struct health_probe *p = container_of(io, struct health_probe, on_writable);

	if (p->stage == STAGE_CONNECTING)
		connected(p);
	if (!p->is_over)
		fail_if(p, flush(p), "send");
	settle(p);
}

static int start_connect(struct health_probe *p, const struct address *address)
{
	static const int on = 1;

	p->fd = socket(address->sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (p->fd < 0)
		return -errno;
	/* Fails on unix sockets, which have nothing to delay. */
	(void)setsockopt(p->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (connect(p->fd, &address->sa, address->len) < 0 && errno != EINPROGRESS)
		return -errno;
	return 0;
}

int health_probe_start(struct ev_loop *loop, const struct config_cluster *cluster,
		       const struct address *address, const char *host, health_probe_fn *done,
		       void *arg, struct health_probe **ret_probe)
{
	_cleanup_(cleanup_health_probe_cancel) struct health_probe *p = calloc(1, sizeof(*p));
	int error;

	if (!p)
		return -ENOMEM;
	p->loop = loop;
	p->fd = -1;
	p->type = cluster->health.type;
	p->done = done;
	p->arg = arg;
	timer_init(&p->timer, loop, timer_cb);
	byte_queue_init(&p->in, HEALTH_PROBE_BYTES + 2 * READ_BYTES);
	byte_queue_init(&p->out, HEALTH_PROBE_BYTES);
	ev_init(&p->on_readable, readable_cb);
	ev_init(&p->on_writable, writable_cb);
	/* What has come counts, also if this loop is late and the time is over in the same turn. */
	ev_set_priority(&p->on_readable, 1);
	ev_set_priority(&p->on_writable, 1);
	error = write_request(p, cluster, host);
	if (error == 0)
		error = start_connect(p, address);
	if (error < 0)
		return error;
	ev_io_set(&p->on_readable, p->fd, EV_READ);
	ev_io_set(&p->on_writable, p->fd, EV_WRITE);
	ev_io_start(loop, &p->on_writable);
	timer_arm(&p->timer, cluster->health.timeout_ms);
	*ret_probe = TAKE_PTR(p);
	return 0;
}
