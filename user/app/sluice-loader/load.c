/* SPDX-License-Identifier: Apache-2.0 */
/* load and replace: programs into the kernel, for the first time or in place of others. */
#include "app/sluice-loader/hooked.h"
#include "app/sluice-loader/in_use.h"
#include "app/sluice-loader/say.h"
#include "app/sluice-loader/verbs.h"
#include "app/sluice-loader/xdp_hooks.h"
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

/* ---- replace ------------------------------------------------------------------------------- */

/* Of the same layout. Return: -1 if so, else an exit status; what differs was said. */
static int check_layout(const struct install *install)
{
	uint32_t version;

	if (install_abi(install, &version) == 0 && version != SL_ABI_VERSION)
		return refuse("%s has ABI version %u, this sluice-loader has %u", install->dir.path,
			      version, SL_ABI_VERSION);
	return install_check_maps(install);
}

static int advise(const struct install *install)
{
	say("what is spliced cannot go on with other maps. Either replace --demote: the daemon "
	    "takes all connections back, and everything is loaded anew;");
	say("or unload when they have ended, then load and attach. The daemon needs a restart "
	    "after either: it keeps the old maps of %s open",
	    install->dir.path);
	return EXIT_REFUSED;
}

/* Those of another network namespace cannot be attached again from here. */
static int check_attachable(const struct hook *hooks, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (!hooks[i].is_gone && !hooks[i].is_here)
			return refuse("interface %u of another network namespace (net:[%llu]) has "
				      "a hook: give --netns",
				      hooks[i].ifindex, (unsigned long long)hooks[i].netns);
	}
	return -1;
}

/* What was attached to the old set. */
struct old_hooks {
	struct hook *list;
	size_t n;
	struct xdp_hook *xdp;
	size_t n_xdp;
};

static void cleanup_old_hooks(struct old_hooks *old)
{
	free(old->list);
	free(old->xdp);
}

static int attach_xdp_again(struct install *install, const struct xdp_hook *hooks, size_t n)
{
	const struct bpf_program *program = objects_find_program(&install->objects, SL_PROG_XDP);

	for (size_t i = 0; i < n; i++) {
		struct xdp_hook hook;
		int r;

		if (hooks[i].is_gone || !hooks[i].is_here)
			continue;
		r = xdp_hook_attach(install->dir.path, bpf_program__fd(program), hooks[i].ifindex,
				    hooks[i].is_generic, &hook);
		if (r < 0)
			return refuse("interface %u: cannot attach XDP: %s; sluice-loader attach "
				      "may",
				      hooks[i].ifindex, strerror(-r));
	}
	return -1;
}

static int attach_again(struct install *install, const struct old_hooks *old)
{
	const struct bpf_program *program = objects_find_program(&install->objects, SL_PROG_SPLICE);
	const struct hook *hooks = old->list;
	int status, r;

	for (size_t i = 0; i < old->n; i++) {
		enum hook_choice choice =
		    hooks[i].kind == HOOK_TCX ? HOOK_CHOICE_TCX : HOOK_CHOICE_CLSACT;
		struct hook hook;

		if (hooks[i].is_gone)
			continue;
		r = hook_attach(install->dir.path, bpf_program__fd(program), hooks[i].ifindex,
				choice, &hook);
		if (r < 0)
			return refuse("interface %u: cannot attach: %s; sluice-loader attach may",
				      hooks[i].ifindex, strerror(-r));
	}
	if ((status = attach_xdp_again(install, old->xdp, old->n_xdp)) >= 0)
		return status;
	r = hooked_sync(install->dir.path);
	return r < 0 ? refuse("%s/" SL_MAP_HOOKED ": %s", install->dir.path, strerror(-r)) : -1;
}

/* The old set goes, the new one comes. */
static int swap_sets(struct install *install, const struct old_hooks *old)
{
	size_t n_detached;
	int status = install_detach_all(install, false, &n_detached), r;

	if (status >= 0)
		return status;
	r = install_remove(install);
	if (r < 0)
		return refuse("%s: %s", install->dir.path, strerror(-r));
	status = install_publish(install);
	return status >= 0 ? status : attach_again(install, old);
}

/* All that the kernel could refuse comes before the first connection is demoted. */
static int load_anew(const struct command_line *line, struct install *install)
{
	_cleanup_(cleanup_old_hooks) struct old_hooks old = {0};
	const char *dir = install->dir.path;
	_cleanup_close_ int pause = -1;
	struct map_sizes sizes;
	int status, r;

	if ((r = hooks_read(dir, &old.list, &old.n)) < 0 ||
	    (r = xdp_hooks_read(dir, &old.xdp, &old.n_xdp)) < 0)
		return refuse("%s/" PIN_HOOKS_DIR ": %s", dir, strerror(-r));
	install_read_sizes(install, &sizes);
	if ((status = check_attachable(old.list, old.n)) >= 0 ||
	    (status = install_load(install, &sizes)) >= 0 ||
	    (status = in_use_settle(line, install, (struct in_use_over){0}, &pause)) >= 0)
		return status;
	status = swap_sets(install, &old);
	if (status >= 0)
		return status;
	say("a daemon that runs goes on without splice: restart it");
	return print_result(line, install, "reloaded", "loaded anew");
}

int verb_replace(const struct command_line *line)
{
	_cleanup_(cleanup_install) struct install install;
	int status = install_open(line, INSTALL_CHANGE, &install);

	if (status >= 0)
		return status;
	if (!install_is_loaded(&install))
		return refuse("%s: nothing is loaded", install.dir.path);
	status = check_layout(&install);
	if (status >= 0)
		return line->has_demote ? load_anew(line, &install) : advise(&install);
	if ((status = install_over(&install)) >= 0)
		return status;
	return print_result(line, &install, "replaced", "replaced");
}
