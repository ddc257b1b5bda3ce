/* SPDX-License-Identifier: Apache-2.0 */
#include "core/connection_filter.h"

#include "base/clock.h"
#include "core/connection.h"
#include "core/worker.h"

static bool name_matches(const char *want, const char *name)
{
	return want[0] == '\0' || (name && strcmp(want, name) == 0);
}

void connection_filter_init(struct connection_filter *filter)
{
	*filter = (struct connection_filter){.path = -1};
}

bool connection_filter_matches(const struct connection_filter *filter, const struct connection *c)
{
	double idle_s = ev_now(c->worker->loop) - c->active_at;

	return (filter->id == 0 || filter->id == c->id) &&
	       name_matches(filter->route, c->route ? c->route->name : NULL) &&
	       name_matches(filter->cluster, c->cluster ? c->cluster->name : NULL) &&
	       name_matches(filter->endpoint, c->endpoint ? c->endpoint->name : NULL) &&
	       name_matches(filter->listener, c->listener->name) &&
	       (filter->path < 0 || (c->opened_ns && filter->path == c->path)) &&
	       (filter->source.family == 0 || ip_prefix_has(&filter->source, &c->source.sa)) &&
	       (clock_monotonic_ns() - c->accepted_ns) / NS_PER_MS >= filter->older_ms &&
	       idle_s * 1000 >= (double)filter->idle_ms;
}
