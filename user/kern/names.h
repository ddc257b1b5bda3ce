/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What configurations call things, as numbers that stay the same over reloads and restarts: the
 * pinned map names. A name gets its number when it is first asked for and keeps it while the pins
 * live, so that a connection that outlives an edit of the configuration is still named rightly.
 */
#pragma once
#include "base/std.h"
#include "sluice/abi.h"

struct kern_ids;

/** names_id() - of @text, a new one if it has none; any thread, and other processes meanwhile.
 *  Return: 0; -ENAMETOOLONG; -ENOSPC if the map is full; another -errno of bpf(2) */
int names_id(int fd, struct kern_ids *ids, enum sl_name_kind kind, const char *text,
	     uint32_t *ret_id);
/**
 * names_find() - what @id stands for, by looking at all of them: for adoption and offline listings
 *
 * Return: 0, -ENOENT, or another -errno.
 */
int names_find(int fd, uint32_t id, struct sl_name *ret_name);
