/* SPDX-License-Identifier: Apache-2.0 */
#include "kern/names.h"

#include "kern/kern_ids.h"

#include <bpf/bpf.h>

int names_id(int fd, struct kern_ids *ids, enum sl_name_kind kind, const char *text,
	     uint32_t *ret_id)
{
	struct sl_name name = {.kind = kind};
	size_t len = strlen(text);
	uint32_t id;
	int error;

	if (len > SL_NAME_MAX)
		return -ENAMETOOLONG;
	memcpy(name.text, text, len);
	error = bpf_map_lookup_elem(fd, &name, &id);
	if (error == -ENOENT) {
		id = kern_ids_take_name_id(ids);
		error = bpf_map_update_elem(fd, &name, &id, BPF_NOEXIST);
		/* Another was quicker: its number counts, and ours is never used. */
		if (error == -EEXIST)
			error = bpf_map_lookup_elem(fd, &name, &id);
	}
	if (error < 0)
		return error == -E2BIG ? -ENOSPC : error;
	*ret_id = id;
	return 0;
}

int names_find(int fd, uint32_t id, struct sl_name *ret_name)
{
	struct sl_name name;
	bool is_first = true;
	int error;

	for (;;) {
		struct sl_name next;
		uint32_t found;

		error = bpf_map_get_next_key(fd, is_first ? NULL : &name, &next);
		if (error < 0)
			return error;
		name = next;
		is_first = false;
		if (bpf_map_lookup_elem(fd, &name, &found) == 0 && found == id) {
			*ret_name = name;
			return 0;
		}
	}
}
