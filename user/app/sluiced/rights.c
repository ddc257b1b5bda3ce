/* SPDX-License-Identifier: Apache-2.0 */
#include "app/sluiced/rights.h"

#include "base/log.h"
#include "core/config.h"
#include "core/control_path.h"
#include "kern/privileges.h"

#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <sys/stat.h>

/* The directory of the default control socket bears our name: whoever we are, it is ours. So is a
 * socket that was left there: to find out that nobody listens takes the right to connect. What was
 * configured is the operator's. */
static void give_control_socket(const struct privileges_user *user)
{
	char path[CONTROL_PATH_MAX + 1], copy[CONTROL_PATH_MAX + 1];
	_cleanup_close_ int fd = -1;

	if (!control_default_path(path))
		return;
	memcpy(copy, path, sizeof(copy));
	(void)mkdir(dirname(copy), 0755);
	fd = open(copy, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fchown(fd, user->uid, user->gid) < 0 ||
	    (fchownat(fd, basename(path), user->uid, user->gid, AT_SYMLINK_NOFOLLOW) < 0 &&
	     errno != ENOENT))
		log_warning("%s: %s", copy, strerror(errno));
}

/* Whoever starts us by root's shell gives us pipes of root's. They are opened anew, so as not to
 * wait for their readers (core/access_log.c). */
static void give_pipe(int fd, const struct privileges_user *user)
{
	struct stat st;

	if (fstat(fd, &st) == 0 && S_ISFIFO(st.st_mode) && st.st_uid == geteuid() &&
	    fchown(fd, user->uid, (gid_t)-1) < 0)
		log_warning("standard output: %s", strerror(errno));
}

static int become(const struct rights_wish *wish, const struct config *config)
{
	struct privileges_user user;
	struct privileges_error why = {0};
	int error = privileges_find(wish->user, wish->group, &user, &why);

	if (error < 0) {
		log_error("cannot become another user: %s", why.text);
		return error;
	}
	if (geteuid() == 0 && user.uid != 0) {
		if (!config->admin.control)
			give_control_socket(&user);
		give_pipe(STDOUT_FILENO, &user);
	}
	error = privileges_become(&user);
	if (error < 0)
		log_error("cannot become user \"%s\": %s", wish->user, strerror(-error));
	privileges_user_done(&user);
	return error;
}

static void give_rights_away(void)
{
	int error = privileges_limit();

	if (error < 0)
		log_warning("capabilities that are not needed stay: %s", strerror(-error));
	error = privileges_refuse_bpf();
	if (error < 0)
		log_warning("no system call filter: %s", strerror(-error));
}

int rights_settle(const struct rights_wish *wish, const struct config *config,
		  const char *config_path)
{
	int error = 0;

	if (wish->user) {
		error = become(wish, config);
	} else if (wish->group) {
		log_error("process.group has no meaning without process.user");
		error = -EINVAL;
	}
	if (error < 0)
		return error;
	if (!wish->user && geteuid() == 0)
		log_warning("running as root: set process.user, or start with --user");
	give_rights_away();
	if (config_path && access(config_path, R_OK) < 0)
		log_warning("%s: %s: a reload will not be possible", config_path, strerror(errno));
	return 0;
}
