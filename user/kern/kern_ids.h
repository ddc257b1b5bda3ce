/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The counters of the pinned map ids (struct sl_ids), mapped into memory: whatever is given out is
 * never given out again while the pins live, by no thread and no process.
 */
#pragma once
#include "base/std.h"
#include "sluice/abi.h"

struct kern_ids {
	struct sl_ids *shared; /* mapped; NULL = not open */
};

/** kern_ids_open() - Return: 0, or -errno of mmap(2): -EINVAL if the map has no BPF_F_MMAPABLE */
int kern_ids_open(int fd, struct kern_ids *ret_ids);
/** kern_ids_close() - harmless if not open */
void kern_ids_close(struct kern_ids *ids);

/** kern_ids_take_conn_ids() - @n of them. Return: the first, at least 1 */
uint64_t kern_ids_take_conn_ids(struct kern_ids *ids, uint64_t n);
/** kern_ids_take_name_id() - at least 1 */
uint32_t kern_ids_take_name_id(struct kern_ids *ids);
/** kern_ids_take_epoch() - once a start of the daemon; at least 1 */
uint32_t kern_ids_take_epoch(struct kern_ids *ids);
