/* SPDX-License-Identifier: Apache-2.0 */
#include "kern/kern_ids.h"

#include <sys/mman.h>

int kern_ids_open(int fd, struct kern_ids *ret_ids)
{
	void *shared = mmap(NULL, sizeof(struct sl_ids), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (shared == MAP_FAILED)
		return -errno;
	ret_ids->shared = shared;
	return 0;
}

void kern_ids_close(struct kern_ids *ids)
{
	if (ids->shared)
		(void)munmap(TAKE_PTR(ids->shared), sizeof(struct sl_ids));
}

/* Relaxed throughout: only the uniqueness of a number matters, it publishes nothing. */
uint64_t kern_ids_take_conn_ids(struct kern_ids *ids, uint64_t n)
{
	return __atomic_fetch_add(&ids->shared->next_conn_id, n, __ATOMIC_RELAXED);
}

uint32_t kern_ids_take_name_id(struct kern_ids *ids)
{
	return __atomic_fetch_add(&ids->shared->next_name_id, 1, __ATOMIC_RELAXED);
}

uint32_t kern_ids_take_epoch(struct kern_ids *ids)
{
	return __atomic_fetch_add(&ids->shared->epoch, 1, __ATOMIC_RELAXED) + 1;
}
