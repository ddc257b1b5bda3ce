/* SPDX-License-Identifier: Apache-2.0 */
#include "app/sluice-loader/bpffs.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <time.h>

#define LOCK_PATH    "/run/sluice-loader.lock"
#define LOCK_WAIT_MS 10000
#define LOCK_STEP_MS 20

bool bpffs_is_mounted(void)
{
	struct statfs fs;

	return statfs(BPFFS_PATH, &fs) == 0 && fs.f_type == BPF_FS_MAGIC;
}

bool bpffs_is_known(void)
{
	_cleanup_free_ char *line = NULL;
	bool is_known = false;
	size_t size = 0;
	FILE *file = fopen("/proc/filesystems", "re");

	if (!file)
		return false;
	while (!is_known && getline(&line, &size, file) >= 0)
		is_known = strcmp(line, "nodev\tbpf\n") == 0;
	fclose(file);
	return is_known;
}

int bpffs_mount(bool *ret_was_absent)
{
	bool was_absent = !bpffs_is_mounted();

	if (was_absent &&
	    mount("bpf", BPFFS_PATH, "bpf", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0711") < 0)
		return -errno;
	*ret_was_absent = was_absent;
	return 0;
}

int bpffs_let_pass(bool *ret_was_closed)
{
	struct stat st;
	bool was_closed;

	if (stat(BPFFS_PATH, &st) < 0)
		return -errno;
	was_closed = !(st.st_mode & S_IXOTH);
	if (was_closed && chmod(BPFFS_PATH, (st.st_mode & 07777) | S_IXGRP | S_IXOTH) < 0)
		return -errno;
	*ret_was_closed = was_closed;
	return 0;
}

/* Not on the file system's root: whoever may open that could keep every loader out. */
int loader_lock(int *ret_fd)
{
	static const struct timespec step = {.tv_nsec = LOCK_STEP_MS * 1000000L};
	_cleanup_close_ int fd =
	    open(LOCK_PATH, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, S_IRUSR | S_IWUSR);

	if (fd < 0)
		return -errno;
	for (int waited_ms = 0; flock(fd, LOCK_EX | LOCK_NB) < 0; waited_ms += LOCK_STEP_MS) {
		if (errno != EWOULDBLOCK && errno != EINTR)
			return -errno;
		if (waited_ms >= LOCK_WAIT_MS)
			return -EWOULDBLOCK;
		nanosleep(&step, NULL);
	}
	*ret_fd = TAKE_FD(fd);
	return 0;
}
