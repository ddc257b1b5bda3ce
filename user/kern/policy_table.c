/* SPDX-License-Identifier: Apache-2.0 */
#include "kern/policy_table.h"

#include <bpf/bpf.h>

/* What the kernel says of a row behind the last depends on the call. */
static int no_row(int error)
{
	return error == -E2BIG ? -ENOENT : error;
}

int policy_table_read(int fd, uint32_t row, struct sl_policy *ret_policy)
{
	struct sl_policy policy;
	int error = bpf_map_lookup_elem(fd, &row, &policy);

	if (error == 0)
		*ret_policy = policy;
	return no_row(error);
}

int policy_table_write(int fd, uint32_t row, const struct sl_policy *policy)
{
	return no_row(bpf_map_update_elem(fd, &row, policy, BPF_ANY));
}
