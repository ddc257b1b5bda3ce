/* SPDX-License-Identifier: Apache-2.0 */
/* attach and detach: the program at the ingress of interfaces. */
#include "app/sluice-loader/hooked.h"
#include "app/sluice-loader/in_use.h"
#include "app/sluice-loader/say.h"
#include "app/sluice-loader/verbs.h"
#include "app/sluice-loader/xdp_hooks.h"
#include "sluice/abi.h"

#include <bpf/bpf.h>
#include <jansson.h>
#include <stdio.h>

/* What one call works with. */
struct attachment {
	const struct command_line *line;
	struct install install;
	struct hook *hooks;
	size_t n_hooks;
	int program_fd;      /* of attach */
	uint32_t program_id; /* likewise */
	int xdp_fd;          /* of attach --hook xdp */
	json_t *rows;
	int status; /* the worst so far */
};

static void cleanup_attachment(struct attachment *a)
{
	install_close(&a->install);
	free(a->hooks);
	if (a->program_fd >= 0)
		close(a->program_fd);
	if (a->xdp_fd >= 0)
		close(a->xdp_fd);
	json_decref(a->rows);
}

/* Return: -1 to go on, else an exit status. */
static int open_attachment(const struct command_line *line, struct attachment *ret)
{
	int status, r;

	*ret =
	    (struct attachment){.line = line, .program_fd = -1, .xdp_fd = -1, .rows = json_array()};
	status = install_open(line, INSTALL_CHANGE, &ret->install);
	if (status >= 0)
		return status;
	if (!install_is_loaded(&ret->install))
		return refuse("%s: nothing is loaded; run sluice-loader load",
			      ret->install.dir.path);
	if ((status = install_check_abi(&ret->install)) >= 0)
		return status;
	r = hooks_read(ret->install.dir.path, &ret->hooks, &ret->n_hooks);
	return r < 0 ? refuse("%s: %s", ret->install.dir.path, strerror(-r)) : -1;
}

static void add_row(struct attachment *a, const struct interface *interface, const char *kind,
		    const char *result)
{
	if (!a->line->is_json)
		printf("%s: %s (%s)\n", interface->name, result, kind);
	json_array_append_new(a->rows,
			      json_pack("{s:s, s:I, s:s, s:s}", "interface", interface->name,
					"ifindex", (json_int_t)interface->index, "hook", kind,
					"result", result));
}

static int finish(struct attachment *a)
{
	if (a->line->is_json) {
		json_dumpf(a->rows, stdout, JSON_INDENT(2));
		putchar('\n');
	}
	return a->status;
}

static const struct hook *find_hook(const struct attachment *a, uint32_t ifindex)
{
	for (size_t i = 0; i < a->n_hooks; i++) {
		if (a->hooks[i].is_here && a->hooks[i].ifindex == ifindex)
			return &a->hooks[i];
	}
	return NULL;
}

/* ---- attach -------------------------------------------------------------------------------- */

static bool wants_xdp(const struct command_line *line)
{
	return line->hook == HOOK_CHOICE_XDP || line->hook == HOOK_CHOICE_XDP_GENERIC;
}

static int open_program(struct attachment *a)
{
	struct bpf_prog_info info = {0};
	uint32_t size = sizeof(info);

	a->program_fd = pin_open(a->install.dir.path, SL_PROG_SPLICE);
	if (a->program_fd < 0)
		return refuse("%s/" SL_PROG_SPLICE ": %s; sluice-loader load mends it",
			      a->install.dir.path, strerror(-a->program_fd));
	if (bpf_prog_get_info_by_fd(a->program_fd, &info, &size) < 0)
		return refuse("%s/" SL_PROG_SPLICE ": %s", a->install.dir.path, strerror(errno));
	a->program_id = info.id;
	if (!wants_xdp(a->line))
		return -1;
	a->xdp_fd = pin_open(a->install.dir.path, SL_PROG_XDP);
	return a->xdp_fd < 0 ? refuse("%s/" SL_PROG_XDP ": %s; sluice-loader load mends it",
				      a->install.dir.path, strerror(-a->xdp_fd))
			     : -1;
}

/*
 * Flows are keyed by addresses and ports alone: those of two namespaces would be mixed up. Hooks
 * whose interface is gone do not count.
 */
static int check_namespace(const struct attachment *a)
{
	for (size_t i = 0; i < a->n_hooks; i++) {
		const struct hook *hook = &a->hooks[i];

		if (!hook->is_here && !hook->is_gone)
			return refuse("%s is attached in another network namespace (net:[%llu]); "
				      "for this one load another --instance",
				      a->install.dir.path, (unsigned long long)hook->netns);
	}
	return -1;
}

static void attach_failed(struct attachment *a, const struct interface *interface, int r)
{
	if (r == -EEXIST)
		say("%s: our place among the filters is taken by a program that is not ours",
		    interface->name);
	else if (r == -EOPNOTSUPP)
		say("%s: this kernel has no tcx", interface->name);
	else
		say("%s: cannot attach: %s", interface->name, strerror(-r));
	say_kept_messages();
	a->status = EXIT_REFUSED;
}

/* Its program is that of the pins, unless a replacement was interrupted. */
static void refresh(struct attachment *a, const struct interface *interface,
		    const struct hook *hook)
{
	int r = 0;

	if (hook->program_id != a->program_id)
		r = hook_update(a->install.dir.path, hook, a->program_fd);
	if (r < 0)
		attach_failed(a, interface, r);
	else
		add_row(a, interface, hook_kind_name(hook->kind), "already attached");
}

static void attach_tc(struct attachment *a, const struct interface *interface)
{
	enum hook_choice choice = wants_xdp(a->line) ? HOOK_CHOICE_AUTO : a->line->hook;
	const struct hook *found = find_hook(a, interface->index);
	struct hook hook;
	int r;

	if (found && !found->is_gone) {
		refresh(a, interface, found);
		return;
	}
	/* With the qdisc, should it be ours: it is made anew. */
	if (found && (r = hook_detach(a->install.dir.path, found)) < 0) {
		attach_failed(a, interface, r);
		return;
	}
	r = hook_attach(a->install.dir.path, a->program_fd, interface->index, choice, &hook);
	if (r < 0)
		attach_failed(a, interface, r);
	else
		add_row(a, interface, hook_kind_name(hook.kind), "attached");
}

/* To tc first: it takes what XDP leaves. */
static void attach_one(struct attachment *a, const struct interface *interface)
{
	bool is_generic = a->line->hook == HOOK_CHOICE_XDP_GENERIC;
	int status = a->status;
	const char *result;

	a->status = EXIT_DONE;
	attach_tc(a, interface);
	if (a->status == EXIT_DONE && wants_xdp(a->line)) {
		result = xdp_attach(a->install.dir.path, a->xdp_fd, interface, is_generic);
		if (result)
			add_row(a, interface, is_generic ? "xdp-generic" : "xdp", result);
		else
			a->status = EXIT_REFUSED;
	}
	a->status = MAX(a->status, status);
}

static int attach_all(struct attachment *a)
{
	_cleanup_free_ struct interface *interfaces = NULL;
	size_t n = 0;
	int r = interface_list(&interfaces, &n);

	if (r < 0)
		return refuse("cannot list interfaces: %s", strerror(-r));
	for (size_t i = 0; i < n; i++) {
		if (!interfaces[i].is_up)
			continue;
		if (interfaces[i].is_l2 || interfaces[i].is_l3)
			attach_one(a, &interfaces[i]);
		else
			say("%s: skipped, as it is not for IP", interfaces[i].name);
	}
	return -1;
}

/* All names are known before the first of them is attached. */
static int attach_named(struct attachment *a)
{
	const struct command_line *line = a->line;
	_cleanup_free_ struct interface *interfaces =
	    calloc(line->n_interfaces, sizeof(*interfaces));

	if (!interfaces)
		return refuse("out of memory");
	for (size_t i = 0; i < line->n_interfaces; i++) {
		int r = interface_find(line->interfaces[i], &interfaces[i]);

		if (r < 0)
			return refuse("no interface \"%s\"%s", line->interfaces[i],
				      line->netns ? " in that network namespace" : "");
		if (!interfaces[i].is_l2 && !interfaces[i].is_l3)
			return refuse("%s: it is not for IP", line->interfaces[i]);
	}
	for (size_t i = 0; i < line->n_interfaces; i++)
		attach_one(a, &interfaces[i]);
	return -1;
}

int verb_attach(const struct command_line *line)
{
	_cleanup_(cleanup_attachment) struct attachment a;
	int status = open_attachment(line, &a), r;

	if (status >= 0 || (status = open_program(&a)) >= 0 || (status = check_namespace(&a)) >= 0)
		return status;
	status = line->has_all ? attach_all(&a) : attach_named(&a);
	if (status >= 0)
		return status;
	r = hooked_sync(a.install.dir.path);
	if (r < 0)
		return refuse("%s/" SL_MAP_HOOKED ": %s", a.install.dir.path, strerror(-r));
	return finish(&a);
}

/* ---- detach -------------------------------------------------------------------------------- */

static void detach_one(struct attachment *a, const struct hook *hook)
{
	struct interface interface = {.index = hook->ifindex};
	int r = hook_is_reachable(hook) ? 0 : -EXDEV;

	if (r == 0 && hook->is_here)
		r = xdp_detach(a->install.dir.path, hook->ifindex);
	/* The daemon first: it hands nothing to a hook that is about to go. */
	if (r >= 0)
		r = hooked_remove(a->install.dir.path, hook->ifindex);
	if (r == 0)
		r = hook_detach(a->install.dir.path, hook);
	if (!hook->is_here || interface_by_index(hook->ifindex, &interface) < 0)
		snprintf(interface.name, sizeof(interface.name), "%u", hook->ifindex);
	if (r == 0) {
		add_row(a, &interface, hook_kind_name(hook->kind), "detached");
		return;
	}
	if (r == -EXDEV)
		say("interface %u is in another network namespace (net:[%llu]): give --netns",
		    hook->ifindex, (unsigned long long)hook->netns);
	else
		say("%s: cannot detach: %s", interface.name, strerror(-r));
	a->status = EXIT_REFUSED;
}

/* All names are known before the first of them is detached. */
static int find_named(const struct attachment *a, uint32_t *ret_ifindexes)
{
	const struct command_line *line = a->line;

	for (size_t i = 0; i < line->n_interfaces; i++) {
		struct interface interface;

		if (interface_find(line->interfaces[i], &interface) < 0)
			return refuse("no interface \"%s\"%s", line->interfaces[i],
				      line->netns ? " in that network namespace" : "");
		if (!find_hook(a, interface.index))
			return refuse("%s: not attached", line->interfaces[i]);
		ret_ifindexes[i] = interface.index;
	}
	return -1;
}

static void detach_these(struct attachment *a, struct in_use_over these)
{
	for (size_t i = 0; i < a->n_hooks && these.n == 0; i++)
		detach_one(a, &a->hooks[i]);
	for (size_t i = 0; i < these.n; i++)
		detach_one(a, find_hook(a, these.ifindexes[i]));
}

/* Nothing is lost by it: what is spliced goes on by tc. */
static int detach_xdp_only(struct attachment *a, struct in_use_over these)
{
	for (size_t i = 0; i < (these.n > 0 ? these.n : a->n_hooks); i++) {
		uint32_t ifindex = these.n > 0 ? these.ifindexes[i] : a->hooks[i].ifindex;
		struct interface interface;
		int r;

		if (interface_by_index(ifindex, &interface) < 0)
			continue;
		r = xdp_detach(a->install.dir.path, ifindex);
		if (r < 0)
			return refuse("%s: cannot detach: %s", interface.name, strerror(-r));
		if (r > 0)
			add_row(a, &interface, "xdp", "detached");
		else if (these.n > 0)
			return refuse("%s: has no XDP", interface.name);
	}
	return finish(a);
}

int verb_detach(const struct command_line *line)
{
	_cleanup_(cleanup_attachment) struct attachment a;
	_cleanup_free_ uint32_t *ifindexes = calloc(line->n_interfaces + 1, sizeof(*ifindexes));
	struct in_use_over these = {ifindexes, line->n_interfaces};
	_cleanup_close_ int pause = -1;
	int status = open_attachment(line, &a);

	if (status >= 0)
		return status;
	if (!ifindexes)
		return refuse("out of memory");
	if ((status = find_named(&a, ifindexes)) >= 0)
		return status;
	if (wants_xdp(line))
		return detach_xdp_only(&a, these);
	if ((status = in_use_settle(line, &a.install, these, &pause)) >= 0)
		return status;
	/* With the end of the pause, what is over other interfaces goes back. */
	detach_these(&a, these);
	return finish(&a);
}
