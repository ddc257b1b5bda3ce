/* SPDX-License-Identifier: Apache-2.0 */
#include "core/policies.h"

#include "base/log.h"
#include "core/config_class.h"
#include "kern/name_cache.h"
#include "kern/policy_table.h"

#include <pthread.h>

/* Row 0 is what a flow has whose inserter knew of no policies: nobody's. */
#define FIRST_ROW 1u

struct row {
	struct sl_policy policy;
	uint32_t n_users;
};

struct policies {
	pthread_mutex_t lock;
	int fd;
	struct name_cache names;
	struct config *config; /* the newest; NULL = none was told */
	struct row rows[SL_POLICIES];
	unsigned int n_used;
	uint64_t n_refused;
	bool is_full; /* and the log says so */
};

/* ---- what a row says ----------------------------------------------------------------------- */

static uint8_t walk_of(const struct config_route *route)
{
	switch (route->splice_frames) {
	case CONFIG_FRAMES_OBSERVE:
		return SL_WALK_OBSERVE;
	case CONFIG_FRAMES_STRICT:
		return SL_WALK_STRICT;
	case CONFIG_FRAMES_OFF:
		return SL_WALK_OFF;
	case CONFIG_FRAMES_AUTO:
		break;
	}
	return route->max_frame_bytes || route->max_message_bytes ? SL_WALK_STRICT
								  : SL_WALK_OBSERVE;
}

static void set_class(struct sl_policy *policy, const struct config_class *class)
{
	policy->byte_rate = class->rate_bytes;
	policy->byte_burst = (uint32_t)class->burst_bytes;
	policy->frame_rate = class->rate_frames;
	policy->frame_burst = class->burst_frames;
	policy->priority = class->priority;
	policy->pacing = class->pacing;
	policy->dscp = class->dscp;
	policy->flags = class->over_rate == CONFIG_OVER_RATE_MARK ? SL_P_MARK_ECN : 0;
}

void policy_init(const struct config_class *class, const struct config_route *route,
		 uint32_t class_id, struct sl_policy *ret_policy)
{
	*ret_policy = (struct sl_policy){
	    .max_frame = route->max_frame_bytes,
	    .max_message = route->max_message_bytes,
	    .walk = walk_of(route),
	    .class_id = class_id,
	};
	set_class(ret_policy, class);
}

void policy_to_class(const struct sl_policy *policy, struct config_class *ret_class)
{
	*ret_class = (struct config_class){
	    .rate_bytes = policy->byte_rate,
	    .burst_bytes = policy->byte_burst,
	    .rate_frames = policy->frame_rate,
	    .burst_frames = policy->frame_burst,
	    .over_rate =
		policy->flags & SL_P_MARK_ECN ? CONFIG_OVER_RATE_MARK : CONFIG_OVER_RATE_DROP,
	    .pacing = policy->pacing,
	    .dscp = policy->dscp,
	    .priority = policy->priority,
	};
}

/* What makes a row another one; all else follows the class. */
static bool is_same(const struct sl_policy *a, const struct sl_policy *b)
{
	return a->class_id == b->class_id && a->max_frame == b->max_frame &&
	       a->max_message == b->max_message && a->walk == b->walk;
}

/* ---- rows ---------------------------------------------------------------------------------- */

static int write_row(struct policies *p, uint32_t number, const struct sl_policy *policy)
{
	int error;

	if (memcmp(&p->rows[number].policy, policy, sizeof(*policy)) == 0)
		return 0;
	error = policy_table_write(p->fd, number, policy);
	if (error == 0)
		p->rows[number].policy = *policy;
	return error;
}

static void hold(struct policies *p, uint32_t number)
{
	p->n_used += p->rows[number].n_users++ == 0;
}

/* Return: the number, or 0 */
static uint32_t find_row(const struct policies *p, const struct sl_policy *policy)
{
	for (uint32_t i = FIRST_ROW; i < SL_POLICIES; i++) {
		if (p->rows[i].n_users > 0 && is_same(&p->rows[i].policy, policy))
			return i;
	}
	return 0;
}

static int take_free_row(struct policies *p, const struct sl_policy *policy, uint32_t *ret_number)
{
	for (uint32_t i = FIRST_ROW; i < SL_POLICIES; i++) {
		if (p->rows[i].n_users > 0)
			continue;
		*ret_number = i;
		return write_row(p, i, policy);
	}
	p->n_refused++;
	if (!p->is_full)
		log_warning("more than %u combinations of class, limits and splice_frames are in "
			    "use: connections of others stay on the relay",
			    SL_POLICIES - FIRST_ROW);
	p->is_full = true;
	return -ENOBUFS;
}

/* Of its generation or a newer one: the newest says what a class does. */
static int init_policy(struct policies *p, const struct config_class *class,
		       const struct config_route *route, struct sl_policy *ret_policy)
{
	const struct config_class *newest =
	    p->config ? config_class_find(p->config, class->name) : NULL;
	uint32_t id;
	int error = name_cache_id(&p->names, SL_NAME_CLASS, class->name, &id);

	if (error < 0)
		return error;
	policy_init(newest ? newest : class, route, id, ret_policy);
	return 0;
}

static int take(struct policies *p, const struct config_class *class,
		const struct config_route *route, uint32_t *ret_number)
{
	struct sl_policy policy;
	uint32_t number;
	int error = init_policy(p, class, route, &policy);

	if (error < 0)
		return error;
	number = find_row(p, &policy);
	if (number == 0)
		error = take_free_row(p, &policy, &number);
	if (error < 0)
		return error;
	hold(p, number);
	*ret_number = number;
	return 0;
}

int policies_take(struct policies *policies, const struct config_class *class,
		  const struct config_route *route, uint8_t *ret_row)
{
	uint32_t number = 0;
	int error;

	(void)pthread_mutex_lock(&policies->lock);
	error = take(policies, class, route, &number);
	(void)pthread_mutex_unlock(&policies->lock);
	if (error == 0)
		*ret_row = (uint8_t)number;
	return error;
}

int policies_adopt(struct policies *policies, uint8_t row)
{
	int error = 0;

	(void)pthread_mutex_lock(&policies->lock);
	if (policies->rows[row].n_users == 0)
		error = policy_table_read(policies->fd, row, &policies->rows[row].policy);
	if (error == 0)
		hold(policies, row);
	(void)pthread_mutex_unlock(&policies->lock);
	return error;
}

void policies_drop(struct policies *policies, uint8_t row)
{
	(void)pthread_mutex_lock(&policies->lock);
	assert(policies->rows[row].n_users > 0);
	if (--policies->rows[row].n_users == 0) {
		policies->n_used--;
		policies->is_full = false;
	}
	(void)pthread_mutex_unlock(&policies->lock);
}

/* ---- reload -------------------------------------------------------------------------------- */

static int follow_class(struct policies *p, const struct config_class *class)
{
	uint32_t id;
	int error = name_cache_id(&p->names, SL_NAME_CLASS, class->name, &id);

	for (uint32_t i = FIRST_ROW; i < SL_POLICIES && error == 0; i++) {
		struct sl_policy policy = p->rows[i].policy;

		if (p->rows[i].n_users == 0 || policy.class_id != id)
			continue;
		set_class(&policy, class);
		error = write_row(p, i, &policy);
	}
	return error;
}

int policies_follow(struct policies *policies, struct config *config)
{
	struct config *before;
	int first_error = 0;

	(void)pthread_mutex_lock(&policies->lock);
	before = policies->config;
	policies->config = config_ref(config);
	for (size_t i = 0; i < config->n_classes; i++) {
		int error = follow_class(policies, &config->classes[i]);

		if (first_error == 0)
			first_error = error;
	}
	(void)pthread_mutex_unlock(&policies->lock);
	config_unref(before);
	return first_error;
}

/* ---- life ---------------------------------------------------------------------------------- */

int policies_new(int policies_fd, int names_fd, struct kern_ids *ids,
		 struct policies **ret_policies)
{
	static const struct sl_policy nothing = {.dscp = SL_DSCP_KEEP};
	struct policies *p = calloc(1, sizeof(*p));
	int error;

	if (!p)
		return -ENOMEM;
	p->fd = policies_fd;
	(void)pthread_mutex_init(&p->lock, NULL);
	name_cache_init(&p->names, names_fd, ids);
	/* As the loader leaves it, its code point would be 0. */
	error = write_row(p, 0, &nothing);
	if (error < 0) {
		policies_free(p);
		return error;
	}
	*ret_policies = p;
	return 0;
}

void policies_free(struct policies *policies)
{
	if (!policies)
		return;
	config_unref(policies->config);
	name_cache_done(&policies->names);
	(void)pthread_mutex_destroy(&policies->lock);
	free(policies);
}

void policies_usage(struct policies *policies, struct policies_usage *ret_usage)
{
	(void)pthread_mutex_lock(&policies->lock);
	*ret_usage = (struct policies_usage){policies->n_used, policies->n_refused};
	(void)pthread_mutex_unlock(&policies->lock);
}

int policies_row(const struct policies *policies, uint8_t row, struct sl_policy *ret_policy)
{
	return policy_table_read(policies->fd, row, ret_policy);
}
