/* SPDX-License-Identifier: Apache-2.0 */
#include "route/health.h"

bool health_take(struct health *h, const struct health_rules *rules, bool is_good)
{
	if (!h->is_known) {
		*h = (struct health){.is_known = true, .is_up = is_good};
		return true;
	}
	if (is_good == h->is_up) {
		h->n_against = 0;
		return false;
	}
	h->n_against++;
	if (h->n_against < (is_good ? rules->rise : rules->fall))
		return false;
	*h = (struct health){.is_known = true, .is_up = is_good};
	return true;
}

uint64_t health_first_delay_ms(uint64_t interval_ms, struct random_fast *random)
{
	return random_fast_below(random, interval_ms);
}

uint64_t health_next_delay_ms(uint64_t interval_ms, uint64_t took_ms, struct random_fast *random)
{
	uint64_t tenth_ms = interval_ms / 10;
	uint64_t delay_ms = interval_ms - tenth_ms + random_fast_below(random, 2 * tenth_ms + 1);

	return delay_ms > took_ms ? delay_ms - took_ms : 0;
}
