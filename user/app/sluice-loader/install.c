/* SPDX-License-Identifier: Apache-2.0 */
#include "app/sluice-loader/install.h"

#include "app/sluice-loader/hooked.h"
#include "app/sluice-loader/pinned.h"
#include "app/sluice-loader/say.h"
#include "app/sluice-loader/xdp_hooks.h"
#include "sluice/abi.h"

#include <bpf/bpf.h>
#include <stdio.h>

/* ---- opening ------------------------------------------------------------------------------- */

/* As said, else as the pins have it, else by the usual name. Return: is there one? */
static bool find_group(const struct install *install, const char *said, const char *sub,
		       const char *usual, gid_t *ret)
{
	struct stat st;

	if (!said && pin_stat(install->dir.path, sub, SL_MAP_ABI, &st) == 0 && st.st_gid != 0) {
		*ret = st.st_gid;
		return true;
	}
	return pin_group_find(said ? said : usual, ret) == 0;
}

static void find_groups(const struct command_line *line, struct install *install)
{
	struct pin_access *access = &install->access;

	access->has_group = find_group(install, line->group, NULL, DEFAULT_GROUP, &access->group);
	access->has_operator_group = find_group(install, line->operator_group, PIN_READONLY_DIR,
						DEFAULT_OPERATOR_GROUP, &access->operator_group);
	if (line->verb != VERB_LOAD && line->verb != VERB_REPLACE)
		return;
	if (!access->has_group)
		say("no group \"%s\": only root can use the pins",
		    line->group ? line->group : DEFAULT_GROUP);
	if (!access->has_operator_group)
		say("no group \"%s\": only root can read the maps",
		    line->operator_group ? line->operator_group : DEFAULT_OPERATOR_GROUP);
}

static int prepare_bpffs(const struct install *install)
{
	bool was_absent, was_closed = false;
	int r = bpffs_mount(&was_absent);

	if (r < 0)
		return refuse("cannot mount the BPF file system on %s: %s", BPFFS_PATH,
			      strerror(-r));
	if (was_absent)
		say("mounted the BPF file system on %s", BPFFS_PATH);
	if (install->access.has_group || install->access.has_operator_group)
		r = bpffs_let_pass(&was_closed);
	if (r < 0)
		return refuse("%s: cannot let groups pass: %s", BPFFS_PATH, strerror(-r));
	if (was_closed)
		say("%s: groups may now pass through it to their pins", BPFFS_PATH);
	return -1;
}

/* What has that name is not finished, or was to be removed: nobody goes by it. */
static int remove_leftovers(const struct install *install)
{
	int r;

	if (!pin_dir_exists(install->dir.staging))
		return -1;
	say("removing what an interrupted sluice-loader left in %s", install->dir.staging);
	r = pin_tree_remove(install->dir.staging);
	return r < 0 ? refuse("%s: %s", install->dir.staging, strerror(-r)) : -1;
}

int install_open(const struct command_line *line, unsigned int flags, struct install *ret)
{
	int r, status;

	*ret = (struct install){.lock_fd = -1};
	pin_dir_init(&ret->dir, line->instance);
	if ((r = objects_open(&ret->objects)) < 0)
		return refuse("cannot read the embedded programs: %s", strerror(-r));
	if (flags & INSTALL_CHANGE) {
		r = loader_lock(&ret->lock_fd);
		if (r == -EWOULDBLOCK)
			return refuse("another sluice-loader is at work, and does not end");
		if (r < 0)
			return refuse("cannot keep other loaders out: %s", strerror(-r));
	}
	find_groups(line, ret);
	if (flags & INSTALL_MOUNT && (status = prepare_bpffs(ret)) >= 0)
		return status;
	return flags & INSTALL_CHANGE ? remove_leftovers(ret) : -1;
}

void install_close(struct install *install)
{
	objects_close(&install->objects);
	if (install->lock_fd >= 0)
		close(install->lock_fd);
	install->lock_fd = -1;
}

/* ---- what is there ------------------------------------------------------------------------- */

bool install_is_loaded(const struct install *install)
{
	return pin_dir_exists(install->dir.path);
}

int install_abi(const struct install *install, uint32_t *ret_version)
{
	_cleanup_close_ int fd = pin_open(install->dir.path, SL_MAP_ABI);

	return fd < 0 ? fd : embedded_read_abi(fd, ret_version);
}

int install_check_abi(const struct install *install)
{
	uint32_t version;
	int r = install_abi(install, &version);

	/* Without it, what lost the pin is mended, or said to be lost, elsewhere. */
	if (r == -ENOENT)
		return -1;
	if (r < 0)
		return refuse("%s/" SL_MAP_ABI ": %s", install->dir.path, strerror(-r));
	if (version == SL_ABI_VERSION)
		return -1;
	return refuse("%s has ABI version %u, this sluice-loader has %u: use the one that loaded "
		      "it, or unload first",
		      install->dir.path, version, SL_ABI_VERSION);
}

int install_check_maps(const struct install *install)
{
	const char *dir = install->dir.path;
	const struct bpf_map *map;
	int n_others = 0;

	objects_for_each_map(&install->objects, i, map)
	{
		const char *name = bpf_map__name(map);
		_cleanup_close_ int fd = -1;

		if (!objects_is_shared_map(map) || objects_owner(&install->objects, name) != i)
			continue;
		fd = pin_open(dir, name);
		if (fd >= 0)
			n_others += objects_check_shape(map, fd) == -EBADMSG;
	}
	return n_others > 0 ? refuse("the pinned maps are not of this version") : -1;
}

static uint32_t pinned_entries(const struct install *install, const char *name)
{
	_cleanup_close_ int fd = pin_open(install->dir.path, name);
	struct bpf_map_info info = {0};
	uint32_t size = sizeof(info);

	return fd >= 0 && bpf_map_get_info_by_fd(fd, &info, &size) == 0 ? info.max_entries : 0;
}

void install_read_sizes(const struct install *install, struct map_sizes *ret)
{
	uint32_t n_flows = pinned_entries(install, SL_MAP_CONNS);
	uint32_t events_bytes = pinned_entries(install, SL_MAP_EVENTS);

	*ret = (struct map_sizes){
	    .n_flows = n_flows ? n_flows : FLOWS_DEFAULT,
	    .events_bytes = events_bytes ? events_bytes : EVENTS_DEFAULT,
	};
}

static bool is_missing(const char *dir, const char *name, bool is_map)
{
	struct stat st;

	return pin_stat(dir, NULL, name, &st) < 0 ||
	       (is_map && pin_stat(dir, PIN_READONLY_DIR, name, &st) < 0);
}

static size_t add_name(char *names, size_t size, size_t n, const char *name)
{
	size_t len = strlen(names);

	snprintf(names + len, size - len, "%s%s", n > 0 ? ", " : "", name);
	return n + 1;
}

size_t install_list_missing(const struct install *install, char *ret_names, size_t size)
{
	const char *dir = install->dir.path;
	struct bpf_program *program;
	const struct bpf_map *map;
	size_t n = 0;

	ret_names[0] = '\0';
	objects_for_each_map(&install->objects, i, map)
	{
		const char *name = bpf_map__name(map);

		/* Of several objects the same one is listed once. */
		if (objects_is_shared_map(map) && objects_owner(&install->objects, name) == i &&
		    is_missing(dir, name, true))
			n = add_name(ret_names, size, n, name);
	}
	objects_for_each_program(&install->objects, i, program)
	{
		const char *name = bpf_program__name(program);

		if (is_missing(dir, name, false))
			n = add_name(ret_names, size, n, name);
	}
	return n;
}

int install_set_access(const struct install *install)
{
	struct bpf_program *program;
	const struct bpf_map *map;
	int r;

	objects_for_each_map(&install->objects, i, map)
	{
		if (objects_is_shared_map(map) &&
		    (r = pin_set_access(install->dir.path, bpf_map__name(map), PIN_MAP,
					&install->access)) < 0)
			return r;
	}
	objects_for_each_program(&install->objects, i, program)
	{
		r = pin_set_access(install->dir.path, bpf_program__name(program),
				   objects_program_kind(program), &install->access);
		if (r < 0)
			return r;
	}
	return pin_dir_set_access(install->dir.path, &install->access);
}

/* ---- loading ------------------------------------------------------------------------------- */

static int load_objects(struct install *install, const char *pins)
{
	int r = objects_load(&install->objects, pins);

	if (r >= 0)
		return -1;
	say_kept_messages();
	if (r == -EBADMSG)
		return refuse("the pinned maps are not of this version");
	return refuse("the kernel refuses the programs: %s; see sluice-loader check", strerror(-r));
}

static int write_abi(const struct install *install)
{
	return embedded_write_abi(objects_map_fd(&install->objects, SL_MAP_ABI));
}

static int stage(const struct install *install)
{
	const char *staging = install->dir.staging;
	int r;

	if ((r = write_abi(install)) < 0 ||
	    (r = embedded_write_ids(objects_map_fd(&install->objects, SL_MAP_IDS))) < 0 ||
	    (r = pin_dir_create(staging, &install->access)) < 0 ||
	    (r = objects_pin_maps(&install->objects, staging, &install->access, false)) < 0 ||
	    (r = objects_pin_programs(&install->objects, staging, &install->access)) < 0)
		return r;
	return rename(staging, install->dir.path) < 0 ? -errno : 0;
}

int install_load(struct install *install, const struct map_sizes *sizes)
{
	int r = objects_size(&install->objects, sizes);

	if (r < 0)
		return refuse("cannot size the maps for %u flows: %s", sizes->n_flows,
			      strerror(-r));
	return load_objects(install, NULL);
}

int install_publish(struct install *install)
{
	int r = stage(install);

	if (r < 0) {
		pin_tree_remove(install->dir.staging);
		return refuse("cannot pin below %s: %s", BPFFS_PATH, strerror(-r));
	}
	return -1;
}

int install_fresh(struct install *install, const struct map_sizes *sizes)
{
	int status = install_load(install, sizes);

	return status >= 0 ? status : install_publish(install);
}

int install_remove(const struct install *install)
{
	if (rename(install->dir.path, install->dir.staging) < 0)
		return -errno;
	return pin_tree_remove(install->dir.staging);
}

/* ---- going on with what is there ----------------------------------------------------------- */

/* A map lives as long as a program that uses it: by that its pin can be made again. */
static int recover_map(const struct install *install, const char *name)
{
	_cleanup_close_ int map_fd = -1;
	int r = pinned_find_map(install->dir.path, name, &map_fd);

	if (r < 0)
		return r;
	say("%s: the pin was lost, and is made again", name);
	return pin_put(install->dir.path, name, map_fd, PIN_MAP, &install->access);
}

static int recover_maps(const struct install *install)
{
	const struct bpf_map *map;
	int r;

	objects_for_each_map(&install->objects, i, map)
	{
		const char *name = bpf_map__name(map);

		if (!objects_is_shared_map(map) || !is_missing(install->dir.path, name, true))
			continue;
		r = recover_map(install, name);
		/* Others are made anew, empty. */
		if (r == -ENOENT && embedded_is_state(name))
			return refuse("%s: no pin and no program has it any more: "
				      "unload --force, then load",
				      name);
		if (r < 0 && r != -ENOENT)
			return refuse("%s: %s", name, strerror(-r));
	}
	return -1;
}

int install_has_state(const struct install *install, bool *ret)
{
	_cleanup_free_ struct hook *hooks = NULL;
	const struct bpf_map *map;
	bool has_state;
	size_t n = 0;
	int r = hooks_read(install->dir.path, &hooks, &n);

	if (r < 0)
		return r;
	has_state = n > 0;
	objects_for_each_map(&install->objects, i, map)
	{
		_cleanup_close_ int fd = -1;

		if (!embedded_is_state(bpf_map__name(map)))
			continue;
		r = pinned_find_map(install->dir.path, bpf_map__name(map), &fd);
		if (r < 0 && r != -ENOENT)
			return r;
		has_state = has_state || r == 0;
	}
	*ret = has_state;
	return 0;
}

static int refuse_hook(const struct hook *hook, int r)
{
	if (r == -EXDEV)
		return refuse("interface %u of another network namespace (net:[%llu]) has a %s "
			      "hook: give --netns",
			      hook->ifindex, (unsigned long long)hook->netns,
			      hook_kind_name(hook->kind));
	return refuse("interface %u: %s", hook->ifindex, strerror(-r));
}

/* Before anything has changed. */
static int check_hooks(const struct hook *hooks, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (!hook_is_reachable(&hooks[i]))
			return refuse_hook(&hooks[i], -EXDEV);
	}
	return -1;
}

static int update_hooks(const struct install *install, const struct hook *hooks, size_t n)
{
	const struct bpf_program *program = objects_find_program(&install->objects, SL_PROG_SPLICE);

	for (size_t i = 0; i < n; i++) {
		int r = hook_update(install->dir.path, &hooks[i], bpf_program__fd(program));

		if (r == -ENOENT || r == -ENODEV)
			r = hook_detach(install->dir.path, &hooks[i]);
		if (r < 0)
			return refuse_hook(&hooks[i], r);
	}
	return -1;
}

/* XDP is only faster than tc: without its hook nothing is lost. */
static int update_xdp_hooks(const struct install *install)
{
	const struct bpf_program *program = objects_find_program(&install->objects, SL_PROG_XDP);
	_cleanup_free_ struct xdp_hook *hooks = NULL;
	size_t n = 0;
	int r = xdp_hooks_read(install->dir.path, &hooks, &n);

	for (size_t i = 0; i < n && r == 0; i++) {
		if (!hooks[i].is_gone)
			r = xdp_hook_update(install->dir.path, &hooks[i], bpf_program__fd(program));
		if (hooks[i].is_gone || r == -ENOENT || r == -ENODEV || r == -ENOLINK)
			r = xdp_hook_detach(install->dir.path, &hooks[i]);
	}
	return r < 0 ? refuse("cannot replace XDP: %s", strerror(-r)) : -1;
}

int install_over(struct install *install)
{
	_cleanup_free_ struct hook *hooks = NULL;
	const char *dir = install->dir.path;
	size_t n = 0;
	int r, status;

	r = hooks_read(dir, &hooks, &n);
	if (r < 0)
		return refuse("%s/" PIN_HOOKS_DIR ": %s", dir, strerror(-r));
	if ((status = check_hooks(hooks, n)) >= 0)
		return status;
	r = pin_dir_create(dir, &install->access);
	if (r < 0)
		return refuse("%s: %s", dir, strerror(-r));
	if ((status = recover_maps(install)) >= 0 || (status = load_objects(install, dir)) >= 0)
		return status;
	if ((r = write_abi(install)) < 0 ||
	    (r = objects_pin_maps(&install->objects, dir, &install->access, true)) < 0)
		return refuse("%s: %s", dir, strerror(-r));
	/* The hooks first: as long as a pin names the old program, it is still to be replaced. */
	if ((status = update_hooks(install, hooks, n)) >= 0 ||
	    (status = update_xdp_hooks(install)) >= 0)
		return status;
	if ((r = objects_pin_programs(&install->objects, dir, &install->access)) < 0 ||
	    (r = install_set_access(install)) < 0 || (r = hooked_sync(dir)) < 0)
		return refuse("%s: %s", dir, strerror(-r));
	return -1;
}

/* ---- taking down ----------------------------------------------------------------------------- */

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

/* Before what it leaves its packets to. */
static int detach_all_xdp(const struct install *install)
{
	_cleanup_free_ struct xdp_hook *hooks = NULL;
	size_t n = 0;
	int r = xdp_hooks_read(install->dir.path, &hooks, &n);

	for (size_t i = 0; i < n && r == 0; i++) {
		r = xdp_ports_remove(install->dir.path, hooks[i].ifindex);
		if (r == 0)
			r = xdp_hook_detach(install->dir.path, &hooks[i]);
	}
	return r;
}

int install_detach_all(const struct install *install, bool is_forced, size_t *ret_n)
{
	_cleanup_free_ struct hook *hooks = NULL;
	size_t n = 0;
	int r = hooks_read(install->dir.path, &hooks, &n), status;

	if (r < 0)
		return refuse("%s/" PIN_HOOKS_DIR ": %s", install->dir.path, strerror(-r));
	if (!is_forced && (status = check_reach(hooks, n)) >= 0)
		return status;
	r = detach_all_xdp(install);
	if (r < 0)
		return refuse("cannot detach XDP: %s", strerror(-r));
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
