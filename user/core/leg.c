/* SPDX-License-Identifier: Apache-2.0 */
#include "core/leg.h"

#include "core/connection.h"
#include "core/leg_class.h"
#include "core/worker.h"

#include <linux/sockios.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

static struct ev_loop *loop_of(const struct leg *leg)
{
	return leg->connection->worker->loop;
}

static void readable_cb(struct ev_loop *loop, ev_io *io, int revents)
{
	struct leg *leg = container_of(io, struct leg, on_readable);

	connection_on_readable(leg->connection, leg);
}

static void writable_cb(struct ev_loop *loop, ev_io *io, int revents)
{
	struct leg *leg = container_of(io, struct leg, on_writable);

	connection_on_writable(leg->connection, leg);
}

void leg_init(struct leg *leg, struct connection *connection)
{
	*leg = (struct leg){.connection = connection, .fd = -1};
	byte_queue_init(&leg->out, LEG_OUT_MAX);
	ev_init(&leg->on_readable, readable_cb);
	ev_init(&leg->on_writable, writable_cb);
}

void leg_open(struct leg *leg, int fd)
{
	assert(leg->fd < 0);
	leg->fd = fd;
	ev_io_set(&leg->on_readable, fd, EV_READ);
	ev_io_set(&leg->on_writable, fd, EV_WRITE);
}

void leg_close(struct leg *leg)
{
	if (leg->fd >= 0) {
		ev_io_stop(loop_of(leg), &leg->on_readable);
		ev_io_stop(loop_of(leg), &leg->on_writable);
		close(TAKE_FD(leg->fd));
	}
	byte_queue_done(&leg->out);
	leg_class_lift(leg);
}

void leg_reset(struct leg *leg)
{
	static const struct linger abort_now = {.l_onoff = 1, .l_linger = 0};
	int unacked = 0;

	/* An RST discards the send queue; a FIN behind it delivers it. */
	if (leg->fd >= 0 && (ioctl(leg->fd, SIOCOUTQ, &unacked) < 0 || unacked == 0))
		(void)setsockopt(leg->fd, SOL_SOCKET, SO_LINGER, &abort_now, sizeof(abort_now));
	leg_close(leg);
}

uint32_t leg_rtt_us(const struct leg *leg)
{
	struct tcp_info info;
	socklen_t len = sizeof(info);

	if (!leg_is_open(leg) || getsockopt(leg->fd, IPPROTO_TCP, TCP_INFO, &info, &len) < 0)
		return 0;
	return info.tcpi_rtt;
}

void leg_start_reading(struct leg *leg)
{
	leg->is_wanted = true;
	if (leg->fd >= 0 && !leg->saw_eof && !leg->is_paused)
		ev_io_start(loop_of(leg), &leg->on_readable);
}

void leg_stop_reading(struct leg *leg)
{
	leg->is_wanted = false;
	ev_io_stop(loop_of(leg), &leg->on_readable);
}

void leg_pause(struct leg *leg)
{
	leg->is_paused = true;
	ev_io_stop(loop_of(leg), &leg->on_readable);
}

void leg_resume(struct leg *leg)
{
	leg->is_paused = false;
	if (leg->is_wanted)
		leg_start_reading(leg);
}

ssize_t leg_recv(struct leg *leg, void *buf, size_t cap)
{
	ssize_t n;

	do {
		n = recv(leg->fd, buf, cap, 0);
	} while (unlikely(n < 0 && errno == EINTR));
	if (likely(n > 0))
		return n;
	if (n < 0 && errno == EAGAIN)
		return -EAGAIN;
	leg->saw_eof = true;
	leg_stop_reading(leg);
	return n < 0 ? -errno : 0;
}

static int write_dead(struct leg *leg, int error)
{
	leg->is_write_dead = true;
	byte_queue_done(&leg->out);
	ev_io_stop(loop_of(leg), &leg->on_writable);
	return error;
}

static ssize_t send_now(const struct leg *leg, const void *data, size_t len)
{
	ssize_t n;

	do {
		n = send(leg->fd, data, len, MSG_NOSIGNAL);
	} while (unlikely(n < 0 && errno == EINTR));
	if (n < 0)
		return errno == EAGAIN ? 0 : -errno;
	return n;
}

int leg_send(struct leg *leg, const void *data, size_t len)
{
	const uint8_t *bytes = data;
	ssize_t sent = 0;
	int error;

	if (leg->is_write_dead || leg->fd < 0)
		return 0;
	if (!leg_has_output(leg)) {
		sent = send_now(leg, bytes, len);
		if (unlikely(sent < 0))
			return write_dead(leg, (int)sent);
		if (likely((size_t)sent == len))
			return 0;
	}
	error = byte_queue_append(&leg->out, bytes + sent, len - (size_t)sent);
	if (error < 0)
		return write_dead(leg, error); /* nothing may follow what is missing now */
	ev_io_start(loop_of(leg), &leg->on_writable);
	return 0;
}

static void send_fin(struct leg *leg)
{
	if (leg->is_fin_sent || leg->fd < 0)
		return;
	leg->is_fin_sent = true;
	/* Fails only if the connection is already broken, which reading will tell. */
	(void)shutdown(leg->fd, SHUT_WR);
}

void leg_finish(struct leg *leg)
{
	leg->is_fin_due = true;
	if (!leg_has_output(leg))
		send_fin(leg);
}

int leg_flush(struct leg *leg)
{
	if (leg_has_output(leg)) {
		ssize_t sent =
		    send_now(leg, byte_queue_front(&leg->out), byte_queue_len(&leg->out));

		if (sent < 0)
			return write_dead(leg, (int)sent);
		byte_queue_consume(&leg->out, (size_t)sent);
		if (leg_has_output(leg))
			return 0;
	}
	ev_io_stop(loop_of(leg), &leg->on_writable);
	if (leg->is_fin_due)
		send_fin(leg);
	return 0;
}
