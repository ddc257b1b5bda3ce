/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The set of pins as a whole. A first load pins everything in the staging directory and renames
 * it; unloading renames it back before it removes anything. So a set that was interrupted is never
 * found under its name. Later loads go on with the pinned maps, and with the hooks.
 */
#pragma once
#include "app/sluice-loader/hooks.h"
#include "app/sluice-loader/objects.h"

struct install {
	struct pin_dir dir;
	struct pin_access access;
	struct objects objects;
	int lock_fd;
};

enum {
	INSTALL_READ = 0,
	INSTALL_CHANGE = 1, /* keep other loaders out */
	INSTALL_MOUNT = 2,  /* bpffs, where it is not */
};

/**
 * install_open() - @flags: of INSTALL_*
 *
 * What stands in the way is said. Return: -1 to go on, else an exit status; install_close() in
 * every case.
 */
int install_open(const struct command_line *line, unsigned int flags, struct install *ret);
void install_close(struct install *install);

bool install_is_loaded(const struct install *install);
/** install_abi() - as pinned. Return: 0, or -errno (-ENOENT: there is none) */
int install_abi(const struct install *install, uint32_t *ret_version);
/** install_check_abi() - says it, if it is not ours. Return: -1 to go on, else an exit status */
int install_check_abi(const struct install *install);
/** install_list_missing() - names of pins that should be there, joined by ", ". Return: how many */
size_t install_list_missing(const struct install *install, char *ret_names, size_t size);

/**
 * install_check_maps() - could programs of ours go on with what is pinned?
 *
 * Return: -1 if so, else what says that (on standard error, as of which map) and an exit status
 */
int install_check_maps(const struct install *install);
/** install_read_sizes() - of the pinned maps; the usual ones where there is none */
void install_read_sizes(const struct install *install, struct map_sizes *ret);

/** install_fresh() - load everything into a new set. Return: -1 if done, else an exit status */
int install_fresh(struct install *install, const struct map_sizes *sizes);
/** install_load() - its first half: into the kernel, which may refuse, and nowhere else */
int install_load(struct install *install, const struct map_sizes *sizes);
/** install_publish() - its second half: the pins, where there are none */
int install_publish(struct install *install);
/**
 * install_over() - load the programs into the pinned maps and every hook
 *
 * Maps that have lost their pin are found again through programs that use them.
 * Return: -1 if done, else an exit status, as of before
 */
int install_over(struct install *install);
/** install_has_state() - is there anything in the set that would be lost with it? */
int install_has_state(const struct install *install, bool *ret);
/**
 * install_detach_all() - every hook; the daemon is told of each before it goes
 * @is_forced: forget what is in a namespace that we cannot see
 *
 * Return: -1 if done, else an exit status
 */
int install_detach_all(const struct install *install, bool is_forced, size_t *ret_n);
/** install_remove() - all pins, as a whole; there are no hooks any more. Return: 0, or -errno */
int install_remove(const struct install *install);
/** install_set_access() - of pins that are there, after a change of groups. Return: 0, or -errno */
int install_set_access(const struct install *install);
