/* SPDX-License-Identifier: Apache-2.0 */
/* The pinned map policies (sluice/policy.h): rows by their number. */
#pragma once
#include "base/std.h"
#include "sluice/policy.h"

/** policy_table_read() - Return: 0, -ENOENT for a row that there is not, or another -errno */
int policy_table_read(int fd, uint32_t row, struct sl_policy *ret_policy);
/** policy_table_write() - for packets from now on; one that passes meanwhile may meet half of it.
 *  Return: as policy_table_read() */
int policy_table_write(int fd, uint32_t row, const struct sl_policy *policy);
