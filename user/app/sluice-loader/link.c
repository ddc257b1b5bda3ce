/* SPDX-License-Identifier: Apache-2.0 */
#include "app/sluice-loader/link.h"

#include "app/sluice-loader/netlink.h"

#include <arpa/inet.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>

struct link_request {
	struct nlmsghdr header;
	struct ifinfomsg link;
};

/* An attribute that fits into @size bytes, the rest zeros. */
static void copy(const struct rtattr *attribute, void *to, size_t size)
{
	memset(to, 0, size);
	memcpy(to, RTA_DATA(attribute), MIN(size, (size_t)RTA_PAYLOAD(attribute)));
}

static void read_vlan(const struct rtattr *data, struct link *link)
{
	const struct rtattr *a = RTA_DATA(data);

	for (int left = (int)RTA_PAYLOAD(data); RTA_OK(a, left); a = RTA_NEXT(a, left)) {
		if (a->rta_type == IFLA_VLAN_ID) {
			copy(a, &link->vlan_id, sizeof(link->vlan_id));
		} else if (a->rta_type == IFLA_VLAN_PROTOCOL) {
			copy(a, &link->vlan_proto, sizeof(link->vlan_proto));
			link->vlan_proto = ntohs(link->vlan_proto);
		}
	}
}

/* Its kind comes before what is special about that. */
static void read_info(const struct rtattr *info, struct link *link)
{
	const struct rtattr *a = RTA_DATA(info);

	for (int left = (int)RTA_PAYLOAD(info); RTA_OK(a, left); a = RTA_NEXT(a, left)) {
		if (a->rta_type == IFLA_INFO_KIND) {
			copy(a, link->kind, sizeof(link->kind));
			link->kind[sizeof(link->kind) - 1] = '\0';
		} else if (a->rta_type == IFLA_INFO_DATA && strcmp(link->kind, "vlan") == 0) {
			read_vlan(a, link);
		}
	}
}

static int take_link(const struct nlmsghdr *message, void *context)
{
	const struct ifinfomsg *head = NLMSG_DATA(message);
	const struct rtattr *a = IFLA_RTA(head);
	int left = (int)IFLA_PAYLOAD(message);

	if (message->nlmsg_type != RTM_NEWLINK)
		return 0;
	for (; RTA_OK(a, left); a = RTA_NEXT(a, left)) {
		struct link *link = context;

		if (a->rta_type == IFLA_ADDRESS)
			copy(a, link->mac, sizeof(link->mac));
		else if (a->rta_type == IFLA_LINK)
			copy(a, &link->lower, sizeof(link->lower));
		else if (a->rta_type == IFLA_LINKINFO)
			read_info(a, link);
	}
	return 1;
}

int link_read(uint32_t ifindex, struct link *ret)
{
	const struct link_request request = {
	    .header = {.nlmsg_len = sizeof(request),
		       .nlmsg_type = RTM_GETLINK,
		       .nlmsg_flags = NLM_F_REQUEST},
	    .link = {.ifi_family = AF_UNSPEC, .ifi_index = (int)ifindex},
	};
	_cleanup_close_ int fd = -1;
	struct link link = {0};
	int r;

	if ((r = netlink_open(&fd)) < 0 ||
	    (r = netlink_ask(fd, &request.header, take_link, &link)) < 0)
		return r;
	*ret = link;
	return 0;
}
