/* SPDX-License-Identifier: Apache-2.0 */
#include "base/unix_socket.h"

#include <sys/stat.h>

static bool is_abstract(const struct address *address)
{
	return address->un.sun_path[0] == '\0';
}

/* A socket file left by a process that died has nobody behind it. */
static int remove_stale(const struct address *address)
{
	_cleanup_close_ int fd = -1;
	struct stat st;

	if (is_abstract(address) || lstat(address->un.sun_path, &st) < 0)
		return 0;
	if (!S_ISSOCK(st.st_mode))
		return -EEXIST;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	if (connect(fd, &address->sa, address->len) == 0 || errno != ECONNREFUSED)
		return -EADDRINUSE;
	return unlink(address->un.sun_path) < 0 ? -errno : 0;
}

int unix_listen(const struct address *address, int backlog, mode_t mode, int *ret_fd)
{
	_cleanup_close_ int fd = -1;
	int error;

	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	error = remove_stale(address);
	if (error < 0)
		return error;
	/* bind(2) gives the file the mode of the socket: no moment with wider permissions. */
	if (fchmod(fd, mode) < 0 || bind(fd, &address->sa, address->len) < 0 ||
	    listen(fd, backlog) < 0)
		return -errno;
	*ret_fd = TAKE_FD(fd);
	return 0;
}

void unix_unlink(const struct address *address)
{
	if (!is_abstract(address))
		(void)unlink(address->un.sun_path);
}
