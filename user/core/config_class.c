/* SPDX-License-Identifier: Apache-2.0 */
#include "core/config_class.h"

#include "base/dscp.h"
#include "core/config_error.h"
#include "core/nearest.h"

#define BURST_BYTES_MIN 65536u /* of auto: what one read takes, and what GRO makes of segments */

const struct config_class *config_class_find(const struct config *config, const char *name)
{
	for (size_t i = 0; i < config->n_classes; i++) {
		if (strcmp(config->classes[i].name, name) == 0)
			return &config->classes[i];
	}
	return NULL;
}

/* ---- classes ------------------------------------------------------------------------------- */

struct rate {
	uint64_t per_s, burst;
	const char *rate_key, *burst_key;
};

static int check_burst(const struct config_text *t, uint32_t number,
		       const struct config_place *places, const struct rate *rate)
{
	uint32_t key = config_text_find(t, number, rate->burst_key);

	if (rate->burst == 0) /* auto */
		return 0;
	if (rate->per_s == 0)
		return config_error_value(t, key, 0, places[key].value,
					  "expected %s in the same class", rate->rate_key);
	return 0;
}

static int check_class(const struct config_text *t, uint32_t number,
		       const struct config_place *places)
{
	struct config_class *class = places[number].object;
	const struct rate bytes = {class->rate_bytes, class->burst_bytes, "rate_bytes",
				   "burst_bytes"};
	const struct rate frames = {class->rate_frames, class->burst_frames, "rate_frames",
				    "burst_frames"};
	int r = check_burst(t, number, places, &bytes);

	if (r == 0)
		r = check_burst(t, number, places, &frames);
	if (r < 0)
		return r;
	if (class->rate_bytes && class->burst_bytes == 0)
		class->burst_bytes =
		    MIN(MAX(class->rate_bytes, BURST_BYTES_MIN), CONFIG_BURST_BYTES_MAX);
	if (class->burst_frames == 0)
		class->burst_frames = class->rate_frames;
	class->dscp = SL_DSCP_KEEP;
	if (class->dscp_text && dscp_parse(class->dscp_text, &class->dscp) < 0)
		assert(!"the table's is_valid said so");
	return 0;
}

/* For routes that say none. */
static int add_default(struct config *config)
{
	struct config_class *grown;
	char *name;

	if (config_class_find(config, CONFIG_CLASS_DEFAULT))
		return 0;
	grown = reallocarray(config->classes, config->n_classes + 1, sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	config->classes = grown;
	name = strdup(CONFIG_CLASS_DEFAULT);
	if (!name)
		return -ENOMEM;
	config->classes[config->n_classes++] =
	    (struct config_class){.name = name, .dscp = SL_DSCP_KEEP};
	return 0;
}

int config_check_classes(const struct config_text *t, const struct config_place *places,
			 struct config *config)
{
	size_t n = 0;

	for (uint32_t i = 1; i < t->n_statements; i++) {
		int r;

		if (places[i].key || t->statements[i].parent != 0 ||
		    strcmp(places[i].section->name, "class") != 0)
			continue;
		/* One is kept for the default. */
		if (++n == CONFIG_CLASSES_MAX)
			return config_error_at(t, t->statements[i].line, i,
					       "expected at most %u classes",
					       CONFIG_CLASSES_MAX - 1);
		r = check_class(t, i, places);
		if (r < 0)
			return r;
	}
	return add_default(config);
}

/* ---- routes -------------------------------------------------------------------------------- */

static int fail_class(const struct config_text *t, uint32_t number, const struct config *config,
		      const char *name)
{
	uint32_t key = config_text_find(t, number, "class");
	struct nearest nearest;

	nearest_init(&nearest, slice_from_str(name));
	for (size_t i = 0; i < config->n_classes; i++)
		nearest_offer(&nearest, config->classes[i].name);
	if (nearest.best)
		return config_error_value(t, key, 0, name,
					  "expected the name of a class; did you mean \"%s\"?",
					  nearest.best);
	return config_error_value(t, key, 0, name, "expected the name of a class");
}

/* What is to be enforced must be looked at. */
static int check_frames(const struct config_text *t, uint32_t number,
			const struct config_route *route)
{
	uint32_t key = config_text_find(t, number, "splice_frames");
	bool has_limit = route->max_frame_bytes || route->max_message_bytes;

	if (!key || route->action != CONFIG_ACTION_PROXY)
		return 0;
	if (has_limit && route->splice_frames == CONFIG_FRAMES_OBSERVE)
		return config_error_value(t, key, 0, "observe",
					  "expected auto or strict with max_frame or max_message");
	if (route->splice_frames != CONFIG_FRAMES_OFF)
		return 0;
	if (has_limit)
		return config_error_value(t, key, 0, "off",
					  "expected auto or strict with max_frame or max_message");
	if (route->class->rate_frames)
		return config_error_value(t, key, 0, "off",
					  "expected auto, observe or strict: class \"%s\" has "
					  "rate_frames",
					  route->class->name);
	return 0;
}

int config_class_of_route(const struct config_text *t, uint32_t number, const struct config *config,
			  struct config_route *route)
{
	route->class = config_class_find(config, route->class_name);
	if (!route->class)
		return fail_class(t, number, config, route->class_name);
	return check_frames(t, number, route);
}
