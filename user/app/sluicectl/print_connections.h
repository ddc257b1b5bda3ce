/* SPDX-License-Identifier: Apache-2.0 */
/* `sluicectl show connections` for people. */
#pragma once
#include "base/std.h"

#include <jansson.h>

/** print_connections() - what fits the terminal */
void print_connections(const json_t *rows);
/** print_connections_long() - all columns, however wide that gets */
void print_connections_long(const json_t *rows);
/** connections_for_people() - Return: new rows, in which counts and rates of frames that are not
 *  exact are texts with a '+' behind: at least so many */
json_t *connections_for_people(const json_t *rows);
