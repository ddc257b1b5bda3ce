/* SPDX-License-Identifier: Apache-2.0 */
#include "route/endpoint.h"

#include "proto/errors.h"

#include <stdio.h>

/* ---- life ---------------------------------------------------------------------------------- */

int endpoint_new(const struct config_cluster *cluster, const struct config_endpoint *config,
		 struct endpoint **ret_endpoint)
{
	_cleanup_free_ char *target = strdup(config->target ? config->target : "");
	struct endpoint *e = aligned_alloc(CACHE_LINE, sizeof(*e));

	if (!target || !e) {
		free(e);
		return -ENOMEM;
	}
	memset(e, 0, sizeof(*e));
	atomic_init(&e->refs, 1);
	snprintf(e->cluster, sizeof(e->cluster), "%s", cluster->name);
	snprintf(e->name, sizeof(e->name), "%s", config->name);
	e->target = TAKE_PTR(target);
	e->host_len = config->host_len;
	e->port = config->port;
	e->address = config->address;
	pthread_mutex_init(&e->lock, NULL);
	atomic_init(&e->state, (uint8_t)config->state);
	*ret_endpoint = e;
	return 0;
}

static bool is_target(const struct endpoint *e, const struct config_endpoint *config)
{
	if (e->host_len || config->host_len)
		return e->host_len == config->host_len && strcmp(e->target, config->target) == 0;
	return e->address.len == config->address.len &&
	       memcmp(&e->address.sa, &config->address.sa, config->address.len) == 0;
}

bool endpoint_is(const struct endpoint *endpoint, const struct config_cluster *cluster,
		 const struct config_endpoint *config)
{
	return strcmp(endpoint->cluster, cluster->name) == 0 &&
	       strcmp(endpoint->name, config->name) == 0 && is_target(endpoint, config);
}

struct endpoint *endpoint_ref(struct endpoint *endpoint)
{
	atomic_fetch_add_explicit(&endpoint->refs, 1, memory_order_relaxed);
	return endpoint;
}

void endpoint_unref(struct endpoint *endpoint)
{
	if (!endpoint || atomic_fetch_sub_explicit(&endpoint->refs, 1, memory_order_acq_rel) != 1)
		return;
	pthread_mutex_destroy(&endpoint->lock);
	free(endpoint->addresses);
	free(endpoint->target);
	free(endpoint);
}

/* ---- what is known of it ------------------------------------------------------------------- */

/* Each value stands for itself, and nothing else is published with it. */
#define load(field)         atomic_load_explicit(&(field), memory_order_relaxed)
#define store(field, value) atomic_store_explicit(&(field), (value), memory_order_relaxed)

static const char *const state_names[] = {
    [ENDPOINT_READY] = "ready",
    [ENDPOINT_DRAIN] = "drain",
    [ENDPOINT_MAINT] = "maint",
};

static const char *const health_names[] = {
    [ENDPOINT_UNKNOWN] = "unknown",
    [ENDPOINT_UP] = "up",
    [ENDPOINT_DOWN] = "down",
};

enum endpoint_state endpoint_set_state(struct endpoint *e, enum endpoint_state state,
				       uint64_t now_ns)
{
	enum endpoint_state before =
	    atomic_exchange_explicit(&e->state, (uint8_t)state, memory_order_relaxed);

	if (before == ENDPOINT_MAINT && state != ENDPOINT_MAINT)
		endpoint_start_slowly(e, now_ns);
	return before;
}

enum endpoint_state endpoint_state(const struct endpoint *e)
{
	return load(e->state);
}

const char *endpoint_state_name(enum endpoint_state state)
{
	return state_names[state];
}

int endpoint_state_from_name(const char *name, enum endpoint_state *ret_state)
{
	for (size_t i = 0; i < ARRAY_SIZE(state_names); i++) {
		if (strcmp(state_names[i], name) == 0) {
			*ret_state = (enum endpoint_state)i;
			return 0;
		}
	}
	return -EINVAL;
}

void endpoint_set_share(struct endpoint *e, uint32_t share)
{
	assert(share <= ENDPOINT_SHARE_ALL);
	store(e->held_back, ENDPOINT_SHARE_ALL - share);
}

uint32_t endpoint_share(const struct endpoint *e)
{
	return ENDPOINT_SHARE_ALL - load(e->held_back);
}

bool endpoint_set_health(struct endpoint *e, bool is_up, uint64_t now_ns)
{
	uint8_t health = is_up ? ENDPOINT_UP : ENDPOINT_DOWN;
	uint8_t before = atomic_exchange_explicit(&e->health, health, memory_order_relaxed);

	if (before == ENDPOINT_DOWN && is_up) {
		/* It was ejected for what the checks have seen as well, and seen the end of. */
		store(e->ejected_until_ns, 0);
		store(e->failures_in_row, 0);
		endpoint_start_slowly(e, now_ns);
	}
	return before != health;
}

void endpoint_forget_health(struct endpoint *e)
{
	store(e->health, ENDPOINT_UNKNOWN);
}

enum endpoint_health endpoint_health(const struct endpoint *e)
{
	return endpoint_is_resolved(e) ? load(e->health) : ENDPOINT_DOWN;
}

const char *endpoint_health_name(enum endpoint_health health)
{
	return health_names[health];
}

static void set_check(struct endpoint_check *check, bool is_good, const char *text, uint64_t now_ns)
{
	check->at_ns = now_ns;
	check->is_good = is_good;
	snprintf(check->text, sizeof(check->text), "%s", text);
}

void endpoint_set_check(struct endpoint *e, bool is_good, const char *text, uint64_t now_ns)
{
	set_check(&e->check, is_good, text, now_ns);
}

void endpoint_set_lookup(struct endpoint *e, bool is_good, const char *text, uint64_t now_ns)
{
	set_check(&e->lookup, is_good, text, now_ns);
}

bool endpoint_is_ejected(const struct endpoint *e, uint64_t now_ns)
{
	return load(e->ejected_until_ns) > now_ns;
}

bool endpoint_is_available(const struct endpoint *e, uint64_t now_ns)
{
	return load(e->state) == ENDPOINT_READY && endpoint_share(e) > 0 &&
	       endpoint_health(e) != ENDPOINT_DOWN && !endpoint_is_ejected(e, now_ns);
}

/* ---- where it is --------------------------------------------------------------------------- */

int endpoint_address(struct endpoint *e, struct address *ret_address)
{
	int error = 0;

	if (e->host_len == 0) {
		*ret_address = e->address;
		return 0;
	}
	pthread_mutex_lock(&e->lock);
	if (e->addresses)
		*ret_address = e->addresses[e->next_address++ % load(e->n_addresses)];
	else
		error = -EUP_RESOLVE;
	pthread_mutex_unlock(&e->lock);
	return error;
}

void endpoint_host(const struct endpoint *e, char ret_host[ENDPOINT_HOST_MAX + 1])
{
	if (e->host_len == 0 && e->address.sa.sa_family == AF_UNIX)
		snprintf(ret_host, ENDPOINT_HOST_MAX + 1, "localhost");
	else
		snprintf(ret_host, ENDPOINT_HOST_MAX + 1, "%s", e->target);
}

static bool has_addresses(const struct endpoint *e, const struct address *addresses, size_t n)
{
	if (load(e->n_addresses) != n)
		return false;
	for (size_t i = 0; i < n; i++) {
		if (!address_equal(&e->addresses[i], &addresses[i]))
			return false;
	}
	return true;
}

int endpoint_set_addresses(struct endpoint *e, const struct address *addresses, size_t n)
{
	struct address *copy, *old;

	assert(n >= 1 && n <= ENDPOINT_ADDRESSES_MAX);
	if (has_addresses(e, addresses, n)) /* without the lock: nobody else changes them */
		return 0;
	copy = calloc(n, sizeof(*copy));
	if (!copy)
		return -ENOMEM;
	memcpy(copy, addresses, n * sizeof(*copy));
	pthread_mutex_lock(&e->lock);
	old = e->addresses;
	e->addresses = copy;
	store(e->n_addresses, (uint32_t)n);
	pthread_mutex_unlock(&e->lock);
	free(old);
	return 1;
}

size_t endpoint_addresses(struct endpoint *e, struct address ret_addresses[ENDPOINT_ADDRESSES_MAX])
{
	size_t n;

	pthread_mutex_lock(&e->lock);
	n = load(e->n_addresses);
	if (n)
		memcpy(ret_addresses, e->addresses, n * sizeof(*ret_addresses));
	pthread_mutex_unlock(&e->lock);
	return n;
}

bool endpoint_is_resolved(const struct endpoint *e)
{
	return e->host_len == 0 || load(e->n_addresses) > 0;
}

/* ---- ejection ------------------------------------------------------------------------------ */

uint32_t endpoint_report(struct endpoint *e, bool is_ok)
{
	if (!is_ok)
		return atomic_fetch_add_explicit(&e->failures_in_row, 1, memory_order_relaxed) + 1;
	/* Most report a success after a success: only read, so that workers share the line. */
	if (load(e->failures_in_row) != 0)
		store(e->failures_in_row, 0);
	return 0;
}

void endpoint_eject(struct endpoint *e, uint64_t time_ns, uint64_t now_ns)
{
	uint64_t ended_ns = load(e->ejection_ended_ns);
	uint64_t good_times = ended_ns < now_ns ? (now_ns - ended_ns) / time_ns : 0;
	uint32_t n = load(e->n_ejections);

	n = good_times < n ? n - (uint32_t)good_times : 0;
	n = MIN(n + 1, ENDPOINT_EJECTIONS_MAX);
	store(e->n_ejections, n);
	store(e->failures_in_row, 0);
	store(e->ejection_ended_ns, now_ns + n * time_ns);
	store(e->ejected_until_ns, now_ns + n * time_ns);
}

bool endpoint_readmit(struct endpoint *e, uint64_t now_ns)
{
	uint64_t until_ns = load(e->ejected_until_ns);

	if (until_ns == 0 || until_ns > now_ns ||
	    !atomic_compare_exchange_strong_explicit(&e->ejected_until_ns, &until_ns, 0,
						     memory_order_relaxed, memory_order_relaxed))
		return false;
	endpoint_start_slowly(e, now_ns);
	return true;
}

/* ---- slow start ---------------------------------------------------------------------------- */

void endpoint_start_slowly(struct endpoint *e, uint64_t now_ns)
{
	store(e->ramp_from_ns, now_ns);
}

uint32_t endpoint_ramp(const struct endpoint *e, uint64_t slow_start_ns, uint64_t now_ns)
{
	uint64_t from_ns = load(e->ramp_from_ns);
	uint64_t age_ns = now_ns > from_ns ? now_ns - from_ns : 0; /* another thread's is later */

	if (from_ns == 0 || age_ns >= slow_start_ns)
		return endpoint_share(e);
	return (uint32_t)((double)age_ns / (double)slow_start_ns * endpoint_share(e));
}
