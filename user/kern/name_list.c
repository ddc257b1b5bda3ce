/* SPDX-License-Identifier: Apache-2.0 */
#include "kern/name_list.h"

#include "kern/map_walk.h"

struct reading {
	struct name_list list;
	size_t room;
};

static int take_name(const void *key, const void *value, void *arg)
{
	const struct sl_name *name = key;
	struct reading *reading = arg;
	struct name_list *list = &reading->list;

	if (strnlen(name->text, sizeof(name->text)) == sizeof(name->text))
		return 0;
	if (list->n == reading->room) {
		size_t room = reading->room ? 2 * reading->room : 64;
		struct listed_name *more = reallocarray(list->names, room, sizeof(*more));

		if (!more)
			return -ENOMEM;
		list->names = more;
		reading->room = room;
	}
	memcpy(&list->names[list->n].id, value, sizeof(uint32_t));
	list->names[list->n++].name = *name;
	return 0;
}

static int compare(const void *a, const void *b)
{
	const struct listed_name *one = a, *other = b;

	return one->id < other->id ? -1 : one->id > other->id;
}

int name_list_read(int fd, struct name_list *ret_list)
{
	struct reading reading = {0};
	int error = map_walk(fd, sizeof(struct sl_name), sizeof(uint32_t), take_name, &reading);

	if (error < 0) {
		name_list_done(&reading.list);
		return error;
	}
	if (reading.list.n)
		qsort(reading.list.names, reading.list.n, sizeof(*reading.list.names), compare);
	*ret_list = reading.list;
	return 0;
}

void name_list_done(struct name_list *list)
{
	free(TAKE_PTR(list->names));
	list->n = 0;
}

const char *name_list_find(const struct name_list *list, enum sl_name_kind kind, uint32_t id)
{
	const struct listed_name key = {.id = id};
	const struct listed_name *found =
	    list->n ? bsearch(&key, list->names, list->n, sizeof(key), compare) : NULL;

	return found && found->name.kind == kind ? found->name.text : NULL;
}
