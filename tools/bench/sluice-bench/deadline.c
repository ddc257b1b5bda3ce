/* SPDX-License-Identifier: Apache-2.0 */
#include "deadline.h"

void deadline_wheel_init(struct deadline_wheel *wheel, uint64_t now_ns)
{
	wheel->tick = now_ns >> DEADLINE_TICK_SHIFT;
	wheel->n_armed = 0;
	for (size_t i = 0; i < DEADLINE_SLOTS; i++)
		list_init(&wheel->slots[i]);
}

/* The first tick at which @at_ns has passed, inside the wheel's reach. */
static uint64_t tick_for(const struct deadline_wheel *wheel, uint64_t at_ns)
{
	uint64_t tick = (at_ns >> DEADLINE_TICK_SHIFT) + 1;

	return MIN(MAX(tick, wheel->tick), wheel->tick + DEADLINE_SLOTS - 1);
}

void deadline_arm(struct deadline_wheel *wheel, struct deadline *d, uint64_t at_ns)
{
	uint64_t tick = tick_for(wheel, at_ns);

	if (d->is_armed && d->tick <= tick)
		return;
	deadline_disarm(wheel, d);
	d->tick = tick;
	d->is_armed = true;
	list_append(&wheel->slots[tick % DEADLINE_SLOTS], &d->node);
	wheel->n_armed++;
}

void deadline_disarm(struct deadline_wheel *wheel, struct deadline *d)
{
	if (!d->is_armed)
		return;
	d->is_armed = false;
	list_remove(&d->node);
	wheel->n_armed--;
}

struct deadline *deadline_pop(struct deadline_wheel *wheel, uint64_t now_ns)
{
	uint64_t now_tick = now_ns >> DEADLINE_TICK_SHIFT;

	while (wheel->n_armed > 0 && wheel->tick <= now_tick) {
		struct list *slot = &wheel->slots[wheel->tick % DEADLINE_SLOTS];
		struct deadline *d;

		if (list_is_empty(slot)) {
			wheel->tick++;
			continue;
		}
		d = list_entry(slot->next, struct deadline, node);
		deadline_disarm(wheel, d);
		return d;
	}
	/* An empty wheel has nothing to walk over, however long it stood. */
	if (wheel->n_armed == 0)
		wheel->tick = MAX(wheel->tick, now_tick);
	return NULL;
}

uint64_t deadline_wheel_next_ns(const struct deadline_wheel *wheel)
{
	return wheel->n_armed ? wheel->tick << DEADLINE_TICK_SHIFT : UINT64_MAX;
}
