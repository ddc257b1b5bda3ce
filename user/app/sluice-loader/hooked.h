/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The map SL_MAP_HOOKED, by which the daemon knows where connections can be spliced; and with it
 * that of XDP, which follows from the same hooks.
 */
#pragma once
#include "app/sluice-loader/hooks.h"

/**
 * hooked_sync() - make it tell what is attached
 *
 * What it says of interfaces of another namespace stays as it is, as long as their hooks do.
 */
int hooked_sync(const char *dir);
/** hooked_remove() - before the hook is taken out; not there is fine */
int hooked_remove(const char *dir, uint32_t ifindex);
