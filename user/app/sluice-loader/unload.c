/* SPDX-License-Identifier: Apache-2.0 */
/* unload: hooks, then pins. */
#include "app/sluice-loader/in_use.h"
#include "app/sluice-loader/say.h"
#include "app/sluice-loader/verbs.h"

#include <jansson.h>
#include <stdio.h>

static void cleanup_install(struct install *install)
{
	install_close(install);
}

static void print_result(const struct command_line *line, const struct install *install,
			 const char *result, size_t n_hooks)
{
	json_t *data;

	if (!line->is_json) {
		printf("%s: %s\n", install->dir.path, result);
		return;
	}
	data = json_pack("{s:s, s:s, s:I}", "pins", install->dir.path, "result", result, "hooks",
			 (json_int_t)n_hooks);
	json_dumpf(data, stdout, JSON_INDENT(2));
	putchar('\n');
	json_decref(data);
}

int verb_unload(const struct command_line *line)
{
	_cleanup_(cleanup_install) struct install install;
	_cleanup_close_ int pause = -1;
	int status = install_open(line, INSTALL_CHANGE, &install), r;
	size_t n_hooks = 0;

	if (status >= 0)
		return status;
	if (!install_is_loaded(&install)) {
		print_result(line, &install, "nothing is loaded", 0);
		return EXIT_DONE;
	}
	if ((status = in_use_settle(line, &install, (struct in_use_over){0}, &pause)) >= 0)
		return status;
	status = install_detach_all(&install, line->has_force, &n_hooks);
	if (status >= 0)
		return status;
	r = install_remove(&install);
	if (r < 0)
		return refuse("%s: %s", install.dir.path, strerror(-r));
	print_result(line, &install, "unloaded", n_hooks);
	return EXIT_DONE;
}
