/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pins of one instance, and who may open them:
 *
 *	/sys/fs/bpf/sluice/                    755 root:root
 *		flows4, conns, abi, ...        660 root:sluice           maps
 *		sl_activate, sl_hold, ...      660 root:sluice           to be run by the daemon
 *		sl_splice                      600 root:root             to be attached by us
 *		ro/flows4, ro/conns, ...       440 root:sluice-operator  the same maps, read-only
 *		hooks/                         755 root:root             what is attached (hooks.h)
 *
 * A map has two pins because a file has one group, and bpffs no access control lists. Without a
 * group its pins stay with root.
 *
 * A set is pinned in a staging directory and renamed as a whole: either all of it is there or
 * nothing. A single pin changes by renaming over it. An underscore ends the names of what is not
 * finished: instances cannot have one.
 */
#pragma once
#include "app/sluice-loader/bpffs.h"

#include <sys/stat.h>

#define PIN_ROOT         SL_PIN_ROOT "/" SL_PIN_DIR
#define PIN_INSTANCE_MAX 32
#define PIN_PATH_MAX     160
#define PIN_READONLY_DIR "ro"
#define PIN_HOOKS_DIR    "hooks"

struct pin_dir {
	char path[PIN_PATH_MAX / 2];    /* /sys/fs/bpf/sluice */
	char staging[PIN_PATH_MAX / 2]; /* /sys/fs/bpf/sluice_staging */
};

/* Who beside root. */
struct pin_access {
	gid_t group, operator_group;
	bool has_group, has_operator_group;
};

enum pin_kind {
	PIN_MAP,
	PIN_RUNNABLE, /* a program that the daemon runs */
	PIN_PRIVATE,  /* other programs, links */
};

bool pin_instance_is_valid(const char *name);
/** pin_dir_init() - @instance: valid, or NULL */
void pin_dir_init(struct pin_dir *dir, const char *instance);
bool pin_dir_exists(const char *path);
/** pin_path() - DIR/NAME, or DIR/SUB/NAME. Return: @ret */
const char *pin_path(const char *dir, const char *sub, const char *name, char ret[PIN_PATH_MAX]);

/** pin_group_find() - by name or number. Return: 0, or -ENOENT */
int pin_group_find(const char *name, gid_t *ret);

/** pin_dir_create() - @path and the directories below it, as far as they are not there */
int pin_dir_create(const char *path, const struct pin_access *access);
/** pin_put() - pin @fd, in the place of what is pinned there; a map also read-only */
int pin_put(const char *dir, const char *name, int fd, enum pin_kind kind,
	    const struct pin_access *access);
/** pin_set_access() - of a pin that is there, as pin_put() would; not there is fine */
int pin_set_access(const char *dir, const char *name, enum pin_kind kind,
		   const struct pin_access *access);
/** pin_dir_set_access() - of the directories, as pin_dir_create() would */
int pin_dir_set_access(const char *path, const struct pin_access *access);
/** pin_open() - Return: a descriptor, or -errno (-ENOENT: no such pin) */
int pin_open(const char *dir, const char *name);
/** pin_stat() - Return: 0, or -errno */
int pin_stat(const char *dir, const char *sub, const char *name, struct stat *ret);
typedef int pin_name_fn(const char *name, void *arg);
/** pin_walk() - what stands in DIR/SUB, until @fn returns an error; no such directory is fine.
 *  Return: 0, -errno, or what @fn has returned */
int pin_walk(const char *dir, const char *sub, pin_name_fn *fn, void *arg);
/** pin_tree_remove() - @path and everything below; nothing there is fine */
int pin_tree_remove(const char *path);
