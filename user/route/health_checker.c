/* SPDX-License-Identifier: Apache-2.0 */
#include "route/health_checker.h"

#include "base/clock.h"
#include "base/hash.h"
#include "base/list.h"
#include "base/log.h"
#include "base/timer.h"
#include "core/events.h"
#include "route/health.h"
#include "route/health_probe.h"
#include "route/routing.h"

#include <stdio.h>

struct health_checker {
	struct ev_loop *loop;
	struct generation *generation; /* followed; one reference, or NULL */
	struct hash_key hash_key;
	struct hash_table by_endpoint;
	struct list checks, waiting;
	struct random_fast random;
	unsigned int round; /* of following */
	struct health_checker_stats stats;
};

struct check {
	struct hash_node by_endpoint;
	struct list node, waiting; /* an empty list of its own while it does not wait */
	struct health_checker *checker;
	struct endpoint *endpoint;           /* one reference */
	const struct config_cluster *config; /* of the followed generation */
	uint64_t interval_ms;                /* that the timer was armed for */
	struct health health;
	struct timer timer;         /* to the next check */
	struct health_probe *probe; /* on its way, or NULL */
	uint64_t began_ns;
	unsigned int round; /* that met it last */
};

/* ---- results ------------------------------------------------------------------------------- */

static void tell_change(const struct check *check, const char *text)
{
	events_emit(check->health.is_up ? EVENT_ENDPOINT_UP : EVENT_ENDPOINT_DOWN,
		    "{s:s, s:s, s:s}", "cluster", check->endpoint->cluster, "endpoint",
		    check->endpoint->name, "reason", text);
	if (check->health.is_up)
		log_notice("cluster \"%s\": endpoint \"%s\" is up: %s", check->endpoint->cluster,
			   check->endpoint->name, text);
	else
		log_warning("cluster \"%s\": endpoint \"%s\" is down: %s", check->endpoint->cluster,
			    check->endpoint->name, text);
}

static void take_result(struct check *check, const struct health_result *result, uint64_t now_ns)
{
	const struct health_rules rules = {.rise = check->config->health.rise,
					   .fall = check->config->health.fall};

	endpoint_set_check(check->endpoint, result->is_good, result->text, now_ns);
	if (result->is_good)
		check->checker->stats.n_good++;
	else
		check->checker->stats.n_failed++;
	if (!health_take(&check->health, &rules, result->is_good))
		return;
	endpoint_set_health(check->endpoint, check->health.is_up, now_ns);
	tell_change(check, result->text);
}

static void arm(struct check *check, uint64_t delay_ms)
{
	check->interval_ms = check->config->health.interval_ms;
	timer_arm(&check->timer, delay_ms);
}

static void arm_next(struct check *check, uint64_t now_ns)
{
	uint64_t took_ms = (now_ns - check->began_ns) / NS_PER_MS;

	arm(check, health_next_delay_ms(check->config->health.interval_ms, took_ms,
					&check->checker->random));
}

/* ---- probes -------------------------------------------------------------------------------- */

static void probe_done(void *arg, const struct health_result *result);

static void forget(struct check *check)
{
	check->health = (struct health){0};
	endpoint_forget_health(check->endpoint);
}

/* Return: whether a probe is on its way now. */
static bool start_probe(struct check *check)
{
	struct health_result result = {.is_good = false};
	char host[ADDRESS_TEXT_MAX + 1];
	struct address address;
	int error;

	check->began_ns = clock_monotonic_ns();
	if (endpoint_state(check->endpoint) == ENDPOINT_MAINT) {
		forget(check);
		arm_next(check, check->began_ns);
		return false;
	}
	endpoint_host(check->endpoint, host);
	error = endpoint_address(check->endpoint, &address);
	if (error == 0)
		error = health_probe_start(check->checker->loop, check->config, &address, host,
					   probe_done, check, &check->probe);
	if (error == 0) {
		check->checker->stats.n_running++;
		return true;
	}
	snprintf(result.text, sizeof(result.text), "connect: %s", strerror(-error));
	take_result(check, &result, check->began_ns);
	arm_next(check, check->began_ns);
	return false;
}

static void start_waiting(struct health_checker *h)
{
	while (h->stats.n_running < HEALTH_PROBES_MAX && !list_is_empty(&h->waiting)) {
		struct check *check = list_entry(h->waiting.next, struct check, waiting);

		list_remove(&check->waiting);
		h->stats.n_waiting--;
		(void)start_probe(check);
	}
}

static void probe_done(void *arg, const struct health_result *result)
{
	struct check *check = arg;
	uint64_t now_ns = clock_monotonic_ns();

	check->probe = NULL;
	check->checker->stats.n_running--;
	/* What began before an endpoint's maintenance says nothing about it. */
	if (endpoint_state(check->endpoint) != ENDPOINT_MAINT)
		take_result(check, result, now_ns);
	arm_next(check, now_ns);
	start_waiting(check->checker);
}

static void due_cb(struct timer *timer)
{
	struct check *check = container_of(timer, struct check, timer);
	struct health_checker *h = check->checker;

	list_append(&h->waiting, &check->waiting);
	h->stats.n_waiting++;
	start_waiting(h);
}

/* ---- following ----------------------------------------------------------------------------- */

static uint64_t endpoint_hash(const struct health_checker *h, const struct endpoint *endpoint)
{
	return hash_u64(&h->hash_key, (uintptr_t)endpoint);
}

static struct check *find_check(const struct health_checker *h, const struct endpoint *endpoint)
{
	for (struct hash_node *node = hash_table_first(&h->by_endpoint, endpoint_hash(h, endpoint));
	     node; node = hash_table_next(node)) {
		struct check *check = container_of(node, struct check, by_endpoint);

		if (check->endpoint == endpoint)
			return check;
	}
	return NULL;
}

static struct check *check_new(struct health_checker *h, struct endpoint *endpoint)
{
	struct check *check = calloc(1, sizeof(*check));

	if (!check || hash_table_insert(&h->by_endpoint, &check->by_endpoint,
					endpoint_hash(h, endpoint)) < 0) {
		log_error("cluster \"%s\": endpoint \"%s\": no health checks: out of memory",
			  endpoint->cluster, endpoint->name);
		free(check);
		return NULL;
	}
	check->checker = h;
	check->endpoint = endpoint_ref(endpoint);
	timer_init(&check->timer, h->loop, due_cb);
	list_init(&check->waiting);
	list_append(&h->checks, &check->node);
	h->stats.n_checked++;
	return check;
}

static void check_free(struct check *check)
{
	struct health_checker *h = check->checker;

	h->stats.n_waiting -= !list_is_empty(&check->waiting);
	h->stats.n_running -= check->probe != NULL;
	h->stats.n_checked--;
	health_probe_cancel(check->probe);
	timer_disarm(&check->timer);
	hash_table_remove(&h->by_endpoint, &check->by_endpoint);
	list_remove(&check->waiting);
	list_remove(&check->node);
	endpoint_unref(check->endpoint);
	free(check);
}

static void follow_endpoint(struct health_checker *h, const struct config_cluster *config,
			    struct endpoint *endpoint)
{
	struct check *check = find_check(h, endpoint);

	if (!check)
		check = check_new(h, endpoint);
	if (!check)
		return;
	check->round = h->round;
	check->config = config;
	/* A check that is due or on its way arms the timer by the new interval itself. */
	if (check->interval_ms != config->health.interval_ms && !check->probe &&
	    list_is_empty(&check->waiting))
		arm(check, health_first_delay_ms(config->health.interval_ms, &h->random));
}

void health_checker_follow(struct health_checker *h, struct routing *routing)
{
	struct generation *previous = h->generation;

	h->generation = generation_ref(&routing->generation);
	h->round++;
	for (size_t i = 0; i < routing->config->n_clusters; i++) {
		const struct cluster *cluster = &routing->clusters[i];

		if (cluster->config->health.type == CONFIG_HEALTH_OFF)
			continue;
		for (size_t m = 0; m < cluster->config->n_endpoints; m++)
			follow_endpoint(h, cluster->config, cluster->members[m].endpoint);
	}
	list_for_each_safe (node, &h->checks) {
		struct check *check = list_entry(node, struct check, node);

		if (check->round == h->round)
			continue;
		endpoint_forget_health(check->endpoint);
		check_free(check);
	}
	start_waiting(h);
	generation_unref(previous);
}

/* ---- life ---------------------------------------------------------------------------------- */

int health_checker_new(struct ev_loop *loop, struct health_checker **ret_checker)
{
	struct health_checker *h = calloc(1, sizeof(*h));
	uint64_t seed;

	if (!h)
		return -ENOMEM;
	h->loop = loop;
	hash_key_random(&h->hash_key);
	hash_table_init(&h->by_endpoint);
	list_init(&h->checks);
	list_init(&h->waiting);
	random_secure(&seed, sizeof(seed));
	random_fast_seed(&h->random, seed);
	*ret_checker = h;
	return 0;
}

void health_checker_free(struct health_checker *h)
{
	if (!h)
		return;
	list_for_each_safe (node, &h->checks) {
		check_free(list_entry(node, struct check, node));
	}
	hash_table_done(&h->by_endpoint);
	generation_unref(h->generation);
	free(h);
}

void health_checker_stats(const struct health_checker *h, struct health_checker_stats *ret_stats)
{
	*ret_stats = h->stats;
}
