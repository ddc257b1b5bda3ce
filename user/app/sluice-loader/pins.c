/* SPDX-License-Identifier: Apache-2.0 */
#include "app/sluice-loader/pins.h"

#include "base/parse.h"

#include <bpf/bpf.h>
#include <dirent.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>

#define STAGING_SUFFIX "_staging"
#define NEW_SUFFIX     "_new"

bool pin_instance_is_valid(const char *name)
{
	size_t len = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-");

	return len > 0 && len <= PIN_INSTANCE_MAX && name[len] == '\0';
}

void pin_dir_init(struct pin_dir *dir, const char *instance)
{
	const char *dash = instance ? "-" : "";

	instance = instance ? instance : "";
	snprintf(dir->path, sizeof(dir->path), "%s%s%.*s", PIN_ROOT, dash, PIN_INSTANCE_MAX,
		 instance);
	snprintf(dir->staging, sizeof(dir->staging), "%s%s%.*s" STAGING_SUFFIX, PIN_ROOT, dash,
		 PIN_INSTANCE_MAX, instance);
}

bool pin_dir_exists(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

const char *pin_path(const char *dir, const char *sub, const char *name, char ret[PIN_PATH_MAX])
{
	int len =
	    snprintf(ret, PIN_PATH_MAX, "%s%s%s/%s", dir, sub ? "/" : "", sub ? sub : "", name);

	/* A directory is at most half of it, and names are ours. */
	assert(len < PIN_PATH_MAX);
	(void)len;
	return ret;
}

int pin_group_find(const char *name, gid_t *ret)
{
	const struct group *group = getgrnam(name);
	uint64_t number;

	if (group) {
		*ret = group->gr_gid;
		return 0;
	}
	if (parse_u64(name, &number) < 0 || number >= (gid_t)-1)
		return -ENOENT;
	*ret = (gid_t)number;
	return 0;
}

/* Between the calls nobody may do what they may not in the end, nor with the mode of before. */
static int set_access(const char *path, gid_t group, mode_t mode)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return -errno;
	if (st.st_gid != group && (chmod(path, 0700 & mode) < 0 || chown(path, 0, group) < 0))
		return -errno;
	return chmod(path, mode) < 0 ? -errno : 0;
}

int pin_dir_set_access(const char *path, const struct pin_access *access)
{
	char sub[PIN_PATH_MAX];
	int r;

	if ((r = set_access(pin_path(path, NULL, PIN_HOOKS_DIR, sub), 0, 0755)) < 0)
		return r;
	pin_path(path, NULL, PIN_READONLY_DIR, sub);
	r = access->has_operator_group ? set_access(sub, access->operator_group, 0750)
				       : set_access(sub, 0, 0700);
	return r < 0 ? r : set_access(path, 0, 0755);
}

static int make_dir(const char *path)
{
	return mkdir(path, 0700) < 0 && errno != EEXIST ? -errno : 0;
}

int pin_dir_create(const char *path, const struct pin_access *access)
{
	char sub[PIN_PATH_MAX];
	int r;

	if ((r = make_dir(path)) < 0 ||
	    (r = make_dir(pin_path(path, NULL, PIN_HOOKS_DIR, sub))) < 0 ||
	    (r = make_dir(pin_path(path, NULL, PIN_READONLY_DIR, sub))) < 0)
		return r;
	return pin_dir_set_access(path, access);
}

struct owner {
	gid_t group;
	mode_t mode;
};

static struct owner owner_of(enum pin_kind kind, const struct pin_access *access)
{
	if (kind != PIN_PRIVATE && access->has_group)
		return (struct owner){access->group, 0660};
	return (struct owner){0, 0600};
}

static struct owner readonly_owner(const struct pin_access *access)
{
	if (access->has_operator_group)
		return (struct owner){access->operator_group, 0440};
	return (struct owner){0, 0400};
}

static int put_one(const char *path, int fd, struct owner owner)
{
	char fresh[PIN_PATH_MAX];
	int r;

	if (snprintf(fresh, sizeof(fresh), "%s" NEW_SUFFIX, path) >= (int)sizeof(fresh))
		return -ENAMETOOLONG;
	/* Left by one who was interrupted here. */
	if (unlink(fresh) < 0 && errno != ENOENT)
		return -errno;
	if (bpf_obj_pin(fd, fresh) < 0)
		return -errno;
	r = set_access(fresh, owner.group, owner.mode);
	if (r == 0 && rename(fresh, path) < 0)
		r = -errno;
	if (r < 0)
		unlink(fresh);
	return r;
}

int pin_put(const char *dir, const char *name, int fd, enum pin_kind kind,
	    const struct pin_access *access)
{
	char path[PIN_PATH_MAX];
	int r = put_one(pin_path(dir, NULL, name, path), fd, owner_of(kind, access));

	if (r < 0 || kind != PIN_MAP)
		return r;
	return put_one(pin_path(dir, PIN_READONLY_DIR, name, path), fd, readonly_owner(access));
}

int pin_set_access(const char *dir, const char *name, enum pin_kind kind,
		   const struct pin_access *access)
{
	struct owner owner = owner_of(kind, access);
	char path[PIN_PATH_MAX];
	int r = set_access(pin_path(dir, NULL, name, path), owner.group, owner.mode);

	if ((r == 0 || r == -ENOENT) && kind == PIN_MAP) {
		owner = readonly_owner(access);
		pin_path(dir, PIN_READONLY_DIR, name, path);
		r = set_access(path, owner.group, owner.mode);
	}
	return r == -ENOENT ? 0 : r;
}

int pin_open(const char *dir, const char *name)
{
	char path[PIN_PATH_MAX];
	int fd = bpf_obj_get(pin_path(dir, NULL, name, path));

	return fd < 0 ? -errno : fd;
}

int pin_stat(const char *dir, const char *sub, const char *name, struct stat *ret)
{
	char path[PIN_PATH_MAX];

	return stat(pin_path(dir, sub, name, path), ret) < 0 ? -errno : 0;
}

static void cleanup_closedir(DIR **dir)
{
	if (*dir)
		closedir(*dir);
}

static bool is_dot(const char *name)
{
	return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

int pin_walk(const char *dir, const char *sub, pin_name_fn *fn, void *arg)
{
	char path[PIN_PATH_MAX];
	_cleanup_(cleanup_closedir) DIR *listing = opendir(pin_path(dir, NULL, sub, path));
	const struct dirent *entry;
	int r = 0;

	if (!listing)
		return errno == ENOENT ? 0 : -errno;
	while (r == 0 && (entry = readdir(listing))) {
		if (!is_dot(entry->d_name))
			r = fn(entry->d_name, arg);
	}
	return r;
}

/* Two levels below the top at most: markers are directories in hooks/. */
int pin_tree_remove(const char *path) // NOLINT(misc-no-recursion)
{
	_cleanup_(cleanup_closedir) DIR *dir = opendir(path);
	char below[PIN_PATH_MAX];
	const struct dirent *entry;
	int r;

	if (!dir)
		return errno == ENOENT ? 0 : -errno;
	while ((entry = readdir(dir))) {
		if (is_dot(entry->d_name))
			continue;
		if (snprintf(below, sizeof(below), "%s/%s", path, entry->d_name) >=
		    (int)sizeof(below))
			return -ENAMETOOLONG;
		if (unlink(below) == 0)
			continue;
		if (errno != EISDIR && errno != EPERM)
			return -errno;
		if ((r = pin_tree_remove(below)) < 0)
			return r;
	}
	return rmdir(path) < 0 ? -errno : 0;
}
