/* SPDX-License-Identifier: Apache-2.0 */
/* One function for each verb. Return: the exit status; what went wrong was said. */
#pragma once
#include "app/sluice-loader/command_line.h"

int verb_check(const struct command_line *line);
int verb_load(const struct command_line *line);
int verb_attach(const struct command_line *line);
int verb_detach(const struct command_line *line);
int verb_status(const struct command_line *line);
int verb_replace(const struct command_line *line);
int verb_unload(const struct command_line *line);
