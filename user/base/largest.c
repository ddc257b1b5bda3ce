/* SPDX-License-Identifier: Apache-2.0 */
#include "base/largest.h"

int largest_init(struct largest *l, size_t max_items)
{
	*l =
	    (struct largest){.items = calloc(max_items, sizeof(*l->items)), .max_items = max_items};
	return l->items ? 0 : -ENOMEM;
}

void largest_done(struct largest *l)
{
	free(TAKE_PTR(l->items));
	l->n_items = 0;
}

/* Whether @a goes before @b. */
static bool is_before(const struct largest_item *a, const struct largest_item *b)
{
	return a->value != b->value ? a->value > b->value : a->id < b->id;
}

static void swap(struct largest_item *a, struct largest_item *b)
{
	struct largest_item t = *a;

	*a = *b;
	*b = t;
}

static void sift_up(struct largest_item *items, size_t i)
{
	for (size_t parent; i > 0 && is_before(&items[parent = (i - 1) / 2], &items[i]); i = parent)
		swap(&items[i], &items[parent]);
}

static void sift_down(struct largest_item *items, size_t n)
{
	for (size_t i = 0, last;; i = last) {
		last = i;
		for (size_t child = 2 * i + 1; child <= 2 * i + 2 && child < n; child++) {
			if (is_before(&items[last], &items[child]))
				last = child;
		}
		if (last == i)
			return;
		swap(&items[i], &items[last]);
	}
}

void largest_add(struct largest *l, struct largest_item item)
{
	if (l->n_items < l->max_items) {
		l->items[l->n_items] = item;
		sift_up(l->items, l->n_items++);
	} else if (is_before(&item, &l->items[0])) {
		l->items[0] = item;
		sift_down(l->items, l->n_items);
	}
}

static int compare(const void *a, const void *b)
{
	return is_before(a, b) ? -1 : is_before(b, a);
}

void largest_sort(struct largest *l)
{
	qsort(l->items, l->n_items, sizeof(*l->items), compare);
}
