/* SPDX-License-Identifier: Apache-2.0 */
/* The commands about clusters and their endpoints: what endpoints tell by themselves. */
#include "app/sluiced/commands.h"

#include "app/sluiced/command_args.h"
#include "app/sluiced/control_server.h"
#include "app/sluiced/gateway.h"
#include "app/sluiced/json_util.h"
#include "base/clock.h"
#include "base/log.h"
#include "core/events.h"
#include "core/nearest.h"
#include "proto/control_message.h"

#define PAGE_ROWS 256

/* ---- show.clusters ------------------------------------------------------------------------- */

static const char *const balance_names[] = {
    [CONFIG_BALANCE_ROUND_ROBIN] = "round_robin",
    [CONFIG_BALANCE_LEAST_CONN] = "least_conn",
    [CONFIG_BALANCE_HASH] = "hash",
};

static json_t *counter(const _Atomic uint64_t *value)
{
	return json_u64(atomic_load_explicit(value, memory_order_relaxed));
}

/* How long ago, or until then; null for what was never. */
static json_t *ms_between(uint64_t from_ns, uint64_t to_ns)
{
	return from_ns == 0 || to_ns < from_ns ? json_null()
					       : json_u64((to_ns - from_ns) / NS_PER_MS);
}

static json_t *ejected_json(const struct endpoint *endpoint, uint64_t now_ns)
{
	return endpoint_is_ejected(endpoint, now_ns)
		   ? ms_between(now_ns, atomic_load_explicit(&endpoint->ejected_until_ns,
							     memory_order_relaxed))
		   : json_null();
}

/* Those that a name stands for. */
static json_t *addresses_json(struct endpoint *endpoint)
{
	struct address addresses[ENDPOINT_ADDRESSES_MAX];
	size_t n = endpoint_addresses(endpoint, addresses);
	json_t *array = json_array();

	for (size_t i = 0; i < n; i++) {
		char text[ADDRESS_TEXT_MAX + 1];

		address_format(&addresses[i], text);
		json_array_append_new(array, json_string(text));
	}
	return array;
}

/* Rounded up: what is not held back as a whole gets something. */
static unsigned int weight_now(const struct member *member)
{
	uint64_t scaled = (uint64_t)member->config->weight * endpoint_share(member->endpoint);

	return (unsigned int)((scaled + ENDPOINT_SHARE_ALL - 1) / ENDPOINT_SHARE_ALL);
}

static const char *breaker_text(const struct cluster *cluster)
{
	return cluster->config->breaker.failure_ratio
		   ? breaker_state_name(breaker_state(&cluster->state->breaker))
		   : NULL;
}

static json_t *member_json(const struct cluster *cluster, const struct member *member,
			   uint64_t now_ns)
{
	struct endpoint *endpoint = member->endpoint;

	return json_pack(
	    "{s:s, s:s, s:s?, s:s, s:s, s:s, s:s, s:i, s:o, s:o, s:o, s:o, s:s?, s:o, s:s?, s:o, s:o}",
	    "cluster", cluster->config->name, "balance", balance_names[cluster->config->balance],
	    "breaker", breaker_text(cluster), "endpoint", endpoint->name, "address",
	    endpoint->target, "state", endpoint_state_name(endpoint_state(endpoint)), "health",
	    endpoint_health_name(endpoint_health(endpoint)), "weight", (int)weight_now(member),
	    "connections", counter(&endpoint->n_active), "chosen", counter(&endpoint->n_chosen),
	    "failed", counter(&endpoint->n_failed), "ejected_ms", ejected_json(endpoint, now_ns),
	    "check", endpoint->check.at_ns ? endpoint->check.text : NULL, "check_age_ms",
	    ms_between(endpoint->check.at_ns, now_ns), "resolved",
	    endpoint->lookup.at_ns ? endpoint->lookup.text : NULL, "resolved_age_ms",
	    ms_between(endpoint->lookup.at_ns, now_ns), "addresses", addresses_json(endpoint));
}

/* Pages of endpoints, all of one generation. */
struct listing {
	struct generation *generation; /* one reference */
	size_t cluster, member;        /* the next one */
};

static void listing_free(struct listing *l)
{
	generation_unref(l->generation);
	free(l);
}

/* The next endpoint of the listing, or NULL at its end. */
static const struct member *listing_next(struct listing *l, const struct cluster **ret_cluster)
{
	const struct routing *routing = routing_of(l->generation);

	for (; l->cluster < routing->config->n_clusters; l->cluster++, l->member = 0) {
		*ret_cluster = &routing->clusters[l->cluster];
		if (l->member < (*ret_cluster)->config->n_endpoints)
			return &(*ret_cluster)->members[l->member++];
	}
	return NULL;
}

static void listing_step(struct control_call *call, void *arg)
{
	struct listing *l = arg;
	uint64_t now_ns = clock_monotonic_ns();
	const struct cluster *cluster;
	const struct member *member;
	json_t *rows;

	if (!control_is_wanted(call)) {
		listing_free(l);
		control_fail(call, "stopping", "nobody waits for the answer");
		return;
	}
	rows = json_array();
	while (json_array_size(rows) < PAGE_ROWS && (member = listing_next(l, &cluster)))
		json_array_append_new(rows, member_json(cluster, member, now_ns));
	if (json_array_size(rows) == PAGE_ROWS) {
		control_page(call, rows, listing_step, l);
		return;
	}
	listing_free(l);
	control_finish(call, rows);
}

void command_show_clusters(struct control_call *call, const struct command_args *args)
{
	struct listing *l = calloc(1, sizeof(*l));

	if (!l) {
		control_fail(call, CONTROL_ERROR_BUSY, "out of memory");
		return;
	}
	l->generation = generation_ref(&control_call_gateway(call)->routing->generation);
	listing_step(call, l);
}

/* ---- set.endpoint -------------------------------------------------------------------------- */

static void fail_unknown(struct control_call *call, const char *kind, const char *name,
			 const struct nearest *nearest)
{
	if (nearest->best)
		control_fail(call, CONTROL_ERROR_ARGUMENT,
			     "no %s is called \"%s\"; did you mean \"%s\"?", kind, name,
			     nearest->best);
	else
		control_fail(call, CONTROL_ERROR_ARGUMENT, "no %s is called \"%s\"", kind, name);
}

static const struct cluster *find_cluster(struct control_call *call, const char *name)
{
	const struct routing *routing = control_call_gateway(call)->routing;
	const struct cluster *cluster = routing_cluster(routing, name);
	struct nearest nearest;

	if (cluster)
		return cluster;
	nearest_init(&nearest, slice_from_str(name));
	for (size_t i = 0; i < routing->config->n_clusters; i++)
		nearest_offer(&nearest, routing->config->clusters[i].name);
	fail_unknown(call, "cluster", name, &nearest);
	return NULL;
}

static struct member *find_member(struct control_call *call, const struct cluster *cluster,
				  const char *name)
{
	struct member *member = cluster_member(cluster, name);
	struct nearest nearest;
	char kind[CONFIG_NAME_MAX + 32];

	if (member)
		return member;
	nearest_init(&nearest, slice_from_str(name));
	for (size_t i = 0; i < cluster->config->n_endpoints; i++)
		nearest_offer(&nearest, cluster->config->endpoints[i].name);
	snprintf(kind, sizeof(kind), "endpoint of cluster \"%s\"", cluster->config->name);
	fail_unknown(call, kind, name, &nearest);
	return NULL;
}

static void set_state(const struct member *member, enum endpoint_state state)
{
	const struct endpoint *endpoint = member->endpoint;
	const char *name = endpoint_state_name(state);

	endpoint_set_state(member->endpoint, state, clock_monotonic_ns());
	log_notice("cluster \"%s\": endpoint \"%s\": set to %s by the operator", endpoint->cluster,
		   endpoint->name, name);
	events_emit(EVENT_ENDPOINT_STATE, "{s:s, s:s, s:s}", "cluster", endpoint->cluster,
		    "endpoint", endpoint->name, "state", name);
}

/* The balance is computed from configured weights; a share of one takes part in it as a ramp. */
static void set_weight(const struct member *member, uint16_t weight)
{
	const struct endpoint *endpoint = member->endpoint;
	uint16_t configured = member->config->weight;

	endpoint_set_share(member->endpoint, configured ? weight * ENDPOINT_SHARE_ALL / configured
							: ENDPOINT_SHARE_ALL);
	log_notice("cluster \"%s\": endpoint \"%s\": weight set to %u of %u by the operator",
		   endpoint->cluster, endpoint->name, weight, configured);
}

void command_set_endpoint(struct control_call *call, const struct command_args *args)
{
	const struct cluster *cluster;
	struct member *member;

	if (!args->filter.cluster[0] || !args->filter.endpoint[0] ||
	    (!args->has_state && !args->has_weight)) {
		control_fail(call, CONTROL_ERROR_ARGUMENT,
			     "expected cluster, endpoint, and what to set: state or weight");
		return;
	}
	cluster = find_cluster(call, args->filter.cluster);
	member = cluster ? find_member(call, cluster, args->filter.endpoint) : NULL;
	if (!member)
		return;
	if (args->has_weight && args->weight > member->config->weight) {
		control_fail(call, CONTROL_ERROR_ARGUMENT,
			     "weight = %u: expected at most %u, which is configured; more takes a "
			     "reload",
			     args->weight, member->config->weight);
		return;
	}
	if (args->has_weight)
		set_weight(member, args->weight);
	if (args->has_state)
		set_state(member, args->state);
	control_finish(call, member_json(cluster, member, clock_monotonic_ns()));
}
