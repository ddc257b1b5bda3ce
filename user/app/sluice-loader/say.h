/* SPDX-License-Identifier: Apache-2.0 */
/* What sluice-loader says on standard error, and what its exit status means. */
#pragma once
#include "base/std.h"

enum {
	EXIT_DONE = 0,
	EXIT_REFUSED = 1,
	EXIT_USAGE_ERROR = 2,
};

/** say() - one line on standard error, behind the program's name */
void say(const char *fmt, ...) PRINTF_LIKE(1, 2);
/** refuse() - the same, as the reason why nothing was done. Return: EXIT_REFUSED */
int refuse(const char *fmt, ...) PRINTF_LIKE(1, 2);
/** usage_error() - the same, with where to find help. Return: EXIT_USAGE_ERROR */
int usage_error(const char *fmt, ...) PRINTF_LIKE(1, 2);
/**
 * say_library_messages() - keep what libbpf says, instead of printing it as it comes
 * @is_verbose: print it as it comes, debug messages too
 */
void say_library_messages(bool is_verbose);
/** say_kept_messages() - print what was kept: why the kernel refused a program, for instance */
void say_kept_messages(void);
