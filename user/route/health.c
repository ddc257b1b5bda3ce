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
