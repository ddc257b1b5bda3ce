/* SPDX-License-Identifier: Apache-2.0 */
#include "app/sluice-loader/tc_qdisc.h"

#include "app/sluice-loader/netlink.h"

#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

struct filter_dump {
	struct nlmsghdr header;
	struct tcmsg tc;
};

static int count_filter(const struct nlmsghdr *message, void *context)
{
	size_t *n = context;

	*n += message->nlmsg_type == RTM_NEWTFILTER;
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

	return netlink_ask(fd, &request.header, count_filter, n);
}

int tc_count_filters(uint32_t ifindex, size_t *ret_n)
{
	_cleanup_close_ int fd = -1;
	size_t n = 0;
	int r;

	if ((r = netlink_open(&fd)) < 0 ||
	    (r = count_direction(fd, ifindex, TC_H_MIN_INGRESS, &n)) < 0 ||
	    (r = count_direction(fd, ifindex, TC_H_MIN_EGRESS, &n)) < 0)
		return r;
	*ret_n = n;
	return 0;
}
