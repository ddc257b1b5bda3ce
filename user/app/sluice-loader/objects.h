/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The BPF objects that this binary carries. They share maps by name: what several of them declare
 * is created once. All are opened to know what should be pinned; loading is a second step.
 */
#pragma once
#include "app/sluice-loader/embedded.h"
#include "app/sluice-loader/pins.h"

#include <bpf/libbpf.h>

struct objects {
	struct bpf_object *list[EMBEDDED_MAX];
	size_t n;
};

/** objects_open() - Return: 0, or -errno; objects_close() in every case */
int objects_open(struct objects *ret);
void objects_close(struct objects *objects);

/** objects_size() - of the maps; between open and load */
int objects_size(struct objects *objects, const struct map_sizes *sizes);
/** objects_is_shape() - is a pinned map what @map is? */
bool objects_is_shape(const struct bpf_map *map, int fd);
/** objects_check_shape() - likewise. Return: 0, -EBADMSG (what differs is said), or -errno */
int objects_check_shape(const struct bpf_map *map, int fd);
/**
 * objects_load() - let the kernel verify them
 * @pins: directory of maps to go on with; NULL = make new ones
 *
 * Return: 0; -EBADMSG if a pinned map has another shape than ours, said on standard error;
 * or what the kernel said, with its reasons in say_kept_messages().
 */
int objects_load(struct objects *objects, const char *pins);

/** objects_map_fd() - of loaded objects. Return: a borrowed descriptor, or -1 */
int objects_map_fd(const struct objects *objects, const char *name);
/** objects_find_program() - Return: NULL if there is none of that name */
struct bpf_program *objects_find_program(const struct objects *objects, const char *name);
/** objects_owner() - number of the first object that declares a map, of those that share it */
size_t objects_owner(const struct objects *objects, const char *map);
/** objects_is_shared_map() - to be pinned: not one of those that hold a program's own constants */
bool objects_is_shared_map(const struct bpf_map *map);
enum pin_kind objects_program_kind(const struct bpf_program *program);

/** objects_pin_maps() - those of loaded objects; @only_missing: leave what is pinned */
int objects_pin_maps(const struct objects *objects, const char *dir,
		     const struct pin_access *access, bool only_missing);
int objects_pin_programs(const struct objects *objects, const char *dir,
			 const struct pin_access *access);

/** objects_for_each_map() and _program() - of all of them; a map may come more than once */
#define objects_for_each_map(objects, i, map)     \
	for (size_t i = 0; i < (objects)->n; i++) \
	bpf_object__for_each_map(map, (objects)->list[i])
#define objects_for_each_program(objects, i, program) \
	for (size_t i = 0; i < (objects)->n; i++)     \
	bpf_object__for_each_program(program, (objects)->list[i])
