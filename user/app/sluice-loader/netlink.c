/* SPDX-License-Identifier: Apache-2.0 */
#include "app/sluice-loader/netlink.h"

#include <sys/socket.h>
#include <sys/time.h>

#define ANSWER_MAX 32768 /* what the kernel puts into one message of a dump */

int netlink_open(int *ret_fd)
{
	static const struct timeval patience = {.tv_sec = 5};
	_cleanup_close_ int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) < 0)
		return -errno;
	*ret_fd = TAKE_FD(fd);
	return 0;
}

/* Return: 1 at the end of the answer, 0 if more is to come, or -errno. */
static int take_all(const void *answer, size_t len,
		    int (*take)(const struct nlmsghdr *message, void *context), void *context)
{
	const struct nlmsghdr *message = answer;
	int r;

	for (; NLMSG_OK(message, len); message = NLMSG_NEXT(message, len)) {
		if (message->nlmsg_type == NLMSG_DONE)
			return 1;
		if (message->nlmsg_type == NLMSG_ERROR)
			return ((const struct nlmsgerr *)NLMSG_DATA(message))->error;
		if ((r = take(message, context)) != 0)
			return r;
	}
	return 0;
}

int netlink_ask(int fd, const struct nlmsghdr *request,
		int (*take)(const struct nlmsghdr *message, void *context), void *context)
{
	_cleanup_free_ void *answer = malloc(ANSWER_MAX);
	int r;

	if (!answer)
		return -ENOMEM;
	if (send(fd, request, request->nlmsg_len, 0) < 0)
		return -errno;
	do {
		ssize_t len = recv(fd, answer, ANSWER_MAX, 0);

		if (len < 0)
			return -errno;
		r = take_all(answer, (size_t)len, take, context);
	} while (r == 0);
	return r < 0 ? r : 0;
}
