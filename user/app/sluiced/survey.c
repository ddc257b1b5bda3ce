/* SPDX-License-Identifier: Apache-2.0 */
#include "app/sluiced/survey.h"

#include "app/sluiced/control_call.h"
#include "app/sluiced/gateway.h"
#include "base/clock.h"
#include "base/largest.h"
#include "core/connection.h"
#include "core/worker.h"
#include "proto/control_message.h"

#include <stdio.h>

/* In one item of work: two lookups in the kernel's maps for a look, and some more and six system
 * calls for a description. */
#define LOOK_SLICE     32
#define DESCRIBE_SLICE 16

/* Goes from worker to worker, twice if it is about connections; while on one, it belongs to that
 * worker's thread. */
struct survey {
	struct control_call *call;
	struct gateway *gateway;
	struct survey_plan plan;
	survey_fn *done;
	uint64_t begun_ns;
	unsigned int index; /* of the worker */
	struct worker *worker;
	struct work_item work;
	struct worker_cursor *cursor;
	bool is_describing;  /* the second time */
	size_t n_described;  /* of best.items, on this worker */
	struct largest best; /* tagged with their worker */
	struct hash_table by_name;
	struct hash_key hash_key;
	struct survey_result result;
	size_t room_groups;
	bool is_out_of_memory;
};

static void survey_free(struct survey *s)
{
	for (size_t i = 0; i < s->result.n_groups; i++)
		free(s->result.groups[i]);
	hash_table_done(&s->by_name);
	free(s->result.groups);
	free(s->result.rows);
	largest_done(&s->best);
	free(s);
}

/* ---- looking: on the worker's thread ------------------------------------------------------- */

static void group_name(enum top_by by, const struct connection *c, char *ret_name, size_t size)
{
	const char *name = "";

	if (by == TOP_ENDPOINTS && c->cluster && c->endpoint) {
		snprintf(ret_name, size, "%s/%s", c->cluster->name, c->endpoint->name);
		return;
	}
	if (by == TOP_ROUTES && c->route)
		name = c->route->name;
	if (by == TOP_CLASSES && c->class)
		name = c->class->name;
	snprintf(ret_name, size, "%s", name);
}

static struct survey_group *group_new(struct survey *s, const char *name, uint64_t hash)
{
	_cleanup_free_ struct survey_group *group = calloc(1, sizeof(*group));
	struct survey_result *r = &s->result;

	if (r->n_groups == s->room_groups) {
		size_t room = s->room_groups ? 2 * s->room_groups : 16;
		struct survey_group **groups =
		    reallocarray(r->groups, room, sizeof(struct survey_group *));

		if (!groups)
			return NULL;
		r->groups = groups;
		s->room_groups = room;
	}
	if (!group || hash_table_insert(&s->by_name, &group->by_name, hash) < 0)
		return NULL;
	memcpy(group->name, name, strlen(name) + 1);
	group->traffic.frames_exact = true;
	r->groups[r->n_groups++] = group;
	return TAKE_PTR(group);
}

static struct survey_group *group_of(struct survey *s, const struct connection *c)
{
	char name[sizeof(s->result.total.name)];
	struct hash_node *node;
	uint64_t hash;

	group_name(s->plan.by, c, name, sizeof(name));
	hash = hash_bytes(&s->hash_key, name, strlen(name));
	for (node = hash_table_first(&s->by_name, hash); node; node = hash_table_next(node)) {
		struct survey_group *group = container_of(node, struct survey_group, by_name);

		if (strcmp(group->name, name) == 0)
			return group;
	}
	return group_new(s, name, hash);
}

static void add_up(struct survey_group *group, const struct connection *c,
		   const struct connection_traffic *traffic, const struct connection_rates *rates)
{
	group->n_connections++;
	if (c->opened_ns)
		group->on_path[c->path]++;
	group->traffic.bytes_in += traffic->bytes_in;
	group->traffic.bytes_out += traffic->bytes_out;
	group->traffic.frames_in += traffic->frames_in;
	group->traffic.frames_out += traffic->frames_out;
	group->traffic.frames_exact &= traffic->frames_exact;
	group->rates.is_known |= rates->is_known;
	group->rates.has_frames |= rates->has_frames;
	group->rates.bytes_in += rates->bytes_in;
	group->rates.bytes_out += rates->bytes_out;
	group->rates.frames_in += rates->frames_in;
	group->rates.frames_out += rates->frames_out;
}

/* The meter costs memory only on connections of daemons that are asked for rates. */
static void measure(struct connection *c, const struct connection_traffic *traffic,
		    struct connection_rates *ret_rates)
{
	*ret_rates = (struct connection_rates){0};
	if (!c->meter) {
		c->meter = malloc(sizeof(*c->meter));
		if (!c->meter)
			return;
		connection_meter_start(c->meter, c->accepted_ns);
	}
	connection_meter_read(c->meter, traffic, clock_monotonic_ns(), ret_rates);
}

static uint64_t in_order(const struct connection_order *order, double value)
{
	uint64_t whole = value > 0 ? (uint64_t)(value * 16) : 0; /* tells slow rates apart, too */

	return order->is_rising ? UINT64_MAX - whole : whole;
}

static double sum_value(enum connection_key key, const struct connection_traffic *traffic,
			const struct connection_rates *rates)
{
	switch (key) {
	case CONNECTION_BY_BYTES:
		return (double)traffic->bytes_in + (double)traffic->bytes_out;
	case CONNECTION_BY_FRAMES:
		return (double)traffic->frames_in + (double)traffic->frames_out;
	case CONNECTION_BY_RATE:
		return rates->bytes_in + rates->bytes_out;
	case CONNECTION_BY_MESSAGES:
		return rates->frames_in + rates->frames_out;
	default:
		return 0;
	}
}

static double value_of(const struct survey *s, const struct connection *c,
		       const struct connection_traffic *traffic,
		       const struct connection_rates *rates)
{
	switch (s->plan.order.key) {
	case CONNECTION_BY_AGE: /* at one instant, whenever it is looked at */
		return (double)s->begun_ns - (double)c->accepted_ns;
	case CONNECTION_BY_IDLE:
		return (double)traffic->idle_ms;
	case CONNECTION_BY_RTT:
		return (double)connection_rtt_us(c);
	default:
		return sum_value(s->plan.order.key, traffic, rates);
	}
}

static void look_at(struct survey *s, struct connection *c)
{
	struct connection_rates rates = {0};
	struct connection_traffic traffic;
	struct survey_group *group;

	if (!connection_filter_matches(&s->plan.filter, c))
		return;
	connection_read_traffic(c, &traffic);
	if (s->plan.is_measured)
		measure(c, &traffic, &rates);
	add_up(&s->result.total, c, &traffic, &rates);
	if (s->plan.by == TOP_CONNECTIONS) {
		double value = value_of(s, c, &traffic, &rates);

		largest_add(&s->best, (struct largest_item){in_order(&s->plan.order, value), c->id,
							    s->index});
		return;
	}
	group = group_of(s, c);
	if (group)
		add_up(group, c, &traffic, &rates);
	else
		s->is_out_of_memory = true;
}

/* ---- describing: likewise ------------------------------------------------------------------ */

static void describe(struct survey *s, size_t i)
{
	const struct connection *c = worker_find(s->worker, s->best.items[i].id);
	struct survey_row *row = &s->result.rows[i];

	if (!c)
		return;
	connection_describe(c, &row->info);
	if (c->meter)
		row->rates = c->meter->rates;
}

/* ---- from worker to worker ----------------------------------------------------------------- */

static void survey_arrived(const struct mail *mail);

static void leave_worker(struct survey *s)
{
	worker_cursor_free(TAKE_PTR(s->cursor));
	gateway_post(s->gateway, &(struct mail){.fn = survey_arrived, .ptr = s});
}

static bool look_slice(struct work_item *item)
{
	struct survey *s = container_of(item, struct survey, work);

	for (int i = 0; i < LOOK_SLICE; i++) {
		struct connection *c = worker_cursor_next(s->worker, s->cursor);

		if (!c) {
			leave_worker(s);
			return false;
		}
		look_at(s, c);
	}
	return true;
}

static bool describe_slice(struct work_item *item)
{
	struct survey *s = container_of(item, struct survey, work);

	for (int n = 0; s->n_described < s->best.n_items && n < DESCRIBE_SLICE; s->n_described++) {
		if (s->best.items[s->n_described].tag != s->index)
			continue;
		describe(s, s->n_described);
		n++;
	}
	if (s->n_described < s->best.n_items)
		return true;
	leave_worker(s);
	return false;
}

static void begin_on_worker(struct worker *w, void *arg)
{
	struct survey *s = arg;

	s->worker = w;
	s->n_described = 0;
	if (!s->is_describing)
		s->cursor = worker_cursor_new(w);
	if (!s->is_describing && !s->cursor) {
		s->is_out_of_memory = true;
		leave_worker(s);
		return;
	}
	work_item_init(&s->work, s->is_describing ? describe_slice : look_slice);
	work_item_add(&w->work, WORKER_QUEUE_API, &s->work);
}

/* ---- main thread --------------------------------------------------------------------------- */

static int compare_groups(const void *a, const void *b)
{
	const struct survey_group *const *one = a, *const *other = b;

	return strcmp((*one)->name, (*other)->name);
}

/* The groups that come first stay, in order; those of the same value by name. */
static int choose_groups(struct survey *s)
{
	struct survey_result *r = &s->result;
	struct survey_group **chosen;

	if (r->n_groups)
		qsort(r->groups, r->n_groups, sizeof(struct survey_group *), compare_groups);
	for (size_t i = 0; i < r->n_groups; i++) {
		const struct survey_group *group = r->groups[i];
		double value = s->plan.order.key == CONNECTION_BY_CONNECTIONS
				   ? (double)group->n_connections
				   : sum_value(s->plan.order.key, &group->traffic, &group->rates);

		largest_add(&s->best, (struct largest_item){in_order(&s->plan.order, value), i, 0});
	}
	largest_sort(&s->best);
	chosen = calloc(s->best.n_items ? s->best.n_items : 1, sizeof(struct survey_group *));
	if (!chosen)
		return -ENOMEM;
	for (size_t i = 0; i < s->best.n_items; i++) {
		size_t from = (size_t)s->best.items[i].id;

		chosen[i] = TAKE_PTR(r->groups[from]);
	}
	for (size_t i = 0; i < r->n_groups; i++)
		free(r->groups[i]);
	free(r->groups);
	r->groups = chosen;
	r->n_groups = s->best.n_items;
	return 0;
}

static int begin_describing(struct survey *s)
{
	largest_sort(&s->best);
	s->result.n_rows = s->best.n_items;
	s->result.rows = calloc(s->best.n_items ? s->best.n_items : 1, sizeof(*s->result.rows));
	s->is_describing = true;
	s->index = 0;
	return s->result.rows ? 0 : -ENOMEM;
}

static bool has_items_for(const struct survey *s, unsigned int index)
{
	for (size_t i = 0; i < s->best.n_items; i++) {
		if (s->best.items[i].tag == index)
			return true;
	}
	return false;
}

static void fail(struct survey *s, const char *code, const char *detail)
{
	struct control_call *call = s->call;

	survey_free(s);
	control_fail(call, code, "%s", detail);
}

static void finish(struct survey *s)
{
	s->done(s->call, &s->plan, &s->result);
	survey_free(s);
}

static void go_on(struct survey *s)
{
	const struct worker_shared *shared = &s->gateway->shared;

	if (!control_is_wanted(s->call) || s->gateway->is_stopping) {
		fail(s, "stopping", "the daemon is stopping");
		return;
	}
	if (s->index == shared->n_workers && s->plan.by == TOP_CONNECTIONS && !s->is_describing)
		s->is_out_of_memory |= begin_describing(s) < 0;
	while (s->is_describing && s->index < shared->n_workers && !has_items_for(s, s->index))
		s->index++;
	if (s->index == shared->n_workers && s->plan.by != TOP_CONNECTIONS)
		s->is_out_of_memory |= choose_groups(s) < 0;
	if (s->is_out_of_memory)
		fail(s, CONTROL_ERROR_BUSY, "out of memory");
	else if (s->index == shared->n_workers)
		finish(s);
	else if (worker_call(s->gateway->workers[s->index], begin_on_worker, s) < 0)
		fail(s, CONTROL_ERROR_BUSY, "a worker is too busy");
}

static void survey_arrived(const struct mail *mail)
{
	struct survey *s = mail->ptr;

	s->index++;
	go_on(s);
}

void survey_start(struct control_call *call, const struct survey_plan *plan, survey_fn *done)
{
	struct survey *s = calloc(1, sizeof(*s));

	if (!s || largest_init(&s->best, plan->limit) < 0) {
		free(s);
		control_fail(call, CONTROL_ERROR_BUSY, "out of memory");
		return;
	}
	s->call = call;
	s->gateway = control_call_gateway(call);
	s->plan = *plan;
	s->done = done;
	s->begun_ns = clock_monotonic_ns();
	s->result.total.traffic.frames_exact = true;
	hash_table_init(&s->by_name);
	hash_key_random(&s->hash_key);
	go_on(s);
}
