/* SPDX-License-Identifier: Apache-2.0 */
#include "kern/hook_check.h"

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#define ANSWER_MAX 8192 /* bytes; a filter is some hundred, an interface two thousand */

static int open_netlink(uint32_t groups, int flags, int *ret_fd)
{
	const struct sockaddr_nl address = {.nl_family = AF_NETLINK, .nl_groups = groups};
	_cleanup_close_ int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | flags, NETLINK_ROUTE);

	if (fd < 0 || bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
		return -errno;
	*ret_fd = TAKE_FD(fd);
	return 0;
}

/* ---- tcx ----------------------------------------------------------------------------------- */

#define TCX_INGRESS 46 /* Debian 12's linux/bpf.h is older than tcx */
#define TCX_MAX     64 /* programs at a place; BPF_MPROG_MAX of the kernel */

/* BPF_PROG_QUERY's part of union bpf_attr, as of Linux 6.6. */
struct tcx_query {
	uint32_t ifindex, attach_type, query_flags, attach_flags;
	uint64_t program_ids;
	uint32_t n, zero;
	uint64_t program_flags, link_ids, link_flags, revision;
};

_Static_assert(sizeof(struct tcx_query) == 64, "as the kernel has it");

static int check_tcx(uint32_t ifindex, uint32_t link_id)
{
	uint32_t program_ids[TCX_MAX] = {0}, link_ids[TCX_MAX] = {0};
	struct tcx_query query = {
	    .ifindex = ifindex,
	    .attach_type = TCX_INGRESS,
	    .program_ids = (uintptr_t)program_ids,
	    .n = TCX_MAX,
	    .link_ids = (uintptr_t)link_ids,
	};

	if (syscall(SYS_bpf, BPF_PROG_QUERY, &query, sizeof(query)) < 0)
		return errno == ENODEV ? 0 : -errno;
	for (uint32_t i = 0; i < MIN(query.n, (uint32_t)TCX_MAX); i++) {
		if (link_ids[i] == link_id)
			return 1;
	}
	return 0;
}

/* ---- clsact -------------------------------------------------------------------------------- */

struct filter_question {
	struct nlmsghdr header;
	struct tcmsg tc;
	struct rtattr kind;
	char kind_name[sizeof("bpf")];
};

static int ask_for_filter(int fd, uint32_t ifindex, const struct sl_hooked *hooked)
{
	const struct filter_question question = {
	    .header = {.nlmsg_len = sizeof(question),
		       .nlmsg_type = RTM_GETTFILTER,
		       .nlmsg_flags = NLM_F_REQUEST},
	    .tc = {.tcm_family = AF_UNSPEC,
		   .tcm_ifindex = (int)ifindex,
		   .tcm_handle = hooked->id,
		   .tcm_parent = TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_INGRESS),
		   .tcm_info = TC_H_MAKE(hooked->priority << 16, htons(ETH_P_ALL))},
	    .kind = {.rta_len = RTA_LENGTH(sizeof(question.kind_name)), .rta_type = TCA_KIND},
	    .kind_name = "bpf",
	};

	return send(fd, &question, sizeof(question), 0) < 0 ? -errno : 0;
}

static int check_clsact(uint32_t ifindex, const struct sl_hooked *hooked)
{
	_Alignas(struct nlmsghdr) char answer[ANSWER_MAX];
	const struct nlmsghdr *header = (const struct nlmsghdr *)answer;
	_cleanup_close_ int fd = -1;
	ssize_t n;
	int r;

	/* The kernel answers within send(2): nothing here waits. */
	if ((r = open_netlink(0, 0, &fd)) < 0 || (r = ask_for_filter(fd, ifindex, hooked)) < 0)
		return r;
	n = recv(fd, answer, sizeof(answer), MSG_DONTWAIT);
	if (n < 0)
		return -errno;
	if (!NLMSG_OK(header, (size_t)n))
		return -EPROTO;
	if (header->nlmsg_type == RTM_NEWTFILTER)
		return 1;
	if (header->nlmsg_type != NLMSG_ERROR)
		return -EPROTO;
	r = ((const struct nlmsgerr *)NLMSG_DATA(header))->error;
	/* Neither interface, qdisc (EINVAL), nor filter. */
	return r == -ENODEV || r == -EINVAL || r == -ENOENT ? 0 : r;
}

int hook_check(uint32_t ifindex, const struct sl_hooked *hooked)
{
	switch (hooked->kind) {
	case SL_HOOK_TCX:
		return check_tcx(ifindex, hooked->id);
	case SL_HOOK_CLSACT:
		return check_clsact(ifindex, hooked);
	default:
		return -EOPNOTSUPP;
	}
}

/* ---- news ---------------------------------------------------------------------------------- */

int hook_news_open(int *ret_fd)
{
	return open_netlink(RTMGRP_LINK | RTMGRP_TC, SOCK_NONBLOCK, ret_fd);
}

static bool has_departure(const void *news, size_t len)
{
	const struct nlmsghdr *message = news;

	for (; NLMSG_OK(message, len); message = NLMSG_NEXT(message, len)) {
		if (message->nlmsg_type == RTM_DELLINK || message->nlmsg_type == RTM_DELQDISC ||
		    message->nlmsg_type == RTM_DELTFILTER)
			return true;
	}
	return false;
}

bool hook_news_take(int fd)
{
	_Alignas(struct nlmsghdr) char news[ANSWER_MAX];
	bool has_gone = false;
	ssize_t n;

	do {
		n = recv(fd, news, sizeof(news), 0);
		if (n > 0)
			has_gone |= has_departure(news, (size_t)n);
		else if (n < 0 &&
			 errno == ENOBUFS) /* some were lost: they may have been of these */
			has_gone = true;
	} while (n > 0 || (n < 0 && (errno == ENOBUFS || errno == EINTR)));
	return has_gone;
}
