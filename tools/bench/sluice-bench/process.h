/* SPDX-License-Identifier: Apache-2.0 */
/* What both modes need from process and system: descriptors, a way to be told to stop, CPU time. */
#pragma once
#include "base/std.h"

/** process_raise_nofile() - soft RLIMIT_NOFILE to the hard one. Return: descriptors allowed */
uint64_t process_raise_nofile(void);
/**
 * process_stop_fd() - block SIGINT and SIGTERM, to be read from a signalfd instead
 *
 * Call before threads start. Return: an owned non-blocking descriptor, or -errno.
 */
int process_stop_fd(void);
/** process_take_signal() - take one from @stop_fd. Return: false if there was none */
bool process_take_signal(int stop_fd);
/** process_restore_signals() - take what came from @stop_fd, and let further ones kill again */
void process_restore_signals(int stop_fd);
/**
 * process_system_busy_ns() - CPU time that the whole system has spent on work
 *
 * The wall time of all CPUs less what they were idle or taken away by the hypervisor. Idle time is
 * measured by the kernel; what /proc/stat says of user and system time is sampled by its tick,
 * which misses work that is shorter. Good to 10 ms, the unit of /proc/stat. Only differences mean
 * anything. Return: ns, or 0 where it cannot be known
 */
uint64_t process_system_busy_ns(void);
