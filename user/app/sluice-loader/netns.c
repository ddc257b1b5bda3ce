/* SPDX-License-Identifier: Apache-2.0 */
#include "app/sluice-loader/netns.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/if_arp.h>
#include <sched.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>

#define NETNS_DIR "/run/netns" /* of iproute2 */

int netns_enter(const char *where)
{
	_cleanup_close_ int fd = -1;
	char path[PATH_MAX];
	int len;

	if (strchr(where, '/'))
		len = snprintf(path, sizeof(path), "%s", where);
	else
		len = snprintf(path, sizeof(path), "%s/%s", NETNS_DIR, where);
	if (len >= (int)sizeof(path))
		return -ENAMETOOLONG;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	return setns(fd, CLONE_NEWNET) < 0 ? -errno : 0;
}

static const unsigned short l2_types[] = {ARPHRD_ETHER, ARPHRD_LOOPBACK};
static const unsigned short l3_types[] = {ARPHRD_NONE, ARPHRD_PPP,   ARPHRD_TUNNEL, ARPHRD_TUNNEL6,
					  ARPHRD_SIT,  ARPHRD_IPGRE, ARPHRD_IP6GRE, ARPHRD_RAWIP};

static bool is_one_of(unsigned short type, const unsigned short *types, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (types[i] == type)
			return true;
	}
	return false;
}

uint64_t netns_inode(void)
{
	struct stat st;

	return stat("/proc/thread-self/ns/net", &st) < 0 ? 0 : st.st_ino;
}

int interface_find(const char *name, struct interface *ret)
{
	struct ifreq request = {0};
	struct interface interface = {0};
	_cleanup_close_ int fd = -1;
	size_t len = strlen(name);

	if (len >= IF_NAMESIZE)
		return -ENODEV;
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	memcpy(request.ifr_name, name, len);
	memcpy(interface.name, name, len);
	if (ioctl(fd, SIOCGIFINDEX, &request) < 0)
		return -errno;
	interface.index = (uint32_t)request.ifr_ifindex;
	if (ioctl(fd, SIOCGIFFLAGS, &request) < 0)
		return -errno;
	interface.is_up = request.ifr_flags & IFF_UP;
	if (ioctl(fd, SIOCGIFHWADDR, &request) < 0)
		return -errno;
	interface.is_l2 = is_one_of(request.ifr_hwaddr.sa_family, l2_types, ARRAY_SIZE(l2_types));
	interface.is_l3 = is_one_of(request.ifr_hwaddr.sa_family, l3_types, ARRAY_SIZE(l3_types));
	*ret = interface;
	return 0;
}

int interface_by_index(uint32_t index, struct interface *ret)
{
	char name[IF_NAMESIZE];

	if (!if_indextoname(index, name))
		return -ENODEV;
	return interface_find(name, ret);
}

static void cleanup_names(struct if_nameindex **names)
{
	if (*names)
		if_freenameindex(*names);
}

int interface_list(struct interface **ret, size_t *ret_n)
{
	_cleanup_(cleanup_names) struct if_nameindex *names = if_nameindex();
	_cleanup_free_ struct interface *list = NULL;
	size_t n_names = 0, n = 0;

	if (!names)
		return -errno;
	while (names[n_names].if_index != 0)
		n_names++;
	list = calloc(n_names + 1, sizeof(*list));
	if (!list)
		return -ENOMEM;
	for (size_t i = 0; i < n_names; i++) {
		/* One that has gone since is not in the list. */
		if (interface_find(names[i].if_name, &list[n]) == 0)
			n++;
	}
	*ret = TAKE_PTR(list);
	*ret_n = n;
	return 0;
}
