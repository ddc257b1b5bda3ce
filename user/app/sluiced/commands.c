/* SPDX-License-Identifier: Apache-2.0 */
#include "app/sluiced/commands.h"

#include "app/sluiced/command_args.h"
#include "app/sluiced/control_call.h"
#include "proto/control_message.h"

static const struct command {
	const char *name;
	int arguments;
	void (*run)(struct control_call *call, const struct command_args *args);
} commands[] = {
    {"status", 0, command_status},
    {"show.connections", COMMAND_ARGS_FILTER | COMMAND_ARGS_ORDER, command_show_connections},
    {"top", COMMAND_ARGS_FILTER | COMMAND_ARGS_ORDER | COMMAND_ARGS_VIEW, command_top},
    {"show.routes", 0, command_show_routes},
    {"show.clusters", 0, command_show_clusters},
    {"show.classes", 0, command_show_classes},
    {"show.listeners", 0, command_show_listeners},
    {"show.offload", 0, command_show_offload},
    {"show.events", COMMAND_ARGS_EVENTS, command_show_events},
    {"events", COMMAND_ARGS_EVENTS, command_events},
    {"set.endpoint", COMMAND_ARGS_ENDPOINT, command_set_endpoint},
    {"drain", COMMAND_ARGS_TARGET | COMMAND_ARGS_DRAIN, command_drain},
    {"undrain", COMMAND_ARGS_TARGET, command_undrain},
    {"reload", 0, command_reload},
    {"close", COMMAND_ARGS_FILTER | COMMAND_ARGS_ALL | COMMAND_ARGS_CLOSE, command_close},
    {"splice.demote", COMMAND_ARGS_FILTER | COMMAND_ARGS_ALL, command_splice_demote},
    {"splice.resume", 0, command_splice_resume},
    {"splice.pause", 0, command_splice_pause},
};

/* What can be had by HTTP, which only shows. */
static const struct {
	const char *name, *command;
} resources[] = {
    {"status", "status"},        {"connections", "show.connections"},
    {"routes", "show.routes"},   {"clusters", "show.clusters"},
    {"classes", "show.classes"}, {"listeners", "show.listeners"},
    {"offload", "show.offload"}, {"events", "show.events"},
};

void commands_run(struct control_call *call, const char *cmd)
{
	struct command_args args;

	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		if (strcmp(commands[i].name, cmd) != 0)
			continue;
		if (command_args_parse(call, commands[i].arguments, &args) == 0)
			commands[i].run(call, &args);
		return;
	}
	control_fail(call, CONTROL_ERROR_COMMAND, "\"%s\"", cmd);
}

const char *commands_of_resource(const char *resource)
{
	for (size_t i = 0; i < ARRAY_SIZE(resources); i++) {
		if (strcmp(resources[i].name, resource) == 0)
			return resources[i].command;
	}
	return NULL;
}
