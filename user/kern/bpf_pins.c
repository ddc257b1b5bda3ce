/* SPDX-License-Identifier: Apache-2.0 */
#include "kern/bpf_pins.h"

#include "sluice/conn.h"
#include "sluice/event.h"

#include <bpf/bpf.h>
#include <stdio.h>
#include <sys/utsname.h>

#define PINS 12

struct pin {
	const char *name;
	int *fd;
};

static void list_pins(struct bpf_pins *pins, struct pin ret_list[PINS])
{
	const struct pin list[PINS] = {
	    {SL_MAP_FLOWS4, &pins->flows.fd4},
	    {SL_MAP_FLOWS6, &pins->flows.fd6},
	    {SL_MAP_CONNS, &pins->conns_fd},
	    {SL_MAP_NAMES, &pins->names_fd},
	    {SL_MAP_EVENTS, &pins->events_fd},
	    {SL_MAP_STATS, &pins->stats_fd},
	    {SL_MAP_POLICIES, &pins->policies_fd},
	    {SL_MAP_HOOKED, &pins->hooked_fd},
	    {SL_MAP_IDS, &pins->ids_fd},
	    {SL_PROG_CAPTURE, &pins->capture_fd},
	    {SL_PROG_ACTIVATE, &pins->activate_fd},
	    {SL_PROG_HOLD, &pins->hold_fd},
	};

	memcpy(ret_list, list, sizeof(list));
}

static int open_pin(const char *dir, const char *name)
{
	char path[512];

	if ((size_t)snprintf(path, sizeof(path), "%s/%s", dir, name) >= sizeof(path))
		return -ENAMETOOLONG;
	return bpf_obj_get(path);
}

/* ---- errors -------------------------------------------------------------------------------- */

static int fail(struct bpf_pins_error *error, enum sluice_reason reason, int code, const char *dir,
		const char *what)
{
	error->reason = reason;
	snprintf(error->text, sizeof(error->text), "%s: %s", dir, what);
	return code;
}

static int fail_open(struct bpf_pins_error *error, int code, const char *dir, const char *name)
{
	char what[128];

	if (code == -EACCES || code == -EPERM)
		snprintf(what, sizeof(what), "%s: %s (is this user in the group of sluice-loader?)",
			 name, strerror(-code));
	else
		snprintf(what, sizeof(what), "%s: %s", name, strerror(-code));
	return fail(error, SLUICE_REASON_NOT_LOADED, code, dir, what);
}

/* ---- the kernel ---------------------------------------------------------------------------- */

/* Since then it has all that the programs are made of; bpf_loop() is from 5.17, what lets a daemon
 * without rights run a program from 5.19. sluice-loader check tells more, and tries it out. */
#define KERNEL_MAJOR 6u
#define KERNEL_MINOR 1u

static bool is_kernel_too_old(const char *release)
{
	char *rest;
	unsigned long major = strtoul(release, &rest, 10), minor;

	if (rest == release || *rest != '.')
		return false; /* who knows */
	minor = strtoul(rest + 1, NULL, 10);
	return major < KERNEL_MAJOR || (major == KERNEL_MAJOR && minor < KERNEL_MINOR);
}

static int fail_not_loaded(struct bpf_pins_error *error, const char *dir)
{
	struct utsname name;
	char what[160];

	if (uname(&name) < 0 || !is_kernel_too_old(name.release))
		return fail(error, SLUICE_REASON_NOT_LOADED, -ENOENT, dir,
			    "nothing is loaded there (sluice-loader load)");
	snprintf(what, sizeof(what),
		 "nothing is loaded there: Linux %.32s is too old, %u.%u is not", name.release,
		 KERNEL_MAJOR, KERNEL_MINOR);
	return fail(error, SLUICE_REASON_KERNEL, -ENOENT, dir, what);
}

/* ---- the version --------------------------------------------------------------------------- */

/* @fd: of the map, or why there is none */
static int check_abi(const char *dir, int fd, struct bpf_pins_error *error)
{
	const uint32_t first = 0;
	struct sl_abi abi;
	char what[160];
	int code;

	if (fd == -ENOENT)
		return fail_not_loaded(error, dir);
	if (fd < 0)
		return fail_open(error, fd, dir, SL_MAP_ABI);
	code = bpf_map_lookup_elem(fd, &first, &abi);
	if (code < 0)
		return fail_open(error, code, dir, SL_MAP_ABI);
	if (abi.version != SL_ABI_VERSION) {
		snprintf(
		    what, sizeof(what),
		    "version %u is loaded, this is version %u (sluice-loader unload, then load)",
		    abi.version, SL_ABI_VERSION);
		return fail(error, SLUICE_REASON_NOT_LOADED, -EPROTO, dir, what);
	}
	if (abi.flow_size != sizeof(struct sl_flow) || abi.conn_size != sizeof(struct sl_conn) ||
	    abi.event_size != sizeof(struct sl_event)) {
		snprintf(what, sizeof(what),
			 "version %u, but with sizes %u, %u, %u and not %zu, %zu, %zu", abi.version,
			 abi.flow_size, abi.conn_size, abi.event_size, sizeof(struct sl_flow),
			 sizeof(struct sl_conn), sizeof(struct sl_event));
		return fail(error, SLUICE_REASON_NOT_LOADED, -EPROTO, dir, what);
	}
	return 0;
}

/* ---- life ---------------------------------------------------------------------------------- */

/* Opens what is there; of what is not, all names are told at once. */
static int open_all(const char *dir, struct bpf_pins *pins, struct bpf_pins_error *error)
{
	struct pin list[PINS];
	char missing[160] = "missing:";
	size_t len = strlen(missing);
	bool is_complete = true;

	list_pins(pins, list);
	for (size_t i = 0; i < PINS; i++) {
		int fd = open_pin(dir, list[i].name);

		if (fd >= 0) {
			*list[i].fd = fd;
		} else if (fd != -ENOENT) {
			return fail_open(error, fd, dir, list[i].name);
		} else {
			is_complete = false;
			len += (size_t)snprintf(missing + len, sizeof(missing) - len, " %s",
						list[i].name);
			assert(len < sizeof(missing)); /* all names together are shorter */
		}
	}
	return is_complete ? 0 : fail(error, SLUICE_REASON_NOT_LOADED, -ENOENT, dir, missing);
}

int bpf_pins_open(const char *dir, struct bpf_pins *ret_pins, struct bpf_pins_error *ret_error)
{
	_cleanup_close_ int abi_fd = open_pin(dir, SL_MAP_ABI);
	struct bpf_pins pins = {0};
	struct pin list[PINS];
	int error = check_abi(dir, abi_fd, ret_error);

	if (error < 0)
		return error;
	list_pins(&pins, list);
	for (size_t i = 0; i < PINS; i++)
		*list[i].fd = -1;
	error = open_all(dir, &pins, ret_error);
	if (error == 0) {
		error = kern_ids_open(pins.ids_fd, &pins.ids);
		if (error < 0) {
			char what[128];

			snprintf(what, sizeof(what), "%s: cannot be mapped: %s", SL_MAP_IDS,
				 strerror(-error));
			(void)fail(ret_error, SLUICE_REASON_KERNEL, error, dir, what);
		}
	}
	if (error < 0) {
		bpf_pins_close(&pins);
		return error;
	}
	*ret_pins = pins;
	return 0;
}

void bpf_pins_close(struct bpf_pins *pins)
{
	struct pin list[PINS];

	kern_ids_close(&pins->ids);
	list_pins(pins, list);
	for (size_t i = 0; i < PINS; i++) {
		if (*list[i].fd >= 0)
			close(*list[i].fd);
		*list[i].fd = -1;
	}
}

/* ---- to be read ---------------------------------------------------------------------------- */

static int open_to_read(const char *dir, const char *name)
{
	LIBBPF_OPTS(bpf_obj_get_opts, opts, .file_flags = BPF_F_RDONLY);
	char path[512];
	int fd;

	if ((size_t)snprintf(path, sizeof(path), "%s/ro/%s", dir, name) >= sizeof(path))
		return -ENAMETOOLONG;
	fd = bpf_obj_get_opts(path, &opts);
	if (fd >= 0)
		return fd;
	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return bpf_obj_get_opts(path, &opts);
}

int bpf_pins_view(const char *dir, struct bpf_pins_view *ret_view, struct bpf_pins_error *ret_error)
{
	_cleanup_close_ int abi_fd = open_to_read(dir, SL_MAP_ABI);
	struct bpf_pins_view view = {{-1, -1, NULL}, -1, -1, -1, -1};
	const struct pin list[] = {
	    {SL_MAP_FLOWS4, &view.flows.fd4}, {SL_MAP_FLOWS6, &view.flows.fd6},
	    {SL_MAP_CONNS, &view.conns_fd},   {SL_MAP_NAMES, &view.names_fd},
	    {SL_MAP_STATS, &view.stats_fd},   {SL_MAP_POLICIES, &view.policies_fd},
	};
	int error = check_abi(dir, abi_fd, ret_error);

	if (error < 0)
		return error;
	for (size_t i = 0; i < ARRAY_SIZE(list); i++) {
		int fd = open_to_read(dir, list[i].name);

		if (fd < 0) {
			bpf_pins_view_close(&view);
			return fail_open(ret_error, fd, dir, list[i].name);
		}
		*list[i].fd = fd;
	}
	*ret_view = view;
	return 0;
}

void bpf_pins_view_close(struct bpf_pins_view *view)
{
	int *const list[] = {&view->flows.fd4, &view->flows.fd6, &view->conns_fd,
			     &view->names_fd,  &view->stats_fd,  &view->policies_fd};

	for (size_t i = 0; i < ARRAY_SIZE(list); i++) {
		if (*list[i] >= 0)
			close(*list[i]);
		*list[i] = -1;
	}
}
