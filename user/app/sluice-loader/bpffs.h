/* SPDX-License-Identifier: Apache-2.0 */
/* The BPF file system, and the lock that keeps a second loader out. */
#pragma once
#include "base/std.h"
#include "sluice/abi.h"

#define BPFFS_PATH SL_PIN_ROOT

/** bpffs_is_mounted() - also where its mode keeps us from looking into it */
bool bpffs_is_mounted(void);
/** bpffs_is_known() - this kernel has the file system, mounted or not */
bool bpffs_is_known(void);
/**
 * bpffs_mount() - where it is not mounted yet
 * @ret_was_absent: it was, and is now mounted
 *
 * Return: 0, or what mount(2) said: -EPERM, -ENODEV (kernel without it), -ENOENT (no /sys/fs/bpf)
 */
int bpffs_mount(bool *ret_was_absent);
/**
 * bpffs_let_pass() - everybody may pass through its root (not list it) to pins that have
 * permissions of their own; systemd mounts it with mode 700
 * @ret_was_closed: it was closed, and is now open
 */
int bpffs_let_pass(bool *ret_was_closed);
/**
 * loader_lock() - be the only loader that changes something, until the descriptor is closed
 *
 * Waits a few seconds for another one. Return: 0, -EWOULDBLOCK if it did not end, or -errno
 */
int loader_lock(int *ret_fd);
