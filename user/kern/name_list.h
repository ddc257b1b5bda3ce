/* SPDX-License-Identifier: Apache-2.0 */
/* What numbers of the pinned map names stand for: all of them, read once. */
#pragma once
#include "base/std.h"
#include "sluice/abi.h"

struct listed_name {
	uint32_t id;
	struct sl_name name;
};

struct name_list {
	struct listed_name *names; /* owned; by id */
	size_t n;
};

/** name_list_read() - entries that make no sense are left out. Return: 0, -ENOMEM, or -errno of
 *  bpf(2) */
int name_list_read(int fd, struct name_list *ret_list);
void name_list_done(struct name_list *list);
/** name_list_find() - Return: the text, good as long as the list; NULL if no name of @kind has @id
 */
const char *name_list_find(const struct name_list *list, enum sl_name_kind kind, uint32_t id);
