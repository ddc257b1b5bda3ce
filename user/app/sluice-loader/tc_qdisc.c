/* SPDX-License-Identifier: Apache-2.0 */
#include "app/sluice-loader/tc_qdisc.h"

#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#define ANSWER_MAX 32768 /* what the kernel puts into one message of a dump */

struct filter_dump {
	struct nlmsghdr header;
	struct tcmsg tc;
};

static int open_netlink(int *ret_fd)
{
	static const struct timeval patience = {.tv_sec = 5};
	_cleanup_close_ int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) < 0)
		return -errno;
	*ret_fd = TAKE_FD(fd);
	return 0;
}

/* Return: 1 at the end of the dump, 0 if more is to come, or -errno. */
static int count_answer(const void *answer, size_t len, size_t *n)
{
	const struct nlmsghdr *message = answer;

	for (; NLMSG_OK(message, len); message = NLMSG_NEXT(message, len)) {
		switch (message->nlmsg_type) {
		case NLMSG_DONE:
			return 1;
		case NLMSG_ERROR:
			return ((const struct nlmsgerr *)NLMSG_DATA(message))->error;
		case RTM_NEWTFILTER:
			++*n;
			break;
		default:
			break;
		}
	}
	return 0;
}

static int count_direction(int fd, uint32_t ifindex, uint32_t direction, size_t *n)
{
	const struct filter_dump request = {
	    .header = {.nlmsg_len = sizeof(request),
		       .nlmsg_type = RTM_GETTFILTER,
		       .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP},
	    .tc = {.tcm_family = AF_UNSPEC,
		   .tcm_ifindex = (int)ifindex,
		   .tcm_parent = TC_H_MAKE(TC_H_CLSACT, direction)},
	};
	_cleanup_free_ void *answer = malloc(ANSWER_MAX);
	int r;

	if (!answer)
		return -ENOMEM;
	if (send(fd, &request, sizeof(request), 0) < 0)
		return -errno;
	do {
		ssize_t len = recv(fd, answer, ANSWER_MAX, 0);

		if (len < 0)
			return -errno;
		r = count_answer(answer, (size_t)len, n);
	} while (r == 0);
	return r < 0 ? r : 0;
}

int tc_count_filters(uint32_t ifindex, size_t *ret_n)
{
	_cleanup_close_ int fd = -1;
	size_t n = 0;
	int r;

	if ((r = open_netlink(&fd)) < 0 ||
	    (r = count_direction(fd, ifindex, TC_H_MIN_INGRESS, &n)) < 0 ||
	    (r = count_direction(fd, ifindex, TC_H_MIN_EGRESS, &n)) < 0)
		return r;
	*ret_n = n;
	return 0;
}
