/* SPDX-License-Identifier: Apache-2.0 */
/* Where the control socket is when neither the configuration nor the command line says so. */
#pragma once
#include "base/std.h"

#define CONTROL_PATH_MAX 107 /* bytes, as sockaddr_un.sun_path takes it with its NUL */

/**
 * control_default_path() - where this process would listen
 *
 * /run/sluice/control.sock for root and for whoever may write to /run/sluice; otherwise
 * $XDG_RUNTIME_DIR/sluice/control.sock, whose directory may not exist yet.
 * Return: @buf, or NULL if XDG_RUNTIME_DIR is unset, relative or too long.
 */
const char *control_default_path(char buf[CONTROL_PATH_MAX + 1]);

/**
 * control_find_path() - where this process would find a daemon
 *
 * The system's socket if this user may connect to it, otherwise as control_default_path().
 */
const char *control_find_path(char buf[CONTROL_PATH_MAX + 1]);
