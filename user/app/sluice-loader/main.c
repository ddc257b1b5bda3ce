/* SPDX-License-Identifier: Apache-2.0 */
/* sluice-loader: puts the kernel programs into the kernel; the only one of us that may. */
#include "app/sluice-loader/netns.h"
#include "app/sluice-loader/say.h"
#include "app/sluice-loader/verbs.h"

#include <stdio.h>

static int (*const verbs[VERB_COUNT])(const struct command_line *line) = {
    [VERB_CHECK] = verb_check,   [VERB_LOAD] = verb_load,     [VERB_ATTACH] = verb_attach,
    [VERB_DETACH] = verb_detach, [VERB_STATUS] = verb_status, [VERB_REPLACE] = verb_replace,
    [VERB_UNLOAD] = verb_unload,
};

/* Whoever pipes the report away shall not take a full disk for success. */
static int finish_output(int status)
{
	if ((fflush(stdout) != 0 || ferror(stdout)) && status == EXIT_DONE)
		return refuse("cannot write the result: %s", strerror(errno));
	return status;
}

int main(int argc, char **argv)
{
	struct command_line line;
	int status = command_line_parse(argc, argv, &line), r;

	if (status >= 0)
		return status;
	say_library_messages(line.is_verbose);
	if (line.verb != VERB_CHECK && geteuid() != 0)
		return refuse("%s: only root can do that", loader_verb_name(line.verb));
	if (line.netns && (r = netns_enter(line.netns)) < 0)
		return refuse("--netns %s: %s", line.netns,
			      r == -EINVAL ? "not a network namespace" : strerror(-r));
	return finish_output(verbs[line.verb](&line));
}
