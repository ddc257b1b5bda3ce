/* SPDX-License-Identifier: Apache-2.0 */
/* load and replace: programs into the kernel, for the first time or in place of others. */
#include "app/sluice-loader/hooked.h"
#include "app/sluice-loader/install.h"
#include "app/sluice-loader/say.h"
#include "app/sluice-loader/verbs.h"
#include "sluice/abi.h"

#include <jansson.h>
#include <stdio.h>

static void cleanup_install(struct install *install)
{
	install_close(install);
}

static int print_result(const struct command_line *line, const struct install *install,
			const char *result, const char *text)
{
	json_t *data;

	if (!line->is_json) {
		printf("%s: %s, ABI version %u\n", install->dir.path, text, SL_ABI_VERSION);
		return EXIT_DONE;
	}
	data = json_pack("{s:s, s:s, s:i}", "pins", install->dir.path, "result", result, "abi",
			 (int)SL_ABI_VERSION);
	json_dumpf(data, stdout, JSON_INDENT(2));
	putchar('\n');
	json_decref(data);
	return EXIT_DONE;
}

static int load_first(const struct command_line *line, struct install *install)
{
	const struct map_sizes sizes = {
	    .n_flows = line->n_flows ? line->n_flows : FLOWS_DEFAULT,
	    .events_bytes = line->events_bytes ? line->events_bytes : EVENTS_DEFAULT,
	};
	int status = install_fresh(install, &sizes);

	return status >= 0 ? status : print_result(line, install, "loaded", "loaded");
}

/* A set that has lost pins goes on with its maps: connections may be in them. */
static int mend(const struct command_line *line, struct install *install, const char *missing)
{
	bool has_state;
	int r = install_has_state(install, &has_state), status;

	if (r == 0 && !has_state) {
		say("%s: has nothing of a set that is worth keeping; removing it",
		    install->dir.path);
		r = install_remove(install);
		if (r == 0)
			return load_first(line, install);
	}
	if (r < 0)
		return refuse("%s: %s", install->dir.path, strerror(-r));
	say("%s: incomplete, without %s; mending it", install->dir.path, missing);
	status = install_over(install);
	return status >= 0 ? status : print_result(line, install, "mended", "mended");
}

static int load_again(const struct command_line *line, struct install *install)
{
	char missing[1024];
	int status = install_check_abi(install), r;

	if (status >= 0)
		return status;
	if (install_list_missing(install, missing, sizeof(missing)) > 0)
		return mend(line, install, missing);
	if (line->n_flows || line->events_bytes)
		say("the maps keep their size: --flows and --events want unload, then load");
	/* Groups may have been made since. */
	r = install_set_access(install);
	if (r == 0)
		r = hooked_sync(install->dir.path);
	if (r < 0)
		return refuse("%s: %s", install->dir.path, strerror(-r));
	return print_result(line, install, "already loaded", "already loaded");
}

int verb_load(const struct command_line *line)
{
	_cleanup_(cleanup_install) struct install install;
	int status = install_open(line, INSTALL_CHANGE | INSTALL_MOUNT, &install);

	if (status >= 0)
		return status;
	if (install_is_loaded(&install))
		return load_again(line, &install);
	return load_first(line, &install);
}

int verb_replace(const struct command_line *line)
{
	_cleanup_(cleanup_install) struct install install;
	int status = install_open(line, INSTALL_CHANGE, &install);

	if (status >= 0)
		return status;
	if (!install_is_loaded(&install))
		return refuse("%s: nothing is loaded", install.dir.path);
	if ((status = install_check_abi(&install)) >= 0 || (status = install_over(&install)) >= 0)
		return status;
	return print_result(line, &install, "replaced", "replaced");
}
