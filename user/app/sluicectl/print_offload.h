/* SPDX-License-Identifier: Apache-2.0 */
/* `sluicectl show offload` for people. */
#pragma once
#include <jansson.h>

/** print_offload_rows() - paths, then what is known of packet splice and of what prevents it */
void print_offload_rows(const json_t *rows);
