/* SPDX-License-Identifier: Apache-2.0 */
#include "app/sluice-loader/pinned.h"

#include "app/sluice-loader/hooks.h"
#include "app/sluice-loader/pins.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>

#define BATCH        256
#define MAPS_PER_MAX 64 /* that one program of ours uses; the kernel's limit */

/* Value of "FIELD:<tab>NUMBER" in /proc/self/fdinfo. Return: false if there is none. */
static bool read_fdinfo(int fd, const char *field, uint64_t *ret)
{
	_cleanup_free_ char *line = NULL;
	char path[64];
	size_t size = 0, len = strlen(field);
	bool is_found = false;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	file = fopen(path, "re");
	if (!file)
		return false;
	while (!is_found && getline(&line, &size, file) >= 0) {
		is_found = strncmp(line, field, len) == 0 && line[len] == ':';
		if (is_found)
			*ret = strtoull(line + len + 1, NULL, 10);
	}
	fclose(file);
	return is_found;
}

bool pinned_is_program(int fd)
{
	uint64_t number;

	return read_fdinfo(fd, "prog_type", &number);
}

bool pinned_is_map(int fd)
{
	uint64_t number;

	return read_fdinfo(fd, "map_type", &number);
}

uint64_t pinned_memory(int fd)
{
	uint64_t bytes;

	return read_fdinfo(fd, "memlock", &bytes) ? bytes : 0;
}

/* ---- entries ------------------------------------------------------------------------------- */

static bool can_count(const struct bpf_map_info *info)
{
	return info->type == BPF_MAP_TYPE_HASH || info->type == BPF_MAP_TYPE_LRU_HASH;
}

int pinned_map_fill(int fd, bool (*matches)(const void *value, void *arg), void *arg,
		    struct map_fill *ret)
{
	_cleanup_free_ char *keys = NULL, *values = NULL;
	struct bpf_map_info info = {0};
	uint32_t size = sizeof(info), n, capacity = BATCH;
	struct map_fill fill = {0};
	uint64_t position[2] = {0}; /* the kernel keeps a bucket's number in it */
	bool is_first = true;
	int r = 0;

	if (bpf_map_get_info_by_fd(fd, &info, &size) < 0)
		return -errno;
	if (!can_count(&info))
		return -EOPNOTSUPP;
	while (r != -ENOENT) {
		if (!keys) {
			keys = calloc(capacity, info.key_size);
			values = calloc(capacity, info.value_size);
		}
		if (!keys || !values)
			return -ENOMEM;
		n = capacity;
		r = bpf_map_lookup_batch(fd, is_first ? NULL : position, position, keys, values, &n,
					 NULL);
		if (r < 0)
			r = -errno;
		/* One bucket has more entries than that. */
		if (r == -ENOSPC) {
			free(TAKE_PTR(keys));
			free(TAKE_PTR(values));
			capacity *= 2;
			continue;
		}
		if (r < 0 && r != -ENOENT)
			return r;
		is_first = false;
		fill.n_entries += n;
		for (uint32_t i = 0; matches && i < n; i++)
			fill.n_matching += matches(values + (size_t)i * info.value_size, arg);
	}
	*ret = fill;
	return 0;
}

/* ---- maps by way of programs --------------------------------------------------------------- */

static int find_map_of_program(int program_fd, const char *name, int *ret_fd)
{
	uint32_t ids[MAPS_PER_MAX];
	struct bpf_prog_info info = {.nr_map_ids = MAPS_PER_MAX, .map_ids = (uintptr_t)ids};
	uint32_t size = sizeof(info);

	if (bpf_prog_get_info_by_fd(program_fd, &info, &size) < 0)
		return -errno;
	for (uint32_t i = 0; i < MIN(info.nr_map_ids, (uint32_t)MAPS_PER_MAX); i++) {
		_cleanup_close_ int fd = bpf_map_get_fd_by_id(ids[i]);
		struct bpf_map_info map = {0};

		size = sizeof(map);
		if (fd < 0 || bpf_map_get_info_by_fd(fd, &map, &size) < 0 ||
		    strcmp(map.name, name) != 0)
			continue;
		*ret_fd = TAKE_FD(fd);
		return 0;
	}
	return -ENOENT;
}

static int find_by_pins(const char *dir, const char *name, int *ret_fd)
{
	DIR *listing = opendir(dir);
	const struct dirent *entry;
	int r = -ENOENT;

	if (!listing)
		return -errno;
	while (r == -ENOENT && (entry = readdir(listing))) {
		_cleanup_close_ int fd = -1;

		if (strlen(entry->d_name) >= PIN_PATH_MAX / 2)
			continue;
		fd = pin_open(dir, entry->d_name);
		if (fd >= 0 && pinned_is_program(fd))
			r = find_map_of_program(fd, name, ret_fd);
	}
	closedir(listing);
	return r;
}

static int find_by_hooks(const char *dir, const char *name, int *ret_fd)
{
	_cleanup_free_ struct hook *hooks = NULL;
	size_t n = 0;
	int r = hooks_read(dir, &hooks, &n);

	if (r < 0)
		return r;
	r = -ENOENT;
	for (size_t i = 0; i < n && r == -ENOENT; i++) {
		_cleanup_close_ int fd =
		    hooks[i].program_id ? bpf_prog_get_fd_by_id(hooks[i].program_id) : -1;

		if (fd >= 0)
			r = find_map_of_program(fd, name, ret_fd);
	}
	return r;
}

int pinned_find_map(const char *dir, const char *name, int *ret_fd)
{
	char path[PIN_PATH_MAX];
	int fd, r;

	/* It may have lost only one of its two pins. */
	fd = pin_open(dir, name);
	if (fd < 0 && fd != -ENOENT)
		return fd;
	if (fd < 0)
		fd = bpf_obj_get(pin_path(dir, PIN_READONLY_DIR, name, path));
	if (fd >= 0) {
		*ret_fd = fd;
		return 0;
	}
	r = find_by_pins(dir, name, ret_fd);
	return r == -ENOENT ? find_by_hooks(dir, name, ret_fd) : r;
}
