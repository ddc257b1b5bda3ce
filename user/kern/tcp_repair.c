/* SPDX-License-Identifier: Apache-2.0 */
#include "kern/tcp_repair.h"

#include <linux/sockios.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

static int set_int(int fd, int level, int option, int value)
{
	return setsockopt(fd, level, option, &value, sizeof(value)) < 0 ? -errno : 0;
}

static int queued(int fd, unsigned long request, uint32_t *ret_bytes)
{
	int bytes;

	if (ioctl(fd, request, &bytes) < 0)
		return -errno;
	*ret_bytes = (uint32_t)bytes;
	return 0;
}

int tcp_unread(int fd, uint32_t *ret_bytes)
{
	return queued(fd, SIOCINQ, ret_bytes);
}

int tcp_unacked(int fd, uint32_t *ret_bytes)
{
	return queued(fd, SIOCOUTQ, ret_bytes);
}

int tcp_repair_check(void)
{
	_cleanup_close_ int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	return fd < 0 ? -errno : tcp_repair_enter(fd);
}

int tcp_repair_enter(int fd)
{
	return set_int(fd, IPPROTO_TCP, TCP_REPAIR, TCP_REPAIR_ON);
}

static int leave(int fd, int how, bool is_reusable)
{
	int error = set_int(fd, IPPROTO_TCP, TCP_REPAIR, how);

	if (error == 0 && is_reusable)
		error = set_int(fd, SOL_SOCKET, SO_REUSEADDR, 1);
	return error;
}

int tcp_repair_leave(int fd, bool is_reusable)
{
	return leave(fd, TCP_REPAIR_OFF_NO_WP, is_reusable);
}

int tcp_repair_ask(int fd)
{
	int error = tcp_repair_enter(fd);

	return error < 0 ? error : leave(fd, TCP_REPAIR_OFF, true);
}
