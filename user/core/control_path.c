/* SPDX-License-Identifier: Apache-2.0 */
#include "core/control_path.h"

#include <stdio.h>

#define SYSTEM_DIR    "/run/sluice"
#define SYSTEM_SOCKET SYSTEM_DIR "/control.sock"

static const char *user_path(char buf[CONTROL_PATH_MAX + 1])
{
	const char *dir = getenv("XDG_RUNTIME_DIR");
	int len;

	/* The specification of the variable: a relative path is to be ignored. */
	if (!dir || dir[0] != '/')
		return NULL;
	len = snprintf(buf, CONTROL_PATH_MAX + 1, "%s/sluice/control.sock", dir);
	return len <= CONTROL_PATH_MAX ? buf : NULL;
}

static const char *system_path(char buf[CONTROL_PATH_MAX + 1])
{
	memcpy(buf, SYSTEM_SOCKET, sizeof(SYSTEM_SOCKET));
	return buf;
}

const char *control_default_path(char buf[CONTROL_PATH_MAX + 1])
{
	if (geteuid() == 0 || eaccess(SYSTEM_DIR, W_OK) == 0)
		return system_path(buf);
	return user_path(buf);
}

const char *control_find_path(char buf[CONTROL_PATH_MAX + 1])
{
	/* connect(2) asks for the right to write. */
	if (eaccess(SYSTEM_SOCKET, W_OK) == 0)
		return system_path(buf);
	return control_default_path(buf);
}
