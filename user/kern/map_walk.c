/* SPDX-License-Identifier: Apache-2.0 */
#include "kern/map_walk.h"

#include <bpf/bpf.h>

#define BATCH 256u

/* The kernel gives whole buckets: one that is larger than the room wants more of it. */
#define BATCH_MAX (BATCH << 16)

struct batch {
	void *keys, *values;
	uint32_t room, n;
	uint32_t place; /* the kernel's, of where the next one begins */
	bool is_first;
};

static void batch_done(struct batch *batch)
{
	free(batch->keys);
	free(batch->values);
}

static int make_room(struct batch *batch, size_t key_size, size_t value_size, uint32_t room)
{
	void *keys = reallocarray(batch->keys, room, key_size);
	void *values;

	if (!keys)
		return -ENOMEM;
	batch->keys = keys;
	values = reallocarray(batch->values, room, value_size);
	if (!values)
		return -ENOMEM;
	batch->values = values;
	batch->room = room;
	return 0;
}

/* Return: 0, -ENOENT with the last ones (or none), or another -errno. */
static int read_batch(int fd, struct batch *batch, size_t key_size, size_t value_size)
{
	uint32_t place = 0;
	int error;

	for (;;) {
		batch->n = batch->room;
		error = bpf_map_lookup_batch(fd, batch->is_first ? NULL : &batch->place, &place,
					     batch->keys, batch->values, &batch->n, NULL);
		if (error != -ENOSPC || batch->room >= BATCH_MAX)
			break;
		error = make_room(batch, key_size, value_size, 2 * batch->room);
		if (error < 0)
			return error;
	}
	batch->place = place;
	batch->is_first = false;
	return error;
}

int map_walk(int fd, size_t key_size, size_t value_size, map_walk_fn *fn, void *arg)
{
	_cleanup_(batch_done) struct batch batch = {.is_first = true};
	int error = make_room(&batch, key_size, value_size, BATCH);

	while (error == 0) {
		error = read_batch(fd, &batch, key_size, value_size);
		if (error < 0 && error != -ENOENT)
			return error;
		for (uint32_t i = 0; i < batch.n; i++) {
			int stop = fn((const char *)batch.keys + i * key_size,
				      (const char *)batch.values + i * value_size, arg);

			if (stop < 0)
				return stop;
		}
	}
	return error == -ENOENT ? 0 : error;
}
