/* SPDX-License-Identifier: Apache-2.0 */
/* What libbpf's tc functions do not tell: are there other filters in a clsact qdisc? */
#pragma once
#include "base/std.h"

/**
 * tc_count_filters() - of everybody, in both directions of an interface's clsact qdisc
 *
 * Return: 0, or -errno of the netlink exchange
 */
int tc_count_filters(uint32_t ifindex, size_t *ret_n);
