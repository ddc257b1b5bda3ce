/* SPDX-License-Identifier: Apache-2.0 */
/* unload: hooks, then pins. */
#include "app/sluice-loader/hooked.h"
#include "app/sluice-loader/install.h"
#include "app/sluice-loader/say.h"
#include "app/sluice-loader/verbs.h"

#include <jansson.h>
#include <stdio.h>

static void cleanup_install(struct install *install)
{
	install_close(install);
}

static int check_unused(const struct install *install)
{
	uint64_t n = 0;
	int r = install_count_spliced(install, &n);

	if (r < 0)
		return refuse("cannot tell whether connections are spliced (%s); --force unloads "
			      "anyway",
			      strerror(-r));
	if (n > 0)
		return refuse("%llu connections are spliced, and would be reset: drain them, or "
			      "--force",
			      (unsigned long long)n);
	return -1;
}

/*
 * A filter in a namespace that we cannot see is either still at work, or gone with its namespace.
 * Without its record nobody would ever find it again, so that wants --force.
 */
static int check_reach(const struct hook *hooks, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (!hook_is_reachable(&hooks[i]))
			return refuse("interface %u of another network namespace (net:[%llu]) has "
				      "a filter: give --netns, or --force if that namespace is "
				      "gone",
				      hooks[i].ifindex, (unsigned long long)hooks[i].netns);
	}
	return -1;
}

static int detach_all(const struct command_line *line, const struct install *install, size_t *ret_n)
{
	_cleanup_free_ struct hook *hooks = NULL;
	size_t n = 0;
	int r = hooks_read(install->dir.path, &hooks, &n), status;

	if (r < 0)
		return refuse("%s/" PIN_HOOKS_DIR ": %s", install->dir.path, strerror(-r));
	if (!line->has_force && (status = check_reach(hooks, n)) >= 0)
		return status;
	for (size_t i = 0; i < n; i++) {
		r = hooked_remove(install->dir.path, hooks[i].ifindex);
		if (r == 0)
			r = hook_detach(install->dir.path, &hooks[i]);
		if (r == -EXDEV)
			r = hook_forget(install->dir.path, &hooks[i]);
		if (r < 0)
			return refuse("interface %u: cannot detach: %s", hooks[i].ifindex,
				      strerror(-r));
	}
	*ret_n = n;
	return -1;
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
	int status = install_open(line, INSTALL_CHANGE, &install), r;
	size_t n_hooks = 0;

	if (status >= 0)
		return status;
	if (!install_is_loaded(&install)) {
		print_result(line, &install, "nothing is loaded", 0);
		return EXIT_DONE;
	}
	if (!line->has_force && (status = check_unused(&install)) >= 0)
		return status;
	if ((status = detach_all(line, &install, &n_hooks)) >= 0)
		return status;
	r = install_remove(&install);
	if (r < 0)
		return refuse("%s: %s", install.dir.path, strerror(-r));
	print_result(line, &install, "unloaded", n_hooks);
	return EXIT_DONE;
}
