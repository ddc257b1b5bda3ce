/* SPDX-License-Identifier: Apache-2.0 */
/* The verbs of the control protocol: one table, name -> arguments -> function. */
#pragma once
#include "proto/control_message.h"

struct control_call;

/** commands_run() - carry @call's request out; every outcome is an answer to the call */
void commands_run(struct control_call *call, const char *cmd);
