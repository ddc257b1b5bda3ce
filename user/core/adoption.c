/* SPDX-License-Identifier: Apache-2.0 */
#include "core/adoption.h"

#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "core/class_stats.h"
#include "core/config_class.h"
#include "core/connection.h"
#include "core/keepalive.h"
#include "core/leftovers.h"
#include "core/promoter.h"
#include "core/promotion.h"
#include "core/worker.h"
#include "kern/conn_table.h"
#include "kern/tcp_restore.h"

#include <malloc.h>
#include <stdio.h>

#define SLICE 16 /* in one item of work: each costs some system calls */

/* What tells one ancestor from another. No padding. */
struct ancestor_key {
	uint64_t tunnel_timeout_ns, max_duration_ns, max_frame_bytes, max_message_bytes;
	uint64_t keepalive_ping_ms;
	uint32_t listener, route, class_id, cluster, endpoint,
	    policy; /* ids of names, and its row */
};

/* A piece of the configuration that is gone: what connections point to. */
struct ancestor {
	struct hash_node node;
	struct ancestor_key key;
	struct config_listener listener;
	struct config_route route;
	struct config_class class;
	struct class_stats *class_stats; /* one reference */
	struct config_cluster cluster;
	struct config_endpoint endpoint;
	char names[5][CONFIG_NAME_MAX + 1]; /* of these */
};

/* One worker's share of the work: every n-th. */
struct part {
	struct work_item work;
	struct adoption *adoption;
	struct worker *worker;
	size_t next_conn, next_flow, step;
};

struct adoption {
	struct generation generation; /* the ancestors'; one reference is ours until all is done */
	struct generation *base;      /* which its connections' counts are kept in */
	struct splice *splice;
	struct hash_key hash_key;
	struct hash_table ancestors;
	uint64_t last_id;

	/* handed out */
	struct leftovers left;
	struct ancestor **ancestor_of; /* by index in left.conns */
	struct part *parts;
	_Atomic unsigned int n_parts; /* still at work */
	bool is_over;
	_Atomic uint64_t n_adopted, n_ended, n_quarantined, n_removed, n_reset;
};

/* ---- ancestors ----------------------------------------------------------------------------- */

static struct ancestor *find(const struct adoption *a, const struct ancestor_key *key,
			     uint64_t hash)
{
	for (struct hash_node *node = hash_table_first(&a->ancestors, hash); node;
	     node = hash_table_next(node)) {
		struct ancestor *ancestor = container_of(node, struct ancestor, node);

		if (memcmp(&ancestor->key, key, sizeof(*key)) == 0)
			return ancestor;
	}
	return NULL;
}

static char *copy_name(struct ancestor *ancestor, size_t i, const char *name)
{
	snprintf(ancestor->names[i], sizeof(ancestor->names[i]), "%s", name);
	return ancestor->names[i];
}

/* As its row says: the configuration may have no such class any more. */
static int fill_class(const struct adoption *a, struct ancestor *ancestor,
		      const struct left_conn *conn)
{
	struct sl_policy policy;
	int error = policies_row(a->splice->policies, conn->flows[0].policy, &policy);

	if (error < 0)
		return error;
	policy_to_class(&policy, &ancestor->class);
	ancestor->class.name =
	    copy_name(ancestor, 4, left_conn_name(&a->left, conn, SL_NAME_CLASS));
	ancestor->route.class = &ancestor->class;
	ancestor->class_stats = class_stats_get(ancestor->class.name);
	return ancestor->class_stats ? 0 : -ENOMEM;
}

/* By the configuration in force, unlike limits: off means now. */
static enum config_kernel splice_of_route(const struct config *config, const char *name)
{
	for (size_t i = 0; i < config->n_routes; i++) {
		if (strcmp(config->routes[i].name, name) == 0)
			return config->routes[i].splice;
	}
	return CONFIG_KERNEL_AUTO;
}

static int fill(const struct adoption *a, struct ancestor *ancestor, const struct left_conn *conn)
{
	const struct leftovers *left = &a->left;
	const char *endpoint = left_conn_name(left, conn, SL_NAME_ENDPOINT);
	const char *slash = strchr(endpoint, '/');

	ancestor->listener.name =
	    copy_name(ancestor, 0, left_conn_name(left, conn, SL_NAME_LISTENER));
	ancestor->route.name = copy_name(ancestor, 1, left_conn_name(left, conn, SL_NAME_ROUTE));
	ancestor->cluster.name =
	    copy_name(ancestor, 2, left_conn_name(left, conn, SL_NAME_CLUSTER));
	ancestor->endpoint.name = copy_name(ancestor, 3, slash ? slash + 1 : endpoint);
	ancestor->route.action = CONFIG_ACTION_PROXY;
	ancestor->route.cluster = &ancestor->cluster;
	ancestor->route.tunnel_timeout_ms = ancestor->key.tunnel_timeout_ns / NS_PER_MS;
	ancestor->route.max_duration_ms = ancestor->key.max_duration_ns / NS_PER_MS;
	ancestor->route.keepalive_ping_ms = ancestor->key.keepalive_ping_ms;
	ancestor->route.splice = splice_of_route(a->generation.config, ancestor->route.name);
	ancestor->route.max_frame_bytes = ancestor->key.max_frame_bytes;
	ancestor->route.max_message_bytes = ancestor->key.max_message_bytes;
	return fill_class(a, ancestor, conn);
}

static void ancestor_free(struct ancestor *ancestor)
{
	if (!ancestor)
		return;
	class_stats_unref(ancestor->class_stats);
	free(ancestor);
}

static struct ancestor *find_or_make(struct adoption *a, const struct left_conn *conn)
{
	const struct sl_conn *record = &conn->conn;
	const struct ancestor_key key = {
	    .tunnel_timeout_ns = record->tunnel_timeout_ns,
	    .max_duration_ns = record->max_until_ns > record->opened_ns
				   ? record->max_until_ns - record->opened_ns
				   : 0,
	    .max_frame_bytes = record->max_frame_bytes,
	    .max_message_bytes = record->max_message_bytes,
	    .keepalive_ping_ms = record->keepalive_ping_ms,
	    .listener = record->listener,
	    .route = record->route,
	    .class_id = record->class_id,
	    .cluster = record->cluster,
	    .endpoint = record->endpoint,
	    .policy = conn->flows[0].policy,
	};
	uint64_t hash = hash_bytes(&a->hash_key, &key, sizeof(key));
	struct ancestor *ancestor = find(a, &key, hash);

	if (ancestor)
		return ancestor;
	ancestor = calloc(1, sizeof(*ancestor));
	if (!ancestor)
		return NULL;
	ancestor->key = key;
	if (fill(a, ancestor, conn) < 0 ||
	    hash_table_insert(&a->ancestors, &ancestor->node, hash) < 0) {
		ancestor_free(ancestor);
		return NULL;
	}
	return ancestor;
}

static int find_ancestors(struct adoption *a)
{
	a->ancestor_of = calloc(MAX(a->left.n_conns, 1), sizeof(*a->ancestor_of));
	if (!a->ancestor_of)
		return -ENOMEM;
	for (size_t i = 0; i < a->left.n_conns; i++) {
		if (a->left.conns[i].is_stray)
			continue;
		a->last_id = MAX(a->last_id, a->left.conns[i].conn.conn_id);
		a->ancestor_of[i] = find_or_make(a, &a->left.conns[i]);
		if (!a->ancestor_of[i])
			return -ENOMEM;
	}
	return 0;
}

/* ---- ports ----------------------------------------------------------------------------------- */

/* Before the first connection of ours chooses one. A port outside of the pool needs no mark. */
static void mark_port(const struct adoption *a, const struct left_flow *flow)
{
	struct address source, endpoint;

	flow_key_addresses(&flow->key, &endpoint, &source);
	(void)port_pool_adopt(a->splice->ports, &source, &endpoint, address_port(&source),
			      clock_monotonic_ns());
}

static void mark_ports(const struct adoption *a)
{
	for (size_t i = 0; i < a->left.n_conns; i++) {
		if (!a->left.conns[i].is_stray)
			mark_port(a, &a->left.conns[i].flows[SL_TO_CLIENT]);
	}
	for (size_t i = 0; i < a->left.n_flows; i++) {
		if (a->left.flows[i].direction == SL_TO_CLIENT)
			mark_port(a, &a->left.flows[i]);
	}
}

/* ---- policies -------------------------------------------------------------------------------- */

/* Likewise: rows that flows go on using are nobody else's. Those of strays go with them. */
static int hold_policies(const struct adoption *a)
{
	struct policies *policies = a->splice->policies;
	int error = 0;

	for (size_t i = 0; i < a->left.n_conns && error == 0; i++) {
		if (!a->left.conns[i].is_stray)
			error = policies_adopt(policies, a->left.conns[i].flows[0].policy);
	}
	for (size_t i = 0; i < a->left.n_flows && error == 0; i++) {
		if (left_flow_is_quarantined(&a->left.flows[i]))
			error = policies_adopt(policies, a->left.flows[i].policy);
	}
	/* What the configuration says now counts for them, too. */
	return error < 0 ? error : policies_follow(policies, a->generation.config);
}

/* ---- on the workers ------------------------------------------------------------------------ */

static void add(_Atomic uint64_t *counter)
{
	atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}

static void set_traffic(struct connection *c, const struct sl_conn *record)
{
	const struct sl_traffic *in = &record->traffic[SL_TO_ENDPOINT];
	const struct sl_traffic *out = &record->traffic[SL_TO_CLIENT];

	c->client.bytes_in = c->endpoint_leg.bytes_out = in->bytes;
	c->client.bytes_out = c->endpoint_leg.bytes_in = out->bytes;
	c->frames_in = in->frames;
	c->frames_out = out->frames;
}

static int make_connection(struct part *part, const struct left_conn *left,
			   const struct ancestor *ancestor, struct connection **ret_connection)
{
	struct adoption *a = part->adoption;
	const struct sl_conn *record = &left->conn;
	struct connection *c;
	struct address source, local;
	int error;

	flow_key_addresses(&left->flows[SL_TO_ENDPOINT].key, &source, &local);
	error = connection_adopt(part->worker, &a->generation, record->conn_id, &source.sa, &c);
	if (error < 0)
		return error;
	c->listener = &ancestor->listener;
	c->route = &ancestor->route;
	connection_set_class(c, &ancestor->class, ancestor->class_stats);
	c->cluster = &ancestor->cluster;
	c->endpoint = &ancestor->endpoint;
	c->accepted_ns = record->accepted_ns;
	c->opened_ns = record->opened_ns;
	c->promotions = record->promotions;
	set_traffic(c, record);
	*ret_connection = c;
	return 0;
}

static void remove_flow(struct adoption *a, const struct left_flow *flow);

/* Out of memory: it is as if there were no record. */
static void give_up(struct adoption *a, const struct left_conn *left)
{
	(void)conn_table_delete(a->splice->pins.conns_fd, left->conn.conn_id);
	for (size_t i = 0; i < 2; i++)
		remove_flow(a, &left->flows[i]);
	policies_drop(a->splice->policies, left->flows[0].policy);
}

/* Whoever looks at the pins sees whose it is now. */
static void sign(const struct adoption *a, const struct sl_conn *record)
{
	struct sl_conn conn = *record;

	conn.epoch = a->splice->epoch;
	conn.flags |= SL_CONN_ADOPTED;
	(void)conn_table_put(a->splice->pins.conns_fd, &conn);
}

static void adopt(struct part *part, const struct left_conn *left, const struct ancestor *ancestor)
{
	const struct flow_key *keys[2] = {&left->flows[0].key, &left->flows[1].key};
	struct adoption *a = part->adoption;
	struct worker *w = part->worker;
	struct address source, endpoint;
	struct connection *c;
	int error = make_connection(part, left, ancestor, &c);

	if (error < 0) {
		log_error("a connection cannot be adopted: %s", strerror(-error));
		give_up(a, left);
		return;
	}
	flow_key_addresses(keys[SL_TO_CLIENT], &endpoint, &source);
	if (w->shared->adopt)
		w->shared->adopt(c, a->base, &endpoint);
	sign(a, &left->conn);
	if (promotion_adopt(c, keys, left->conn.legs, left->flows[0].policy) < 0) {
		connection_end(c, EGW_MEMORY);
		give_up(a, left);
	}
	if (connection_is_closed(c)) {
		add(&a->n_ended);
		return;
	}
	add(&a->n_adopted);
	connection_limit_duration(c);
	keepalive_begin(c);
	/* As after a reload: a route with `splice = off` has it back on the relay. */
	promotion_follow(c);
	/* Nor is it spliced still if an order to all came first. */
	(void)promotion_recall(c);
	if (connection_is_closed(c))
		return;
	/* A reload came first, and has passed by. */
	if (worker_generation(w) != a->base)
		w->shared->follow(c);
}

/* Numbers of what a peer believes in: nothing is known of one that has not been heard of. */
static bool is_peer_waiting(const struct left_flow *flow)
{
	return (flow->state == SL_LEARN || flow->state == SL_ACTIVE) && (flow->marks & SL_M_SEEN);
}

/*
 * A peer whose connection is nowhere any more would wait for ever. The kernel itself has told those
 * whose sockets it closed with their process, and then knows the addresses: -EADDRNOTAVAIL.
 */
static void remove_flow(struct adoption *a, const struct left_flow *flow)
{
	struct tcp_restore what = {.rcv_nxt = flow->end_seq, .snd_nxt = flow->ack};

	flow_key_addresses(&flow->key, &what.peer, &what.local);
	(void)flow_table_delete(&a->splice->pins.flows, &flow->key);
	add(&a->n_removed);
	if (is_peer_waiting(flow) && tcp_restore_reset(&what) == 0)
		add(&a->n_reset);
	if (flow->direction == SL_TO_CLIENT)
		port_pool_release(a->splice->ports, &what.local, &what.peer,
				  address_port(&what.local), clock_monotonic_ns());
}

static void take_conn(struct part *part, size_t i)
{
	struct adoption *a = part->adoption;
	const struct left_conn *left = &a->left.conns[i];

	if (left->is_stray)
		(void)conn_table_delete(a->splice->pins.conns_fd, left->conn.conn_id);
	else
		adopt(part, left, a->ancestor_of[i]);
}

static void take_flow(struct part *part, size_t i)
{
	struct adoption *a = part->adoption;
	const struct left_flow *flow = &a->left.flows[i];

	if (!left_flow_is_quarantined(flow)) {
		remove_flow(a, flow);
	} else if (promoter_adopt_retired(part->worker->promoter, &flow->key, flow->policy) == 0) {
		add(&a->n_quarantined);
	} else {
		remove_flow(a, flow);
		policies_drop(a->splice->policies, flow->policy);
	}
}

static void report(const struct adoption *a)
{
	unsigned long long n_adopted = a->n_adopted, n_ended = a->n_ended,
			   n_quarantined = a->n_quarantined, n_removed = a->n_removed,
			   n_reset = a->n_reset, n_stray = a->left.n_stray_conns;

	log_notice("adopted %llu spliced connections; %llu had ended, %llu more are in quarantine; "
		   "removed %llu records and %llu flows that belonged to nothing (%llu peers "
		   "reset)",
		   n_adopted, n_ended, n_quarantined, n_stray, n_removed, n_reset);
}

static void forget_leftovers(struct adoption *a)
{
	leftovers_done(&a->left);
	free(TAKE_PTR(a->ancestor_of));
	/* Some 600 bytes for each connection, never needed again: glibc would keep them. */
	(void)malloc_trim(0);
	a->is_over = true;
	generation_unref(&a->generation);
}

static void part_done(struct part *part)
{
	struct adoption *a = part->adoption;

	/* Acquire and release: who frees it comes behind all others' use. */
	if (atomic_fetch_sub_explicit(&a->n_parts, 1, memory_order_acq_rel) != 1)
		return;
	if (a->left.n_conns || a->left.n_flows)
		report(a);
	forget_leftovers(a);
}

static bool part_slice(struct work_item *item)
{
	struct part *part = container_of(item, struct part, work);
	const struct leftovers *left = &part->adoption->left;

	/* What is not taken over now, the next daemon will find. */
	for (int i = 0; i < SLICE && !part->worker->is_stopping; i++) {
		if (part->next_conn < left->n_conns) {
			take_conn(part, part->next_conn);
			part->next_conn += part->step;
		} else if (part->next_flow < left->n_flows) {
			take_flow(part, part->next_flow);
			part->next_flow += part->step;
		} else {
			break;
		}
	}
	if (!part->worker->is_stopping &&
	    (part->next_conn < left->n_conns || part->next_flow < left->n_flows))
		return true;
	part_done(part);
	return false;
}

static void part_run(struct worker *w, void *arg)
{
	struct part *part = arg;

	work_item_add(&w->work, WORKER_QUEUE_HOOK, &part->work);
}

/* ---- on the main thread -------------------------------------------------------------------- */

static void complain(const char *text, void *arg)
{
	log_error("%s", text);
}

/* The ancestors stay until adoption_free(): listeners are not counted. */
static void forget_generation(struct generation *generation)
{
	struct adoption *a = container_of(generation, struct adoption, generation);

	generation_done(generation);
	generation_unref(TAKE_PTR(a->base));
}

int adoption_new(struct splice *splice, struct generation *generation,
		 struct adoption **ret_adoption)
{
	const struct leftovers_source source = {
	    .flows = &splice->pins.flows,
	    .conns_fd = splice->pins.conns_fd,
	    .names_fd = splice->pins.names_fd,
	    .now_ns = clock_monotonic_ns(),
	    .complain = complain,
	};
	struct adoption *a = calloc(1, sizeof(*a));
	int error;

	if (!a)
		return -ENOMEM;
	a->splice = splice;
	a->base = generation_ref(generation);
	generation_init(&a->generation, generation->config, forget_generation);
	hash_key_random(&a->hash_key);
	hash_table_init(&a->ancestors);
	error = leftovers_read(&source, &a->left);
	if (error == 0)
		error = hold_policies(a);
	if (error == 0)
		error = find_ancestors(a);
	if (error < 0) {
		adoption_free(a);
		return error;
	}
	mark_ports(a);
	*ret_adoption = a;
	return 0;
}

static void free_ancestors(struct adoption *a)
{
	for (size_t i = 0; i < a->ancestors.n_buckets; i++) {
		struct hash_node *node = a->ancestors.buckets[i];

		while (node) {
			struct ancestor *ancestor = container_of(node, struct ancestor, node);

			node = node->next;
			ancestor_free(ancestor);
		}
	}
	hash_table_done(&a->ancestors);
}

void adoption_free(struct adoption *a)
{
	if (!a)
		return;
	if (!a->is_over)
		forget_leftovers(a);
	free(a->parts);
	free_ancestors(a);
	free(a);
}

int adoption_begin(struct adoption *a, struct worker **workers, unsigned int n_workers)
{
	a->parts = calloc(n_workers, sizeof(*a->parts));
	if (!a->parts)
		return -ENOMEM;
	atomic_store_explicit(&a->n_parts, n_workers, memory_order_relaxed);
	for (unsigned int i = 0; i < n_workers; i++) {
		struct part *part = &a->parts[i];

		*part = (struct part){
		    .adoption = a,
		    .worker = workers[i],
		    .next_conn = i,
		    .next_flow = i,
		    .step = n_workers,
		};
		work_item_init(&part->work, part_slice);
		if (worker_call(workers[i], part_run, part) < 0) {
			log_error("worker %u takes over nothing: it is too busy", i);
			part_done(part);
		}
	}
	return 0;
}

uint64_t adoption_last_id(const struct adoption *a)
{
	return a->last_id;
}
