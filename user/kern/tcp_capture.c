/* SPDX-License-Identifier: Apache-2.0 */
#include "kern/tcp_capture.h"

#include <linux/sockios.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

/* The kernel's state number; <netinet/tcp.h> has the name, but not next to <linux/tcp.h>. */
#define ESTABLISHED 1

static int set_int(int fd, int level, int option, int value)
{
	return setsockopt(fd, level, option, &value, sizeof(value)) < 0 ? -errno : 0;
}

static int get_u32(int fd, int level, int option, uint32_t *ret_value)
{
	socklen_t len = sizeof(*ret_value);

	return getsockopt(fd, level, option, ret_value, &len) < 0 ? -errno : 0;
}

static int queued(int fd, unsigned long request, uint32_t *ret_bytes)
{
	int bytes;

	if (ioctl(fd, request, &bytes) < 0)
		return -errno;
	*ret_bytes = (uint32_t)bytes;
	return 0;
}

int tcp_backlog_read(int fd, struct tcp_backlog *ret_backlog)
{
	struct tcp_backlog backlog = {0};
	int error = queued(fd, SIOCINQ, &backlog.unread);

	if (error == 0)
		error = queued(fd, SIOCOUTQ, &backlog.unacked);
	if (error == 0)
		*ret_backlog = backlog;
	return error;
}

static int read_info(int fd, struct tcp_capture *capture)
{
	struct tcp_info info = {0};
	socklen_t len = sizeof(info);

	if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) < 0)
		return -errno;
	if (info.tcpi_state != ESTABLISHED)
		return -ENOTCONN;
	capture->send_mss = (uint16_t)MIN(info.tcpi_snd_mss, (uint32_t)UINT16_MAX);
	capture->recv_mss = (uint16_t)MIN(info.tcpi_advmss, (uint32_t)UINT16_MAX);
	capture->path_mtu = info.tcpi_pmtu;
	if (info.tcpi_options & TCPI_OPT_TIMESTAMPS)
		capture->options |= SL_O_TIMESTAMPS;
	if (info.tcpi_options & TCPI_OPT_SACK)
		capture->options |= SL_O_SACK;
	/* ECN_SEEN alone says only that a peer has once used it. */
	if (info.tcpi_options & TCPI_OPT_ECN)
		capture->options |= SL_O_ECN;
	if (info.tcpi_options & TCPI_OPT_WSCALE) {
		capture->options |= SL_O_WSCALE;
		capture->send_wscale = info.tcpi_snd_wscale;
		capture->recv_wscale = info.tcpi_rcv_wscale;
	}
	return 0;
}

static int read_sequence(int fd, int queue, uint32_t *ret_sequence)
{
	int error = set_int(fd, IPPROTO_TCP, TCP_REPAIR_QUEUE, queue);

	return error < 0 ? error : get_u32(fd, IPPROTO_TCP, TCP_QUEUE_SEQ, ret_sequence);
}

/* In repair. What arrives meanwhile moves rcv_nxt before it can be read from the queue, so looking
 * at the backlog last finds it; what arrives still later the hook has seen (flow.h, rule 1). */
static int read_all(int fd, struct tcp_capture *capture)
{
	struct tcp_backlog backlog = {0};
	int error = read_info(fd, capture);

	if (error == 0)
		error = read_sequence(fd, TCP_RECV_QUEUE, &capture->rcv_nxt);
	if (error == 0)
		error = read_sequence(fd, TCP_SEND_QUEUE, &capture->snd_nxt);
	if (error == 0 && (capture->options & SL_O_TIMESTAMPS))
		error = get_u32(fd, IPPROTO_TCP, TCP_TIMESTAMP, &capture->ts_clock);
	if (error == 0)
		error = tcp_backlog_read(fd, &backlog);
	if (error == 0 && !tcp_backlog_is_empty(&backlog))
		error = -EBUSY;
	return error;
}

int tcp_capture_check(void)
{
	_cleanup_close_ int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	return fd < 0 ? -errno : set_int(fd, IPPROTO_TCP, TCP_REPAIR, TCP_REPAIR_ON);
}

int tcp_capture_begin(int fd, bool *ret_was_reusable, struct tcp_capture *ret_capture)
{
	struct tcp_capture capture = {0};
	uint32_t was_reusable;
	int error = get_u32(fd, SOL_SOCKET, SO_REUSEADDR, &was_reusable);

	if (error == 0)
		error = set_int(fd, IPPROTO_TCP, TCP_REPAIR, TCP_REPAIR_ON);
	if (error < 0)
		return error;
	error = read_all(fd, &capture);
	if (error < 0) {
		(void)tcp_capture_end(fd, was_reusable != 0);
		return error;
	}
	*ret_was_reusable = was_reusable != 0;
	*ret_capture = capture;
	return 0;
}

static int leave(int fd, int how, bool was_reusable)
{
	int error = set_int(fd, IPPROTO_TCP, TCP_REPAIR, how);

	if (error == 0 && was_reusable)
		error = set_int(fd, SOL_SOCKET, SO_REUSEADDR, 1);
	return error;
}

int tcp_capture_ask(int fd)
{
	uint32_t was_reusable;
	int error = get_u32(fd, SOL_SOCKET, SO_REUSEADDR, &was_reusable);

	if (error == 0)
		error = set_int(fd, IPPROTO_TCP, TCP_REPAIR, TCP_REPAIR_ON);
	return error < 0 ? error : leave(fd, TCP_REPAIR_OFF, was_reusable != 0);
}

int tcp_capture_end(int fd, bool was_reusable)
{
	return leave(fd, TCP_REPAIR_OFF_NO_WP, was_reusable);
}
