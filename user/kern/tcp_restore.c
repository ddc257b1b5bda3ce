/* SPDX-License-Identifier: Apache-2.0 */
#include "kern/tcp_restore.h"

#include "kern/tcp_repair.h"

#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/socket.h>

#define MAXSEG_MIN 88u /* that TCP_MAXSEG takes */
#define MAXSEG_MAX 32767u

#define MSS_MIN 536u /* RFC 9293 s3.7.1: without the option */

/* Kinds of options (RFC 9293 s3.2, RFC 7323, RFC 2018), as TCP_REPAIR_OPTIONS wants them. */
enum {
	KIND_MSS = 2,
	KIND_WSCALE = 3,
	KIND_SACK_PERMITTED = 4,
	KIND_TIMESTAMPS = 8,
};

static int set_option(int fd, int option, const void *value, size_t size)
{
	return setsockopt(fd, IPPROTO_TCP, option, value, (socklen_t)size) < 0 ? -errno : 0;
}

static int set_int(int fd, int option, int value)
{
	return set_option(fd, option, &value, sizeof(value));
}

static int set_sequence(int fd, int queue, uint32_t sequence)
{
	int error = set_int(fd, TCP_REPAIR_QUEUE, queue);

	return error < 0 ? error : set_option(fd, TCP_QUEUE_SEQ, &sequence, sizeof(sequence));
}

/*
 * A kernel tells its peer of a window when what was read has opened it. So where it has to be told,
 * the last byte of the peer's is in the queue as if it had come again, behind a window of nothing,
 * and tcp_restore_tell_window() reads it. Nobody else does: what it was is of no interest.
 */
static const char stand_in;

/* Numbers first: the kernel takes them from a socket without a connection only. In repair,
 * connect(2) sends nothing and succeeds at once. */
static int connect_in_repair(int fd, const struct tcp_restore *what)
{
	int error = set_int(fd, TCP_REPAIR, TCP_REPAIR_ON);

	if (error < 0)
		return error;
	if (bind(fd, &what->local.sa, what->local.len) < 0)
		return -errno;
	error = set_sequence(fd, TCP_SEND_QUEUE, what->snd_nxt);
	if (error == 0)
		error = set_sequence(fd, TCP_RECV_QUEUE, what->rcv_nxt - what->is_shut);
	/* What the peer was told is not told again; but who asks the socket believes it. */
	if (error == 0 && what->recv_mss >= MAXSEG_MIN && what->recv_mss <= MAXSEG_MAX)
		error = set_int(fd, TCP_MAXSEG, what->recv_mss);
	if (error < 0)
		return error;
	return connect(fd, &what->peer.sa, what->peer.len) < 0 ? -errno : 0;
}

static int set_options(int fd, const struct tcp_restore *what)
{
	struct tcp_repair_opt list[4];
	size_t n = 0;

	list[n++] = (struct tcp_repair_opt){KIND_MSS, MAX(what->mss, MSS_MIN)};
	if (what->options & SL_O_WSCALE)
		list[n++] =
		    (struct tcp_repair_opt){KIND_WSCALE,
					    what->send_wscale | (uint32_t)what->recv_wscale << 16};
	if (what->options & SL_O_SACK)
		list[n++] = (struct tcp_repair_opt){KIND_SACK_PERMITTED, 0};
	if (what->options & SL_O_TIMESTAMPS)
		list[n++] = (struct tcp_repair_opt){KIND_TIMESTAMPS, 0};
	return set_option(fd, TCP_REPAIR_OPTIONS, list, n * sizeof(list[0]));
}

/*
 * The lowest bit is not a part of the number: it says that the clock counts in µs (Linux 6.7). A
 * clock in ms that goes on may be ahead by one, but not behind.
 */
static int set_clock(int fd, const struct tcp_restore *what)
{
	uint32_t clock =
	    what->options & SL_O_USEC ? what->ts_clock | 1 : (what->ts_clock + 1) & ~1u;

	return set_option(fd, TCP_TIMESTAMP, &clock, sizeof(clock));
}

static int queue_stand_in(int fd)
{
	int error = set_int(fd, TCP_REPAIR_QUEUE, TCP_RECV_QUEUE);

	if (error == 0 && send(fd, &stand_in, sizeof(stand_in), 0) != sizeof(stand_in))
		error = -errno;
	return error;
}

/* The window that we give stays what the kernel thinks right for a new connection. */
static int set_window(int fd, const struct tcp_restore *what)
{
	struct tcp_repair_window window;
	socklen_t len = sizeof(window);

	if (getsockopt(fd, IPPROTO_TCP, TCP_REPAIR_WINDOW, &window, &len) < 0)
		return -errno;
	window.snd_wl1 = what->rcv_nxt;
	window.snd_wnd = what->send_window;
	window.max_window = MAX(window.max_window, what->send_window);
	window.rcv_wup = what->rcv_nxt;
	if (what->is_shut)
		window.rcv_wnd = 0;
	return set_option(fd, TCP_REPAIR_WINDOW, &window, sizeof(window));
}

static int open_in_repair(const struct tcp_restore *what, int *ret_fd)
{
	_cleanup_close_ int fd =
	    socket(what->local.sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int error;

	if (fd < 0)
		return -errno;
	error = connect_in_repair(fd, what);
	if (error < 0)
		return error;
	*ret_fd = TAKE_FD(fd);
	return 0;
}

int tcp_restore(const struct tcp_restore *what, int *ret_fd)
{
	_cleanup_close_ int fd = -1;
	int error = open_in_repair(what, &fd);

	if (error == 0)
		error = set_options(fd, what);
	if (error == 0 && (what->options & SL_O_TIMESTAMPS))
		error = set_clock(fd, what);
	if (error == 0 && what->is_shut)
		error = queue_stand_in(fd);
	if (error == 0)
		error = set_window(fd, what);
	if (error < 0)
		return error;
	*ret_fd = TAKE_FD(fd);
	return 0;
}

void tcp_restore_tell_window(int fd)
{
	char byte;

	(void)recv(fd, &byte, sizeof(byte), MSG_DONTWAIT);
}

int tcp_restore_reset(const struct tcp_restore *what)
{
	static const struct linger at_once = {.l_onoff = 1};
	_cleanup_close_ int fd = -1;
	int error = open_in_repair(what, &fd);

	if (error == 0)
		error = tcp_repair_leave(fd, false);
	if (error == 0 && setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once)) < 0)
		error = -errno;
	return error;
}
