/* SPDX-License-Identifier: Apache-2.0 */
/* The verbs of the control protocol: one table, name -> arguments -> function. */
#pragma once
#include "base/std.h"

struct command_args;
struct control_call;

/** commands_run() - carry @call's request out; every outcome is an answer to the call */
void commands_run(struct control_call *call, const char *cmd);
/**
 * commands_of_resource() - what shows the resource of this name, and changes nothing
 *
 * Return: the command for commands_run(), or NULL.
 */
const char *commands_of_resource(const char *resource);

/* @args: checked for the command's own groups. Each ends the call, at once or later. */
void command_status(struct control_call *call, const struct command_args *args);
void command_show_routes(struct control_call *call, const struct command_args *args);
void command_show_connections(struct control_call *call, const struct command_args *args);
void command_top(struct control_call *call, const struct command_args *args);
void command_show_clusters(struct control_call *call, const struct command_args *args);
void command_show_classes(struct control_call *call, const struct command_args *args);
void command_show_listeners(struct control_call *call, const struct command_args *args);
void command_show_offload(struct control_call *call, const struct command_args *args);
void command_show_events(struct control_call *call, const struct command_args *args);
void command_events(struct control_call *call, const struct command_args *args);
void command_set_endpoint(struct control_call *call, const struct command_args *args);
void command_drain(struct control_call *call, const struct command_args *args);
void command_undrain(struct control_call *call, const struct command_args *args);
void command_reload(struct control_call *call, const struct command_args *args);
void command_close(struct control_call *call, const struct command_args *args);
void command_splice_demote(struct control_call *call, const struct command_args *args);
void command_splice_resume(struct control_call *call, const struct command_args *args);
void command_splice_pause(struct control_call *call, const struct command_args *args);
