/* SPDX-License-Identifier: Apache-2.0 */
/* The words and options behind `sluice-loader`. */
#pragma once
#include "base/parse.h"
#include "base/std.h"

#define DEFAULT_GROUP          "sluice"
#define DEFAULT_OPERATOR_GROUP "sluice-operator"
#define FLOWS_MIN              64 /* connections; below it the kernel's own rounding is more */
#define FLOWS_MAX              (16u << 20)
#define FLOWS_DEFAULT          65536
#define EVENTS_MIN             4096
#define EVENTS_MAX             (1u << 30)
#define EVENTS_DEFAULT         (1u << 20)
#define TIMEOUT_DEFAULT_MS     30000

enum loader_verb {
	VERB_CHECK,
	VERB_LOAD,
	VERB_ATTACH,
	VERB_DETACH,
	VERB_STATUS,
	VERB_REPLACE,
	VERB_UNLOAD,
	VERB_COUNT,
};

enum hook_choice {
	HOOK_CHOICE_AUTO, /* tcx where the kernel has it */
	HOOK_CHOICE_TCX,
	HOOK_CHOICE_CLSACT,
	HOOK_CHOICE_XDP, /* as well as that of auto; in the driver */
	HOOK_CHOICE_XDP_GENERIC,
};

/* Borrows from argv. */
struct command_line {
	enum loader_verb verb;
	const char *instance;       /* NULL = the default one */
	const char *netns;          /* NULL = where we are */
	const char *group;          /* of the daemon; NULL = not said */
	const char *operator_group; /* of who may look; likewise */
	uint32_t n_flows;           /* spliced connections that fit; 0 = not said */
	uint32_t events_bytes;      /* of the ring buffer; 0 = not said */
	enum hook_choice hook;
	struct port_range source_ports; /* that the daemon connects from */
	const char *control;            /* the daemon's socket; NULL = where it usually is */
	uint64_t timeout_ms;            /* of --demote */
	bool is_json, is_verbose, has_all, has_force, has_demote;
	char **interfaces; /* behind attach and detach */
	size_t n_interfaces;
};

/**
 * command_line_parse() - argv as main() gets it
 *
 * What is wrong goes to standard error; --help and --version are answered on standard output.
 * Return: -1 to go on with *ret, else the exit status.
 */
int command_line_parse(int argc, char **argv, struct command_line *ret);
const char *loader_verb_name(enum loader_verb verb);
