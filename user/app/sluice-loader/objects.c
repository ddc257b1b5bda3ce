/* SPDX-License-Identifier: Apache-2.0 */
#include "app/sluice-loader/objects.h"

#include "app/sluice-loader/say.h"

#include <bpf/bpf.h>

int objects_open(struct objects *ret)
{
	*ret = (struct objects){0};
	for (size_t i = 0; i < n_embedded; i++) {
		LIBBPF_OPTS(bpf_object_open_opts, opts, .object_name = embedded[i].name);
		size_t size;
		const void *bytes = embedded[i].bytes(&size);

		ret->list[i] = bpf_object__open_mem(bytes, size, &opts);
		if (!ret->list[i])
			return -errno;
		ret->n++;
	}
	return 0;
}

void objects_close(struct objects *objects)
{
	for (size_t i = 0; i < objects->n; i++)
		bpf_object__close(objects->list[i]);
	objects->n = 0;
}

struct bpf_program *objects_find_program(const struct objects *objects, const char *name)
{
	struct bpf_program *program = NULL;

	for (size_t i = 0; i < objects->n && !program; i++)
		program = bpf_object__find_program_by_name(objects->list[i], name);
	return program;
}

int objects_map_fd(const struct objects *objects, const char *name)
{
	size_t i = objects_owner(objects, name);

	if (i == objects->n)
		return -1;
	return bpf_map__fd(bpf_object__find_map_by_name(objects->list[i], name));
}

size_t objects_owner(const struct objects *objects, const char *map)
{
	size_t i = 0;

	while (i < objects->n && !bpf_object__find_map_by_name(objects->list[i], map))
		i++;
	return i;
}

bool objects_is_shared_map(const struct bpf_map *map)
{
	return !bpf_map__is_internal(map);
}

enum pin_kind objects_program_kind(const struct bpf_program *program)
{
	static const char *const runnable[] = {SL_PROG_CAPTURE, SL_PROG_ACTIVATE, SL_PROG_HOLD};

	for (size_t i = 0; i < ARRAY_SIZE(runnable); i++) {
		if (strcmp(bpf_program__name(program), runnable[i]) == 0)
			return PIN_RUNNABLE;
	}
	return PIN_PRIVATE;
}

int objects_size(struct objects *objects, const struct map_sizes *sizes)
{
	struct bpf_map *map;
	int r;

	objects_for_each_map(objects, i, map)
	{
		uint32_t n = embedded_map_entries(bpf_map__name(map), sizes);

		if (n > 0 && (r = bpf_map__set_max_entries(map, n)) < 0)
			return r;
	}
	return 0;
}

/* ---- loading ------------------------------------------------------------------------------- */

/* Their programs go by numbers up to what they were compiled with; the other maps' sizes are the
 * operator's. */
static bool is_array(uint32_t type)
{
	return type == BPF_MAP_TYPE_ARRAY || type == BPF_MAP_TYPE_PERCPU_ARRAY;
}

static bool is_same_shape(const struct bpf_map *map, const struct bpf_map_info *info)
{
	return info->type == bpf_map__type(map) && info->key_size == bpf_map__key_size(map) &&
	       info->value_size == bpf_map__value_size(map) &&
	       info->map_flags == bpf_map__map_flags(map) &&
	       (!is_array(info->type) || info->max_entries >= bpf_map__max_entries(map));
}

bool objects_is_shape(const struct bpf_map *map, int fd)
{
	struct bpf_map_info info = {0};
	uint32_t size = sizeof(info);

	return bpf_map_get_info_by_fd(fd, &info, &size) == 0 && is_same_shape(map, &info);
}

/* libbpf would silently take the pinned map's shape for ours. */
int objects_check_shape(const struct bpf_map *map, int fd)
{
	struct bpf_map_info info = {0};
	uint32_t size = sizeof(info);

	if (bpf_map_get_info_by_fd(fd, &info, &size) < 0)
		return -errno;
	if (is_same_shape(map, &info))
		return 0;
	say("map %s: pinned with type %u, key %u, value %u, flags %#x, for %u; this version has "
	    "%u, %u, %u, %#x, %u",
	    bpf_map__name(map), info.type, info.key_size, info.value_size, info.map_flags,
	    info.max_entries, bpf_map__type(map), bpf_map__key_size(map), bpf_map__value_size(map),
	    bpf_map__map_flags(map), bpf_map__max_entries(map));
	return -EBADMSG;
}

/* The map of that name in an object that was loaded before. */
static const struct bpf_map *find_loaded(const struct objects *objects, size_t n_loaded,
					 const char *name)
{
	const struct bpf_map *map = NULL;

	for (size_t i = 0; i < n_loaded && !map; i++)
		map = bpf_object__find_map_by_name(objects->list[i], name);
	return map;
}

static int share_map(const struct objects *objects, size_t n_loaded, const char *pins,
		     struct bpf_map *map)
{
	const struct bpf_map *loaded = find_loaded(objects, n_loaded, bpf_map__name(map));
	_cleanup_close_ int fd = -1;
	int r;

	if (loaded)
		return bpf_map__reuse_fd(map, bpf_map__fd(loaded));
	if (!pins)
		return 0;
	fd = pin_open(pins, bpf_map__name(map));
	if (fd == -ENOENT)
		return 0; /* new in this version */
	if (fd < 0)
		return fd;
	r = objects_check_shape(map, fd);
	return r < 0 ? r : bpf_map__reuse_fd(map, fd);
}

int objects_load(struct objects *objects, const char *pins)
{
	struct bpf_map *map;
	int r;

	for (size_t i = 0; i < objects->n; i++) {
		bpf_object__for_each_map(map, objects->list[i])
		{
			if (objects_is_shared_map(map) &&
			    (r = share_map(objects, i, pins, map)) < 0)
				return r;
		}
		if ((r = bpf_object__load(objects->list[i])) < 0)
			return r;
	}
	return 0;
}

/* ---- pins ---------------------------------------------------------------------------------- */

int objects_pin_maps(const struct objects *objects, const char *dir,
		     const struct pin_access *access, bool only_missing)
{
	const struct bpf_map *map;
	struct stat st;
	int r;

	objects_for_each_map(objects, i, map)
	{
		const char *name = bpf_map__name(map);

		if (!objects_is_shared_map(map))
			continue;
		if (only_missing && pin_stat(dir, NULL, name, &st) == 0 &&
		    pin_stat(dir, PIN_READONLY_DIR, name, &st) == 0)
			continue;
		if ((r = pin_put(dir, name, bpf_map__fd(map), PIN_MAP, access)) < 0)
			return r;
	}
	return 0;
}

int objects_pin_programs(const struct objects *objects, const char *dir,
			 const struct pin_access *access)
{
	struct bpf_program *program;
	int r;

	objects_for_each_program(objects, i, program)
	{
		r = pin_put(dir, bpf_program__name(program), bpf_program__fd(program),
			    objects_program_kind(program), access);
		if (r < 0)
			return r;
	}
	return 0;
}
