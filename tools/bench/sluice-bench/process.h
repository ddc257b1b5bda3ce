/* SPDX-License-Identifier: Apache-2.0 */
/* What both modes need from the process: file descriptors, and a way to be told to stop. */
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
/** process_restore_signals() - take what came from @stop_fd, and let further ones kill again */
void process_restore_signals(int stop_fd);
