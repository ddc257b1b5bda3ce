/* SPDX-License-Identifier: Apache-2.0 */
/* status: what is pinned, loaded and attached, and how full the maps are. */
#include "app/sluice-loader/bpffs.h"
#include "app/sluice-loader/in_use.h"
#include "app/sluice-loader/pinned.h"
#include "app/sluice-loader/say.h"
#include "app/sluice-loader/verbs.h"
#include "app/sluice-loader/xdp_hooks.h"
#include "app/table.h"
#include "sluice/abi.h"

#include <bpf/bpf.h>
#include <dirent.h>
#include <grp.h>
#include <jansson.h>
#include <stdio.h>

static void cleanup_install(struct install *install)
{
	install_close(install);
}

/* ---- pins ---------------------------------------------------------------------------------- */

/* "660 root:sluice" */
static void set_access_text(json_t *row, const char *key, const struct stat *st)
{
	const struct group *group = getgrgid(st->st_gid);
	char text[64], number[16];

	snprintf(number, sizeof(number), "%u", st->st_gid);
	snprintf(text, sizeof(text), "%03o %s:%s", st->st_mode & 07777,
		 st->st_uid == 0 ? "root" : "?", group ? group->gr_name : number);
	json_object_set_new(row, key, json_string(text));
}

static json_t *program_row(const char *name, int fd)
{
	struct bpf_prog_info info = {0};
	uint32_t size = sizeof(info);
	const char *type;
	char tag[2 * BPF_TAG_SIZE + 1];
	json_t *row;

	if (bpf_prog_get_info_by_fd(fd, &info, &size) < 0)
		return NULL;
	for (size_t i = 0; i < BPF_TAG_SIZE; i++)
		snprintf(tag + 2 * i, 3, "%02x", info.tag[i]);
	type = libbpf_bpf_prog_type_str((enum bpf_prog_type)info.type);
	row =
	    json_pack("{s:s, s:I, s:s, s:s, s:I}", "name", name, "id", (json_int_t)info.id, "type",
		      type ? type : "?", "tag", tag, "memory_bytes", (json_int_t)pinned_memory(fd));
	/* Only counted while kernel.bpf_stats_enabled is on. */
	if (info.run_cnt > 0) {
		json_object_set_new(row, "runs", json_integer((json_int_t)info.run_cnt));
		json_object_set_new(row, "run_time_ns", json_integer((json_int_t)info.run_time_ns));
		json_object_set_new(row, "ns_per_run",
				    json_integer((json_int_t)(info.run_time_ns / info.run_cnt)));
	}
	return row;
}

static json_t *map_row(const char *name, int fd)
{
	struct bpf_map_info info = {0};
	uint32_t size = sizeof(info);
	struct map_fill fill;
	const char *type;
	json_t *row;

	if (bpf_map_get_info_by_fd(fd, &info, &size) < 0)
		return NULL;
	type = libbpf_bpf_map_type_str((enum bpf_map_type)info.type);
	row = json_pack("{s:s, s:I, s:s, s:I, s:I, s:I, s:I}", "name", name, "id",
			(json_int_t)info.id, "type", type ? type : "?", "key_bytes",
			(json_int_t)info.key_size, "value_bytes", (json_int_t)info.value_size,
			"max_entries", (json_int_t)info.max_entries, "memory_bytes",
			(json_int_t)pinned_memory(fd));
	if (pinned_map_fill(fd, NULL, NULL, &fill) == 0)
		json_object_set_new(row, "entries", json_integer((json_int_t)fill.n_entries));
	return row;
}

static int compare_entries(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static int is_visible(const struct dirent *entry)
{
	return entry->d_name[0] != '.' && strlen(entry->d_name) < PIN_PATH_MAX / 2;
}

static void add_pin(const struct install *install, const char *name, json_t *programs, json_t *maps)
{
	_cleanup_close_ int fd = pin_open(install->dir.path, name);
	bool is_map = fd >= 0 && pinned_is_map(fd);
	struct stat st;
	json_t *row = NULL;

	if (is_map)
		row = map_row(name, fd);
	else if (fd >= 0 && pinned_is_program(fd))
		row = program_row(name, fd);
	if (!row)
		return;
	if (pin_stat(install->dir.path, NULL, name, &st) == 0)
		set_access_text(row, "access", &st);
	if (is_map && pin_stat(install->dir.path, PIN_READONLY_DIR, name, &st) == 0)
		set_access_text(row, "readonly_access", &st);
	json_array_append_new(is_map ? maps : programs, row);
}

static void add_pins(const struct install *install, json_t *programs, json_t *maps)
{
	struct dirent **entries;
	int n = scandir(install->dir.path, &entries, is_visible, compare_entries);

	for (int i = 0; i < n; i++) {
		add_pin(install, entries[i]->d_name, programs, maps);
		free(entries[i]);
	}
	if (n >= 0)
		free(entries);
}

/* ---- hooks --------------------------------------------------------------------------------- */

static uint32_t pinned_program_id(const struct install *install, const char *name)
{
	_cleanup_close_ int fd = pin_open(install->dir.path, name);
	struct bpf_prog_info info = {0};
	uint32_t size = sizeof(info);

	return fd < 0 || bpf_prog_get_info_by_fd(fd, &info, &size) < 0 ? 0 : info.id;
}

static const char *hook_state(const struct hook *hook, uint32_t program_id)
{
	if (hook->is_gone)
		return "gone";
	if (hook->program_id == 0)
		return "unknown"; /* a filter of another namespace */
	return hook->program_id == program_id ? "attached" : "other program";
}

static json_t *hook_row(const struct hook *hook, uint32_t program_id)
{
	struct interface interface = {0};
	json_t *row;

	if (!hook->is_here || interface_by_index(hook->ifindex, &interface) < 0)
		snprintf(interface.name, sizeof(interface.name), "?");
	row = json_pack("{s:s, s:I, s:I, s:b, s:s, s:s}", "interface", interface.name, "ifindex",
			(json_int_t)hook->ifindex, "netns", (json_int_t)hook->netns, "here",
			hook->is_here, "hook", hook_kind_name(hook->kind), "state",
			hook_state(hook, program_id));
	if (hook->program_id)
		json_object_set_new(row, "program_id", json_integer(hook->program_id));
	if (hook->link_id)
		json_object_set_new(row, "link_id", json_integer(hook->link_id));
	return row;
}

static void add_hooks(const struct install *install, json_t *rows)
{
	_cleanup_free_ struct hook *hooks = NULL;
	uint32_t program_id = pinned_program_id(install, SL_PROG_SPLICE);
	size_t n = 0;

	if (hooks_read(install->dir.path, &hooks, &n) < 0)
		return;
	for (size_t i = 0; i < n; i++)
		json_array_append_new(rows, hook_row(&hooks[i], program_id));
}

static json_t *xdp_row(const struct xdp_hook *hook, uint32_t program_id)
{
	const char *state = hook->program_id == program_id ? "attached" : "other program";
	struct interface interface = {0};

	if (!hook->is_here || interface_by_index(hook->ifindex, &interface) < 0)
		snprintf(interface.name, sizeof(interface.name), "?");
	return json_pack("{s:s, s:I, s:I, s:b, s:s, s:s, s:I, s:I}", "interface", interface.name,
			 "ifindex", (json_int_t)hook->ifindex, "netns", (json_int_t)hook->netns,
			 "here", hook->is_here, "hook", xdp_hook_kind_name(hook), "state",
			 hook->is_gone ? "gone" : state, "program_id", (json_int_t)hook->program_id,
			 "link_id", (json_int_t)hook->link_id);
}

static void add_xdp_hooks(const struct install *install, json_t *rows)
{
	_cleanup_free_ struct xdp_hook *hooks = NULL;
	uint32_t program_id = pinned_program_id(install, SL_PROG_XDP);
	size_t n = 0;

	if (xdp_hooks_read(install->dir.path, &hooks, &n) < 0)
		return;
	for (size_t i = 0; i < n; i++)
		json_array_append_new(rows, xdp_row(&hooks[i], program_id));
}

/* ---- the whole ----------------------------------------------------------------------------- */

static void add_abi(const struct install *install, json_t *data)
{
	json_t *abi = json_pack("{s:I}", "loader", (json_int_t)SL_ABI_VERSION);
	uint32_t version;

	if (install_abi(install, &version) == 0)
		json_object_set_new(abi, "pinned", json_integer(version));
	else
		json_object_set_new(abi, "pinned", json_null());
	json_object_set_new(data, "abi", abi);
}

static json_t *collect(const struct install *install)
{
	json_t *data = json_object(), *programs = json_array(), *maps = json_array(),
	       *hooks = json_array(), *xdp = json_array();
	bool is_loaded = install_is_loaded(install);
	char missing[1024] = "";
	uint64_t n_spliced;

	json_object_set_new(data, "loaded", json_boolean(is_loaded));
	json_object_set_new(data, "pins", json_string(install->dir.path));
	add_abi(install, data);
	if (is_loaded) {
		add_pins(install, programs, maps);
		add_hooks(install, hooks);
		add_xdp_hooks(install, xdp);
		install_list_missing(install, missing, sizeof(missing));
		if (in_use_count(install, (struct in_use_over){0}, &n_spliced) == 0)
			json_object_set_new(data, "spliced", json_integer((json_int_t)n_spliced));
	}
	json_object_set_new(data, "missing", json_string(missing));
	json_object_set_new(data, "programs", programs);
	json_object_set_new(data, "maps", maps);
	json_object_set_new(data, "hooks", hooks);
	json_object_set_new(data, "xdp", xdp);
	return data;
}

static void print_head(const json_t *data)
{
	const json_t *abi = json_object_get(data, "abi");
	const char *missing = json_string_value(json_object_get(data, "missing"));
	json_int_t ours = json_integer_value(json_object_get(abi, "loader"));
	json_int_t pinned = json_integer_value(json_object_get(abi, "pinned"));

	printf("%-12s %s\n", "pins", json_string_value(json_object_get(data, "pins")));
	printf("%-12s %lld%s\n", "abi", (long long)pinned,
	       pinned == ours ? "" : ", not that of this sluice-loader");
	if (pinned != ours)
		printf("%-12s %lld\n", "abi here", (long long)ours);
	if (json_object_get(data, "spliced"))
		printf("%-12s %lld connections\n", "spliced",
		       (long long)json_integer_value(json_object_get(data, "spliced")));
	if (*missing)
		printf("%-12s %s (sluice-loader load mends it)\n", "missing", missing);
}

static void print_section(const json_t *data, const char *key, const struct column *columns,
			  size_t n_columns, const char *nothing)
{
	const json_t *rows = json_object_get(data, key);

	putchar('\n');
	if (json_array_size(rows) > 0)
		table_print(rows, columns, n_columns, table_terminal_width());
	else
		puts(nothing);
}

/* Interfaces have names in their own network namespace only. */
static void print_elsewhere(const json_t *hooks)
{
	for (size_t i = 0; i < json_array_size(hooks); i++) {
		const json_t *row = json_array_get(hooks, i);

		if (json_is_true(json_object_get(row, "here")))
			continue;
		printf("\n?: in network namespace net:[%lld], not in this one; "
		       "status --netns NAME names it\n",
		       (long long)json_integer_value(json_object_get(row, "netns")));
		return; /* one set of pins is attached in one namespace */
	}
}

static void print_status(const json_t *data)
{
	static const struct column programs[] = {
	    {"name", "PROGRAM", COLUMN_TEXT, 0},
	    {"id", "ID", COLUMN_NUMBER, 0},
	    {"type", "TYPE", COLUMN_TEXT, 2},
	    {"tag", "TAG", COLUMN_TEXT, 3},
	    {"memory_bytes", "MEMORY", COLUMN_BYTES, 4},
	    {"runs", "RUNS", COLUMN_NUMBER, 1},
	    {"ns_per_run", "NS/RUN", COLUMN_NUMBER, 1},
	    {"access", "ACCESS", COLUMN_TEXT, 0},
	};
	static const struct column maps[] = {
	    {"name", "MAP", COLUMN_TEXT, 0},
	    {"id", "ID", COLUMN_NUMBER, 0},
	    {"type", "TYPE", COLUMN_TEXT, 2},
	    {"entries", "ENTRIES", COLUMN_NUMBER, 0},
	    {"max_entries", "MAX", COLUMN_NUMBER, 0},
	    {"memory_bytes", "MEMORY", COLUMN_BYTES, 3},
	    {"access", "ACCESS", COLUMN_TEXT, 0},
	    {"readonly_access", "READ-ONLY", COLUMN_TEXT, 1},
	};
	static const struct column hooks[] = {
	    {"interface", "INTERFACE", COLUMN_TEXT, 0},
	    {"ifindex", "INDEX", COLUMN_NUMBER, 1},
	    {"hook", "HOOK", COLUMN_TEXT, 0},
	    {"state", "STATE", COLUMN_TEXT, 0},
	    {"program_id", "PROGRAM", COLUMN_NUMBER, 1},
	    {"link_id", "LINK", COLUMN_NUMBER, 2},
	    {"netns", "NETNS", COLUMN_NUMBER, 3},
	};

	if (!json_is_true(json_object_get(data, "loaded"))) {
		printf("%s: nothing is loaded\n", json_string_value(json_object_get(data, "pins")));
		if (!bpffs_is_mounted())
			puts("no BPF file system is mounted on " BPFFS_PATH
			     " here; `ip netns exec` hides it, --netns does not");
		return;
	}
	print_head(data);
	print_section(data, "programs", programs, ARRAY_SIZE(programs), "no programs");
	print_section(data, "maps", maps, ARRAY_SIZE(maps), "no maps");
	print_section(data, "hooks", hooks, ARRAY_SIZE(hooks), "attached to no interface");
	if (json_array_size(json_object_get(data, "xdp")) > 0)
		print_section(data, "xdp", hooks, ARRAY_SIZE(hooks), "");
	print_elsewhere(json_object_get(data, "hooks"));
}

int verb_status(const struct command_line *line)
{
	_cleanup_(cleanup_install) struct install install;
	int status = install_open(line, INSTALL_READ, &install);
	json_t *data;

	if (status >= 0)
		return status;
	data = collect(&install);
	if (line->is_json) {
		json_dumpf(data, stdout, JSON_INDENT(2));
		putchar('\n');
	} else {
		print_status(data);
	}
	json_decref(data);
	return EXIT_DONE;
}
