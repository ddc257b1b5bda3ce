/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether the hooks are where the map `hooked` has them: they can be taken out by other means than
 * sluice-loader, and an interface can go with its hook. Of the capabilities this wants
 * CAP_NET_ADMIN, for tcx; anybody may ask for filters.
 */
#pragma once
#include "base/std.h"
#include "sluice/abi.h"

/**
 * hook_check() - of an interface of this network namespace
 *
 * Return: 1: it is there; 0: it is not; or -errno: that cannot be told
 */
int hook_check(uint32_t ifindex, const struct sl_hooked *hooked);

/**
 * hook_news_open() - a socket that becomes readable when an interface, a qdisc or a filter goes
 *
 * Of a tcx link nobody tells. Return: 0, or -errno
 */
int hook_news_open(int *ret_fd);
/** hook_news_take() - read all that waits. Return: may a hook have gone? */
bool hook_news_take(int fd);
